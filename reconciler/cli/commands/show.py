"""`webhooks show`: a saved plan as it was shown."""

from __future__ import annotations

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import format_option
from reconciler.errors import ExitCode


@command(
    "show",
    "Show a saved plan.",
    text="Makes no request: this is the plan as it was saved.",
    examples=(
        ("read it", "webhooks show plan.json"),
        ("as JSON", "webhooks show plan.json --format json"),
    ),
    options=[
        click.Argument(["planfile"], help="What `plan --out` wrote."),
        format_option("text", "json"),
    ],
    connects=False,
)
def COMMAND(invocation: Invocation, planfile: str, format: str) -> int:  # noqa: N802
    """Load and show."""
    from reconciler.cli.session import inputs
    from reconciler.render.quote import prose
    from reconciler.workflow import load_plan

    saved = load_plan(planfile, inputs(invocation))
    text = "\n".join(map(prose, saved.text.split("\n")))
    invocation.console.result(saved.document if format == "json" else text)
    return ExitCode.OK
