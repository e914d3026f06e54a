"""How a run that could not go on is told: a message on stderr, JSON where asked for, a code.

Every exception ends here. Ours say what, where and what next. Those of click become ours. Any
other is a bug: its type and the places in our own code are shown, and never its text, which may
hold anything.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_NEVER_OPTIONS: Final = ("--api-key", "--key", "--token", "--apikey")


class BugError(ReconcilerError):
    """Something that should never happen, and is nobody's fault but ours."""

    exit_code = ExitCode.BUG
    code = "bug"


def explain(problem: BaseException, invocation: Invocation) -> ExitCode:
    """Tell what went wrong and return the exit code."""
    console = invocation.console
    console.status("")
    if isinstance(problem, SystemExit):
        return ExitCode(int(problem.code or 0))
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        console.block(problem.format_message())
        return ExitCode.USAGE
    from reconciler.render import RENDERERS
    from reconciler.render.view import View

    error = translate(problem)
    view = View(color=console.colour_messages)
    console.block(RENDERERS["text"]().render_error(error, view))
    if invocation.machine_readable:
        console.result(RENDERERS["json"]().render_error(error, View()))
    return error.exit_code


def translate(problem: BaseException) -> ReconcilerError:
    """Return what to tell of any exception."""
    match problem:
        case ReconcilerError():
            return problem
        case click.ClickException():
            return _usage(problem)
        case KeyboardInterrupt() | click.Abort():
            return Interrupted("stopped by a signal", signal_exit=ExitCode.SIGINT)
        case _:
            return _bug(problem)


def _usage(problem: click.ClickException) -> UsageError:
    name = getattr(problem, "option_name", None)
    if isinstance(problem, click.NoSuchOption) and name in _NEVER_OPTIONS:
        return UsageError(
            f"there is no option {name}, because others can see the command lines of this machine",
            hint="set CLOUDTRUTH_API_KEY, or name a file with --api-key-file",
        )
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "webhooks"
    help_ = f"see `{command} --help`"
    if isinstance(problem, click.NoSuchOption):
        meant = _near(problem.option_name, problem.possibilities)
        return UsageError(f"there is no option `{problem.option_name}`", hint=meant or help_)
    if isinstance(problem, click.exceptions.NoSuchCommand):
        meant = _near(problem.command_name, problem.possibilities)
        return UsageError(f"there is no command `{problem.command_name}`", hint=meant or help_)
    message = " ".join(problem.format_message().split()).removesuffix(".")
    choice = re.search(r"'([^']*)' is not one of (.*)", message)
    if choice is not None:
        help_ = _near(choice[1], re.findall(r"'([^']*)'", choice[2])) or help_
    if "unexpected extra argument" in message and context is not None:
        files = any(each.name == "file" for each in context.command.params)
        help_ = "files are named with `-f FILE`" if files else help_
    for pattern, ours in _CLICK:
        message = re.sub(pattern, ours, message)
    return UsageError(message[:1].lower() + message[1:], hint=help_)


_CLICK: Final = (
    (r"is not a valid integer( range)?", "is not a whole number"),
    (r"is not a valid float", "is not a number"),
    (r"is not in the range x>=(\d+)", r"is less than \1"),
    (r"is not in the range (\d+)<=x<=(\d+)", r"is not from \1 to \2"),
    (r"Option '(.*)' requires an argument", r"option `\1` needs a value"),
    (r"Got unexpected extra argument(s?) \((.*)\)", r"unexpected argument\1: \2"),
    (r"Missing argument '\{(.*)\}'\. .*", r"missing argument: one of \1"),
)
"""What click says as a programmer would, and what people say."""

_ELSEWHERE: Final = {
    "--dry-run": "webhooks plan",
    "--json": "--format json",
    "--target": "--only",
    "-V": "--version",
    "-y": "--yes",
    "check": "webhooks validate",
    "diff": "webhooks plan",
    "help": "webhooks --help",
    "import": "webhooks export",
    "lint": "webhooks validate",
    "list": "webhooks status",
    "preview": "webhooks plan",
    "sync": "webhooks apply",
    "version": "webhooks --version",
}
"""What the tools next to this one call it, and what it is called here."""


def _near(word: str, possibilities: Iterable[str] | None) -> str | None:
    """Suggest what was probably meant; dashes alone are no likeness."""
    from difflib import get_close_matches

    bare = {each.lstrip("-"): each for each in possibilities or ()}
    found = [bare[each] for each in get_close_matches(word.lstrip("-"), bare, n=1)]
    meant = [_ELSEWHERE[word]] if word in _ELSEWHERE else found
    return f"did you mean `{meant[0]}`?" if meant else None


def _bug(problem: BaseException) -> BugError:
    ours = [
        f"{Path(frame.filename).relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno}"
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    where = " < ".join(reversed(ours[-6:])) or "no frame of ours"
    python = ".".join(map(str, sys.version_info[:3]))
    return BugError(
        f"this is a bug in webhooks: {type(problem).__name__} at {where} "
        f"(version {__version__}, Python {python}, {sys.platform})",
        hint="please report this line; it holds no secret. If apply was running, "
        "`webhooks plan` shows what is done",
    )
