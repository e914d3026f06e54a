"""Turn an exception into a message on standard error, JSON if the result is JSON, and an exit code.

All exceptions are handled here. Those of click become usage errors. Unexpected exceptions are
internal errors: their type and our lines are shown, never their text, which may contain a secret.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.options import Context
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.render import RENDERERS, View

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_NEVER_OPTIONS: Final = ("--api-key", "--key", "--token", "--apikey")
_ELSEWHERE: Final = {
    "--auto-approve": "--yes",
    "--dry-run": "webhooks plan",
    "--json": "--format json",
    "--target": "--only",
    "-V": "--version",
    "check": "webhooks validate",
    "diff": "webhooks plan",
    "import": "webhooks export",
    "lint": "webhooks validate",
    "list": "webhooks status",
    "preview": "webhooks plan",
    "sync": "webhooks apply",
    "version": "webhooks --version",
}
"""Names that other tools use, and the ones used here."""


class _BugError(ReconcilerError, code="bug", exit_code=ExitCode.BUG):
    """An unexpected exception."""


def explain(problem: BaseException, context: Context) -> ExitCode:
    """Print the error that ends the run, and return the exit code."""
    console = context.console
    console.status("")
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        console.block(problem.format_message())
        return ExitCode.USAGE
    error = translate(problem)
    report_error(context, error)
    if context.options.get("format") == "json":
        console.result(RENDERERS["json"]().render_error(error), essential=True)
    return error.exit_code


def report_error(context: Context, error: ReconcilerError) -> None:
    """Print an error to standard error."""
    view = View(color=context.console.color_messages)
    context.console.block(RENDERERS["text"]().render_error(error, view))


def translate(problem: BaseException) -> ReconcilerError:
    """Convert any exception to the error to print."""
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
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "webhooks"
    hint = f"see `{command} --help`"
    name = getattr(problem, "option_name", getattr(problem, "command_name", None))
    if name in _NEVER_OPTIONS:
        hint = (
            "set CLOUDTRUTH_API_KEY, or name a file with --api-key-file: other users can see "
            "command lines"
        )
    message = " ".join(problem.format_message().split())
    if name in _ELSEWHERE:
        hint = f"did you mean `{_ELSEWHERE[name]}`?"
        message = message.partition(" Did you mean")[0]  # click knows only similar names
    return UsageError(message.removesuffix("."), hint=hint)


def _bug(problem: BaseException) -> _BugError:
    ours = [
        f"{Path(frame.filename).relative_to(_PACKAGE.parent).as_posix()}:{frame.lineno}"
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    where = " < ".join(reversed(ours[-6:])) or "outside of webhooks"
    python = ".".join(map(str, sys.version_info[:3]))
    return _BugError(
        f"internal error: {type(problem).__name__} at {where} "
        f"(version {__version__}, Python {python}, {sys.platform})",
        hint="please report this line; it contains no secret. If apply was running, "
        "`webhooks plan` shows what is left to do",
    )
