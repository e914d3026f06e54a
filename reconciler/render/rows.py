"""Build the rows that show each webhook of a plan or report, escaped but without layout.

Text and Markdown use the same rows, so they differ in form only. Every string in a row is safe to
print; secrets are three stars, URLs are scheme and host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from reconciler.findings import Position
from reconciler.kinds import KINDS
from reconciler.kinds.events import compress
from reconciler.model import DataPath, Secret, SecretRef, Unknown, Value, Webhook
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldChange,
    FieldRemoved,
    FieldResent,
    Kept,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    destination,
)
from reconciler.render import View
from reconciler.render.quote import prose, quote
from reconciler.render.words import REASONS, plural
from reconciler.report import Applied, Failed, Outcome, RemovedDuplicate, Skipped, Unconfirmed

_ACTIONS: Final = {Create: ("+", "created"), Update: ("~", "updated"), Delete: ("-", "deleted")}
"""The sign of each operation, and its past participle."""

_OUTCOMES: Final = {
    Applied: ("", "{done}"),
    Failed: ("x", "not {done}"),
    Skipped: (".", "skipped"),
    Unconfirmed: ("?", "unconfirmed"),
}
"""The sign of each outcome, if it is not the operation's, and the words."""


HIDDEN: Final = "(hidden: replaced if it was another one)"
"""The warning that sending a field may replace a live value that is not shown."""


class Atom(NamedTuple):
    """A piece of a line that is never split.

    `gap` precedes it unless it starts a line. `sign` is `+` for a new value, `-` for an old one.
    `lead` marks the new value in a line that has both; a format with separate lines omits it.
    """

    text: str
    gap: str = " "
    sign: str = ""
    lead: str = ""


class FieldLine(NamedTuple):
    """One field that changes, or that the server refused."""

    label: str
    atoms: tuple[Atom, ...]

    @property
    def text(self) -> str:
        """Return the line without layout."""
        return " ".join([self.label, *(f"{each.lead}{each.text}" for each in self.atoms)])


class Row(NamedTuple):
    """One webhook: `sign` is the action, `what` the destination, `rename` or the outcome.

    `why` is the reason, with `(drift)` or `(this change)` if known; `details` are what text shows
    instead, if anything. `place` is the declaring line. A `nested` row belongs to the block above
    it.
    """

    sign: str
    name: str
    what: str = ""
    why: str = ""
    details: tuple[str, ...] = ()
    place: str = ""
    fields: tuple[FieldLine, ...] = ()
    nested: bool = False

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the details or the reason, split where a line may break."""
        return self.details or tuple(each.text for each in sentence(self.why) if self.why)


def sentence(text: str) -> list[Atom]:
    """Return a sentence as atoms, split where a line may break; numbers stay with their noun."""
    return [Atom(each) for each in re.split(r"(?<!\d) ", text)]


def position_text(position: Position | None) -> str:
    """Return `file:line`, empty without a position."""
    return "" if position is None else f"{quote(position.file)}:{position.line}"


def label(path: DataPath) -> str:
    """Return the name of a field without `configuration`; `webhook` for the empty path."""
    if not path:
        return "webhook"
    shown = path[1:] if path[0] == "configuration" and len(path) > 1 else path
    return quote(".".join(str(part) for part in shown))


def events(names: Iterable[str]) -> tuple[str, ...]:
    """Return abbreviated events, each with the comma that follows it."""
    shown = [quote(each) for each in compress(names)]
    return (*(f"{each}," for each in shown[:-1]), *shown[-1:])


def plan_rows(plan: Plan) -> list[Row]:
    """Return one row per operation, in plan order."""
    known = {(use.webhook, use.field): use.destination for use in plan.secrets}
    return [_operation_row(each, known) for each in plan.operations]


def group_resends(rows: Iterable[Row]) -> list[Row]:
    """Group the rows that only resend the same secrets, at the position of the first of them.

    A heading has the number of webhooks, the fields and references, and is followed by the
    webhooks.
    """
    blocks: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        is_resend = row.why.startswith(REASONS[Reason.RESEND])
        key = (row.why, row.fields) if is_resend else number
        blocks.setdefault(key, []).append(row)
    return [each for block in blocks.values() for each in _block(block)]


def _block(rows: list[Row]) -> list[Row]:
    if len(rows) == 1:
        return rows
    first, name = rows[0], plural(len(rows), "webhook")
    why = f"{first.why}, nothing else changes"
    heading = Row(sign=first.sign, name=name, why=why, fields=first.fields)
    return [heading, *(each._replace(why="", fields=(), nested=True) for each in rows)]


def _operation_row(operation: Operation, known: Mapping[tuple[str, str], str] | None = None) -> Row:
    """Return the row of an operation. `known` has destinations of secrets, by webhook and field."""
    why = REASONS[operation.reason]
    details: tuple[str, ...] = ()
    fields: tuple[FieldLine, ...] = ()
    match operation:
        case Create(after=after):
            what, where = _destination(after, known or {}), after.position
            details = events(after.event_types)
        case Update(before=before, after=after):
            what, where = _destination(after, known or {}), after.position
            if before.name != after.name:
                adopted = f", {why}" if operation.reason is Reason.ADOPTED else ""
                what, why = "rename", f"was {quote(before.name)}{adopted}"
            changes = (each for each in operation.fields if each.path != ("name",))
            fields = tuple(_field(each, what, after.type) for each in changes)
        case Delete(before=before):
            what, where = quote(before.destination), operation.position
            if operation.reason is Reason.DUPLICATE:
                why = f"id {quote(before.id)} duplicates id {quote(operation.kept_id or '')} (kept)"
                why += (
                    "; their secrets are not shown and may differ" if operation.may_differ else ""
                )
            why += _last_run(before)
    if operation.attribution is not None:
        label = f"({str(operation.attribution).replace('-', ' ')})"
        why, details = f"{why} {label}", (*details, label) if details else ()
    return Row(
        sign=_ACTIONS[type(operation)][0],
        name=quote(operation.name),
        what=what,
        why=why,
        details=details,
        place=position_text(where),
        fields=fields,
    )


def one_line(found: Operation | Kept) -> str:
    """Return an operation or kept webhooks in one line, with the changed fields or the reason."""
    row = _kept_row(found) if isinstance(found, Kept) else _operation_row(found)
    verb = {"+": "create", "-": "delete", "!": "keep", ".": "keep"}.get(row.sign, "update")
    return f"{verb} {row.name} ({'; '.join(each.text for each in row.fields) or row.why})"


def outcome_row(outcome: Outcome) -> Row:
    """Return the row of an outcome; `why` is empty if it was applied as planned."""
    planned = _operation_row(outcome.operation)
    sign, what = _OUTCOMES[type(outcome)]
    why = prose(outcome.note or "" if isinstance(outcome, Applied) else outcome.message)
    details: tuple[str, ...] = ()
    fields: tuple[FieldLine, ...] = ()
    match outcome:
        case Applied() if not why:  # repeat the destination or the former name
            details = planned.pieces if planned.what == "rename" else (planned.what,)
        case Failed():
            for each in outcome.fields:
                at = [Atom(position_text(each.position), gap="   ")] if each.position else []
                fields += (FieldLine(label(each.path), (*sentence(prose(each.message)), *at)),)
            if outcome.hint:
                fields += (FieldLine("help", tuple(sentence(prose(outcome.hint)))),)
        case Unconfirmed():
            why += " (the next run checks it)"
    done = "renamed" if planned.what == "rename" else _ACTIONS[type(outcome.operation)][1]
    return planned._replace(
        sign=sign or planned.sign,
        what=what.format(done=done),
        why=why,
        details=details,
        fields=fields,
    )


def duplicate_row(found: RemovedDuplicate) -> Row:
    """Return the row of a removed duplicate, created by a repeated request or another run."""
    why = f"created twice: id {quote(found.removed)} duplicates id {quote(found.kept)} (kept)"
    return Row(sign="-", name=quote(found.name), what="deleted", why=why)


def outside_digest(plan: Plan) -> list[str]:
    """Return the names of operations that no digest covers: only the value of a secret differs."""
    found = zip(plan.operations, plan.digests, strict=False)
    return [quote(operation.name) for operation, digests in found if not digests]


def other_rows(plan: Plan, view: View) -> list[Row]:
    """Return rows of unapplied declarations; with `verbosity`, of all unchanged webhooks."""
    if view.verbosity <= 0:
        return list(map(_kept_row, plan.unapplied))
    kept = map(_kept_row, (*plan.kept, *plan.unmanaged))
    return [*kept, *map(_matched_row, plan.matched.values())]


def _kept_row(kept: Kept) -> Row:
    """Return the row of kept webhooks: ambiguous, protected, unmanaged, of an unknown type."""
    why, first = REASONS[kept.reason], kept.webhooks[0]
    if kept.reason is Reason.AMBIGUOUS:
        why += f", {quote(kept.detail)}" if kept.detail else ""
        why += f": pin one with `id` (ids {', '.join(quote(each.id) for each in kept.webhooks)})"
    elif kept.detail:
        why += f": {quote(kept.detail)}"
    if kept.unapplied:
        why = f"declaration not applied: {why}"
    return Row(
        sign="." if kept.reason in (Reason.PRUNE_OFF, Reason.OUT_OF_SCOPE) else "!",
        name=quote(kept.name),
        what=quote(first.destination),
        why=why + _last_run(first),
        place=position_text(kept.position),
    )


def _matched_row(found: Webhook) -> Row:
    """Return the row of a declared webhook that equals the live one."""
    return Row(
        sign="=",
        name=quote(found.name),
        what=_destination(found, {}),
        details=events(found.event_types),
        place=position_text(found.position),
    )


def _destination(webhook: Webhook, known: Mapping[tuple[str, str], str]) -> str:
    """Return a destination; prefer the host that the plan resolved for a URL from a secret."""
    key = (webhook.name, KINDS[webhook.type].destination_field)
    return quote(known.get(key) or destination(webhook))


def _last_run(found: Snapshot) -> str:
    """Return the date of the last delivery: a reviewer sees whether a webhook is in use."""
    return "" if found.last_run is None else f", last run {quote(found.last_run[:10])}"


def _field(change: FieldChange, what: str, kind: str) -> FieldLine:
    name = label(change.path)
    atoms: Iterable[Atom]
    match change:
        case ValueChange(before=before, after=after):
            old, new = (_value(value, change.path, kind) for value in (before, after))
            atoms = [Atom(old, sign="-"), Atom(new, sign="+", lead="-> ")]
        case SetChange():
            atoms = _set_atoms(change)
        case SecretChange(hidden=True, not_shown=True, before=None):
            cause = Atom(f"({str(change.cause).replace('-', ' ')})", gap="   ")
            atoms = [*_resent_atoms(change.after), cause]
        case SecretChange():
            atoms = _secret_atoms(change, what)
        case FieldResent(after=value):
            atoms = _resent_atoms(value)
        case FieldRemoved():
            name = f"- {name}"
            atoms = sentence("live, not declared: removed")
    return FieldLine(name, tuple(atoms))


def _value(value: str | bool | Unknown | None, path: DataPath, kind: str) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, Unknown):
        return "(not shown)"
    if not isinstance(value, str):
        return str(value).lower()
    field = KINDS[kind].field(str(path[-1])) if path[0] == "configuration" else None
    return quote(value if field is None else field.display(value))


def _set_atoms(change: SetChange) -> Iterator[Atom]:
    for sign, members in (("+", change.added), ("-", change.removed)):
        if members:
            first, *others = events(members)
            yield Atom(first, gap="   ", sign=sign, lead=f"{sign} ")
            yield from (Atom(each, sign=sign) for each in others)
    yield Atom(f"({change.unchanged} unchanged)", gap="   ")


def _resent_atoms(value: Value) -> list[Atom]:
    """Return how a field is sent whose live value the server hides."""
    source = quote(str(value)) if isinstance(value, SecretRef) else "the file"
    return [Atom(f"resent from {source}", gap="  "), *sentence(HIDDEN)]


def _secret_atoms(change: SecretChange, what: str) -> Iterator[Atom]:
    """Yield a secret's change, with its destination unless the row shows it."""
    before = "(not set)" if change.cause is SecretCause.ADDED else quote(change.before or "***")
    yield Atom(before, sign="-")
    # Scheme and host only, of a plain URL too: its path may be the credential.
    after = (
        "***" if isinstance(change.after, SecretRef) else quote(Secret(change.after).shown_url())
    )
    yield Atom(after, sign="+", lead="-> ")
    if isinstance(change.after, SecretRef):
        yield Atom(quote(str(change.after)), gap="   ")
        if change.destination and quote(change.destination) != what:
            yield Atom(f"-> {quote(change.destination)}")
    if change.differs:
        verb = "differ" if " and " in change.differs else "differs"
        yield from sentence(f"({prose(change.differs)} {verb})")
    if change.hidden and change.not_shown:
        yield from sentence(HIDDEN)
    if change.cause not in (SecretCause.DIFFERS, SecretCause.ADDED):
        yield Atom(f"({str(change.cause).replace('-', ' ')})", gap="   ")
