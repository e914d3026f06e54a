"""`webhooks show`: a saved plan, once more."""

from __future__ import annotations

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option, format_option
from reconciler.errors import ExitCode
from reconciler.render import RENDERERS


@command(
    "show",
    "Show a saved plan again.",
    text="Nothing is asked of CloudTruth: this is the plan as it was saved.",
    examples=(
        ("read it", "webhooks show plan.json"),
        ("for a comment on a pull request", "webhooks show plan.json --format markdown"),
    ),
    options=[
        click.Argument(["planfile"], help="What `plan --out` wrote."),
        format_option(*RENDERERS),
        Option("--show-unchanged", is_flag=True, help="Show webhooks that match, too."),
    ],
    connects=False,
)
def COMMAND(  # noqa: N802
    invocation: Invocation, planfile: str, format: str, show_unchanged: bool
) -> int:
    """Load and show."""
    from reconciler.cli.session import inputs, result_view
    from reconciler.settings.resolve import LOCAL_SERVER
    from reconciler.workflow import load_plan

    plan = load_plan(planfile, inputs(invocation))
    view = result_view(
        invocation,
        show_unchanged=show_unchanged,
        plan_file=planfile,
        again=("--local",) if plan.origin == LOCAL_SERVER else (),
    )
    invocation.console.result(RENDERERS[format]().render_plan(plan, view))
    return ExitCode.OK
