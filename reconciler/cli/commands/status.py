"""`webhooks status`: show each webhook, its drift and its last delivery error."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.commands.plan import PLAN_OPTIONS, apply_options
from reconciler.cli.connection import connected, connected_all
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.findings import Finding, Severity
from reconciler.planning.names import require_matches
from reconciler.planning.run import OrganizationResult
from reconciler.planning.status import drift, not_applied
from reconciler.render import STATE_RENDERERS, LiveStatus
from reconciler.source.files import DEFAULT_FILE, default_path, suggestion


@command(
    paths=True,
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
    default = session.process.directory / default_path(session.process.directory)
    if session.files or default.exists():
        statuses = _compared(session, only)
    else:
        if similar := suggestion(default, default.parent):
            session.console.message("warning", f"there is no {DEFAULT_FILE} here: {similar}")
        with connected(session) as connection:
            live = workflow.read_live(connection.api, session.organization)
        names = {webhook.name for webhook in live.webhooks}
        session.warn(require_matches(only, names, "live webhook"))
        webhooks, _ = workflow.status(live, None, only)
        status = LiveStatus(live.organization, webhooks, len(live.webhooks))
        statuses = [OrganizationResult(live.organization.name, value=status)]
    session.show_problems(statuses)
    if failing:
        statuses = [
            result._replace(value=result.value and result.value._replace(failing_only=True))
            for result in statuses
        ]
    found = [result.value for result in statuses if result.value is not None]
    if any(status.shown for status in found) or not failing or format != "text":
        text = STATE_RENDERERS[format]().render_statuses(statuses, session.view())
        session.show(text, failed=failing)
    problems = [result.problem for result in statuses if result.problem is not None]
    if problems:
        return problems[0].exit_code
    is_failing = failing and any(status.failing for status in found)
    return ExitCode.FAILED if is_failing else ExitCode.OK


def _compared(session: Session, only: tuple[str, ...]) -> list[OrganizationResult[LiveStatus]]:
    """Return the status of each organization in the files."""
    sources = session.load_all(apply_options(session, session.files))
    targets = [workflow.Target(source) for source in sources]
    with connected_all(session, targets) as connected:
        results = workflow.read_all(connected)
    statuses = []
    warnings: list[Finding] = []
    names: set[str] = set()
    for target, live in zip(connected, results, strict=True):
        result = OrganizationResult[LiveStatus](target.source.name, target.paths)
        try:
            if isinstance(live, ReconcilerError):
                raise live
            webhooks, plan = workflow.status(live, target.checked, only)
        except ReconcilerError as problem:
            statuses.append(result._replace(problem=problem))
            continue
        names.update(webhook.name for webhook in live.webhooks)
        names.update(webhook.name for webhook in target.checked.desired.webhooks)
        if plan is not None:
            warnings += [note for note in plan.notes if note.severity is Severity.WARNING]
        status = LiveStatus(
            organization=live.organization,
            webhooks=webhooks,
            live_count=len(live.webhooks),
            drift=None if plan is None else drift(webhooks, plan),
            not_applied=0 if plan is None else not_applied(webhooks, plan),
            plan=plan,
        )
        statuses.append(result._replace(name=live.organization.name, value=status))
    if not any(result.problem for result in statuses):
        warnings += require_matches(only, names, "declared or live webhook")
    session.warn([*dict.fromkeys(warnings)])
    return statuses
