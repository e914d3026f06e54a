"""`webhooks completion`: the script that makes a shell complete commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.context import Context
from reconciler.cli.main import PROGRAM, program
from reconciler.cli.options import command
from reconciler.errors import ExitCode


@command(
    examples=(
        ("bash: add to ~/.bashrc", 'eval "$(webhooks completion bash)"'),
        ("zsh: add to ~/.zshrc", 'eval "$(webhooks completion zsh)"'),
        ("fish: once", "webhooks completion fish > ~/.config/fish/completions/webhooks.fish"),
    ),
    options=(click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"])),),
)
def run(context: Context, shell: str) -> int:
    """Print the script."""
    make = get_completion_class(shell)
    assert make is not None
    complete = make(program(), {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    # Not `source()`: for bash it starts bash to check its version.
    script = complete.source_template % complete.source_vars()
    context.console.result(script, essential=True)
    return ExitCode.OK
