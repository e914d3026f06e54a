"""`webhooks help`: help for a command, the common options, or a rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from reconciler.cli.options import Group, command, options_page
from reconciler.cli.session import Session
from reconciler.errors import ExitCode

_PAGE: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks/blob/main/docs/rules.md"
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_IN_WHEEL: Final = _PACKAGE / "_docs" / "rules.md"


@command(options=(click.Argument(["words"], nargs=-1, metavar="[options|COMMAND|RULE]"),))
def run(session: Session, words: tuple[str, ...]) -> int:
    """Common options are those that several commands have. A rule is the name in `error[RULE]`.

    Examples:
        # the options that commands share
        webhooks help options
        # help for a command
        webhooks help slack manifest
        # what a finding means, and how to fix it
        webhooks help unknown-key
    """
    context = click.get_current_context()
    program = context.find_root().command
    assert isinstance(program, Group)
    if words == ("options",):
        session.console.result(options_page(context), essential=True)
        return ExitCode.OK
    is_rule = len(words) == 1 and words[0] not in program.commands
    rule = _explanation(words[0]) if is_rule else None
    if rule is None:
        # The same console, so that an unknown command is reported like any other mistake.
        return int(
            program.main(
                [*words, "--help"],
                prog_name="webhooks",
                standalone_mode=False,
                obj=session.console,
                terminal_width=context.terminal_width,
            )
        )
    text = click.wrap_text(rule, context.terminal_width or 80, preserve_paragraphs=True)
    session.console.result(f"{text}\n\n{_PAGE}#{words[0]}", essential=True)
    return ExitCode.OK


def _explanation(rule: str) -> str | None:
    """Return what a rule means, an example and the fix, as plain text; None for no rule."""
    path = _IN_WHEEL if _IN_WHEEL.is_file() else _PACKAGE.parent / "docs" / "rules.md"
    parts = re.split(r"^### `(.+)`\n", path.read_text("utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if rule not in sections:
        return None
    # The last rule of a chapter ends at the next heading.
    text = re.split(r"^## ", sections[rule], flags=re.MULTILINE)[0].strip()
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("**Fix:**", "Fix:")
