"""What there is to say about each webhook of a plan, harmless already and not yet laid out.

Text and Markdown differ in how things look, not in what is said: both take their rows from here.
Every string in a `Row` is safe to print; secrets appear as three stars, URLs as scheme and host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from reconciler.findings import Position
from reconciler.kinds import KINDS
from reconciler.kinds.events import compress
from reconciler.model import Webhook
from reconciler.planning.changes import (
    Change,
    Create,
    Delete,
    Kept,
    Reason,
    Snapshot,
    Unmanaged,
    Update,
)
from reconciler.planning.compare import destination
from reconciler.planning.plan import Matched, Plan
from reconciler.render.fields import FieldLine, field_line, words
from reconciler.render.quote import quote
from reconciler.render.words import ATTRIBUTIONS, REASONS, age, plural

RENAME = "rename"
"""What happens in the row of a rename."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One webhook: `sign` says what happens to it, `details` why or to what, `place` where.

    `why` is the reason alone, `attribution` whose change it is (in `details` too).
    """

    sign: str
    name: str
    what: str = ""
    details: tuple[str, ...] = ()
    why: str = ""
    attribution: str = ""
    place: str = ""
    fields: tuple[FieldLine, ...] = field(default=())


def change_rows(plan: Plan, now: datetime | None) -> Iterator[Row]:
    """Describe the changes, in their order."""
    known = {(use.webhook, use.field): use.destination for use in plan.secrets}
    for change in plan.changes:
        yield change_row(change, now, known)


def change_row(
    change: Change, now: datetime | None = None, known: dict[tuple[str, str], str] | None = None
) -> Row:
    """Describe one change. `known` holds destinations of secrets, by webhook and field."""
    whose = "" if change.attribution is None else ATTRIBUTIONS[change.attribution]
    labels = (f"({whose})",) if whose else ()
    match change:
        case Create(after=after):
            return Row(
                sign="+",
                name=quote(change.name),
                what=_destination(after, known or {}),
                details=(*events(after.event_types), *labels),
                why=REASONS[change.reason],
                attribution=whose,
                place=place(after.position),
            )
        case Update(before=before, after=after):
            renamed = before.name != after.name
            shown = (
                f"{quote(before.name)} -> {quote(after.name)}" if renamed else _what_differs(change)
            )
            why = f"was {quote(before.name)}" if renamed else REASONS[change.reason]
            if change.reason is Reason.ADOPTED:
                shown, why = (f"{each}, {REASONS[change.reason]}" for each in (shown, why))
            return Row(
                sign="~",
                name=quote(change.name),
                what=RENAME if renamed else _destination(after, known or {}),
                details=(shown, *labels),
                why=why,
                attribution=whose,
                place=place(after.position),
                fields=tuple(field_line(each) for each in change.fields if each.path != ("name",)),
            )
        case Delete(before=before):
            why = REASONS[change.reason]
            if change.reason is Reason.DUPLICATE:
                why = f"duplicate {quote(before.id)} of {quote(change.keeps or '')}, which stays"
                why += "; their secrets are not shown and may differ" if change.hidden else ""
            return Row(
                sign="-",
                name=quote(change.name),
                what=_live(before),
                details=_with_last_run(why, before, now, labels),
                why=why,
                attribution=whose,
                place=place(change.position),
            )
        case _:
            assert_never(change)


def kept_row(kept: Kept) -> Row:
    """Describe what a declaration touches on and nothing changes."""
    ids = ", ".join(quote(each.id) for each in kept.webhooks)
    why = REASONS[kept.reason]
    where = place(kept.position)
    if kept.reason is Reason.PROTECTED:
        why = f"protected ({where}), not declared" if where else "protected, not declared"
        where = ""
    elif kept.reason is Reason.TWINS:
        why = f"{len(kept.webhooks)} {why} (ids {ids}): pin one with `id`"
    elif kept.detail:
        why = f"{why}: {quote(kept.detail)}"
    if kept.unapplied:
        why = f"declaration not applied: {why}"
    return Row(
        sign="!", name=quote(kept.name), what="kept", details=words(why), why=why,
        place=where,
    )  # fmt: skip


def unmanaged_row(found: Unmanaged, now: datetime | None) -> Row:
    """Describe a live webhook that no declaration speaks of."""
    why = REASONS[found.reason]
    return Row(
        sign=".",
        name=quote(found.name),
        what=_live(found.webhook),
        details=_with_last_run(why, found.webhook, now),
        why=why,
    )


def matched_row(found: Matched) -> Row:
    """Describe a webhook that is live as declared."""
    return Row(
        sign="=",
        name=quote(found.webhook.name),
        what=_destination(found.webhook, {}),
        details=events(found.webhook.event_types),
        why="as declared",
        place=place(found.webhook.position),
    )


def place(position: Position | None) -> str:
    """Return `file:line`, nothing if there is no position."""
    return "" if position is None else f"{quote(position.file)}:{position.line}"


def events(names: frozenset[str]) -> tuple[str, ...]:
    """Return events in short, each with the comma that follows it."""
    shown = [quote(each) for each in compress(names)]
    return (*(f"{each}," for each in shown[:-1]), *shown[-1:])


def _what_differs(change: Update) -> str:
    if change.reason is Reason.RESEND:
        return REASONS[change.reason]
    number = len(change.fields)
    return f"{plural(number, 'field')} {'differs' if number == 1 else 'differ'}"


def _destination(webhook: Webhook, known: dict[tuple[str, str], str]) -> str:
    """Prefer what the plan has found out: the host of a URL that the file only refers to."""
    key = (webhook.name, KINDS[webhook.type].destination)
    return quote(known.get(key) or destination(webhook))


def _live(found: Snapshot) -> str:
    return quote(found.destination or found.type)


def _with_last_run(
    why: str, found: Snapshot, now: datetime | None, labels: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Say when a webhook last delivered: what was busy yesterday is not given up lightly."""
    said = (*words(why), *labels)
    if found.last_run is None:
        return said
    return (*said[:-1], f"{said[-1]},", f"last run {age(found.last_run, now)}")
