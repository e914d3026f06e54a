"""`webhooks show`: show a saved plan."""

from __future__ import annotations

import click

from reconciler import workflow
from reconciler.cli.options import Context, command, format_option
from reconciler.errors import ExitCode
from reconciler.render.quote import prose


@command(
    examples=(
        ("read it", "webhooks show plan.json"),
        ("as JSON", "webhooks show plan.json --format json"),
    ),
    options=(click.Argument(["planfile"]), format_option("text", "json")),
)
def run(context: Context, planfile: str, format: str) -> int:
    """Makes no requests, so the live webhooks may have changed."""
    saved = workflow.load_plan(planfile, context.process.directory)
    text = "\n".join(map(prose, saved.text.split("\n")))
    context.console.result(saved.document if format == "json" else text, essential=True)
    return ExitCode.OK
