"""From the tree of a change in a plan document back to a `Change`, and what changes are made of."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings import Position
from reconciler.kinds import KINDS, Kind
from reconciler.model import (
    EVENT_TYPES,
    UNKNOWN,
    Path,
    Scheme,
    SecretRef,
    Unknown,
    Value,
    Webhook,
)
from reconciler.planning.changes import (
    Attribution,
    Change,
    Create,
    Delete,
    FieldChange,
    KeyLost,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
)
from reconciler.source.typed import (
    MalformedError,
    count,
    each_of,
    flag,
    mapping,
    member,
    member_or_none,
    take,
    text,
    text_or_flag,
    text_or_none,
)

_EVENTS = frozenset(EVENT_TYPES)
_TOP = ("name", "type", "event_types")


def read_change(tree: object) -> Change:
    """Return one change. Raises MalformedError, as all of these do."""
    attribution = take(tree, "attribution", lambda each: member_or_none(each, Attribution))
    reason = take(tree, "reason", lambda each: member(each, Reason))
    match take(tree, "action", text):
        case "create":
            return Create(
                after=take(tree, "after", read_webhook), reason=reason, attribution=attribution
            )
        case "update":
            return Update(
                before=take(tree, "before", read_snapshot),
                after=take(tree, "after", read_webhook),
                fields=each_of(tree, "fields", _field),
                reason=reason,
                attribution=attribution,
            )
        case "delete":
            return Delete(
                before=take(tree, "before", read_snapshot),
                reason=reason,
                position=take(tree, "position", position_or_none),
                keeps=take(tree, "keeps", text_or_none),
                hidden=take(tree, "hidden", flag),
                attribution=attribution,
            )
        case _:
            raise MalformedError("action")


def _field(tree: object) -> FieldChange:
    path = take(tree, "path", _path)
    match take(tree, "change", text):
        case "value":
            return ValueChange(
                path=path,
                before=take(tree, "before", lambda each: None if each is None else _plain(each)),
                after=take(tree, "after", text_or_flag),
            )
        case "set":
            return SetChange(
                path=path,
                added=each_of(tree, "added", text),
                removed=each_of(tree, "removed", text),
                unchanged=take(tree, "unchanged", count),
            )
        case "secret":
            return SecretChange(
                path=path,
                after=take(tree, "after", _text_or_reference),
                cause=take(tree, "cause", lambda each: member(each, SecretCause)),
                before=take(tree, "before", text_or_none),
                destination=take(tree, "destination", text),
            )
        case "lost":
            return KeyLost(path=path)
        case _:
            raise MalformedError("change")


def _path(tree: object) -> Path:
    match tree:
        case [str() as field] if field in _TOP:
            return (field,)
        case ["configuration", str() as field]:
            return ("configuration", field)
        case _:
            raise MalformedError("")


def read_webhook(tree: object) -> Webhook:
    """Return a webhook as it is declared."""
    kind = KINDS.get(take(tree, "type", text))
    if kind is None:
        raise MalformedError("type")

    def configuration(values: object) -> dict[str, Value]:
        return {name: take(values, name, _reader(kind, name)) for name in mapping(values)}

    return Webhook(
        name=take(tree, "name", text),
        type=kind.type,
        event_types=frozenset(each_of(tree, "event_types", _event)),
        configuration=take(tree, "configuration", configuration),
        id=take(tree, "id", text_or_none),
        previously=each_of(tree, "previously", text),
        adopt="adopt" in mapping(tree) and take(tree, "adopt", flag),
        position=take(tree, "position", position_or_none),
    )


def _reader(kind: Kind, name: str) -> Callable[[object], Value]:
    """Return what reads a field. An address may be plain text, other secrets may not."""
    field = kind.field(name)
    if field is None:
        raise MalformedError(name)
    if field.flag:
        return flag
    if not field.secret:
        return text
    return _text_or_reference if field.address else read_reference


def read_snapshot(tree: object) -> Snapshot:
    """Return a live webhook as a plan shows it."""

    def configuration(values: object) -> dict[str, str | bool | Unknown]:
        return {name: take(values, name, _plain) for name in mapping(values)}

    return Snapshot(
        id=take(tree, "id", text),
        name=take(tree, "name", text),
        type=take(tree, "type", text),
        event_types=frozenset(each_of(tree, "event_types", text)),
        configuration=take(tree, "configuration", configuration),
        destination=take(tree, "destination", text),
        last_run=take(tree, "last_run", text_or_none),
    )


def read_position(tree: object) -> Position:
    """Return a place in a file."""
    return Position(
        file=take(tree, "file", text),
        line=take(tree, "line", count),
        column=take(tree, "column", count),
        width=take(tree, "width", count),
    )


def position_or_none(tree: object) -> Position | None:
    """Return a place in a file, or None for null."""
    return None if tree is None else read_position(tree)


def read_reference(tree: object) -> SecretRef:
    """Return where a secret comes from."""
    content = mapping(tree)
    version = take(content, "version", count) if "version" in content else None
    for scheme in Scheme:
        if scheme in content:
            return SecretRef(scheme=scheme, name=take(content, scheme, text), version=version)
    raise MalformedError("")


def _text_or_reference(tree: object) -> str | SecretRef:
    return tree if type(tree) is str else read_reference(tree)


def _plain(tree: object) -> str | bool | Unknown:
    return UNKNOWN if tree == {"unknown": True} else text_or_flag(tree)


def _event(tree: object) -> str:
    if type(tree) is not str or tree not in _EVENTS:
        raise MalformedError("")
    return tree
