"""`webhooks status`: show each webhook, its drift and its last delivery error."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.commands.plan import PLAN_OPTIONS, apply_options
from reconciler.cli.connection import connected
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.findings import Severity
from reconciler.planning.names import unmatched
from reconciler.planning.status import drift
from reconciler.render import RENDERERS, LiveStatus
from reconciler.source.files import DEFAULT_FILE, suggestion


@command(
    paths=True,
    organizations=True,
    connects=True,
    formats=("text", "json"),
    options=(
        PLAN_OPTIONS[0],
        Option("--failing", group="Output", is_flag=True,
               help="Show only webhooks whose last delivery failed; exit with 1 if there are any."),
    ),
)  # fmt: skip
def run(session: Session, only: tuple[str, ...], failing: bool, format: str) -> int:
    """With files (default: webhooks.yaml, if it exists), also lists declared webhooks that are not
    live, and counts the drift in the last line. A webhook is failing if its last delivery failed;
    an error before a later delivery is shown as failed earlier. Ids, events and complete errors are
    listed with -v.

    Examples:
        # show everything
        webhooks status
        # get mail from cron when a webhook fails to deliver
        webhooks status --failing -q
        # show the webhooks of a team
        webhooks status --only 'team-a-*'
    """
    default = session.process.directory / DEFAULT_FILE
    checked = None
    if session.files or default.exists():
        checked = session.load(apply_options(session, session.files))
    elif similar := suggestion(default, default.parent):
        session.console.message("warning", f"there is no {DEFAULT_FILE} here: {similar}")
    with connected(session) as connection:
        live = workflow.read_live(connection.api, session.organization)
    webhooks, plan = workflow.status(live, checked, only)
    names = {webhook.name for webhook in live.webhooks}
    if checked is not None:
        names.update(webhook.name for webhook in checked.desired.webhooks)
    warnings = list(unmatched(only, names, "declared or live webhook"))
    if plan is not None:
        warnings += (note for note in plan.notes if note.severity is Severity.WARNING)
    session.warn(warnings)
    status = LiveStatus(
        organization=live.organization,
        webhooks=webhooks,
        live_count=len(live.webhooks),
        drift=None if checked is None else drift(webhooks),
        plan=plan,
        failing_only=failing,
    )
    if status.shown or not failing or format != "text":
        text = RENDERERS[format]().render_status(status, session.view())
        session.show(text, failed=failing)
    return ExitCode.FAILED if failing and status.failing else ExitCode.OK
