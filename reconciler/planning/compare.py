"""Compare a live webhook with a declared one, or with another live one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from reconciler.kinds import FIELDS, KINDS, Field
from reconciler.model import (
    UNKNOWN,
    WEBHOOK_FIELDS,
    LiveWebhook,
    Secret,
    SecretRef,
    SecretValues,
    Unknown,
    Webhook,
    declared_secret,
)
from reconciler.planning.plan import (
    FieldChange,
    FieldRemoved,
    FieldResent,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    ValueChange,
)
from reconciler.planning.readback import (
    Evidence,
    Reading,
    declared_destination,
    hides_destination,
    is_hidden,
    is_malformed,
    is_unset,
    plain_value,
    secret_reading,
    secrets_alike,
)

_NONE: Final[Mapping[str, SecretCause]] = {}
_NO_EVIDENCE: Final = Evidence()


class Comparison(NamedTuple):
    """The differences between a live and a declared webhook; without `fields` they are equal.

    `unread` has the declared fields that are neither known to be equal nor to differ: UNKNOWN,
    NOT_EQUAL, MALFORMED or UNAVAILABLE.
    """

    webhook: Webhook
    live: LiveWebhook
    fields: tuple[FieldChange, ...]
    unread: Mapping[str, Reading]

    def with_side_effects(self) -> tuple[FieldChange, ...]:
        """Add what a new configuration also does.

        It sends the fields that are not known to be equal, and removes those that this version does
        not know. Neither is a difference by itself: the server may set such a field.
        """
        webhook, live, fields, unread = self
        changed = {change.path[-1] for change in fields if change.path[0] == "configuration"}
        # Another type replaces every field, which the changes already show.
        if not changed or live.type != webhook.type:
            return fields
        resent: list[FieldResent] = []
        for name, field in FIELDS[webhook.type].items():
            if name not in webhook.configuration or name in changed:
                continue
            hidden = is_hidden(field, live.value(name))
            if hidden or name in unread:
                path = ("configuration", name)
                after = webhook.configuration[name]
                resent.append(FieldResent(path=path, after=after, hidden=hidden))
        unknown = removed_fields(webhook, live) - FIELDS[webhook.type].keys()
        return (*fields, *resent, *_removal_of(unknown))


def compare(
    webhook: Webhook,
    live: LiveWebhook,
    evidence: Evidence = _NO_EVIDENCE,
    resent: Mapping[str, SecretCause] = _NONE,
) -> Comparison:
    """Return the changes that make `live` equal to `webhook`.

    `resent` lists the fields to send or remove although `live` does not show a difference. A secret
    in it is sent in any case, a plain field only if the server hides it.

    Event types are sets; a channel is the same with and without `#`. A live field that is not
    declared and does not have its default value is removed. If the type changes, all declared
    fields are new, and all live ones are removed.
    """
    if live.type != webhook.type:
        resent = _NONE  # every field is sent anyway
    # In the order of the type, whatever the order in the file: digests depend on it.
    readings = {
        name: _reading(webhook, live, field, evidence)
        for name, field in FIELDS[webhook.type].items()
        if name in webhook.configuration
    }
    changes = _visible_changes(webhook, live, readings)
    unread: dict[str, Reading] = {}
    for name, reading in readings.items():
        cause = resent.get(name)
        change = _sent_change(webhook, live, name, reading, cause, evidence.values)
        if change is not None:
            changes.append(change)
        if reading in _NOT_COMPARED:
            unread[name] = reading
            # One that is sent again is corrected.
            is_left = reading is Reading.UNKNOWN and cause is None
            if is_left and is_malformed(FIELDS[webhook.type][name], live.value(name)):
                unread[name] = Reading.MALFORMED
    changes += _removals(webhook, live, resent)
    return Comparison(webhook, live, tuple(changes), unread)


_NOT_COMPARED: Final = (Reading.UNKNOWN, Reading.NOT_EQUAL, Reading.UNAVAILABLE)


def _reading(webhook: Webhook, live: LiveWebhook, field: Field, evidence: Evidence) -> Reading:
    """Compare one declared field."""
    declared, value = webhook.configuration[field.name], live.value(field.name)
    if live.type != webhook.type:
        return Reading.ABSENT  # nothing of another type is kept
    if field.secret:
        return secret_reading(webhook.type, field, declared, value, evidence)
    if isinstance(value, str) and value == declared:
        return Reading.SAME  # the usual case
    if is_hidden(field, value):
        return Reading.UNKNOWN
    if is_unset(value):
        # A field with its default value need not be set.
        return Reading.SAME if declared in (value, field.default) else Reading.ABSENT
    shown = plain_value(field, value)
    if isinstance(shown, str):
        # The same channel is written with or without `#`.
        shown, declared = field.normalize(shown), field.normalize(str(declared))
    return Reading.SAME if shown == declared else Reading.DIFFERENT


def _visible_changes(
    webhook: Webhook, live: LiveWebhook, readings: Mapping[str, Reading]
) -> list[FieldChange]:
    """Return the changes of name, type, events and plain configuration, in this order."""
    plain_before: dict[str, Any] = {}
    plain_after: dict[str, Any] = {}
    for name, reading in readings.items():
        field = FIELDS[webhook.type][name]
        if field.secret or reading not in (Reading.ABSENT, Reading.DIFFERENT):
            continue
        plain_before[name], plain_after[name] = None, webhook.configuration[name]
        if reading is Reading.DIFFERENT:
            plain_before[name] = plain_value(field, live.value(name))
    before = {"name": live.name, "type": live.type, "configuration": plain_before}
    after = {"name": webhook.name, "type": webhook.type, "configuration": plain_after}
    changes: list[FieldChange] = []
    if before != after:
        from deepdiff import DeepDiff  # takes several times longer than the program's startup

        # There are no secrets in these trees, because DeepDiff inspects every object.
        for entry in chain.from_iterable(DeepDiff(before, after, view="tree").values()):
            path = tuple(map(str, entry.path(output_format="list")))
            changes.append(ValueChange(path=path, before=entry.t1, after=entry.t2))
    if webhook.event_types != live.event_types:
        change = SetChange(
            path=("event_types",),
            added=tuple(sorted(webhook.event_types - live.event_types)),
            removed=tuple(sorted(live.event_types - webhook.event_types)),
            unchanged=len(webhook.event_types & live.event_types),
        )
        changes.append(change)
    return sorted(changes, key=lambda change: (WEBHOOK_FIELDS.index(change.path[0]), change.path))


def _sent_change(
    webhook: Webhook,
    live: LiveWebhook,
    name: str,
    reading: Reading,
    cause: SecretCause | None,
    secrets: SecretValues,
) -> FieldChange | None:
    """Return the change of a secret, or of another field that is sent because it is not shown.

    `cause` is why it is sent without a visible difference.
    """
    field, declared = FIELDS[webhook.type][name], webhook.configuration[name]
    if reading in _NOT_COMPARED:
        if cause is None:
            return None
        # Text in the file, such as a channel, that the server hides and that is resent.
        if not isinstance(declared, SecretRef):
            path = ("configuration", name)
            return ValueChange(path=path, before=UNKNOWN, after=declared, not_shown=True)
    if cause is None or not isinstance(declared, SecretRef):
        if not field.secret or reading is Reading.SAME:
            return None
        cause = SecretCause.DIFFERS
        if reading is Reading.ABSENT:
            cause = SecretCause.ADDED
    return _secret_change(webhook, live, field, cause, secrets)


def _secret_change(
    webhook: Webhook,
    live: LiveWebhook,
    field: Field,
    cause: SecretCause,
    secrets: SecretValues,
) -> SecretChange:
    """Return the change that sends a secret field."""
    declared, live_value = webhook.configuration[field.name], live.value(field.name)
    retyped = live.type != webhook.type
    change = SecretChange(
        path=("configuration", field.name),
        after=declared if isinstance(declared, SecretRef) else str(declared),
        cause=cause,
        destination=declared_destination(webhook, secrets),
        # A hidden value of another type is removed in any case, not replaced unseen.
        hidden=not retyped and is_hidden(field, live_value),
    )
    is_destination = field.name == KINDS[webhook.type].destination_field
    if not is_destination or retyped or not isinstance(live_value, Secret):
        return change
    # It replaces a URL, so a reviewer must see whether deliveries go to another host.
    wanted = declared_secret(declared, secrets)
    old_host, new_host = live_value.origin(), None
    differs: tuple[str, ...] = ()
    if wanted is not None:
        new_host = wanted.origin()
        # On different hosts the rest of the URL says nothing.
        if old_host == new_host:
            differs = live_value.differing_parts(wanted)
        # Of a hidden URL, only a shown port is known; a mask may hide it, too.
        if change.hidden:
            differs = tuple(part for part in differs if part == "port")
    moved = None not in (old_host, new_host) and old_host != new_host
    return change._replace(before=live_value.shown_url(), moved=moved, differs=differs)


def _removals(
    webhook: Webhook, live: LiveWebhook, resent: Mapping[str, SecretCause]
) -> Iterator[FieldRemoved]:
    """Yield the removal of known fields that are set and no longer declared."""
    if isinstance(live.configuration, Unknown):
        for name in sorted(resent.keys() - webhook.configuration.keys()):
            yield FieldRemoved(path=("configuration", name), not_shown=True)
    names = removed_fields(webhook, live)
    # Another type removes every field, known or not.
    if live.type == webhook.type:
        names &= FIELDS[live.type].keys()
    yield from _removal_of(names)


def _removal_of(names: Iterable[str]) -> Iterator[FieldRemoved]:
    for name in sorted(names):
        yield FieldRemoved(path=("configuration", name))


def removed_fields(webhook: Webhook, live: LiveWebhook) -> set[str]:
    """Return the names of the live fields that sending the declared configuration removes.

    They are those that are not declared and do not have their default value. For a webhook of
    another type, a field is not declared even if the declared type has one of the same name: it is
    another field.
    """
    if isinstance(live.configuration, Unknown):
        return set()
    names = set(live.configuration)
    if live.type == webhook.type:
        names -= webhook.configuration.keys()
    fields = FIELDS.get(live.type, {})
    removed: set[str] = set()
    for name in names:
        value = live.configuration[name]
        if not is_unset(value) and (name not in fields or value != fields[name].default):
            removed.add(name)
    return removed


def compare_live(first: LiveWebhook, second: LiveWebhook) -> Reading:
    """Compare two live webhooks with the same name.

    SAME if they are equal and completely visible, UNKNOWN if all visible fields are equal and
    a secret is hidden, else DIFFERENT. Webhooks with a hidden destination are always DIFFERENT:
    they may deliver to two places.
    """
    if first.type != second.type or first.event_types != second.event_types:
        return Reading.DIFFERENT
    if hides_destination(first) or hides_destination(second):
        return Reading.DIFFERENT  # without this, one of two destinations could be lost
    if visible(first) != visible(second):
        return Reading.DIFFERENT
    readings = {
        secrets_alike(field, first, second) for field in KINDS[first.type].fields if field.secret
    }
    for worst in (Reading.DIFFERENT, Reading.UNKNOWN):
        if worst in readings:
            return worst
    return Reading.SAME


def visible(webhook: Webhook | LiveWebhook | Snapshot) -> dict[str, object]:
    """Return the visible plain fields that do not have their default value."""
    shown: dict[str, object] = {}
    if isinstance(webhook.configuration, Unknown):
        return shown
    for field in KINDS[webhook.type].fields:
        value: Any = webhook.configuration.get(field.name)
        hidden = isinstance(webhook, LiveWebhook) and is_hidden(field, value)
        if not (field.secret or hidden) and value not in (None, "", UNKNOWN, field.default):
            shown[field.name] = field.normalize(value) if isinstance(value, str) else value
    return shown
