"""`webhooks completion`: the script that teaches a shell the commands, options and names.

The scripts are click's, corrected where names come in: a name is anybody's text, so the shell must
take it whole and must not read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode

# bash puts what it is given on the line as it is. In an open quotation other characters count.
_QUOTED: Final = r"""            case "${COMP_WORDS[COMP_CWORD]}" in
                \"*) value=$(printf '%%s' "$value" | sed 's/["\\$`]/\\&/g') ;;
                \'*) value=$(printf '%%s' "$value" | sed "s/'/'\\\\''/g") ;;
                *) printf -v value '%%q' "$value" ;;
            esac
            COMPREPLY+=("$value")
"""
_CORRECTED: Final[Mapping[str, Mapping[str, str]]] = {
    "bash": {"read type value": "read -r type value", "            COMPREPLY+=($value)\n": _QUOTED},
    # fish would take a comma for the end of a name.
    "fish": {'string split ","': 'string split --max 1 ","'},
    "zsh": {},
}
"""For each shell: parts of click's template, and what stands there instead."""


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
    template = complete.source_template
    for old, new in _CORRECTED[shell].items():
        template = template.replace(old, new)
    invocation.console.result(template % complete.source_vars())
    return ExitCode.OK
