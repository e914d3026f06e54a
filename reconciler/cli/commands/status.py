"""`webhooks status`: show each webhook, its drift and its last delivery error."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler import workflow
from reconciler.cli.commands.plan import ONLY, apply_options
from reconciler.cli.connection import connected_all, read_live, require_used, show_problems
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.findings import Severity
from reconciler.model import Live
from reconciler.planning.names import require_matches
from reconciler.planning.run import LiveStatus, OrganizationResult, values
from reconciler.render import STATE_RENDERERS
from reconciler.source.files import DEFAULT_FILE, default_path, suggestion


@command(
    paths=True,
    connects=True,
    formats=("text", "json"),
    options=(
        ONLY,
        Option("--failing", group="Output", is_flag=True,
               help="Show only webhooks whose last delivery failed; exit with 1 if there are any."),
    ),
)  # fmt: skip
def run(session: Session, only: tuple[str, ...], failing: bool, format: str) -> int:
    """With files (default: webhooks.yaml, if it exists), also lists declared webhooks that are not
    live, and counts the drift. A webhook is failing if its last delivery failed; an error before a
    later delivery is shown as failed earlier. -v lists ids, events and complete errors.

    Examples:
        # show everything
        webhooks status
        # get mail from cron when a webhook fails to deliver
        webhooks status --failing -q
        # show the webhooks of a team
        webhooks status --only 'team-a-*'
    """
    results = _read_statuses(session, only)
    code = show_problems(session, results)
    fails = any(status.failing for status in values(results))
    # With --failing, text is for mail from cron: nothing is printed if nothing fails.
    if not failing or format != "text" or fails:
        view = session.view()._replace(failing_only=failing)
        session.show(STATE_RENDERERS[format]().render_statuses(results, view), failed=failing)
    if failing and fails:
        return code or ExitCode.FAILED
    return code


def _read_statuses(session: Session, only: tuple[str, ...]) -> list[OrganizationResult[LiveStatus]]:
    """Return the status of each organization of the files, or of that of the key without files."""
    directory = session.process.directory
    default = directory / default_path(directory)
    if session.files or default.exists():
        return _compare_with_files(session, only)
    # Without files there is nothing to compare, which is a surprise after a typo in the name.
    similar = suggestion(default, default.parent)
    if similar:
        session.console.message("warning", f"there is no {DEFAULT_FILE} here: {similar}")
    live = read_live(session)
    names = {webhook.name for webhook in live.webhooks}
    require_matches(only, names, "live webhook")
    status = workflow.status(live, None, only)
    return [OrganizationResult(live.organization.name, value=status)]


def _compare_with_files(
    session: Session, only: tuple[str, ...]
) -> list[OrganizationResult[LiveStatus]]:
    """Return the status of each organization of the files."""
    sources = session.load_all(apply_options(session))
    with connected_all(session, [workflow.Target(source) for source in sources]) as targets:
        listings = workflow.read_all(targets)
    results = [
        _status_of(target, listing, only, listings)
        for target, listing in zip(targets, listings, strict=True)
    ]
    plans = [status.plan for status in values(results)]
    # Organizations may have the same warnings.
    notes = dict.fromkeys(note for plan in plans if plan is not None for note in plan.notes)
    session.warn(note for note in notes if note.severity is Severity.WARNING)
    require_used(only, zip(targets, listings, strict=True))
    return results


def _status_of(
    target: workflow.Target,
    live: Live | ReconcilerError,
    only: tuple[str, ...],
    listings: Sequence[Live | ReconcilerError],
) -> OrganizationResult[LiveStatus]:
    """Return the status of an organization, or why there is none."""
    result = OrganizationResult[LiveStatus](target.source.name, target.paths)
    if isinstance(live, ReconcilerError):
        return result._replace(problem=live)
    others = [listing for listing in listings if isinstance(listing, Live)]
    try:
        status = workflow.status(live, target.checked, only, others)
    except ReconcilerError as problem:
        return result._replace(problem=problem)
    return result._replace(name=live.organization.name, value=status)
