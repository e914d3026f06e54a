"""Build the rows that show each webhook of a plan or report, escaped but without layout.

Text and Markdown use the same rows, so they differ in form only. Every string in a row is safe to
print; secrets are three stars, URLs are scheme and host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from reconciler.findings import Position, plural
from reconciler.kinds import FIELDS, KINDS, compress
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
    live_id,
)
from reconciler.planning.readback import declared_destination
from reconciler.planning.resend import resends
from reconciler.render import View
from reconciler.render.quote import prose, quote
from reconciler.render.words import REASONS, attribution
from reconciler.report import Applied, Failed, Outcome, RemovedDuplicate, Skipped, Unconfirmed

VERBS: Final = {"+": "create", "~": "update", "-": "delete", "!": "keep", ".": "keep"}
"""What a plan does, by the sign of its rows."""
_HIDDEN: Final = "(hidden: overwritten if different)"
_NOT_KNOWN: Final = "(overwritten if different)"
"""The warning that sending a field may replace a live value that is not shown."""


_Destinations: TypeAlias = Mapping[tuple[str | None, str, str], str]
"""Destinations of secrets, by live id (several webhooks may share a name), name and field."""


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
    """One field that changes, or that the server refused; `sign` is `-` for a removed field."""

    label: str
    atoms: tuple[Atom, ...]
    sign: str = ""

    @property
    def text(self) -> str:
        """Return the line without layout."""
        return " ".join([self.label, *(f"{atom.lead}{atom.text}" for atom in self.atoms)])


class Row(NamedTuple):
    """One webhook: `sign` is the action, `what` the destination, `rename` or the outcome.

    `why` is the reason, with `(drift)` or `(this change)` if known; `details` are what text shows
    instead, if anything. `place` is the declaring line. A `nested` row belongs to the block above
    it. With `is_rename`, `what` is this word; with `is_resend`, only secrets are sent.
    """

    sign: str
    name: str
    what: str = ""
    why: str = ""
    details: tuple[str, ...] = ()
    place: str = ""
    fields: tuple[FieldLine, ...] = ()
    nested: bool = False
    is_rename: bool = False
    is_resend: bool = False

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the details or the reason, split where a line may break."""
        if self.details or not self.why:
            return self.details
        return tuple(atom.text for atom in sentence(self.why))


def sentence(text: str) -> list[Atom]:
    """Return a sentence as atoms, split where a line may break.

    Numbers stay with their noun, and commands in backticks are not split, so that they can be
    copied.
    """
    kept = re.sub("`[^`]*`", lambda command: command[0].replace(" ", "\0"), text)
    return [Atom(word.replace("\0", " ")) for word in re.split(r"(?<!\d) ", kept)]


def listed(items: Iterable[str], end: str = "") -> list[Atom]:
    """Return items as the atoms of a list; `end` follows the last one."""
    shown = [*items]
    if not shown:
        return []
    *others, last = shown
    return [*(Atom(f"{item},") for item in others), Atom(f"{last}{end}")]


def position_text(position: Position | None) -> str:
    """Return `file:line`, empty without a position."""
    if position is None:
        return ""
    return f"{quote(position.file)}:{position.line}"


def label(path: DataPath) -> str:
    """Return the name of a field without `configuration`; `webhook` for the empty path."""
    if path[:1] == ("configuration",) and len(path) > 1:
        path = path[1:]
    return quote(".".join(map(str, path or ("webhook",))))


def events(names: Iterable[str]) -> tuple[str, ...]:
    """Return abbreviated events, each with the comma that follows it."""
    shown = [quote(event) for event in compress(names)]
    return (*(f"{event}," for event in shown[:-1]), *shown[-1:])


def plan_rows(plan: Plan) -> list[Row]:
    """Return one row per operation, in plan order."""
    # The plan resolved these; a value without one shows its reference.
    known = {(use.live_id, use.webhook, use.field): use.destination for use in plan.secrets}
    return [_operation_row(operation, known) for operation in plan.operations]


def written_url(operation: Operation) -> str | None:
    """Return a URL from the file that a create or update sets: a row shows only its host."""
    if isinstance(operation, Delete):
        return None
    webhook = operation.after
    field = KINDS[webhook.type].destination
    value = webhook.configuration.get(field.name)
    is_set = isinstance(operation, Create) or any(
        change.path[-1] == field.name for change in operation.fields
    )
    return value if is_set and field.secret and isinstance(value, str) else None


def group_resends(rows: Iterable[Row]) -> list[Row]:
    """Group the rows that only resend the same secrets, at the position of the first of them.

    A heading has the number of webhooks, the fields and references, and is followed by the
    webhooks.
    """
    # A rotated token may be in dozens of webhooks, whose rows would hide the other changes.
    blocks: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        key: object = number  # other rows stay alone
        if row.is_resend:
            key = (row.why, row.fields)
        blocks.setdefault(key, []).append(row)
    grouped: list[Row] = []
    for block in blocks.values():
        first = block[0]
        if len(block) == 1:
            grouped.append(first)
            continue
        # The heading says once what holds for all of them.
        why = f"{first.why}, nothing else changes"
        count = plural(len(block), "webhook")
        grouped.append(Row(sign=first.sign, name=count, why=why, fields=first.fields))
        grouped += [row._replace(why="", fields=(), nested=True) for row in block]
    return grouped


def _operation_row(operation: Operation, known: _Destinations) -> Row:
    """Return the row of an operation. `known` has the destinations of secrets."""
    match operation:
        case Create(after=after):
            row = Row(
                sign="+",
                name=quote(after.name),
                what=quote(_destination(operation, known)),
                why=REASONS[operation.reason],
                details=(*events(after.event_types), *_settings(operation, known)),
                place=position_text(after.position),
            )
        case Update():
            row = _update_row(operation, known)
        case Delete():
            row = _delete_row(operation)
    if operation.attribution is None:
        return row
    label = _in_parentheses(attribution(operation))
    row = row._replace(why=f"{row.why} {label}")
    # Text shows the details in place of the reason, which has the label already.
    if row.details:
        row = row._replace(details=(*row.details, label))
    return row


def _settings(create: Create, known: _Destinations) -> Iterable[str]:
    """Return in parentheses what a create sets besides the destination, each with its comma.

    A required secret is not repeated: the list of secrets has it for each destination.
    """
    webhook, kind = create.after, KINDS[create.after.type]
    shown: list[str] = []
    for field in kind.fields:
        value = webhook.configuration.get(field.name, field.default)
        is_destination = field.name == kind.destination_field
        # A resolved URL is shown with its host in place of the reference.
        if is_destination and _destination(create, known) == declared_destination(webhook):
            continue
        if value == field.default or (field.secret and field.required and not is_destination):
            continue
        text = str(value)
        if isinstance(value, bool):
            text = text.lower()  # as in YAML
        shown.append(f"{field.name} {_delimited(text)}")
    if shown:
        shown[0] = f"({shown[0]}"
    return [atom.text for atom in listed(shown, end=")")]


def _delimited(text: str) -> str:
    """Return text that is quoted if the end of it would not be clear in a list."""
    quoted = quote(text)
    if quoted == text and re.search("[,()]", text):
        return f'"{text}"'
    return quoted


def _update_row(update: Update, known: _Destinations) -> Row:
    before, after, why = update.before, update.after, REASONS[update.reason]
    address = _destination(update, known)
    what = quote(address)
    # The row of a rename shows no destination, so the line of a secret must.
    if update.is_rename:
        address, what = "", "rename"
        renamed = f"was {quote(before.name)}"
        if update.reason is Reason.ADOPTED:
            renamed += f", {why}"
        why = renamed
    return Row(
        sign="~",
        name=quote(after.name),
        what=what,
        why=why,
        place=position_text(after.position),
        fields=tuple(
            _field(change, address, update)
            for change in update.fields
            if change.path != ("name",)  # the row shows both names
        ),
        is_rename=update.is_rename,
        is_resend=update.reason is Reason.RESEND and not update.is_rename,
    )


def _delete_row(delete: Delete) -> Row:
    before, why = delete.before, REASONS[delete.reason]
    if delete.reason is Reason.DUPLICATE:
        why = f"id {quote(before.id)} duplicates id {quote(delete.kept_id or '')} (kept)"
        if delete.may_differ:
            why += (
                "; their secrets are not shown and may differ, and either may be the "
                "original: to keep this one instead, declare its id"
            )
    return Row(
        sign="-",
        name=quote(before.name),
        what=quote(before.destination),
        why=why + _last_run(before),
        place=position_text(delete.position),
    )


def one_line(decision: Operation | Kept) -> str:
    """Return an operation or kept webhooks in one line, with the changed fields or the reason."""
    row = kept_row(decision) if isinstance(decision, Kept) else _operation_row(decision, {})
    reason = "; ".join(line.text for line in row.fields) or row.why
    return f"{VERBS[row.sign]} {row.name} ({reason})"


def outcome_row(outcome: Outcome) -> Row:
    """Return the row of an outcome; `why` is empty if it was applied as planned."""
    planned = _operation_row(outcome.operation, {})
    done = f"{outcome.operation.action}d"
    if planned.is_rename:
        done = "renamed"
    row = Row(sign=planned.sign, name=planned.name, what=done, place=planned.place)
    match outcome:
        case Applied(note=note) if note:
            return row._replace(why=prose(note))
        # As planned, so the row repeats the former name or the destination.
        case Applied() if planned.is_rename:
            return row._replace(details=planned.pieces)
        case Applied():
            return row._replace(details=(planned.what,))
        case Failed(message=message):
            fields = tuple(_refusal_lines(outcome))
            return row._replace(sign="x", what=f"not {done}", why=prose(message), fields=fields)
        case Skipped(message=message):
            return row._replace(sign=".", what="skipped", why=prose(message))
        case Unconfirmed(message=message):
            why = prose(message)
            # Nothing shows whether a resend arrived.
            if not resends([outcome.operation]):
                why += " (the next run checks it)"
            return row._replace(sign="?", what="unconfirmed", why=why)


def _refusal_lines(failed: Failed) -> Iterator[FieldLine]:
    """Yield the server's messages about fields, and the help."""
    # The server names fields of the request; the position is that of the declaration.
    for field in failed.fields:
        atoms = sentence(prose(field.message))
        if field.position is not None:
            atoms.append(Atom(position_text(field.position), gap="   "))
        yield FieldLine(label(field.path), tuple(atoms))
    if failed.hint:
        yield FieldLine("help", tuple(sentence(prose(failed.hint))))


def duplicate_row(duplicate: RemovedDuplicate) -> Row:
    """Return the row of a removed duplicate, created by a repeated request or another run."""
    removed, kept = quote(duplicate.removed), quote(duplicate.kept)
    why = f"created twice: id {removed} duplicates id {kept} (kept)"
    return Row(sign="-", name=quote(duplicate.name), what="deleted", why=why)


def other_rows(plan: Plan, view: View) -> list[Row]:
    """Return rows of unapplied declarations; with `verbosity`, of all unchanged webhooks."""
    if view.verbosity <= 0:
        return list(map(kept_row, plan.unapplied))
    kept = map(kept_row, (*plan.kept, *plan.unmanaged))
    return [*kept, *map(_matched_row, plan.matched.values())]


def kept_row(kept: Kept) -> Row:
    """Return the row of kept webhooks: ambiguous, protected, unmanaged, of an unknown type."""
    first, why = kept.webhooks[0], REASONS[kept.reason]
    # Only ids tell webhooks with one name apart.
    if kept.reason in (Reason.AMBIGUOUS, Reason.NAME_PINNED):
        ids = ", ".join(quote(webhook.id) for webhook in kept.webhooks)
        if kept.detail:
            why += f", {quote(kept.detail)}"
        why += ": declare each with its `id`, or with `state: absent` and its `id` to delete it"
        why += f" (ids {ids})"
    elif kept.detail:
        why += f": {quote(kept.detail)}"
    if kept.unapplied:
        why = f"declaration not applied: {why}"
    # To keep what no file manages is expected; the other reasons need attention.
    is_unmanaged = kept.reason in (Reason.PRUNE_OFF, Reason.OUT_OF_SCOPE)
    return Row(
        sign="." if is_unmanaged else "!",
        name=quote(kept.name),
        what=quote(first.destination),
        why=why + _last_run(first),
        place=position_text(kept.position),
    )


def _matched_row(webhook: Webhook) -> Row:
    """Return the row of a declared webhook that equals the live one."""
    return Row(
        sign="=",
        name=quote(webhook.name),
        what=quote(declared_destination(webhook)),
        details=events(webhook.event_types),
        place=position_text(webhook.position),
    )


def _destination(operation: Create | Update, known: _Destinations) -> str:
    """Return a destination; prefer the host that the plan resolved for a URL from a secret."""
    webhook = operation.after
    key = (live_id(operation), webhook.name, KINDS[webhook.type].destination_field)
    return known.get(key) or declared_destination(webhook)


def _last_run(webhook: Snapshot) -> str:
    """Return the date of the last delivery: a reviewer sees whether a webhook is in use."""
    if webhook.last_run is None:
        return ""
    return f", last run {quote(webhook.last_run[:10])}"


def _in_parentheses(value: str) -> str:
    return f"({value.replace('-', ' ')})"


def _field(change: FieldChange, address: str, update: Update) -> FieldLine:
    """Return the line of a change. `address` is the destination that the row shows, if any."""
    name, kind = label(change.path), update.after.type
    atoms: Iterable[Atom]
    match change:
        case ValueChange(before=before, after=after):
            old, new = (_value(value, change.path, kind) for value in (before, after))
            atoms = [Atom(old, sign="-"), Atom(new, sign="+", lead="-> ")]
        case SetChange():
            atoms = _set_atoms(change)
        # Nothing of the live value is known, so there is no old value to show.
        case SecretChange(hidden=True, not_shown=True, before=None):
            cause = Atom(_in_parentheses(change.cause), gap="   ")
            atoms = [*_resent_atoms(change.after, _HIDDEN), cause]
        case SecretChange():
            atoms = _secret_atoms(change, address)
        case FieldResent(after=value, hidden=is_hidden):
            atoms = _resent_atoms(value, _HIDDEN if is_hidden else _NOT_KNOWN)
        case FieldRemoved():
            why = "live, not declared: removed"
            # The new type may set a field of the same name, which is another one.
            if update.before.type != kind:
                why = f"of type {quote(update.before.type)}: removed"
            return FieldLine(f"- {name}", tuple(sentence(why)), sign="-")
    return FieldLine(name, tuple(atoms))


def _value(value: str | bool | Unknown | None, path: tuple[str, ...], kind: str) -> str:
    match value:
        case None:
            return "(not set)"
        case Unknown():
            return "(not shown)"
        case bool():
            return str(value).lower()  # as in YAML
    if path[0] == "configuration":
        field = FIELDS[kind].get(path[-1])
        if field is not None:
            value = field.display(value)
    return quote(value)


def _set_atoms(change: SetChange) -> Iterator[Atom]:
    for sign, members in (("+", change.added), ("-", change.removed)):
        if members:
            first, *others = events(members)
            yield Atom(first, gap="   ", sign=sign, lead=f"{sign} ")
            yield from (Atom(event, sign=sign) for event in others)
    # Lists of events are long, so the unchanged ones are only counted.
    yield Atom(f"({change.unchanged} unchanged)", gap="   ")


def _resent_atoms(value: Value, why: str) -> list[Atom]:
    """Return how a field is sent that may have another live value."""
    source = "the file"
    # A value written in the file has no name, and must not be shown.
    if isinstance(value, SecretRef):
        source = quote(str(value))
    return [Atom("resent", gap="  "), *sentence(f"from {source} {why}")]


def _secret_atoms(change: SecretChange, address: str) -> Iterator[Atom]:
    """Yield a secret's change, with its destination unless the row shows it."""
    before = quote(change.before or "***")
    if change.cause is SecretCause.ADDED:
        before = "(not set)"
    yield Atom(before, sign="-")
    if isinstance(change.after, SecretRef):
        yield Atom("***", sign="+", lead="-> ")
        yield Atom(quote(str(change.after)), gap="   ")
        if change.destination not in ("", address):
            yield Atom(f"-> {quote(change.destination)}")
    else:
        # Scheme and host only: the path of a URL may be the credential.
        yield Atom(quote(Secret(change.after).shown_url()), sign="+", lead="-> ")
    if change.differs:
        yield from sentence(_differing_parts(change))
    if change.hidden and change.not_shown:
        yield from sentence(_HIDDEN)
    # The text above already shows these two causes.
    if change.cause not in (SecretCause.DIFFERS, SecretCause.ADDED):
        yield Atom(_in_parentheses(change.cause), gap="   ")


def _differing_parts(change: SecretChange) -> str:
    """Return which parts of a URL differ although scheme and host are the same."""
    verb = "differ" if len(change.differs) > 1 else "differs"
    # A mask may begin right after the host.
    if change.hidden and change.not_shown:
        verb = "differs, or is not shown"
    return f"({prose(' and '.join(change.differs))} {verb})"
