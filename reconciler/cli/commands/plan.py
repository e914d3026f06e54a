"""`webhooks plan`: what apply would do, and why; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option, format_option
from reconciler.cli.planning_options import planning_options
from reconciler.errors import ExitCode
from reconciler.render import RENDERERS


@command(
    "plan",
    "Show what apply would do; change nothing.",
    text="Secrets may be missing: those that apply needs are listed. The digest at the end names "
    "exactly this plan. A plan that a guard blocks is shown and saved, and exits with 5.",
    examples=(
        ("compare webhooks.yaml with CloudTruth", "webhooks plan"),
        ("try a file without an account", "webhooks plan -f examples/webhooks.yaml --local"),
        ("save the plan, look at it, apply exactly it", "webhooks plan --out plan.json"),
        ("tell from the exit code whether anything differs", "webhooks plan --detailed-exitcode"),
        ("look at some webhooks only", "webhooks plan --only 'team-a-*'"),
    ),
    options=[
        Option("--out", metavar="FILE", help="Save the plan for `apply FILE`. It holds no secret."),
        format_option(*RENDERERS),
        Option("--detailed-exitcode", is_flag=True, help="Exit with 2 if there are changes."),
        Option("--show-unchanged", is_flag=True, help="Show webhooks that match, too."),
        *planning_options(),
    ],
)  # fmt: skip
def COMMAND(  # noqa: N802
    invocation: Invocation,
    out: str | None,
    format: str,
    detailed_exitcode: bool,
    show_unchanged: bool,
    **own: Any,
) -> int:
    """Plan and show."""
    from reconciler.cli.again import connected_with, planned_with
    from reconciler.cli.connection import connected
    from reconciler.cli.session import checked_files, plan_options, result_view
    from reconciler.workflow import plan

    if out is not None:
        from reconciler.source.write import PLAN, check_writable, write_atomically

        check_writable(invocation.process.directory / out, over=PLAN)
    checked = checked_files(invocation, planned_with(invocation, own))
    options = plan_options(invocation, checked, own)
    with connected(invocation) as connection:
        planned = plan(checked, connection.api, options=options, api_key=connection.key)
    view = result_view(
        invocation,
        show_unchanged=show_unchanged,
        key_source=connection.key_source,
        missing=planned.gathered.missing_references,
        plan_file=out,
        again=(planned_with if out is None else connected_with)(invocation, own),
    )
    if out is not None:
        from reconciler.source.saved_plan import save

        text = RENDERERS["text"]().render_plan(planned.plan, replace(view, color=False))
        saved = save(planned.plan, checked.desired, options, text)
        write_atomically(invocation.process.directory / out, saved, over=PLAN)
    invocation.console.result(RENDERERS[format]().render_plan(planned.plan, view))
    if planned.plan.blocked:
        return ExitCode.BLOCKED
    if detailed_exitcode and planned.plan.changes:
        return ExitCode.CHANGES
    return ExitCode.OK
