"""`webhooks schema`: print the JSON Schemas of inputs and outputs."""

from __future__ import annotations

from typing import Final

import click

from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.source.schema import schema_text

_NAMES: Final = ("webhooks", "plan", "report", "findings", "status", "drift", "checks", "error")


@command(
    options=(
        click.Argument(["name"], metavar="[NAME]", type=click.Choice(_NAMES),
                       default="webhooks"),
    ),
)  # fmt: skip
def run(session: Session, name: str) -> None:
    """`webhooks` is the configuration file. The others are the output of commands with --format
    json: plan and show (plan), apply (report), validate (findings), status, drift, doctor and check
    (checks), and any command that fails (error).

    Examples:
        # let an editor complete and check your file
        webhooks schema > webhooks.schema.json
        # show the format of a plan's JSON
        webhooks schema plan
    """
    session.console.result(schema_text(f"{name}.schema.json"), essential=True)
