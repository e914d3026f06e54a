"""`webhooks apply`: plan, confirm, apply, verify, report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import workflow
from reconciler.cli.commands.plan import PLAN_OPTIONS, apply_options, check_output, plan_options
from reconciler.cli.connection import Progress, connected_all
from reconciler.cli.errors import translate
from reconciler.cli.options import FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, OutputError, StalePlanError, UsageError
from reconciler.render import PLAIN, RENDERERS, View
from reconciler.render.words import fallback_summary, plural
from reconciler.report import State, state_of
from reconciler.source.saved_plan import is_saved_plan
from reconciler.source.write import FileKind, check_writable, write_atomically

if TYPE_CHECKING:
    from reconciler.source.saved_plan import SavedPlan


@command(
    paths=True,
    connects=True,
    formats=tuple(RENDERERS),
    options=(
        *PLAN_OPTIONS,
        Option("--expect-digest", group="Plan", metavar="DIGEST", env="WEBHOOKS_EXPECT_DIGEST",
               help="Apply only if the plan has this digest or is empty."),
        Option("-y", "--yes", group="Plan", is_flag=True, help="Do not ask for confirmation."),
        Option("--keep-going", group="Plan", is_flag=True,
               help="Continue with the next organization if one fails."),
        Option("--report", group="Output", metavar="FILE", env="WEBHOOKS_REPORT",
               help="Also write the report as JSON; - is standard output."),
    ),
)  # fmt: skip
def run(session: Session, report: str | None, format: str, keep_going: bool, **own: Any) -> int:
    """PATH is a file or a directory, as for `plan`, or a saved plan. Shows the plan and asks for
    confirmation. Checks files, organization, listing, secrets and guards before the first write.
    Deletes last (except duplicates), and only if everything else succeeded. If a run is incomplete,
    run the same command again; with --allow-deletes, use the number of deletes that `webhooks plan`
    then shows; with --expect-digest, use its digest.

    Examples:
        # plan, confirm, apply
        webhooks apply
        # in a pipeline: apply exactly what was reviewed
        webhooks apply --yes --expect-digest sha256:9c1e...
        # apply the files of a directory
        webhooks apply webhooks/
        # apply a saved plan
        webhooks apply plan.json
        # delete more than the guards allow (exactly N)
        webhooks apply --allow-deletes 12
        # try a file without an account
        webhooks apply -f examples/webhooks.yaml --local
    """
    console, target = session.console, session.path(report)
    if target is not None:
        check_writable(target, over=FileKind.REPORT)
    if own["expect_digest"] is not None and keep_going:
        raise UsageError(
            "--keep-going cannot be used with --expect-digest: the digest covers the complete run",
            hint="leave out one of them",
        )
    try:
        result = _apply(session, target, own, keep_going=keep_going)
    except (Exception, KeyboardInterrupt) as problem:
        if report is not None and not isinstance(problem, UsageError):
            _write(session, target, RENDERERS["json"]().render_error(translate(problem)))
        raise
    code = result.exit_code
    if report is not None:
        document = _rendered(session, result, "json", PLAIN)
        if document is None or not _write(session, target, document):
            code = max(code, ExitCode.PARTIAL if result.writes else ExitCode.FAILED)
    session.show_problems(result.organizations)
    shown = _rendered(session, result, format, session.view())
    if shown is not None:
        session.show(shown, failed=result.exit_code != 0, to_stderr=report == "-")
    if console.failed and report != "-":
        console.message("error", fallback_summary(result.reports))
        console.failed = False  # the exit code is that of the apply
    states = [state_of(each) for each in result.organizations]
    if State.NOT_STARTED in states and result.stopped is None and own["expect_digest"] is None:
        console.message("note", "--keep-going continues with the next organization if one fails")
    return code


def _apply(
    session: Session, target: Path | None, own: dict[str, Any], *, keep_going: bool
) -> workflow.RunReport:
    """Load the files or the saved plan, connect, and apply."""
    yes: bool = own["yes"]
    expect_digest: str | None = own["expect_digest"]
    planfile = _saved_plan(session)
    if planfile is None:
        targets = [
            workflow.Target(source, options=plan_options(source.checked, own))
            for source in session.load_all(apply_options(session, session.files))
        ]
    else:
        targets = _saved_targets(session, _saved(session, planfile, expect_digest))
        expect_digest = None  # it is that of the file, whose operations may be done already
    for each in targets:
        check_output(target, each.checked)
    console, progress = session.console, Progress(session)

    def agree(plans: workflow.RunPlan) -> bool:
        view = session.view(
            session.process.stderr,
            apply_options=None,
            verbosity=max(0, console.verbosity),  # with --quiet, too, to show what is confirmed
        )
        for plan in plans.plans:
            console.record_rules((*plan.notes, *plan.relaxed, *plan.blocked))
        try:
            shown = RENDERERS["text"]().render_run(plans, view)
        except Exception as problem:
            if not yes:
                raise
            # With --yes, apply even if the plan cannot be displayed.
            shown = f"The plan cannot be shown: internal error ({type(problem).__name__})."
        progress.phase("")
        if yes or not console.interactive:
            console.info(shown)
        else:
            console.write_stderr(f"{shown}\n")
        changes = sum(len(plan.operations) for plan in plans.plans)
        if not yes:
            deletes = sum(len(plan.deletes) for plan in plans.plans)
            count = sum(bool(plan.operations) for plan in plans.plans)
            where = f" in {plural(count, 'organization')}" if len(targets) > 1 else ""
            risk = f" ({plural(deletes, 'delete')})" if deletes else ""
            session.confirm(f"Apply {plural(changes, 'change')}{where}{risk}?")
            for each in connected:
                if each.connection is not None:  # an answer does not use up the run's time
                    each.connection.restart()
        progress.phase("checking that the plan is still current", total=changes)
        return True

    with connected_all(session, targets, progress=progress) as connected:
        return workflow.apply_all(
            connected,
            confirm=agree,
            allow_deletes=own["allow_deletes"],
            expect_digest=expect_digest,
            values=yes,
            keep_going=keep_going,
        )


def _saved_targets(session: Session, saved: SavedPlan) -> list[workflow.Target]:
    """Return the organizations of a saved plan."""
    files = [document.file for document in saved.parsed.documents]
    words = apply_options(session, files, ())
    session.inputs = session.inputs._replace(paths=(), parsed=saved.parsed)
    sources = session.load_all(words)
    # Grouped by organization in the same order as when the plan was saved.
    return [
        workflow.Target(source, options=saved.options, review=organization.review)
        for source, organization in zip(sources, saved.organizations, strict=True)
    ]


def _saved_plan(session: Session) -> str | None:
    """Return the path of the saved plan among the paths, None if there are only files."""
    directory = session.process.directory
    plans = (path for path in session.files if is_saved_plan(directory / path))
    return next(plans, None)


def _saved(session: Session, planfile: str, expect_digest: str | None) -> SavedPlan:
    """Return the plan in a file. Raises StalePlanError if it has another digest."""
    files = tuple(path for path in session.files if path != planfile)
    conflicting = session.words((*FILE_OPTIONS[:1], *PLAN_OPTIONS[:-1]), file=files)
    if conflicting:
        hint = (
            f"a saved plan contains its files and options: `webhooks apply {shlex.quote(planfile)}`"
        )
        raise UsageError(f"{shlex.join(conflicting)} cannot be used with a saved plan", hint=hint)
    saved = workflow.load_plan(planfile, session.process.directory)
    if expect_digest is not None and saved.digest not in ("", expect_digest):
        raise StalePlanError(
            f"{planfile} is not the reviewed plan; nothing was written",
            differences=(f"reviewed  {expect_digest}", f"{planfile}  {saved.digest}"),
            hint="pass this file's digest, or the matching plan file",
        )
    return saved


def _rendered(session: Session, result: workflow.RunReport, format: str, view: View) -> str | None:
    """Return the rendered report; None, after printing a summary line, if rendering fails."""
    try:
        return RENDERERS[format]().render_run_report(result, view)
    except Exception as problem:
        session.console.message("error", fallback_summary(result.reports, problem))
        return None


def _write(session: Session, target: Path | None, text: str) -> bool:
    """Write the report.

    Return False, after an error message, on failure: the apply itself is complete.
    """
    if target is None:
        session.console.result(text, essential=True)
        return not session.console.failed
    try:
        write_atomically(target, session.console.redact(text).encode(), over=FileKind.REPORT)
    except (OutputError, UsageError) as problem:
        session.console.error(problem)
        return False
    return True
