"""`webhooks help`: the help of a command, or the options that commands share."""

from __future__ import annotations

import click

from reconciler.cli.context import Context
from reconciler.cli.main import PROGRAM, program
from reconciler.cli.options import COMMON, Group, command, write_options
from reconciler.errors import ExitCode

_INTRODUCTION = """\
These options are shared by commands, and may be given before or after the command's name. A \
command has those of what it does: `validate` does not connect, `export` reads no files.

An option wins over its environment variable, and an empty variable counts as not set. In a \
variable, options that may be repeated have one value a line."""


@command(
    examples=(
        ("the options that commands share", "webhooks help options"),
        ("the help of a command", "webhooks help slack check"),
    ),
    options=(click.Argument(["words"], nargs=-1, metavar="[options|COMMAND]"),),
)
def run(context: Context, words: tuple[str, ...]) -> int:
    """Print the help."""
    found: click.Command = program()
    width = context.process.columns(80)
    ctx = click.Context(found, info_name=PROGRAM, terminal_width=width - 2, obj=context)
    if words == ("options",):
        context.console.result(options_page(ctx), essential=True)
        return ExitCode.OK
    rest = list(words)
    while rest and isinstance(found, Group):
        name, command, rest = found.resolve_command(ctx, rest)
        assert command is not None
        found, ctx = command, click.Context(command, parent=ctx, info_name=name, obj=context)
    context.console.result(found.get_help(ctx), essential=True)
    return ExitCode.OK


def options_page(ctx: click.Context) -> str:
    """Return the page of the options that commands share."""
    formatter = ctx.make_formatter()
    formatter.write_text(_INTRODUCTION)
    write_options(ctx, formatter, COMMON)
    return formatter.getvalue().rstrip("\n")
