"""`webhooks completion`: the script that teaches a shell the commands, options and names."""

from __future__ import annotations

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode


@command(
    "completion",
    "Print the completion script for a shell.",
    examples=(
        ("bash: add to ~/.bashrc", 'eval "$(webhooks completion bash)"'),
        ("zsh: add to ~/.zshrc", 'eval "$(webhooks completion zsh)"'),
        (
            "fish: once",
            "webhooks completion fish > ~/.config/fish/completions/webhooks.fish",
        ),
    ),
    options=[
        click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]), help="Which shell.")
    ],
    connects=False,
)
def COMMAND(invocation: Invocation, shell: str) -> int:  # noqa: N802
    """Print the script."""
    from click.shell_completion import get_completion_class

    from reconciler.cli.main import PROGRAM, program

    make = get_completion_class(shell)
    assert make is not None
    complete = make(program(), {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    # click's bash class runs bash to check its version before it gives the script; what `source`
    # adds beside the template is nothing but that check.
    script = complete.source_template % complete.source_vars()
    invocation.console.result(script)
    return ExitCode.OK
