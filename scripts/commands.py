#!/usr/bin/env python3
"""Write docs/commands.md, the help of every command: `python scripts/commands.py`.

A test compares the page with the program's help, so that it is always current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from reconciler.cli.main import PROGRAM, options_page, program
from reconciler.cli.options import Group

PAGE: Final = Path(__file__).parents[1] / "docs" / "commands.md"
_HEAD: Final = """\
# Commands

The help of every command, written by `python scripts/commands.py`.
"""


def page() -> str:
    """Return the complete page."""
    sections = (f"## {title}\n\n```text\n{text}\n```\n" for title, text in _helps())
    return "\n".join((_HEAD, *sections))


def _helps() -> Iterator[tuple[str, str]]:
    root = program()
    with _context(root, None, PROGRAM) as context:
        yield f"`{PROGRAM}`", root.get_help(context)
        yield from _of_group(root, context)
        yield f"`{PROGRAM} help options`", options_page(context)


def _of_group(group: Group, context: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(context):
        command = group.load(name)
        with _context(command, context, name) as inner:
            yield f"`{inner.command_path}`", command.get_help(inner)
            if isinstance(command, Group):
                yield from _of_group(command, inner)


def _context(command: click.Command, parent: click.Context | None, name: str) -> click.Context:
    """Return a context that renders help in 100 columns on any terminal."""
    return click.Context(
        command, parent=parent, info_name=name, terminal_width=100, max_content_width=100
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
