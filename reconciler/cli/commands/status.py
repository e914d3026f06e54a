"""`webhooks status`: show each webhook, its drift and its last delivery error."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.commands.plan import apply_options
from reconciler.cli.connection import connected
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode
from reconciler.findings import Severity
from reconciler.planning.delivery import DeliveryState
from reconciler.planning.status import drift
from reconciler.render import RENDERERS, LiveStatus
from reconciler.source.files import DEFAULT_FILE, suggestion


@command(
    paths=True,
    organizations=True,
    connects=True,
    formats=("text", "json"),
    options=(
        Option("--failing", group="Output", is_flag=True,
               help="Show only webhooks whose last delivery failed; exit with 1 if there are any."),
    ),
)  # fmt: skip
def run(session: Session, failing: bool, format: str) -> int:
    """With files (default: webhooks.yaml, if it exists), also lists declared webhooks that are not
    live, and counts the drift in the last line. A webhook is failing if its last delivery failed;
    an error before a later delivery is shown as failed earlier.

    Examples:
        # show everything
        webhooks status
        # get mail from cron when a webhook fails to deliver
        webhooks status --failing -q
    """
    default = session.process.directory / DEFAULT_FILE
    checked = None
    if session.files or default.exists():
        checked = session.load(apply_options(session, session.files))
    elif similar := suggestion(default, default.parent):
        session.console.message("warning", f"there is no {DEFAULT_FILE} here: {similar}")
    with connected(session) as connection:
        live = workflow.read_live(connection.api, session.organization)
    rows, plan = workflow.status(live, checked)
    if plan is not None:
        session.warn([each for each in plan.notes if each.severity is Severity.WARNING])
    drifted = None if checked is None else drift(rows)
    if failing:
        rows = tuple(row for row in rows if row.delivery is DeliveryState.FAILING)
    if rows or not failing or format != "text":
        render = RENDERERS[format]().render_status
        found = LiveStatus(live.organization, rows, drifted, plan)
        session.show(render(found, session.view()), failed=failing)
    return ExitCode.FAILED if failing and rows else ExitCode.OK
