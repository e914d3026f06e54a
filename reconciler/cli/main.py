"""Run one command line: its command, and the message and exit code of the exception that ends it.

All exceptions are handled here. Those of click become usage errors. Unexpected exceptions are
internal errors: only the type and the lines of this package are printed, never the message, which
may contain a secret.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.console import Console, Process
from reconciler.cli.options import ADVICE, OTHER_TOOLS, REMOVE, Group, Option, show_version
from reconciler.errors import (
    ExitCode,
    InternalError,
    Interrupted,
    ReconcilerError,
    Terminated,
    UsageError,
)
from reconciler.render import RENDERERS

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
                   callback=show_version, help="Show the version."),
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


# Errors

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_COMMANDS: Final = {
    **dict.fromkeys(("lint", "test"), "did you mean `webhooks validate`?"),
    **dict.fromkeys(("diff", "preview"), "did you mean `webhooks plan`?"),
    **dict.fromkeys(("sync", "deploy", "up"), "did you mean `webhooks apply`?"),
    **dict.fromkeys(("list", "ls", "get"), "did you mean `webhooks status`?"),
    **dict.fromkeys(("delete", "destroy", "remove", "rm"), REMOVE),
    "import": "did you mean `webhooks init`?",
    "dump": "did you mean `webhooks export`?",
    "build": "did you mean `webhooks render`?",
    "version": "did you mean `webhooks --version`?",
}
"""Commands of other tools, and what to do here."""


def handle_error(problem: BaseException, console: Console) -> ExitCode:
    """Print the error that ends the run, and return the exit code."""
    console.status("")
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        console.write_stderr(problem.format_message())
        return ExitCode.USAGE
    error = translate(problem)
    console.error(error)
    # A program that asked for JSON gets a document in any case.
    if console.options.get("format") == "json":
        console.result(RENDERERS["json"]().render_error(error), essential=True)
    return error.exit_code


def translate(problem: BaseException) -> ReconcilerError:
    """Convert any exception to the error to print."""
    match problem:
        case ReconcilerError():
            return problem
        case click.ClickException():
            return _usage(problem)
        # click turns KeyboardInterrupt into Abort.
        case KeyboardInterrupt() | Terminated() | click.Abort():
            return Interrupted.by(problem, "stopped by a signal")
        case _:
            return _bug(problem)


def _usage(problem: click.ClickException) -> UsageError:
    context = getattr(problem, "ctx", None)
    command = "webhooks"
    parameters: list[click.Parameter] = []
    if context is not None:
        command, parameters = context.command_path, context.command.params
    # Some messages of click have several lines, as with a list of choices.
    message = " ".join(problem.format_message().split())
    hint = ""
    match problem:
        case click.NoSuchOption(message=message):
            hint = _option_hint(problem, parameters)
        case click.exceptions.NoSuchCommand(command_name=name, message=message):
            hint = _COMMANDS.get(name, "")
            similar = _similar(name, problem)
            if similar and not hint:
                hint = f"did you mean `{command} {similar[0]}`?"
        case click.UsageError() if message.startswith("Got unexpected extra"):
            # `export` reads files, too, but a path is likely the one to write.
            known = {option for parameter in parameters for option in parameter.opts}
            option = "-o" if "-o" in known else "-f"
            if option in known:
                hint = f"name files with `{command} {option} PATH`"
    hint = hint or f"see `{_help(problem, command, parameters)}`"
    return UsageError(message.removesuffix("."), hint=hint)


def _help(
    problem: click.ClickException, command: str, parameters: Sequence[click.Parameter]
) -> str:
    """Return the command that explains the option of an error, or all options."""
    name = getattr(problem, "option_name", None)
    named = [parameter for parameter in parameters if name in parameter.opts]
    # A command's help does not list common options.
    for parameter in (getattr(problem, "param", None), *named):
        if getattr(parameter, "common", False):
            return "webhooks help options"
    return f"{command} --help"


def _option_hint(problem: click.NoSuchOption, parameters: Sequence[click.Parameter]) -> str:
    """Return what to use in place of an unknown option: the first suggestion that exists."""
    name = problem.option_name
    known = {option for parameter in parameters for option in parameter.opts}
    long = name if name.startswith("--") else f"-{name}"  # `-out`, or `-o` and the like
    if long in known:
        return f"did you mean `{long}`?"
    if long in ADVICE:
        return ADVICE[long]
    # What another tool means by the option is a better guess than a similar spelling.
    others = OTHER_TOOLS.get(long) or OTHER_TOOLS.get(name)
    for suggestion in others or _similar(name, problem):
        if suggestion.partition(" ")[0] in known:
            return f"did you mean `{suggestion}`?"
    return ""


def _similar(name: str, problem: click.NoSuchOption | click.exceptions.NoSuchCommand) -> list[str]:
    """Return those of click's suggestions for a name that are likely meant: typos and prefixes."""
    from difflib import SequenceMatcher  # only for an error

    word = name.lstrip("-")
    similar = []
    for suggestion in problem.possibilities or ():
        other = suggestion.lstrip("-")
        is_typo = SequenceMatcher(None, word, other).ratio() >= 0.75
        # `--no-color` is the opposite of `--color`.
        if other.startswith(word) or (is_typo and other != f"no-{word}"):
            similar.append(suggestion)
    return similar


def _bug(problem: BaseException) -> InternalError:
    # No file outside of the package: its path may name the user.
    ours = [
        f"{Path(frame.filename).relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno}"
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    where = " < ".join(reversed(ours[-6:])) or "outside of webhooks"
    version = f"version {__version__}, Python {sys.version.split()[0]}, {sys.platform}"
    return InternalError.of(problem, f" at {where} ({version})")
