"""`webhooks completion`: print the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.options import command
from reconciler.cli.session import Session


@command(options=(click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"])),))
def run(session: Session, shell: str) -> None:
    """Completes commands, options and the names of declared webhooks.

    Examples:
        # bash: add to ~/.bashrc
        eval "$(webhooks completion bash)"
        # zsh: add to ~/.zshrc
        eval "$(webhooks completion zsh)"
        # fish: once
        webhooks completion fish > ~/.config/fish/completions/webhooks.fish
    """
    complete_class = get_completion_class(shell)
    assert complete_class is not None
    program = click.get_current_context().find_root().command
    complete = complete_class(program, {}, "webhooks", "_WEBHOOKS_COMPLETE")
    # Not `source()`: for bash it starts bash to check its version.
    script = complete.source_template % complete.source_vars()
    session.console.result(script, essential=True)
