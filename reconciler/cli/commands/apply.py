"""`webhooks apply`: plan, ask, do, read back, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option, format_option
from reconciler.cli.planning_options import planning_options
from reconciler.errors import ExitCode, NotConfirmedError, OutputError, StalePlanError, UsageError
from reconciler.render import RENDERERS

if TYPE_CHECKING:
    from reconciler.cli.connection import Connection
    from reconciler.planning.plan import Plan
    from reconciler.planning.review import Review
    from reconciler.report import Report


@command(
    "apply",
    "Make CloudTruth equal to the files.",
    text="Shows the plan and asks. Nothing is written before files, organization, listing, secrets "
    "and guards are all in order. Deletes come last, and only if all else is done. Running it "
    "again finishes what is left, and with nothing left writes nothing.",
    examples=(
        ("plan, ask, do", "webhooks apply"),
        ("in a pipeline, exactly what was reviewed",
         "webhooks apply --yes --expect-digest sha256:9c1e..."),
        ("a saved plan", "webhooks apply plan.json"),
        ("delete more than the guards allow, counted", "webhooks apply --allow-deletes 12"),
        ("try a file without an account", "webhooks apply -f examples/webhooks.yaml --local"),
    ),
    options=[
        click.Argument(
            ["planfile"], required=False, help="A plan saved by `plan --out`: apply what it "
            "shows and nothing else."
        ),
        Option("--yes", "--auto-approve", is_flag=True, help="Do not ask."),
        Option("--expect-digest", metavar="DIGEST",
               help="Apply only if the plan made now has this digest, or is empty."),
        *planning_options(),
        Option("--parallelism", type=click.IntRange(1, 16), default=10, metavar="N",
               help="How many requests at a time, 1 to 16; 10."),
        format_option(*RENDERERS),
        Option("--report", metavar="FILE", help="Write the report to a file as JSON, too."),
    ],
)  # fmt: skip
def COMMAND(invocation: Invocation, report: str | None, **own: Any) -> int:  # noqa: N802
    """Apply and report, in a file too if asked for, also when it fails."""
    from reconciler.cli.errors import translate
    from reconciler.source.write import REPORT, check_writable

    machine = RENDERERS["json"]()
    if report is not None:
        check_writable(invocation.process.directory / report, over=REPORT)
    try:
        done, connection = _apply(invocation, **own)
    except (Exception, KeyboardInterrupt) as problem:
        if report is not None:
            _write_report(invocation, report, machine.render_error(translate(problem)))
        raise
    console = invocation.console
    console.status("")
    shown = _rendered(invocation, done, lambda: _shown(invocation, done, connection, own["format"]))
    if shown is not None:
        console.result(shown)
    told = True
    if report is not None:
        document = _rendered(invocation, done, lambda: machine.render_report(done))
        told = document is not None and _write_report(invocation, report, document)
    if told and not console.failed:
        return done.exit_code
    return max(done.exit_code, ExitCode.PARTIAL if done.writes else ExitCode.FAILED)


def _rendered(invocation: Invocation, done: Report, render: Callable[[], str]) -> str | None:
    """Return the report, None if rendering fails: one line then says what was done."""
    from reconciler.render.words import unshown

    try:
        return render()
    except Exception as problem:
        invocation.console.message("error", unshown(done, problem))
        return None


def _write_report(invocation: Invocation, name: str, text: str) -> bool:
    """Write the report; say so if that fails, as what is done is done."""
    from reconciler.cli.session import tell
    from reconciler.source.write import REPORT, write_atomically

    try:
        write_atomically(invocation.process.directory / name, text.encode(), over=REPORT)
    except (OutputError, UsageError) as problem:
        tell(invocation, problem)
        return False
    return True


def _apply(
    invocation: Invocation,
    planfile: str | None,
    yes: bool,
    expect_digest: str | None,
    allow_deletes: int | None,
    parallelism: int,
    format: str,
    **own: Any,
) -> tuple[Report, Connection]:
    from reconciler.cli.again import planned_with
    from reconciler.cli.connection import connected
    from reconciler.cli.session import checked_files, inputs, plan_options
    from reconciler.workflow import accept, apply, check_digest, load_plan

    if expect_digest is not None:
        check_digest(expect_digest)
    review: Review | str | None = expect_digest
    if planfile is not None:
        _refuse_planning(invocation, own)
        asked = inputs(invocation)
        saved = load_plan(planfile, asked)
        review = saved.review
        _expect(review, expect_digest, planfile)
        checked = accept(saved.declared, asked)
        options = replace(saved.options, allow_deletes=allow_deletes)
    else:
        planning = {**own, "allow_deletes": allow_deletes}
        checked = checked_files(invocation, planned_with(invocation, planning))
        options = plan_options(invocation, checked, planning)
    with connected(invocation, parallelism=parallelism) as connection:
        done = apply(
            checked,
            connection.api,
            connection.engine,
            options=options,
            confirm=_confirm(invocation, connection, yes=yes),
            api_key=connection.key,
            review=review,
            values=yes,
        )
    return done, connection


def _expect(saved: Review, digest: str | None, name: str) -> None:
    if digest is not None and saved.digest not in ("", digest):
        raise StalePlanError(
            f"{name} is not the plan that was reviewed; nothing was written",
            differences=(f"reviewed  {digest}", f"{name}  {saved.digest}"),
            hint="give the digest of this file, or the file with this digest",
        )


def _confirm(
    invocation: Invocation, connection: Connection, *, yes: bool
) -> Callable[[Plan], bool]:
    """Return what shows the plan and finds out whether somebody agrees to it."""

    def confirm(plan: Plan) -> bool:
        from reconciler.cli.session import message_view

        console = invocation.console
        connection.progress.expect(plan)
        try:
            view = message_view(invocation, key_source=connection.key_source, again=None)
            shown = RENDERERS["text"]().render_plan(plan, view)
        except Exception as problem:
            if not yes:
                raise
            # Consent does not depend on what is shown.
            shown = f"The plan cannot be shown: internal error ({type(problem).__name__})."
        if yes:
            console.note(shown)
            return True
        console.block(shown)
        if not console.interactive or "-" in invocation.files:
            raise NotConfirmedError(
                "nobody is here to agree to the plan: nothing was written",
                hint="run it in a terminal, or add --yes once the plan has been reviewed",
            )
        agreed = console.ask("\nDo this? Only 'yes' is a yes: ") == "yes"
        # Thinking about it is no part of the run's time.
        connection.api.deadline_in(connection.deadline)
        return agreed

    return confirm


def _shown(invocation: Invocation, done: Report, connection: Connection, format: str) -> str:
    from reconciler.cli.session import result_view

    view = result_view(invocation, key_source=connection.key_source)
    return RENDERERS[format]().render_report(done, view)


def _refuse_planning(invocation: Invocation, own: dict[str, Any]) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in own.items() if value]
    if invocation.files:
        given.append("-f")
    if given:
        raise UsageError(
            f"a saved plan is applied as it is: {', '.join(sorted(given))} does not go with it",
            hint="plan again with these options and save that plan",
        )
