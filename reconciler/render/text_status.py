"""Render the state of the live webhooks, and checklists, as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from reconciler.checks import Check, Checklist, Status, Subject
from reconciler.planning.drift import DRIFTED, ManagementStatus, WebhookStatus
from reconciler.planning.plan import Attribution, DeliveryState, OrganizationResult
from reconciler.render import PLAIN, LiveStatus, View, words
from reconciler.render.layout import (
    columns,
    fitted,
    flow,
    joined,
    lay_out,
    paint,
    paragraph,
    paragraphs,
)
from reconciler.render.quote import prose, quote
from reconciler.render.rows import Atom, FieldLine, Row, events, position_text, sentence

_WIDTH: Final = 100
"""The maximum width of a line of `status`, in columns."""
_DELIVERY_WIDTH: Final = 36
"""Columns that names and destinations leave for deliveries."""
_NAME_COLUMN: Final = 4
_DETAILS_COLUMN: Final = 6
_MAX_SUBJECTS: Final = 10


def render_statuses(statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN) -> str:
    """Render the live webhooks of each organization, and totals if there are several."""
    planned = [result.value for result in statuses if result.value is not None]
    texts = [_status(status, view) for status in planned]
    if len(statuses) > 1:
        live = words.plural(sum(status.live_count for status in planned), "live webhook")
        drifted = sum(bool(status.drift) for status in planned)
        total = f"{words.plural(len(statuses), 'organization')}: {live}, drift in {drifted}"
        if len(planned) < len(statuses):
            total += f", {len(statuses) - len(planned)} failed"
        texts.append(joined(paragraphs([f"{total}."], view)))
    return "\n".join(texts)


def _status(status: LiveStatus, view: View) -> str:
    """Render each webhook in one line, failing ones first; with `verbosity`, with all details.

    The last lines count fields that were not compared and differences from the configuration.
    """
    live_count = sum(webhook.id is not None for webhook in status.webhooks)
    count = words.plural(status.live_count, "live webhook")
    if live_count != status.live_count:  # with --only
        count = f"{live_count} of {count}"
    if status.failing:
        count += f", {len(status.failing)} failing"
    end = [f"{count}. {_drift(status)}"]
    if status.plan is not None:
        limits = words.not_compared(status.plan, names=view.verbosity > 0)
        end = paragraphs([f"{limit}." for limit in limits], view) + end
    shown = sorted(status.shown, key=lambda webhook: not webhook.is_failing)
    title = f"CloudTruth webhooks for {quote(status.organization.name)}"
    return joined([title], _table(shown, view) or ["  none"], end)


def _table(statuses: Sequence[WebhookStatus], view: View) -> list[str]:
    """Return a line for each webhook, in aligned columns, cut to the width.

    With `verbosity`, the lines below it have its id, events, position and complete error.
    """
    width = min(view.width, _WIDTH)
    names = [quote(status.webhook.name) for status in statuses]
    destinations = [quote(status.webhook.destination) for status in statuses]
    state_width = max((len(status.state) for status in statuses), default=0)
    # Name and destination share the rest. If one of them needs less, the other gets more.
    room = max(8, width - _NAME_COLUMN - state_width - 6 - _DELIVERY_WIDTH)
    widest_name = max(map(columns, names), default=0)
    widest_destination = max(map(columns, destinations), default=0)
    destination_width = min(widest_destination, max(room // 2, room - widest_name))
    name_width = min(widest_name, room - destination_width)
    lines: list[str] = []
    for status, name, destination in zip(statuses, names, destinations, strict=True):
        text = f"{fitted(name, name_width)}  {status.state:{state_width}}"
        text += f"  {fitted(destination, destination_width)}  {_delivery(status)}"
        sign = " "
        # A failed delivery is more urgent than drift.
        if status.is_failing:
            sign = "x"
        elif status.state in DRIFTED:
            sign = "!"
        start = f"  {paint(sign, sign, view)} "
        lines.append(start + fitted(text, width - _NAME_COLUMN).rstrip(" "))
        if view.verbosity > 0:
            lines += _details(status, view)
    return lines


def _delivery(status: WebhookStatus) -> str:
    """Return the deliveries of a live webhook, the position of a missing one."""
    if status.id is None:
        return position_text(status.position)
    webhook = status.webhook
    run = "never run"
    if webhook.last_run is not None:
        run = f"last run {quote(words.without_fraction(webhook.last_run))}"
    error = quote(words.delivery_error(webhook.last_error))
    match webhook.delivery:
        case DeliveryState.FAILING:
            time = webhook.last_error and webhook.last_error.timestamp
            return f"failing: {error}{_time(words.without_fraction(time or ''))}"
        case DeliveryState.FAILED_EARLIER:
            return f"failed earlier, {run}"
        case DeliveryState.UNKNOWN:
            return f"unknown, {run}: {error}"
        case DeliveryState.DELIVERING | DeliveryState.NEVER_RUN:
            return run


def _details(status: WebhookStatus, view: View) -> Iterable[str]:
    """Yield the details that the line of a webhook leaves out."""
    atoms = []
    if status.id is not None:
        atoms.append(Atom(f"id {quote(status.id)}"))
    first, *others = events(status.webhook.event_types) or ("no events",)
    atoms += [Atom(first, gap="   "), *map(Atom, others)]
    if status.position is not None:
        atoms.append(Atom(position_text(status.position), gap="   "))
    yield from flow(atoms, view, start=" " * _DETAILS_COLUMN, indent=_DETAILS_COLUMN)
    error = status.webhook.last_error
    if error is not None:
        text = f"last error: {quote(words.delivery_error(error))}"
        atoms = sentence(text + _time(error.timestamp or ""))
        yield from flow(atoms, view, start=" " * _DETAILS_COLUMN, indent=_DETAILS_COLUMN)


def _time(time: str) -> str:
    if not time:
        return ""
    return f" ({quote(time)})"


def _drift(status: LiveStatus) -> str:
    plan = status.plan
    if status.drift is None:
        return "No configuration file to compare with."
    edited = ""
    if status.not_applied:
        edited = f" Not applied yet: {status.not_applied}."
        labels = {operation.attribution for operation in plan.operations} if plan else set()
        if Attribution.PERHAPS_WAITING in labels:
            edited = f" Perhaps not applied yet: {status.not_applied} (see webhooks drift)."
    if not status.drift:
        compared = ""
        if plan is not None:
            compared = words.in_compared_fields(plan)
        return f"No drift{compared}.{edited}"
    counts = []
    for state, number in status.drift.items():
        is_plural = state is ManagementStatus.DIFFERS and number > 1
        counts.append(f"{number} {'differ' if is_plural else state}")
    # Without a previous configuration, a difference may be a change of the files.
    title = "Differences"
    if plan is not None and all(operation.attribution for operation in plan.operations):
        title = "Drift (see webhooks drift)"
    return f"{title}: {', '.join(counts)}.{edited}"


_SIGNS: Final = {
    Status.FAIL: ("✗", "failed"),
    Status.WARN: ("!", "warning"),
    Status.UNKNOWN: ("?", "unknown"),
    Status.OK: ("✓", "ok"),
}
"""The sign of a check, and the word for its status."""


def render_checks(checklist: Checklist, view: View = PLAIN) -> str:
    """Render every check with its sign, and the fix below a failed one.

    If `verbosity` is -1, render only failed checks.
    """
    is_quiet = view.verbosity < 0
    statuses = [Status.FAIL] if is_quiet else list(Status)
    parts: list[Sequence[str]] = []
    for section in checklist.sections:
        rows = [_check_row(check, view) for check in section.checks if check.status in statuses]
        if rows or not is_quiet:
            title = paint(quote(section.name), "strong", view)
            parts.append([title, *lay_out(rows, view)])
    end = []
    if not is_quiet:
        for note in checklist.notes:
            end += paragraph(prose(note), view, indent=0)
    return joined(*parts, [*end, f"{_check_counts(checklist, statuses) or 'nothing to check'}."])


def _check_counts(checklist: Checklist, statuses: Collection[Status]) -> str:
    counts = []
    for status, (_, word) in _SIGNS.items():
        count = checklist.count(status)
        if not count or status not in statuses:
            continue
        if status is Status.WARN:  # the only noun
            counts.append(words.plural(count, word))
        else:
            counts.append(f"{count} {word}")
    return ", ".join(counts)


def _check_row(check: Check, view: View) -> Row:
    text = check.detail
    # Only on the screen: JSON is made to be pasted into bug reports.
    if check.private is not None:
        text += f" ({check.private})"
    below = []
    if check.fix:
        below.append(f"fix: {prose(check.fix)}")
    names = [_subject(webhook) for webhook in check.webhooks]
    if names and view.verbosity > 0:
        below.append(f"webhooks: {', '.join(names)}")
    elif names and check.status is not Status.OK:
        below.append(f"webhooks: {words.shorten(names, _MAX_SUBJECTS)}")
    elif check.webhooks:  # which webhooks are fine is rarely of interest
        text += f" ({words.plural(len(check.webhooks), 'webhook')})"
    lines = tuple(FieldLine("", tuple(sentence(line))) for line in below)
    return Row(sign=_SIGNS[check.status][0], name=check.name, why=prose(text), fields=lines)


def _subject(webhook: Subject) -> str:
    notes = []
    if webhook.organization is not None:
        notes.append(quote(webhook.organization))
    if webhook.position is not None:
        notes.append(position_text(webhook.position))
    return quote(webhook.name) + words.between(" (", ", ".join(notes), ")")
