"""Compare a live webhook with a declared one, or with another live one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from reconciler.kinds import FIELDS, KINDS, Field
from reconciler.model import (
    UNKNOWN,
    LiveValue,
    LiveWebhook,
    Secret,
    SecretRef,
    Unknown,
    Value,
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
    destination,
)
from reconciler.planning.readback import (
    Evidence,
    Reading,
    hides_destination,
    is_hidden,
    is_malformed,
    plain_value,
    secret_reading,
    secrets_alike,
)

_NONE: Final[Mapping[str, SecretCause]] = {}


class Comparison(NamedTuple):
    """The differences between a live and a declared webhook; without `fields` they are equal.

    `unread` has the declared fields that could not be compared: UNKNOWN, MALFORMED or UNAVAILABLE.
    """

    fields: tuple[FieldChange, ...] = ()
    unread: Mapping[str, Reading] = {}


def compare(
    webhook: Webhook,
    live: LiveWebhook,
    secrets: Mapping[SecretRef, Secret],
    evidence: Evidence,
    resent: Mapping[str, SecretCause] = _NONE,
) -> Comparison:
    """Return the changes that make `live` equal to `webhook`.

    `resent` lists the fields to send or remove although `live` does not show a difference. A secret
    in it is sent in any case, a plain field only if the server hides it.

    Event types are sets; a channel is the same with and without `#`. A live field that is not
    declared and does not have its default value is removed. If the type changes, all declared
    fields are new, and all other live ones are removed.
    """
    retyped = live.type != webhook.type
    if retyped:
        resent = _NONE  # every field is sent anyway
    shown = {} if retyped else live.configuration
    unread: dict[str, Reading] = {}
    sent: list[FieldChange] = []
    configured: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, field in FIELDS[webhook.type].items():
        if name not in webhook.configuration:
            continue
        value, cause = webhook.configuration[name], resent.get(name)
        found = UNKNOWN if isinstance(shown, Unknown) else shown.get(name)
        if retyped:
            reading = Reading.ABSENT
        elif field.secret:
            reading = secret_reading(webhook.type, field, value, found, secrets, evidence)
        else:
            reading = _plain_reading(field, value, found)
        if reading is Reading.SAME and cause is None:
            continue
        if reading in (Reading.UNKNOWN, Reading.UNAVAILABLE):
            wrong = reading is Reading.UNKNOWN and cause is None and is_malformed(field, found)
            unread[name] = Reading.MALFORMED if wrong else reading
        if isinstance(value, SecretRef) and cause is not None:
            change = _secret_change(webhook, name, cause, found, secrets)
            sent.append(replace(change, hidden=is_hidden(field, found)))
        elif name in unread:
            if cause is not None and not isinstance(value, SecretRef):
                path = ("configuration", name)
                sent.append(ValueChange(path=path, before=UNKNOWN, after=value, not_shown=True))
        elif reading is not Reading.SAME and field.secret:
            cause = SecretCause.ADDED if reading is Reading.ABSENT else SecretCause.DIFFERS
            change = _secret_change(webhook, name, cause, found, secrets)
            hidden = not retyped and is_hidden(field, found)
            sent.append(replace(change, hidden=hidden))
        elif reading is not Reading.SAME:
            wanted[name] = value
            if reading is Reading.DIFFERENT:
                configured[name] = plain_value(field, found)
    fields: list[FieldChange] = []
    if retyped or wanted or webhook.name != live.name:
        before = {"name": live.name, "type": live.type, "configuration": configured}
        after = {"name": webhook.name, "type": webhook.type, "configuration": wanted}
        fields += _plain_changes(before, after)
    if webhook.event_types != live.event_types:
        added = webhook.event_types - live.event_types
        removed = live.event_types - webhook.event_types
        fields.append(
            SetChange(
                path=("event_types",),
                added=tuple(sorted(added)),
                removed=tuple(sorted(removed)),
                unchanged=len(webhook.event_types) - len(added),
            )
        )
    fields.sort(key=lambda change: (_ORDER.index(str(change.path[0])), change.path))
    fields += sent
    if isinstance(shown, Unknown):
        dropped = sorted(resent.keys() - webhook.configuration.keys())
        fields += [FieldRemoved(path=("configuration", name), not_shown=True) for name in dropped]
    fields += _undeclared(webhook, live, known=True)
    if not (fields or unread):
        return _EQUAL
    return Comparison(tuple(fields), unread)


_EQUAL: Final = Comparison()
_ORDER: Final = ("name", "type", "event_types", "configuration")


def _plain_reading(field: Field, declared: Value, live: LiveValue | Unknown) -> Reading:
    """Compare one field that is not secret; `live` is as in `secret_reading`."""
    if isinstance(live, str) and live == declared:
        return Reading.SAME  # the usual case
    if is_hidden(field, live):
        return Reading.UNKNOWN
    if live in (None, ""):
        return Reading.SAME if declared in (live, field.default) else Reading.ABSENT
    shown = plain_value(field, live)
    if isinstance(shown, str) and isinstance(declared, str):
        same = field.normalize(shown) == field.normalize(declared)
    else:
        same = shown == declared
    return Reading.SAME if same else Reading.DIFFERENT


def _undeclared(webhook: Webhook, live: LiveWebhook, *, known: bool) -> Iterator[FieldRemoved]:
    """Yield the removal of live fields that are not declared and do not have their default value.

    They are fields that this version knows, or the others. For a webhook of another type, these are
    all fields that the declared one does not have.
    """
    if isinstance(live.configuration, Unknown):
        return
    for name in sorted(live.configuration.keys() - webhook.configuration.keys()):
        field = FIELDS.get(live.type, {}).get(name)
        value = live.configuration[name]
        if live.type == webhook.type and known is (field is None):
            continue
        if value not in (None, "", Secret("")) and (field is None or value != field.default):
            yield FieldRemoved(path=("configuration", name))


def removed_fields(webhook: Webhook, live: LiveWebhook) -> set[str]:
    """Return the names of the live fields that sending the declared configuration removes."""
    removed = [*_undeclared(webhook, live, known=True)]
    if live.type == webhook.type:  # else these are all fields already
        removed += _undeclared(webhook, live, known=False)
    return {str(change.path[-1]) for change in removed}


def _secret_change(
    webhook: Webhook,
    name: str,
    cause: SecretCause,
    found: LiveValue | Unknown,
    secrets: Mapping[SecretRef, Secret],
) -> SecretChange:
    """Return the change that sends a secret field; `found` is the live value."""
    value = webhook.configuration[name]
    is_address = name == KINDS[webhook.type].destination_field
    wanted = declared_secret(value, secrets)
    hosts = [each.origin() if isinstance(each, Secret) else None for each in (found, wanted)]
    parts: tuple[str, ...] = ()
    if is_address and isinstance(found, Secret) and wanted is not None and hosts[0] == hosts[1]:
        parts = found.differing_parts(wanted)
    return SecretChange(
        path=("configuration", name),
        after=value if isinstance(value, SecretRef) else str(value),
        cause=cause,
        before=found.shown_url() if is_address and isinstance(found, Secret) else None,
        destination=destination(webhook, secrets),
        moved=is_address and None not in hosts and hosts[0] != hosts[1],
        differs="" if is_hidden(FIELDS[webhook.type][name], found) else " and ".join(parts),
    )


def with_side_effects(
    webhook: Webhook, live: LiveWebhook, fields: tuple[FieldChange, ...]
) -> tuple[FieldChange, ...]:
    """Add what a new configuration also does: it sends hidden fields, and removes unknown ones.

    Neither is a difference by itself: the server may set a field that this version does not know.
    """
    changed = {str(change.path[-1]) for change in fields if change.path[0] == "configuration"}
    if not changed or live.type != webhook.type:
        return fields
    shown = {} if isinstance(live.configuration, Unknown) else live.configuration
    resent: list[FieldResent] = []
    for name, field in FIELDS[webhook.type].items():
        if name not in webhook.configuration or name in changed:
            continue
        value = UNKNOWN if live.configuration is UNKNOWN else shown.get(name)
        if is_hidden(field, value):
            path = ("configuration", name)
            resent.append(FieldResent(path=path, after=webhook.configuration[name]))
    return (*fields, *resent, *_undeclared(webhook, live, known=False))


def _plain_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Return the changes between two trees of text and flags.

    The caller removes secrets first, because DeepDiff inspects every object. `after` has every key
    of `before`. Call it only if the trees differ: comparing with `==` first is a hundred times
    cheaper.
    """
    from deepdiff import DeepDiff  # takes several times longer than the program's startup

    # With a threshold, trees with few common keys would be reported as one change.
    found = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
    return [
        ValueChange(
            path=tuple(entry.path(output_format="list")),
            before=None if category == "dictionary_item_added" else entry.t1,
            after=entry.t2,
        )
        for category, entries in found.items()
        for entry in entries
    ]


def compare_live(one: LiveWebhook, other: LiveWebhook) -> Reading:
    """Compare two live webhooks with the same name.

    SAME if they are equal and completely visible, UNKNOWN if all visible fields are equal and
    a secret is hidden, else DIFFERENT. Webhooks with a hidden destination are always DIFFERENT:
    they may deliver to two places.
    """
    if one.type != other.type or one.event_types != other.event_types:
        return Reading.DIFFERENT
    if hides_destination(one) or hides_destination(other):
        return Reading.DIFFERENT
    a, b = one.configuration, other.configuration
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Reading.DIFFERENT
    if visible(one) != visible(other):
        return Reading.DIFFERENT
    readings: set[Reading] = set()
    for field in KINDS[one.type].fields:
        if field.secret:
            reading = secrets_alike(field, a.get(field.name), b.get(field.name))
            expected = field.required or (field.partner is not None and a.get(field.partner))
            # A required field that neither webhook shows is hidden.
            readings.add(Reading.UNKNOWN if reading is Reading.ABSENT and expected else reading)
    worst = (each for each in (Reading.DIFFERENT, Reading.UNKNOWN) if each in readings)
    return next(worst, Reading.SAME)


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
