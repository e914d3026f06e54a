"""Render live webhooks and checks as text. A plan does not load this module."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from reconciler.findings import plural, shorten
from reconciler.planning.plan import Attribution, DeliveryState
from reconciler.planning.run import (
    DRIFTED,
    LiveStatus,
    ManagementStatus,
    OrganizationResult,
    WebhookStatus,
    values,
)
from reconciler.render import PLAIN, View, paint, words
from reconciler.render.layout import (
    columns,
    flow,
    joined,
    lay_out,
    message_lines,
    paragraphs,
    widest,
)
from reconciler.render.quote import prose, quote
from reconciler.render.rows import (
    Atom,
    FieldLine,
    Row,
    events,
    position_text,
    sentence,
)
from reconciler.report import Check, CheckedWebhook, Checklist, Status

_MAX_SUBJECTS: Final = 10
_MAX_WORDS: Final = 12
"""The words of a delivery in the row of a webhook."""
_MAX_DESTINATION: Final = 40
"""The columns up to which destinations are aligned in a status."""


def render_statuses(statuses: Sequence[OrganizationResult[LiveStatus]], view: View = PLAIN) -> str:
    """Render the live webhooks of each organization, and totals if there are several."""
    planned = values(statuses)
    texts = [_status(status, view) for status in planned]
    # Each organization ends with its own count.
    if len(statuses) > 1:
        live = plural(sum(status.live_count for status in planned), "live webhook")
        drifted = sum(bool(status.drift) for status in planned)
        failed = len(statuses) - len(planned)
        counts = f"{live}, drift in {drifted}"
        waiting = sum(bool(status.not_applied) for status in planned)
        if waiting:
            counts += f", possibly not applied in {waiting}"
        total = words.organization_counts(len(statuses), counts, failed)
        texts.append(joined(paragraphs([total], view)))
    return "\n".join(texts)


def _status(status: LiveStatus, view: View) -> str:
    """Render each webhook in a row, failing ones first; with `verbosity`, with all details.

    The last lines count fields that were not compared and differences from the configuration.
    """
    count = plural(status.live_count, "live webhook")
    if status.selected_count != status.live_count:  # with --only
        count = f"{status.selected_count} of {count}"
    if status.failing:
        count += f", {len(status.failing)} failing"
    end = message_lines(f"{count}.", _drift(status), view)
    if status.plan is not None:
        limits = words.not_compared(status.plan, view)
        end = paragraphs([f"{limit}." for limit in limits], view) + end
    # A failed delivery needs someone at once; drift may wait.
    shown = sorted(view.selected(status.webhooks), key=lambda webhook: not webhook.is_failing)
    # Aligned by hand, because the layout wraps the words of a row as one text.
    destinations = (columns(quote(webhook.webhook.destination)) for webhook in shown)
    width = widest(destinations, _MAX_DESTINATION)
    rows = [_status_row(webhook, width, view) for webhook in shown]
    title = f"CloudTruth webhooks for {quote(status.organization.name)}"
    return joined([title], lay_out(rows, view) or ["  none"], end)


def _status_row(status: WebhookStatus, width: int, view: View) -> Row:
    """Return the row of a webhook, its destination padded to `width`; with `verbosity`, details."""
    destination = quote(status.webhook.destination)
    sign = " "
    # A failed delivery is more urgent than drift.
    if status.is_failing:
        sign = "x"
    elif status.management in DRIFTED:
        sign = "!"
    row = Row(
        sign=sign,
        name=quote(status.webhook.name),
        what=str(status.management),
        details=(destination + " " * (width - columns(destination) + 1), *_delivery(status)),
    )
    # Where to fix a missing webhook; the others are listed by name.
    if not status.webhook.id or view.verbosity > 0:
        row = row._replace(place=position_text(status.position))
    if view.verbosity <= 0:
        return row
    listens = events(status.webhook.event_types) or ("none",)
    fields = [FieldLine("events", tuple(map(Atom, listens)))]
    if status.webhook.id:
        fields.insert(0, FieldLine("id", (Atom(quote(status.webhook.id)),)))
    error = status.webhook.last_error
    if error is not None:
        text = f"{quote(words.delivery_error(error))}{_time(error.timestamp)}"
        fields.append(FieldLine("last error", tuple(sentence(text))))
    return row._replace(fields=tuple(fields))


def _delivery(status: WebhookStatus) -> list[str]:
    """Return the deliveries of a live webhook, in words."""
    webhook = status.webhook
    if not webhook.id:
        return []
    run = "never run"
    if webhook.last_run is not None:
        run = f"last run {quote(_without_fraction(webhook.last_run))}"
    error = webhook.last_error
    reason = quote(words.delivery_error(error))
    match webhook.delivery:
        case DeliveryState.FAILING:
            run = f"failing: {reason}"
            # A server may say that a delivery failed without an error.
            if error is not None:
                run += _time(_without_fraction(error.timestamp or ""))
        case DeliveryState.FAILED_EARLIER:
            run = f"failed earlier, {run}"
        case DeliveryState.UNKNOWN:
            run = f"unknown, {run}: {reason}"
        case DeliveryState.DELIVERING | DeliveryState.NEVER_RUN:
            pass
    return _first_words(run)


def _first_words(text: str) -> list[str]:
    """Return words of a text: a server's error may be a page, which -v shows below the row."""
    shown = [atom.text for atom in sentence(text)]
    if len(shown) > _MAX_WORDS:
        shown[_MAX_WORDS:] = ["..."]
    return shown


def _without_fraction(time: str) -> str:
    """Return a time without fractions of a second."""
    return re.sub(r"(:\d\d)\.\d+", r"\1", time)


def _time(time: str | None) -> str:
    if not time:
        return ""
    return f" ({quote(time)})"


def _drift(status: LiveStatus) -> str:
    plan = status.plan
    if plan is None:
        return "No configuration file to compare with."
    labels = {operation.attribution for operation in plan.operations}
    edited = ""
    if status.not_applied:
        edited = f" Not applied yet: {status.not_applied}."
        if Attribution.POSSIBLY_WAITING in labels:
            edited = f" Possibly not applied yet: {status.not_applied} (see `webhooks drift`)."
            if not status.drift:
                return edited.lstrip()  # `drift` tells when it is drift
    if not status.drift:
        return f"No drift{words.in_compared_fields(plan)}.{edited}"
    counts = []
    for state, number in status.drift.items():
        verb = "differ" if number > 1 and state is ManagementStatus.DIFFERS else state
        counts.append(f"{number} {verb}")
    # Without a previous configuration, a difference may be a file change.
    title = "Differences"
    if None not in labels:
        title = "Drift (see `webhooks drift`)"
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
        # Also without rows, because an empty section shows that nothing was left out.
        if rows or not is_quiet:
            title = paint(quote(section.name), "strong", view)
            parts.append([title, *lay_out(rows, view)])
    end = []
    if not is_quiet:
        for note in checklist.notes:
            end += flow(sentence(prose(note)), view, start="", indent=0)
    return joined(*parts, [*end, f"{_check_counts(checklist, statuses) or 'nothing to check'}."])


def _check_counts(checklist: Checklist, statuses: Collection[Status]) -> str:
    counts = []
    for status, (_, word) in _SIGNS.items():
        count = checklist.count(status)
        if not count or status not in statuses:
            continue
        if status is Status.WARN:  # the only noun
            counts.append(plural(count, word))
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
        below.append(f"webhooks: {shorten(names, _MAX_SUBJECTS)}")
    elif check.webhooks:  # which webhooks are fine is rarely of interest
        text += f" ({plural(len(check.webhooks), 'webhook')})"
    lines = tuple(FieldLine("", tuple(sentence(line))) for line in below)
    return Row(sign=_SIGNS[check.status][0], name=check.name, why=prose(text), fields=lines)


def _subject(webhook: CheckedWebhook) -> str:
    notes = []
    if webhook.organization is not None:
        notes.append(quote(webhook.organization))
    if webhook.position is not None:
        notes.append(position_text(webhook.position))
    return quote(webhook.name) + words.between(" (", ", ".join(notes), ")")
