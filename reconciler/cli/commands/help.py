"""`webhooks help`: help for a command, the common options, or a rule."""

from __future__ import annotations

import click

from reconciler.cli.options import Group, command, options_page
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.source.rules import PAGE, explanation


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
    rule = explanation(words[0]) if is_rule else None
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
    session.console.result(f"{text}\n\n{PAGE}#{words[0]}", essential=True)
    return ExitCode.OK
