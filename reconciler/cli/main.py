"""The program: the table of commands, and how a run becomes an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.context import Context
from reconciler.cli.options import COMMON, Group, Option
from reconciler.cli.process import Process

PROGRAM: Final = "webhooks"

_NARROWEST: Final = 50  # columns of help
_WIDEST: Final = 100

TABLE: Final = {
    "init": "Write a first configuration file, and the workflows for GitHub.",
    "validate": "Check files, without connecting.",
    "plan": "Show what apply would do; change nothing.",
    "apply": "Make CloudTruth match the files.",
    "status": "Show each webhook: in sync or not, declared where, delivering or not.",
    "export": "Write the live webhooks as YAML.",
    "slack": "Create and check the Slack app behind the webhooks.",
    "doctor": "Find out why something does not work.",
    "show": "Show a saved plan.",
    "ci": "Do what the GitHub Action does.",
    "schema": "Print a JSON Schema.",
    "completion": "Print the completion script for a shell.",
    "emulator": "Serve an emulated CloudTruth over HTTP.",
    "help": "Show the help of a command, or the common options.",
}
"""Every command, in the order of use. A new one is a module in `commands` and a line here."""

_EXAMPLES: Final = (
    ("see what would happen, without an account", "webhooks plan --local"),
    ("make it happen", "webhooks apply"),
    ("check files in a pull request", "webhooks validate webhooks/ --format github"),
)

_EPILOG: Final = """Help of a command: webhooks help COMMAND. Common options: webhooks help options.

\b
Exit codes:
  0 done, or no changes      1 failed, nothing written   2 changes (--detailed-exitcode)
  3 invalid file or secret   4 key or organization       5 blocked by a guard
  6 stale plan               7 incomplete                8 not confirmed
 64 usage                   70 internal error            129, 130, 143 a signal
"""


def program() -> Group:
    """Return the command line."""
    version = Option("--version", group="Options", is_flag=True, expose_value=False, is_eager=True,
                     callback=_version, help="Show the version.")  # fmt: skip
    return Group(
        PROGRAM,
        table=TABLE,
        prefix="reconciler.cli.commands.",
        short_help="Keep your CloudTruth webhooks in sync with YAML in git.",
        examples=_EXAMPLES,
        epilog=_EPILOG,
        params=[*COMMON, version],
    )


def run(arguments: Sequence[str], process: Process) -> int:
    """Run one command line and return the exit code. Nothing is raised but what kills Python."""
    context = Context(process)
    try:
        code = program().main(
            args=list(arguments),
            prog_name=PROGRAM,
            standalone_mode=False,
            obj=context,
            terminal_width=max(_NARROWEST, min(process.columns(80), _WIDEST) - 2),
        )
    except BaseException as problem:
        # Here, because most runs have no mistake to explain.
        from reconciler.cli.errors import explain

        if isinstance(problem, click.UsageError) and _asks_for_json(arguments):
            context.options["format"] = "json"  # parsing may have ended before it
        code = explain(problem, context)
    # A result that could not be written is a failure, if nothing worse happened.
    return int(code or context.console.failed)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.obj.console.result(f"{PROGRAM} {__version__}", essential=True)
        ctx.exit()
