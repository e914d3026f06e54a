"""`webhooks drift`: show what changed live, and how to revert or accept it."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

from reconciler import workflow
from reconciler.cli.commands.plan import ONLY, apply_options
from reconciler.cli.connection import connected_all, require_used, show_problems
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.findings import shorten
from reconciler.planning.run import DriftReport
from reconciler.render import RENDERERS
from reconciler.render.quote import prose, quote, repeated
from reconciler.source.secrets import references
from reconciler.workflow.accepting import find_drift
from reconciler.workflow.drift import Base, base_of


@command(
    paths=True,
    connects=True,
    formats=tuple(RENDERERS),
    options=(
        ONLY,
        Option("--base", group="Drift", multiple=True, metavar="REV|PATH",
               help="The configuration that was applied last: a git revision or earlier files. "
                    "[default: HEAD without commits that may not be applied yet; "
                    "--base HEAD includes them]"),
        Option("--accept", group="Drift", is_flag=True,
               help="Edit the files so that they declare the live changes."),
    ),
)  # fmt: skip
def run(
    session: Session, only: tuple[str, ...], base: tuple[str, ...], accept: bool, format: str
) -> int:
    """Drift is a change made in CloudTruth, not in the files: the last applied configuration would
    revert it. Your own edits, and the last commits if they may not be applied yet, are listed
    separately and never undone. For each webhook, prints the commands to revert and accept the
    change, and a patch for `git apply`, or why there is none. Exits with 2 if there is drift, or if
    --accept edits nothing although the files differ.

    Examples:
        # show live changes, and how to revert or accept them
        webhooks drift
        # accept the change of one webhook
        webhooks drift --accept --only Deploys
        # let a script read it
        webhooks drift --format json
    """
    apply_words = apply_options(session, ())
    report = _find(session, apply_words, only, base, accept=accept)
    code = show_problems(session, report.organizations)
    view = session.view()._replace(apply_options=apply_words)
    text = RENDERERS[format]().render_drift(report, view)
    is_unedited = accept and not report.accepted
    is_failed = report.needs_attention or (is_unedited and report.has_waiting_changes)
    session.show(text, failed=is_failed)
    if is_unedited:
        session.console.message("note", "nothing was edited")
    if report.accepted:
        _print_comments(session, report)
        _print_missing_secrets(session)
    if is_failed:
        return code or ExitCode.CHANGES
    return code


def _find(
    session: Session,
    apply_words: tuple[str, ...],
    only: tuple[str, ...],
    base: tuple[str, ...],
    *,
    accept: bool,
) -> DriftReport:
    """Compare the live webhooks with the configuration that was applied last."""
    bases: dict[tuple[str, ...], Base] = {}
    targets: list[workflow.Target] = []
    for source in session.load_all(apply_words):
        # A base that cannot be read is reported before any request.
        if base:
            compared = Base(workflow.previous(base, source.checked))
        else:
            compared = base_of(source.checked)
        bases[source.files.paths] = compared
        options = workflow.PlanOptions(previous=compared.desired)
        targets.append(workflow.Target(source, options=options))
    with connected_all(session, targets) as connected:
        planned = workflow.plan_all(connected)
    # --organization may have left some out.
    bases_of_run = [bases[organization.target.paths] for organization in planned]
    require_used(only, [(result.target, result.live) for result in planned])
    return find_drift(
        planned,
        bases_of_run,
        only=only,
        named=session.files,
        base=tuple(repeated("--base", base)),
        accept=accept,
    )


def _print_comments(session: Session, report: DriftReport) -> None:
    """Print what to check in the new declarations, with at most five of their names."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for organization in report.organizations:
        drift = organization.value
        if drift is None:
            continue
        for webhook in drift.drifted:
            if webhook.comment:
                # Of a webhook that was renamed live, the last one has its live name.
                name = quote(drift.plan.operations[webhook.operations[-1]].name)
                if not report.is_single:
                    name += f" in {quote(organization.name)}"
                names[webhook.comment].append(name)
    for comment, webhooks in names.items():
        session.console.message("warning", f"{shorten(webhooks, 5)}: {prose(comment)}")


def _print_missing_secrets(session: Session) -> None:
    """Print warnings about the edited files, and which secrets GitHub's workflows do not have."""
    sources = workflow.load_all(session.inputs)
    session.show_loaded(sources)  # prints warnings, which are errors in workflows
    # Imported here, because it takes time, and only --accept needs it.
    from reconciler.ci import workflows

    text = workflows.workflow_text(session.process.directory / workflows.CALLED)
    if not text:
        return
    webhooks = chain.from_iterable(source.checked.desired.webhooks for source in sources)
    required = workflows.RequiredSecrets(references=references(webhooks)).variables
    missing = [name for name in required if f"secrets.{name} " not in text]
    if missing:
        message = f"{workflows.CALLED} lacks {shorten(missing, 5)}"
        session.console.message("warning", f"{message}: run `webhooks init --github` again")
