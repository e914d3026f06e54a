"""`webhooks plan`: what apply would do, and why; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.cli.connection import connected, settings_of
from reconciler.cli.context import Context
from reconciler.cli.options import (
    CONNECTION_OPTIONS,
    FILE_OPTIONS,
    OUTPUT,
    OUTPUT_OPTIONS,
    Option,
    Paths,
    command,
    format_option,
)
from reconciler.cli.planning import PLAN_OPTIONS, again, plan_options
from reconciler.cli.session import STDOUT, load, result_view
from reconciler.errors import ExitCode
from reconciler.render import RENDERERS
from reconciler.workflow.planning import plan


@command(
    text="Secrets may be missing: those that apply needs are listed. The digest at the end names "
    "exactly this plan. A plan that a guard blocks is shown and saved, and exits with 5.",
    examples=(
        ("compare webhooks.yaml with CloudTruth", "webhooks plan"),
        ("try a file without an account", "webhooks plan examples/webhooks.yaml --local"),
        ("save the plan, for apply plan.json", "webhooks plan -o plan.json"),
        ("exit with 2 if anything differs", "webhooks plan --detailed-exitcode"),
        ("limit the plan to some webhooks", "webhooks plan --only 'team-a-*'"),
    ),
    options=(
        Paths(),
        *FILE_OPTIONS,
        *PLAN_OPTIONS,
        *CONNECTION_OPTIONS,
        Option("-o", "--out", group=OUTPUT, metavar="FILE",
               help="Save the plan for apply FILE; - is standard output."),
        format_option(*RENDERERS),
        Option("--show-unchanged", group=OUTPUT, is_flag=True,
               help="Show webhooks without changes, too."),
        Option("--detailed-exitcode", group=OUTPUT, is_flag=True,
               help="Exit with 2 if there are changes."),
        *OUTPUT_OPTIONS,
    ),
)  # fmt: skip
def run(
    context: Context,
    out: str | None,
    format: str,
    detailed_exitcode: bool,
    show_unchanged: bool,
    **own: Any,
) -> int:
    """Load, connect, plan, show."""
    console = context.console
    if out not in (None, STDOUT):
        from reconciler.source.write import PLAN, check_writable, write_atomically

        check_writable(context.process.directory / str(out), over=PLAN)
    checked = load(context, again(context, saved=False))
    options = plan_options(checked, own)
    settings = settings_of(context)
    with connected(context, settings) as connection:
        planned = plan(checked, connection.api, options=options, api_key=connection.key)
    view = result_view(
        context,
        show_unchanged=show_unchanged,
        key_source=settings.key.source if settings.key is not None else None,
        missing=planned.gathered.missing_references,
        plan_file=out,
        again=again(context, saved=out is not None),
    )
    if out is not None:
        from reconciler.source.saved_plan import save

        text = RENDERERS["text"]().render_plan(planned.plan, replace(view, color=False))
        saved = save(planned.plan, checked.desired, options, text)
        if out == STDOUT:
            console.result(saved.decode(), essential=True)
        else:
            write_atomically(context.process.directory / out, saved, over=PLAN)
    shown = RENDERERS[format]().render_plan(planned.plan, view)
    if out == STDOUT:
        console.note(shown)
    else:
        console.result(shown, essential=format != "text" or bool(planned.plan.blocked))
    if planned.plan.blocked:
        return ExitCode.BLOCKED
    return ExitCode.CHANGES if detailed_exitcode and planned.plan.changes else ExitCode.OK
