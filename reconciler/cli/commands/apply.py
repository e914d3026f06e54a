"""`webhooks apply`: plan, confirm, apply, verify, report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from reconciler import workflow
from reconciler.cli.commands.plan import (
    PLAN_OPTIONS,
    SAVED_OPTIONS,
    apply_options,
    check_output,
    labeled,
    load_targets,
    record_findings,
)
from reconciler.cli.connection import Progress, connected_all, show_problems
from reconciler.cli.main import translate
from reconciler.cli.options import FILE_OPTION, SUGGESTED_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import SIGNALS, ExitCode, OutputError, StalePlanError, UsageError
from reconciler.findings import plural
from reconciler.render import PLAIN, RENDERERS, View
from reconciler.render.outcomes import fallback_summary, report_problems
from reconciler.render.words import between, values_left_out
from reconciler.source.files import STDIN, STDIN_NAME
from reconciler.source.output import FileKind, check_writable, write_atomically
from reconciler.source.saved_plan import SavedPlan, is_saved_plan


class _Options(NamedTuple):
    """How to apply; `plan` has the options that determine the plan, by name."""

    plan: Mapping[str, Any]
    expect_digest: str | None
    yes: bool
    keep_going: bool


@command(
    paths=True,
    connects=True,
    formats=tuple(RENDERERS),
    options=(
        *PLAN_OPTIONS,
        Option("--expect-digest", group="Plan", metavar="DIGEST", env="WEBHOOKS_EXPECT_DIGEST",
               help="Apply only if the plan has this digest or is empty."),
        Option("-y", "--yes", group="Plan", is_flag=True,
               help="Do not ask for confirmation. Also send new values of secrets, which no "
                    "review shows."),
        Option("--keep-going", group="Plan", is_flag=True,
               help="Continue with the next organization if one fails."),
        Option("--report", group="Output", metavar="FILE",
               help="Also write the report as JSON; - is standard output."),
    ),
)  # fmt: skip
def run(
    session: Session,
    report: str | None,
    format: str,
    expect_digest: str | None,
    yes: bool,
    keep_going: bool,
    **plan: Any,
) -> int:
    """PATH is a file or a directory, as for `plan`, or a saved plan. Shows the plan and asks for
    confirmation. Checks files, organization, listing, secrets and guards before the first write.
    Deletes come last (except duplicates), and only if everything else succeeded. If a run is
    incomplete, run the command that it prints, else the same; get new values of --allow-deletes and
    --expect-digest from `webhooks plan`.

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
    report_path = session.path(report)
    if report_path is not None:
        check_writable(report_path, over=FileKind.REPORT)
    # Connected until the report is out: a signal after the last write must not lose it.
    with ExitStack() as stack:
        try:
            options = _Options(plan, expect_digest, yes, keep_going)
            result = _apply(session, report_path, stack, options)
        except (Exception, *SIGNALS) as problem:
            # A usage error has no report: an older one with that name stays.
            if report is not None and not isinstance(problem, UsageError):
                _write(session, report_path, RENDERERS["json"]().render_error(translate(problem)))
            raise
        code = result.exit_code
        # Written before anything is raised or shown: a program that waits for it must not miss it.
        if report is not None:
            document = _rendered(session, result, "json", PLAIN)
            if document is None or not _write(session, report_path, document):
                code = max(code, ExitCode.PARTIAL if result.writes else ExitCode.FAILED)
        show_problems(session, result.organizations)
        _show_report(session, result, format, to_stderr=report == "-")
        return code


def _apply(
    session: Session, report_path: Path | None, stack: ExitStack, options: _Options
) -> workflow.RunReport:
    """Load the files or the saved plan, connect until the end of `stack`, and apply."""
    if options.expect_digest is not None and options.keep_going:
        raise UsageError(
            "--keep-going cannot be used with --expect-digest: the digest covers the complete run",
            hint="leave out one of them",
        )
    targets, digest = _targets(session, report_path, options)
    progress = Progress(session)
    connected = stack.enter_context(connected_all(session, targets, progress=progress))
    return workflow.apply_all(
        connected,
        confirm=partial(_confirm, session, progress, connected, options.yes),
        allow_deletes=options.plan["allow_deletes"],
        expect_digest=digest,
        values=options.yes,
        keep_going=options.keep_going,
        label=labeled,
    )


def _targets(
    session: Session, report_path: Path | None, options: _Options
) -> tuple[list[workflow.Target], str | None]:
    """Return the organizations of the files or the saved plan, and the digest to be planned."""
    directory = session.process.directory
    saved_plans = [path for path in session.files if is_saved_plan(directory / path)]
    if not saved_plans:
        words = apply_options(session)
        targets = load_targets(session, words, options.plan, report_path)
        return targets, options.expect_digest
    # Any other file, also a second saved plan, is refused.
    plan_file = saved_plans[0]
    saved = _read_saved(session, plan_file, options.expect_digest)
    # The digest is that of the file, whose operations may be done already.
    return _saved_targets(session, plan_file, saved, report_path), None


def _confirm(
    session: Session,
    progress: Progress,
    connected: Sequence[workflow.Target],
    yes: bool,
    run_plan: workflow.RunPlan,
) -> bool:
    """Show the plan and, without --yes, ask. Raises NotConfirmedError for a no."""
    values = values_left_out(run_plan.plans)
    _show_plan(session, progress, run_plan, values, yes=yes)
    if not yes:
        session.confirm(_question(run_plan), note=between("; --yes also sends: ", values))
        for target in connected:
            if target.connection is not None:  # an answer takes none of the run's time
                target.connection.restart()
    progress.phase("checking that the plan is still current", total=run_plan.totals.operations)
    return True


def _show_plan(
    session: Session, progress: Progress, run_plan: workflow.RunPlan, values: str, *, yes: bool
) -> None:
    """Print what will be applied, to standard error; `values` are what --yes also sends."""
    console = session.console
    record_findings(session, run_plan)
    view = session.view(session.process.stderr)._replace(
        apply_options=None,
        verbosity=max(0, console.verbosity),  # with --quiet, too, to show what is confirmed
    )
    try:
        shown = RENDERERS["text"]().render_run(run_plan, view)
    except Exception as problem:
        if not yes:
            raise
        # With --yes, apply even if the plan cannot be displayed.
        shown = f"The plan cannot be shown: internal error ({type(problem).__name__})."
    # With --yes these are among the changes.
    if values:
        shown += f"--yes also sends: {values}.\n"
    progress.phase("")
    if yes or not console.interactive:
        console.info(shown)
    else:  # also with --quiet, because the user is asked about it
        console.write_stderr(f"{shown}\n")


def _question(run_plan: workflow.RunPlan) -> str:
    """Return the question that confirms a run, with its totals."""
    totals = run_plan.totals
    where = risk = ""
    if totals.organizations > 1:
        where = f" in {plural(totals.to_change, 'organization')}"
    if totals.delete:
        risk = f" ({plural(totals.delete, 'delete')})"
    return f"Apply {plural(totals.operations, 'change')}{where}{risk}?"


def _read_saved(session: Session, path: str, expect_digest: str | None) -> SavedPlan:
    """Return the plan in a file, from which commands are suggested without this file.

    Raises UsageError with other files or options, and StalePlanError if its digest is not the
    expected one.
    """
    files = tuple(other for other in session.files if other != path)
    conflicting = session.words((FILE_OPTION, *SAVED_OPTIONS), file=files)
    if conflicting:
        alone = f"webhooks apply {shlex.quote(path)}"
        raise UsageError(
            f"{shlex.join(conflicting)} cannot be used with a saved plan",
            hint=f"a saved plan contains its files and options: `{alone}`",
        )
    # No suggested command can read this file as a configuration.
    session.suggest(SUGGESTED_OPTIONS, ())
    saved = workflow.load_plan(path, session.process.directory)
    # A plan without operations has no digest, and needs no review.
    if expect_digest is not None and saved.digest not in ("", expect_digest):
        raise StalePlanError(
            f"{path} is not the reviewed plan; nothing was written",
            differences=(f"reviewed  {expect_digest}", f"{path}  {saved.digest}"),
            hint="pass this file's digest, or the matching plan file",
        )
    return saved


def _saved_targets(
    session: Session, plan_file: str, saved: SavedPlan, report_path: Path | None
) -> list[workflow.Target]:
    """Return the organizations of a saved plan, whose files the session uses from here on."""
    files = tuple(document.file for document in saved.parsed.documents)
    # As they were named: a folder may have another organization by now.
    values = dict(saved.values)
    values["file"] = values["file"] or files
    values["organization"] = session.command_line.get("organization") or values["organization"]
    words = apply_options(
        session,
        SAVED_OPTIONS,
        only=saved.options.only,
        no_prune=not saved.options.prune,
        **values,
    )
    # Advice about other files names these, and so do suggested commands.
    session.suggest(SUGGESTED_OPTIONS, values["file"], organization=values["organization"])
    paths = tuple(STDIN if file == STDIN_NAME else file for file in files)
    session.inputs = session.inputs._replace(paths=paths, parsed=saved.parsed)
    targets = []
    # Grouped by organization in the same order as when the plan was saved.
    for source, review in zip(session.load_all(words), saved.reviews, strict=True):
        check_output(report_path, source.checked)
        targets.append(
            workflow.Target(source, options=saved.options, review=review, plan_file=plan_file)
        )
    return targets


def _show_report(
    session: Session, result: workflow.RunReport, format: str, *, to_stderr: bool
) -> None:
    """Print the report. Whatever goes wrong, a summary of the writes is printed."""
    text = _rendered(session, result, format, session.view())
    if text is None:
        return
    # The text has them.
    for problem in report_problems(result) if format == "json" else ():
        session.console.message("error", problem)
    is_failed = result.exit_code is not ExitCode.OK
    # The exit code is that of the apply, whether its report is read or not.
    if not session.show(text, failed=is_failed, to_stderr=to_stderr, required=False):
        session.console.message("error", fallback_summary(result))


def _rendered(session: Session, result: workflow.RunReport, format: str, view: View) -> str | None:
    """Return the rendered report; None, after printing a summary line, if rendering fails."""
    try:
        return RENDERERS[format]().render_run_report(result, view)
    except Exception as problem:
        session.console.message("error", fallback_summary(result, problem))
        return None


def _write(session: Session, report_path: Path | None, text: str) -> bool:
    """Write the report, to standard output without a path.

    Return False, after an error message, on failure: the apply itself is complete.
    """
    if report_path is None:
        return session.console.result(text, essential=True)
    try:
        write_atomically(
            report_path, session.console.redact_and_count(text).encode(), over=FileKind.REPORT
        )
    except (OutputError, UsageError) as problem:
        session.console.error(problem)
        return False
    return True
