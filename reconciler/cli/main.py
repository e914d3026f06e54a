"""The program: its commands, help and completion, and the exit code of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import click

from reconciler.cli.console import Console, Process
from reconciler.cli.options import Group, Option, show
from reconciler.errors import ExitCode

_EVERYDAY: Final = {
    "init": "Create a configuration file and GitHub workflows.",
    "validate": "Check files offline.",
    "plan": "Show what apply would do; change nothing.",
    "apply": "Make CloudTruth match the files.",
    "status": "Show each webhook's drift, declaration and last delivery error.",
    "drift": "Show live changes; accept them into the files.",
}
_SUMMARIES: Final = {
    **_EVERYDAY,
    "render": "Show the effective configuration: defaults merged, event globs expanded.",
    "check": "Check whether messages arrive: last deliveries, Slack, test delivery.",
    "export": "Write the live webhooks as YAML.",
    "slack": "Create the Slack app behind the webhooks.",
    "doctor": "Check settings, files, network and CloudTruth.",
    "show": "Show a saved plan.",
    "reconcile": "Plan or apply a commit at intervals.",
    "ci": "Run a step of the GitHub Action.",
    "schema": "Print a JSON Schema.",
    "completion": "Print the completion script for a shell.",
    "help": "Show help for a command, the common options, or a rule.",
}
"""Every command, in the order of use. A new command is a module in `commands` and a line here."""

_EXAMPLES: Final = """Examples:
# try it without an account
webhooks plan --local
# compare the files with CloudTruth
webhooks plan
# show the plan, confirm, apply
webhooks apply
# check files in a pull request
webhooks validate webhooks/ --format github"""
_EPILOG: Final = """Help for a command: webhooks help COMMAND.
Common options: webhooks help options.

\b
Exit codes:
  0 done, or no changes      1 failed                    2 changes found
  3 invalid file or secret   4 key or organization       5 blocked by a guard
  6 stale plan               7 incomplete                8 not confirmed
 64 usage                   70 internal error            129, 130, 143 a signal
"""


def program() -> Group:
    """Return the command line."""
    return Group(
        name="webhooks",
        commands={
            name: click.Command(name, short_help=summary) for name, summary in _SUMMARIES.items()
        },
        everyday=len(_EVERYDAY),
        short_help="Keep your CloudTruth webhooks in sync with YAML in git.",
        help=_EXAMPLES,
        epilog=_EPILOG,
        options=[
            Option("--version", group="Options", is_flag=True, expose_value=False, is_eager=True,
                   callback=show, help="Show the version."),
        ],
    )  # fmt: skip


def run(arguments: Sequence[str], process: Process) -> int:
    """Run one command line and return the exit code. No exception escapes."""
    console = Console(process)
    try:
        code = program().main(
            args=list(arguments),
            prog_name="webhooks",
            standalone_mode=False,
            obj=console,
            terminal_width=max(50, min(process.columns(80), 100) - 2),  # readable widths
        )
    except SystemExit as end:  # of completion
        code = end.code
    except BaseException as problem:
        # Imported here, because most runs have no error to explain.
        from reconciler.cli.errors import handle_error

        # The arguments, because the options may not have been parsed yet.
        json_requested = "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
        if isinstance(problem, click.UsageError) and json_requested:
            console.options["format"] = "json"  # parsing may have failed before it was set
        code = handle_error(problem, console)
    console.rule_hint()
    if code not in (ExitCode.OK, ExitCode.CHANGES) and console.variables:
        console.message("note", f"set in the environment: {', '.join(console.variables)}")
    # If the result could not be written, the run failed, unless it has a more severe exit code.
    return int(code or console.failed)
