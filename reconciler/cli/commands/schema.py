"""`webhooks schema`: the JSON Schemas of what goes in and what comes out."""

from __future__ import annotations

from typing import Final

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.errors import ExitCode

_NAMES: Final = ("webhooks", "plan", "report", "findings", "status", "checks", "error")


@command(
    "schema",
    "Print the JSON Schema of the files.",
    text="The others are of what commands print with --format json: plan and show, apply (report), "
    "validate (findings), status, doctor and slack check (checks), and any that fails (error).",
    examples=(
        ("let an editor complete and check your file", "webhooks schema > webhooks.schema.json"),
        ("see what a plan's JSON holds", "webhooks schema plan"),
    ),
    options=[
        click.Argument(
            ["name"],
            metavar=f"[{'|'.join(_NAMES)}]",
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
    from reconciler.source.schema import schema_text

    invocation.console.result(schema_text(f"{name}.schema.json"))
    return ExitCode.OK
