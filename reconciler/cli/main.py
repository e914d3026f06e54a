"""The program: the table of commands, and how any way of ending becomes an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.command import Entry, Group
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import COMMON
from reconciler.cli.process import Process

PROGRAM: Final = "webhooks"

_NARROWEST: Final = 50  # columns of help, on the narrowest terminal
_WIDEST: Final = 100

_COMMANDS: Final = "reconciler.cli.commands"
TABLE: Final = {
    "init": Entry(
        module=f"{_COMMANDS}.init",
        summary="Write a first webhooks.yaml, and the workflows for GitHub.",
    ),
    "validate": Entry(
        module=f"{_COMMANDS}.validate", summary="Check files, without connecting to anything."
    ),
    "plan": Entry(module=f"{_COMMANDS}.plan", summary="Show what apply would do; change nothing."),
    "apply": Entry(module=f"{_COMMANDS}.apply", summary="Make CloudTruth equal to the files."),
    "export": Entry(module=f"{_COMMANDS}.export", summary="Write what is live as YAML."),
    "status": Entry(
        module=f"{_COMMANDS}.status",
        summary="Show each webhook: in sync or not, declared where, delivering or not.",
    ),
    "slack": Entry(
        module=f"{_COMMANDS}.slack", summary="Make and check the Slack app behind the webhooks."
    ),
    "doctor": Entry(
        module=f"{_COMMANDS}.doctor", summary="Find out why something does not work here."
    ),
    "show": Entry(module=f"{_COMMANDS}.show", summary="Show a saved plan again."),
    "ci": Entry(module=f"{_COMMANDS}.ci", summary="Do what the GitHub Action does."),
    "schema": Entry(module=f"{_COMMANDS}.schema", summary="Print the JSON Schema of the files."),
    "completion": Entry(
        module=f"{_COMMANDS}.completion", summary="Print the completion script for a shell."
    ),
    "emulator": Entry(
        module=f"{_COMMANDS}.emulator", summary="Serve an emulated CloudTruth over HTTP."
    ),
}
"""Every command. A new one is a module and a line here."""

_EXAMPLES: Final = (
    ("see what would happen, without an account", "webhooks plan --local"),
    ("make it happen", "webhooks apply"),
    ("check files in a pull request", "webhooks validate -f webhooks/ --format github"),
)

_EPILOG: Final = """\b
Exit codes:
  0 done or nothing to do    1 failed, nothing written   2 changes (--detailed-exitcode)
  3 invalid file or secret   4 key or organization       5 blocked by a guard
  6 stale plan               7 not all is done           8 not confirmed
 64 usage                   70 a bug                   129, 130, 143 a signal
"""


def program() -> Group:
    """Make the command line."""
    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_version,
        help="Show the version.",
    )
    return Group(
        table=TABLE,
        name=PROGRAM,
        help="Keep the webhooks of a CloudTruth organization equal to what YAML declares.",
        examples=_EXAMPLES,
        epilog=_EPILOG,
        params=[version, *COMMON()],
        no_args_is_help=True,
    )


def run(arguments: Sequence[str], process: Process) -> int:
    """Run one command line and return the exit code. Nothing is raised but what kills Python."""
    invocation = Invocation(process)
    try:
        code = program().main(
            args=list(arguments),
            prog_name=PROGRAM,
            standalone_mode=False,
            obj=invocation,
            terminal_width=max(_NARROWEST, min(process.columns(80), _WIDEST) - 2),
        )
    except BaseException as problem:
        from reconciler.cli.errors import explain

        if isinstance(problem, click.UsageError):  # parsing may have ended before `--format`
            invocation.machine_readable |= _asks_for_json(arguments)
        code = explain(problem, invocation)
    # A result that went nowhere is a failure, if nothing worse happened.
    return int(code or invocation.console.failed)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.obj.console.result(f"{PROGRAM} {__version__}")
        ctx.exit()
