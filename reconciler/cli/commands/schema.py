"""`webhooks schema`: the JSON Schemas of what goes in and what comes out."""

from __future__ import annotations

from typing import Final

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode

_NAMES: Final = ("webhooks", "plan", "report")


@command(
    "schema",
    "Print the JSON Schema of the files.",
    text="`plan` and `report` are the schemas of what plan and apply print with --format json.",
    examples=(
        ("let an editor complete and check your file", "webhooks schema > webhooks.schema.json"),
        ("see what a plan's JSON holds", "webhooks schema plan"),
    ),
    options=[
        click.Argument(
            ["name"],
            metavar="[webhooks|plan|report]",
            type=click.Choice(_NAMES),
            required=False,
            default="webhooks",
            help="Which schema; of the files if nothing is said.",
        )
    ],
    connects=False,
)
def COMMAND(invocation: Invocation, name: str) -> int:  # noqa: N802
    """Print a schema."""
    from reconciler.source.schema_file import schema_text

    invocation.console.result(schema_text(f"{name}.schema.json"))
    return ExitCode.OK
