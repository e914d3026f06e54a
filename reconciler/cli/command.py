"""How commands are made and shown: loaded when needed, examples first, each option explained.

A group holds a table from a command's name to the module that has it, so that showing help or
completing a word imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from reconciler.cli.options import COMMON, OUTPUT, Option

CONTEXT: Final = {"max_content_width": 100}

Example = tuple[str, str]
"""What somebody wants to do, and the command line that does it."""


class Entry(NamedTuple):
    """A command in a table: the module whose `COMMAND` it is, and what it does in a line."""

    module: str
    summary: str


class _Sections(click.Command):
    """Shows examples before options, and common options apart from the command's own."""

    examples: Sequence[Example] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and let a mistake know in which command it was made."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as mistake:
            mistake.ctx = mistake.ctx or ctx
            del args  # somebody may have put a key there, and a debugger shows frames
            raise

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for purpose, line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
                    formatter.indent()
                    formatter.write_text(purpose)
                    formatter.dedent()
        self.format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, common in (("Options", False), ("Common options", True)):
            records = [
                record
                for parameter in self.get_params(ctx)
                if (isinstance(parameter, Option) and parameter.common) is common
                and (record := parameter.get_help_record(ctx)) is not None
            ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Command(_Sections):
    """A command."""

    def __init__(self, *, examples: Sequence[Example] = (), **attributes: Any) -> None:
        super().__init__(context_settings=CONTEXT, add_help_option=False, **attributes)
        self.examples = examples


class Group(_Sections, click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(
        self, *, table: Mapping[str, Entry], examples: Sequence[Example] = (), **attributes: Any
    ) -> None:
        super().__init__(context_settings=CONTEXT, add_help_option=False, **attributes)
        self.table = table
        self.examples = examples

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, the order in which people need them."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module, if there is such a command."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        found: click.Command = import_module(entry.module).COMMAND
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest those of the table that look like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as problem:
            raise click.exceptions.NoSuchCommand(
                problem.command_name, possibilities=self.table, ctx=ctx
            ) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the table, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.table.items()])
        super().format_options(ctx, formatter)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer the commands of the table without importing any."""
        from click.shell_completion import CompletionItem

        offered = click.Command.shell_complete(self, ctx, incomplete)
        return [
            *(
                CompletionItem(name, help=entry.summary)
                for name, entry in self.table.items()
                if name.startswith(incomplete)
            ),
            *offered,
        ]


def command(
    name: str,
    summary: str,
    *,
    text: str = "",
    examples: Sequence[Example] = (),
    options: Iterable[click.Parameter] = (),
    connects: bool = True,
) -> Callable[[Callable[..., int]], Command]:
    """Make a function that returns an exit code a command.

    It takes the invocation first and its own options by name. With `connects` it takes all common
    options, otherwise those about output only.
    """

    def wrap(body: Callable[..., int]) -> Command:
        @click.pass_obj
        def callback(invocation: Any, /, **own: Any) -> int:
            return body(invocation, **own)

        return Command(
            name=name,
            help=f"{summary}\n\n{text}".strip(),
            short_help=summary,
            examples=examples,
            params=[*options, *(COMMON if connects else OUTPUT)()],
            callback=callback,
        )

    return wrap
