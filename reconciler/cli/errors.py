"""Turn an exception into a message on standard error, JSON if the result is JSON, and an exit code.

All exceptions are handled here. Those of click become usage errors. Unexpected exceptions are
internal errors: their type and our lines are shown, never their text, which may contain a secret.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import click

from reconciler import __version__
from reconciler.cli.options import Context
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.render import RENDERERS, View

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_NEVER_OPTIONS: Final = ("--api-key", "--key", "--token", "--apikey")
_DRY_RUN: Final = ("--dry-run", "--dryrun", "--check")
_OPTIONS: Final = {
    **dict.fromkeys(("--auto-approve", "--approve", "--force"), ("--yes",)),
    **dict.fromkeys(("--json", "--output-format"), ("--format json",)),
    **dict.fromkeys(("--output", "-o"), ("--out", "--report")),
    **dict.fromkeys(("--file", "-f"), ("--out",)),
    **dict.fromkeys(("--config", "--config-file"), ("--file",)),
    **dict.fromkeys(("--target", "--filter"), ("--only",)),
    "--url": ("--server-url",),
    "-V": ("--version",),
}
"""Options of other tools, and those used here; the first that the command has is suggested."""

_REMOVE: Final = "remove the webhook from the file, or set `state: absent`; then `webhooks apply`"
_COMMANDS: Final = {
    **dict.fromkeys(("check", "lint", "test"), "did you mean `webhooks validate`?"),
    **dict.fromkeys(("diff", "preview"), "did you mean `webhooks plan`?"),
    **dict.fromkeys(("sync", "deploy", "up"), "did you mean `webhooks apply`?"),
    **dict.fromkeys(("list", "ls", "get", "drift"), "did you mean `webhooks status`?"),
    **dict.fromkeys(("delete", "destroy", "remove", "rm"), _REMOVE),
    "import": "did you mean `webhooks init`?",
    "version": "did you mean `webhooks --version`?",
}
"""Commands of other tools, and what to do here."""


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
    message = " ".join(problem.format_message().split())
    hint = ""
    match problem:
        case click.NoSuchOption():
            message, hint = problem.message, _option(problem, context)
        case click.exceptions.NoSuchCommand():
            message = problem.message
            hint = _COMMANDS.get(problem.command_name) or _similar(
                problem.command_name, problem.possibilities, f"{command} "
            )
    return UsageError(message.removesuffix("."), hint=hint or f"see `{command} --help`")


def _option(problem: click.NoSuchOption, context: click.Context | None) -> str:
    """Return what to use instead of an unknown option; empty if that is not clear."""
    name = problem.option_name
    if name in _NEVER_OPTIONS:
        return "set CLOUDTRUTH_API_KEY or use --api-key-file; other users can see command lines"
    if name in _DRY_RUN:
        match None if context is None else context.command_path:
            case "webhooks plan":
                return "`plan` never writes: remove the option"
            case "webhooks" | "webhooks apply":
                return "use `webhooks plan`"
            case _:
                return ""
    if context is None or name not in _OPTIONS:
        return _similar(name, problem.possibilities)
    known = {option for each in context.command.params for option in each.opts}
    for meant in _OPTIONS[name]:
        if meant.partition(" ")[0] in known:
            return f"did you mean `{meant}`?"
    return ""


def _similar(name: str, possibilities: Sequence[str] | None, before: str = "") -> str:
    """Return a `did you mean` hint for the closest name, if it is a typo or prefix."""
    best = next(iter(possibilities or ()), "")
    word, other = name.lstrip("-"), best.lstrip("-")
    if len(word) > 2 and (other.startswith(word) or get_close_matches(word, [other], 1, 0.75)):
        return f"did you mean `{before}{best}`?"
    return ""


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
