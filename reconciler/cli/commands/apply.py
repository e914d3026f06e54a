"""`webhooks apply`: plan, confirm, apply, verify, report."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import workflow
from reconciler.cli.commands.plan import PLAN_OPTIONS, apply_options, check_output, plan_options
from reconciler.cli.connection import Progress, connected
from reconciler.cli.errors import translate
from reconciler.cli.options import FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, OutputError, StalePlanError, UsageError
from reconciler.render import PLAIN, RENDERERS, View
from reconciler.render.words import fallback_summary, plural
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
        Option("--keep-going", group="Plan", is_flag=True, expose_value=False,
               help="Continue with the next organization if one fails."),
        Option("--report", group="Output", metavar="FILE", env="WEBHOOKS_REPORT",
               help="Also write the report as JSON; - is standard output."),
    ),
)  # fmt: skip
def run(session: Session, **options: Any) -> int:
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
    planfile = _saved_plan(session)
    if planfile is None:
        return session.for_each_organization(_run, options, needs_key=True)
    return _run(session, planfile=planfile, **options)


def _saved_plan(session: Session) -> str | None:
    """Return the path of the saved plan among the paths, None if there are only files."""
    directory = session.process.directory
    plans = (path for path in session.files if is_saved_plan(directory / path))
    return next(plans, None)


def _run(
    session: Session, report: str | None, format: str, planfile: str | None = None, **own: Any
) -> int:
    console, target = session.console, session.path(report)
    if target is not None:
        check_writable(target, over=FileKind.REPORT)
    try:
        result = _apply(session, planfile, target, own)
    except (Exception, KeyboardInterrupt) as problem:
        if report is not None and not isinstance(problem, UsageError):
            _write(session, target, RENDERERS["json"]().render_error(translate(problem)))
        raise
    shown = _rendered(session, result, format, session.view())
    if shown is not None:
        session.show(shown, failed=result.exit_code != 0, to_stderr=report == "-")
    if console.failed:
        console.message("error", fallback_summary(result))
        console.failed = False  # the exit code is that of the apply
    if report is not None:
        document = _rendered(session, result, "json", PLAIN)
        if document is None or not _write(session, target, document):
            return max(result.exit_code, ExitCode.PARTIAL if result.writes else ExitCode.FAILED)
    return result.exit_code


def _apply(
    session: Session, planfile: str | None, target: Path | None, own: dict[str, Any]
) -> workflow.Report:
    """Load the files or the saved plan, connect, and apply."""
    yes: bool = own["yes"]
    review: workflow.Review | str | None = own["expect_digest"]
    if planfile is None:
        checked = session.load(apply_options(session, session.files))
        options = plan_options(checked, own)
    else:
        saved = _saved(session, planfile, own["expect_digest"])
        review, options = saved.review, saved.options._replace(allow_deletes=own["allow_deletes"])
        files = [each.file for each in saved.parsed.documents]
        words = apply_options(session, files, ())
        session.inputs = session.inputs._replace(paths=(), parsed=saved.parsed, apply_options=words)
        session.only_organization()
        checked = workflow.load(session.inputs)
    check_output(target, checked)
    console, progress = session.console, Progress(session)

    def agree(plan: workflow.Plan) -> bool:
        view = session.view(
            session.process.stderr,
            apply_options=None,
            verbosity=max(0, console.verbosity),  # with --quiet, too, to show what is confirmed
        )
        console.record_rules((*plan.notes, *plan.relaxed, *plan.blocked))
        try:
            shown = RENDERERS["text"]().render_plan(plan, view)
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
        if not yes:
            label, deletes = session.organization_label, len(plan.deletes)
            where = "" if label is None else f" to {label}"
            risk = f" ({plural(deletes, 'delete')})" if deletes else ""
            session.confirm(f"Apply {plural(len(plan.operations), 'change')}{where}{risk}?")
            connection.restart()  # waiting for an answer does not use up the run's time
        progress.phase("checking that the plan is still current", total=len(plan.operations))
        return True

    with connected(session, progress=progress) as connection:
        return workflow.apply(
            checked, connection, options=options, confirm=agree, review=review, values=yes
        )


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
    if expect_digest is not None and saved.review.digest not in ("", expect_digest):
        raise StalePlanError(
            f"{planfile} is not the reviewed plan; nothing was written",
            differences=(f"reviewed  {expect_digest}", f"{planfile}  {saved.review.digest}"),
            hint="pass this file's digest, or the matching plan file",
        )
    return saved


def _rendered(session: Session, result: workflow.Report, format: str, view: View) -> str | None:
    """Return the rendered report; None, after printing a summary line, if rendering fails."""
    try:
        return RENDERERS[format]().render_report(result, view)
    except Exception as problem:
        session.console.message("error", fallback_summary(result, problem))
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
