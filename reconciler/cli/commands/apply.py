"""`webhooks apply`: plan, ask, write, verify, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from reconciler import workflow
from reconciler.cli.commands.plan import PLAN_OPTIONS, again, plan_options, refuse_input
from reconciler.cli.connection import Progress, connected, settings_of
from reconciler.cli.errors import translate
from reconciler.cli.options import (
    FILE_OPTIONS,
    Context,
    Option,
    command,
    format_option,
    words,
)
from reconciler.cli.session import STDOUT, inputs, load, message_view, report_error, result_view
from reconciler.errors import ExitCode, NotConfirmedError, OutputError, StalePlanError, UsageError
from reconciler.planning.review import check_digest
from reconciler.render import RENDERERS
from reconciler.render.words import unshown
from reconciler.settings.resolve import Settings
from reconciler.source.write import REPORT, check_writable, write_atomically


@command(
    "Shows the plan and asks for confirmation. Nothing is written before files, organization, "
    "listing, secrets and guards are in order. Deletes come last, and only if all else is done. "
    "Run it again to finish what is left.",
    examples=(
        ("plan, ask, write", "webhooks apply"),
        ("in a pipeline, exactly what was reviewed",
         "webhooks apply --yes --expect-digest sha256:9c1e..."),
        ("apply a saved plan", "webhooks apply plan.json"),
        ("delete more than the guards allow, counted", "webhooks apply --allow-deletes 12"),
        ("try a file without an account", "webhooks apply -f examples/webhooks.yaml --local"),
    ),
    reads=True,
    connects=True,
    options=(
        click.Argument(["planfile"], required=False),
        *PLAN_OPTIONS,
        Option("--expect-digest", group="Plan", metavar="DIGEST", env="WEBHOOKS_EXPECT_DIGEST",
               help="Apply only the plan with this digest, or an empty one."),
        Option("-y", "--yes", group="Plan", is_flag=True, help="Do not ask for confirmation."),
        format_option(*RENDERERS),
        Option("--report", group="Output", metavar="FILE", env="WEBHOOKS_REPORT",
               help="Write the report as JSON, too; - is standard output."),
    ),
)  # fmt: skip
def run(context: Context, report: str | None, format: str, **own: Any) -> int:
    """Apply, and report in a file too if there is one, also on failure."""
    machine, console = RENDERERS["json"](), context.console
    if report not in (None, STDOUT):
        check_writable(context.process.directory / str(report), over=REPORT)
    settings = settings_of(context)
    try:
        done = _apply(context, settings, report, **own)
    except UsageError:
        raise
    except (Exception, KeyboardInterrupt) as problem:
        if report is not None:
            _write_report(context, report, machine.render_error(translate(problem)))
        raise
    view = result_view(context, key_source=settings.key_source)
    shown = _rendered(context, done, lambda: RENDERERS[format]().render_report(done, view))
    if shown is not None and report == STDOUT:
        console.note(shown)
    elif shown is not None:
        console.result(shown, essential=format != "text" or done.exit_code != 0)
    if console.failed:
        console.message("error", unshown(done))
        console.failed = False  # the exit code is that of the apply
    is_whole = True
    if report is not None:
        document = _rendered(context, done, lambda: machine.render_report(done))
        is_whole = document is not None and _write_report(context, report, document)
    if is_whole:
        return done.exit_code
    return max(done.exit_code, ExitCode.PARTIAL if done.writes else ExitCode.FAILED)


def _apply(
    context: Context,
    settings: Settings,
    report: str | None,
    planfile: str | None,
    yes: bool,
    expect_digest: str | None,
    **own: Any,
) -> workflow.Report:
    """Load the files or the saved plan, connect, and apply it."""
    if expect_digest is not None:
        check_digest(expect_digest)
    review: workflow.Review | str | None = expect_digest
    if planfile is None:
        checked = load(context, again(context, saved=False))
        options = plan_options(checked, own)
    else:
        _refuse_planning(context)
        found = inputs(context)
        saved = workflow.load_plan(planfile, found.directory, rules=found.rules)
        if expect_digest is not None and saved.review.digest not in ("", expect_digest):
            raise StalePlanError(
                f"{planfile} is not the plan that was reviewed; nothing was written",
                differences=(f"reviewed  {expect_digest}", f"{planfile}  {saved.review.digest}"),
                hint="give the digest of this file, or the file with this digest",
            )
        checked = workflow.accept(saved.declared, found)
        options = replace(saved.options, allow_deletes=own["allow_deletes"])
        review = saved.review
    if report not in (None, STDOUT):
        refuse_input(context.process.directory / str(report), checked)
    progress = Progress(context.console)
    with connected(context, settings, progress=progress) as connection:
        return workflow.apply(
            checked,
            connection,
            options=options,
            confirm=_confirm(context, settings, connection, progress, yes=yes),
            review=review,
            values=yes,
        )


def _confirm(
    context: Context,
    settings: Settings,
    connection: workflow.Connection,
    progress: Progress,
    *,
    yes: bool,
) -> Callable[[workflow.Plan], bool]:
    """Return what shows the plan and asks for confirmation."""

    def confirm(plan: workflow.Plan) -> bool:
        console = context.console
        try:
            view = message_view(context, key_source=settings.key_source, again=None)
            shown = RENDERERS["text"]().render_plan(plan, view)
        except Exception as problem:
            if not yes:
                raise
            # Consent does not depend on what is shown.
            shown = f"The plan cannot be shown: internal error ({type(problem).__name__})."
        progress.phase("")
        agreed = yes
        if yes:
            console.note(shown)
        else:
            console.block(shown)
            if not console.interactive or STDOUT in context.files:
                raise NotConfirmedError(
                    "no terminal to confirm on: nothing was written",
                    hint="run it in a terminal, or add --yes once the plan has been reviewed",
                )
            agreed = console.ask(f"\n{_question(plan)} Type `yes` to confirm: ") == "yes"
            connection.restart()  # waiting for an answer is no part of the run's time
        progress.phase("checking that the plan still fits", total=len(plan.operations))
        return agreed

    return confirm


def _question(plan: workflow.Plan) -> str:
    count, deletes = len(plan.operations), len(plan.deletes)
    what = "this change" if count == 1 else f"these {count} changes"
    risk = f" ({deletes} {'delete' if deletes == 1 else 'deletes'})" if deletes else ""
    return f"Apply {what}{risk}?"


def _rendered(context: Context, done: workflow.Report, render: Callable[[], str]) -> str | None:
    """Return the report; None, with one line that says what was done, if rendering fails."""
    try:
        return render()
    except Exception as problem:
        context.console.message("error", unshown(done, problem))
        return None


def _write_report(context: Context, name: str, text: str) -> bool:
    """Write the report; False, with a message, on failure: what is done is done."""
    if name == STDOUT:
        context.console.result(text, essential=True)
        return not context.console.failed
    try:
        write_atomically(context.process.directory / name, text.encode(), over=REPORT)
    except (OutputError, UsageError) as problem:
        report_error(context, problem)
        return False
    return True


def _refuse_planning(context: Context) -> None:
    """Refuse options that a saved plan has decided."""
    given = tuple(words([*FILE_OPTIONS[:1], *PLAN_OPTIONS[:-1]], context.command_line))
    if given:
        raise UsageError(
            f"a saved plan is applied as it is, without {shlex.join(given)}",
            hint="plan again with these options and save that plan",
        )
