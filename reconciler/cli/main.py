"""The program: its commands, help and completion, and the exit code of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.console import Console, Process
from reconciler.cli.options import Group, Option, command, options_page, show
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.session import Session

_SUMMARIES: Final = {
    "init": "Create a configuration file and GitHub workflows.",
    "validate": "Check files offline.",
    "render": "Show the effective configuration: defaults merged, event globs expanded.",
    "plan": "Show what apply would do; change nothing.",
    "apply": "Make CloudTruth match the files.",
    "reconcile": "Plan or apply a commit at intervals.",
    "status": "Show each webhook's drift, declaration and last delivery error.",
    "drift": "Show what changed live; revert or accept it.",
    "check": "Check whether messages arrive: last deliveries, Slack, a proof.",
    "export": "Write the live webhooks as YAML.",
    "slack": "Create the Slack app behind the webhooks.",
    "doctor": "Check settings, files, network and CloudTruth.",
    "show": "Show a saved plan.",
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
  0 done, or no changes      1 failed, nothing written   2 changes (--detailed-exitcode)
  3 invalid file or secret   4 key or organization       5 blocked by a guard
  6 stale plan               7 incomplete                8 not confirmed
 64 usage                   70 internal error            129, 130, 143 a signal
"""


def program() -> Group:
    """Return the command line."""
    stubs = {name: click.Command(name) for name in _SUMMARIES}
    commands = {**stubs, "completion": _completion, "help": _help}
    for name, each in commands.items():
        each.short_help = _SUMMARIES[name]
    return Group(
        name="webhooks",
        commands=commands,
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

        json_requested = "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
        if isinstance(problem, click.UsageError) and json_requested:
            console.options["format"] = "json"  # parsing may have failed before it was set
        code = handle_error(problem, console)
    console.rule_hint()
    if code not in (ExitCode.OK, ExitCode.CHANGES) and console.variables:
        console.message("note", f"set in the environment: {', '.join(console.variables)}")
    # If the result could not be written, the run failed, unless it has a more severe exit code.
    return int(code or console.failed)


@command(options=(click.Argument(["words"], nargs=-1, metavar="[options|COMMAND|RULE]"),))
def _help(session: Session, words: tuple[str, ...]) -> int:
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
    if words == ("options",):
        session.console.result(options_page(context), essential=True)
        return ExitCode.OK
    from reconciler.source.rules import PAGE, explanation  # only this command needs it

    rule = explanation(words[0]) if len(words) == 1 and words[0] not in _SUMMARIES else None
    if rule is None:
        return run([*words, "--help"], session.process)
    text = click.wrap_text(rule, context.terminal_width or 80, preserve_paragraphs=True)
    session.console.result(f"{text}\n\n{PAGE}#{words[0]}", essential=True)
    return ExitCode.OK


@command(options=(click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"])),))
def _completion(session: Session, shell: str) -> None:
    """Completes commands, options and the names of declared webhooks.

    Examples:
        # bash: add to ~/.bashrc
        eval "$(webhooks completion bash)"
        # zsh: add to ~/.zshrc
        eval "$(webhooks completion zsh)"
        # fish: once
        webhooks completion fish > ~/.config/fish/completions/webhooks.fish
    """
    from click.shell_completion import get_completion_class  # only this command needs it

    make = get_completion_class(shell)
    assert make is not None
    complete = make(program(), {}, "webhooks", "_WEBHOOKS_COMPLETE")
    # Not `source()`: for bash it starts bash to check its version.
    script = complete.source_template % complete.source_vars()
    session.console.result(script, essential=True)
