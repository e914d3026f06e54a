"""One declared webhook against one live one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.kinds import KINDS, Field
from reconciler.model import (
    UNKNOWN,
    LiveValue,
    LiveWebhook,
    Secret,
    SecretRef,
    Unknown,
    Value,
    Webhook,
)
from reconciler.planning.changes import (
    FieldChange,
    KeyLost,
    SecretCause,
    SecretChange,
    Snapshot,
    ValueChange,
)
from reconciler.planning.readback import Evidence, Reading, declared_secret, secret_reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How live differs from declared; no `fields`: it does not.

    `unreadable` names declared fields that the server does not show, `undecided` those of them
    plus the secret fields that are shown while the declared value is not at hand.
    """

    fields: tuple[FieldChange, ...] = ()
    unreadable: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


_SAME = Comparison()


def destination(webhook: Webhook, secrets: Mapping[SecretRef, Secret] | None = None) -> str:
    """Say where a declared webhook delivers: `slack #channel`, or scheme and host."""
    kind = KINDS[webhook.type]
    value = webhook.configuration.get(kind.destination)
    field = kind.field(kind.destination)
    if field is None or not field.secret:
        if field is None or not isinstance(value, str):
            return kind.type
        return f"{kind.type} {field.written(value)}"
    if isinstance(value, SecretRef):
        secret = (secrets or {}).get(value)
        return f"{kind.type} {_address(secret) if secret is not None else value}"
    return f"{kind.type} {_address(Secret(str(value)))}"


def _address(url: Secret) -> str:
    origin = url.origin()
    return "***" if origin is None else f"{origin}/***"


def snapshot(live: LiveWebhook, declared: Webhook | None = None) -> Snapshot:
    """Return what may be remembered of a live webhook.

    A URL is remembered only where it is the plain one that `declared` holds.
    """
    kind = KINDS.get(live.type)
    shown: dict[str, str | bool | Unknown] = {}
    where = live.type
    if kind is not None and not isinstance(live.configuration, Unknown):
        for field in kind.fields:
            value = live.configuration.get(field.name)
            if not field.secret:
                if field.name in live.configuration:
                    shown[field.name] = _plain(field, value)
                    if field.name == kind.destination and isinstance(value, str):
                        where = f"{live.type} {field.written(value)}"
                continue
            wanted = None if declared is None else declared.configuration.get(field.name)
            if isinstance(value, Secret):
                if isinstance(wanted, str) and Secret(wanted).same_as(value):
                    shown[field.name] = wanted
                if field.name == kind.destination:
                    where = f"{live.type} {_address(value)}"
    return Snapshot(
        id=live.id,
        name=live.name,
        type=live.type,
        event_types=live.event_types,
        configuration=shown,
        destination=where,
        last_run=live.last_run,
    )


def _plain(field: Field, value: LiveValue | Unknown) -> str | bool | Unknown:
    """Return a plain field's value as compared and shown: text as text, flags as flags.

    A value of another kind is UNKNOWN: it differs from all that can be declared.
    """
    if isinstance(value, bool if field.flag else str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and not field.flag:
        return str(value)
    return UNKNOWN


def compare(
    webhook: Webhook,
    live: LiveWebhook,
    secrets: Mapping[SecretRef, Secret],
    evidence: Evidence,
) -> Comparison:
    """Return what must change for `live` to be as `webhook` says.

    Event types are sets; a channel is the same with and without its `#`. A field that is live, is
    not declared and has not its default value must go.
    """
    if live.type != webhook.type:
        return _retyped(webhook, live)
    if _is_as_declared(webhook, live, secrets):
        return _SAME  # most are, and need no closer look
    unreadable: list[str] = []
    undecided: list[str] = []
    secret_changes: list[SecretChange] = []
    shown = live.configuration
    configured: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        field = _field(webhook, name)
        found = UNKNOWN if isinstance(shown, Unknown) else shown.get(name)
        if field.secret:
            reading = secret_reading(webhook.type, field, value, found, secrets, evidence)
        else:
            reading = _plain_reading(field, value, found)
        match reading:
            case Reading.SAME:
                pass
            case Reading.UNKNOWN:
                unreadable.append(name)
                undecided.append(name)
            case Reading.NOT_AT_HAND:
                undecided.append(name)
            case Reading.DIFFERENT if field.secret:
                cause = SecretCause.DIFFERS
                secret_changes.append(secret_change(webhook, name, cause, found, secrets))
            case Reading.ABSENT if field.secret:
                cause = SecretCause.ADDED
                secret_changes.append(secret_change(webhook, name, cause, found, secrets))
            case Reading.DIFFERENT:
                configured[name], wanted[name] = _plain(field, found), value
            case Reading.ABSENT:
                wanted[name] = value
    fields: list[FieldChange] = []
    if wanted or live.name != webhook.name or live.event_types != webhook.event_types:
        from reconciler.planning.diff import field_changes

        before: dict[str, Any] = {"name": live.name, "event_types": live.event_types}
        after: dict[str, Any] = {"name": webhook.name, "event_types": webhook.event_types}
        if wanted:
            before["configuration"], after["configuration"] = configured, wanted
        fields.extend(field_changes(before, after))
    fields.extend(secret_changes)
    fields.extend(KeyLost(path=("configuration", name)) for name in _undeclared(webhook, live))
    return Comparison(
        fields=tuple(fields), unreadable=tuple(unreadable), undecided=tuple(undecided)
    )


def _is_as_declared(
    webhook: Webhook, live: LiveWebhook, secrets: Mapping[SecretRef, Secret]
) -> bool:
    """Say, quickly, that `live` shows what is declared to the letter, and nothing else."""
    shown = live.configuration
    if (
        isinstance(shown, Unknown)
        or len(shown) != len(webhook.configuration)
        or live.name != webhook.name
        or live.event_types != webhook.event_types
    ):
        return False
    for name, value in webhook.configuration.items():
        found = shown.get(name)
        if isinstance(value, SecretRef):
            wanted = secrets.get(value)
            if wanted is None or not isinstance(found, Secret) or not wanted.same_as(found):
                return False
        elif type(found) is not type(value) or found != value:
            return False
    return True


def _field(webhook: Webhook, name: str) -> Field:
    field = KINDS[webhook.type].field(name)
    if field is None:
        raise AssertionError(f"{webhook.type} has no field {name}")
    return field


def _plain_reading(field: Field, declared: Value, live: LiveValue | Unknown) -> Reading:
    """Compare one field that is no secret; `live` is as in `secret_reading`."""
    if isinstance(live, Unknown):
        return Reading.UNKNOWN
    if _missing(live):
        return Reading.SAME if declared in (live, field.default) else Reading.ABSENT
    shown = _plain(field, live)
    if isinstance(shown, str) and isinstance(declared, str):
        same = field.normal(shown) == field.normal(declared)
    else:
        same = shown == declared
    return Reading.SAME if same else Reading.DIFFERENT


def _undeclared(webhook: Webhook, live: LiveWebhook) -> tuple[str, ...]:
    """Return the fields that live sets, none of them a default, and no file declares."""
    names = sorted(field.name for field in KINDS[webhook.type].fields)
    return tuple(name for name in names if name not in webhook.configuration and shows(live, name))


def shows(live: LiveWebhook, name: str) -> bool:
    """Say whether `live` shows a value of a field, beyond what the server fills in itself."""
    if isinstance(live.configuration, Unknown):
        return False
    value = live.configuration.get(name)
    if _missing(value) or (isinstance(value, Secret) and value.same_as(Secret(""))):
        return False
    kind = KINDS.get(live.type)
    field = kind.field(name) if kind is not None else None
    return field is None or value != field.default


def _missing(found: LiveValue | Unknown) -> bool:
    return found is None or found == ""


def secret_change(
    webhook: Webhook,
    name: str,
    cause: SecretCause,
    found: LiveValue | Unknown,
    secrets: Mapping[SecretRef, Secret],
) -> SecretChange:
    """Return the sending of a secret field; `found` is what is live."""
    value = webhook.configuration[name]
    is_address = name == KINDS[webhook.type].destination
    wanted = declared_secret(value, secrets)
    hosts = [each.origin() if isinstance(each, Secret) else None for each in (found, wanted)]
    return SecretChange(
        path=("configuration", name),
        after=value if isinstance(value, SecretRef) else str(value),
        cause=cause,
        before=_address(found) if is_address and isinstance(found, Secret) else None,
        destination=destination(webhook, secrets),
        moved=is_address and None not in hosts and hosts[0] != hosts[1],
    )


def _retyped(webhook: Webhook, live: LiveWebhook) -> Comparison:
    """Nothing of another type's configuration carries over: all declared fields are new."""
    from reconciler.planning.diff import field_changes

    before = {"name": live.name, "type": live.type, "event_types": live.event_types}
    after = {"name": webhook.name, "type": webhook.type, "event_types": webhook.event_types}
    fields: list[FieldChange] = list(field_changes(before, after))
    for name, value in sorted(webhook.configuration.items()):
        field = KINDS[webhook.type].field(name)
        path = ("configuration", name)
        if isinstance(value, SecretRef) or (field is not None and field.secret):
            fields.append(secret_change(webhook, name, SecretCause.ADDED, UNKNOWN, {}))
        else:
            fields.append(ValueChange(path=path, before=None, after=value))
    return Comparison(fields=tuple(fields))


def with_lost(
    webhook: Webhook, live: LiveWebhook, fields: tuple[FieldChange, ...]
) -> tuple[FieldChange, ...]:
    """Add the fields that this version does not know and a new configuration loses.

    Such a field alone is no difference: the server may set it by itself.
    """
    sent = any(each.path[0] == "configuration" for each in fields)
    if not sent or isinstance(live.configuration, Unknown) or live.type != webhook.type:
        return fields
    kind = KINDS[webhook.type]
    unknown = sorted(name for name in live.configuration if kind.field(name) is None)
    lost = (KeyLost(path=("configuration", name)) for name in unknown if shows(live, name))
    return (*fields, *lost)
