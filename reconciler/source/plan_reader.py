"""From the tree of a plan document back to a `Plan`.

Types are checked value by value, since nothing about the file is known to be true. That no key is
missing, unknown or at odds with the rest is the business of `saved_plan`, which writes the plan
again and compares.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.findings import Finding, Position, Related, Severity
from reconciler.kinds import KINDS, Kind
from reconciler.model import (
    EVENT_TYPES,
    UNKNOWN,
    Organization,
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
    Kept,
    KeyLost,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Unmanaged,
    Update,
    ValueChange,
)
from reconciler.planning.guards import Grounds
from reconciler.planning.plan import Matched, Plan, SecretUse
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


def read_plan(tree: object) -> Plan:
    """Return the plan that a document holds. Raises MalformedError at the first odd value."""

    def number(key: str) -> int:
        return take(tree, "counts", lambda counts: take(counts, key, count))

    return Plan(
        origin=take(tree, "origin", text),
        organization=take(tree, "organization", _organization),
        changes=each_of(tree, "changes", _change),
        matched=each_of(tree, "matched", _matched),
        kept=each_of(tree, "kept", _kept),
        unmanaged=each_of(tree, "unmanaged", _unmanaged),
        ignored=number("ignored"),
        in_scope=number("in_scope"),
        live=number("live"),
        grounds=take(tree, "grounds", _grounds),
        blocked=each_of(tree, "blocked", _finding),
        notes=each_of(tree, "notes", _finding),
        relaxed=each_of(tree, "relaxed", _finding),
        unreadable=each_of(tree, "unreadable", _unreadable),
        secrets=each_of(tree, "secrets", _use),
        operations=each_of(tree, "changes", lambda each: take(each, "operation", text_or_none)),
        digest=take(tree, "digest", text),
    )


def _change(tree: object) -> Change:
    attribution = take(tree, "attribution", lambda each: member_or_none(each, Attribution))
    reason = take(tree, "reason", lambda each: member(each, Reason))
    match take(tree, "action", text):
        case "create":
            return Create(
                after=take(tree, "after", _webhook), reason=reason, attribution=attribution
            )
        case "update":
            return Update(
                before=take(tree, "before", _snapshot),
                after=take(tree, "after", _webhook),
                fields=each_of(tree, "fields", _field),
                reason=reason,
                attribution=attribution,
            )
        case "delete":
            return Delete(
                before=take(tree, "before", _snapshot),
                reason=reason,
                position=take(tree, "position", _position_or_none),
                keeps=take(tree, "keeps", text_or_none),
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
            dropped = "dropped" in mapping(tree) and take(tree, "dropped", flag)
            return KeyLost(path=path, dropped=dropped)
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


def _webhook(tree: object) -> Webhook:
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
        position=take(tree, "position", _position_or_none),
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
    return _text_or_reference if field.address else _reference


def _snapshot(tree: object) -> Snapshot:

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


def _kept(tree: object) -> Kept:
    webhooks = each_of(tree, "webhooks", _snapshot)
    if not webhooks:
        raise MalformedError("webhooks")
    return Kept(
        webhooks=webhooks,
        reason=take(tree, "reason", lambda each: member(each, Reason)),
        position=take(tree, "position", _position_or_none),
        detail=take(tree, "detail", text),
    )


def _unmanaged(tree: object) -> Unmanaged:
    return Unmanaged(
        webhook=take(tree, "webhook", _snapshot),
        reason=take(tree, "reason", lambda each: member(each, Reason)),
    )


def _matched(tree: object) -> Matched:
    return Matched(id=take(tree, "id", text), webhook=take(tree, "webhook", _webhook))


def _unreadable(tree: object) -> tuple[str, str]:
    return (take(tree, "webhook", text), take(tree, "field", text))


def _use(tree: object) -> SecretUse:
    return SecretUse(
        reference=take(tree, "reference", _reference),
        webhook=take(tree, "webhook", text),
        field=take(tree, "field", text),
        destination=take(tree, "destination", text),
    )


def _organization(tree: object) -> Organization:
    return Organization(
        id=take(tree, "id", text),
        name=take(tree, "name", text),
        role=take(tree, "role", text_or_none),
        maintenance=take(tree, "maintenance", flag),
    )


def _grounds(tree: object) -> Grounds:
    return Grounds(
        declared=take(tree, "declared", flag),
        found=take(tree, "found", flag),
        max_deletes=take(tree, "max_deletes", lambda each: None if each is None else count(each)),
    )


def _finding(tree: object) -> Finding:
    return Finding(
        rule=take(tree, "rule", text),
        severity=take(tree, "severity", lambda each: member(each, Severity)),
        message=take(tree, "message", text),
        position=take(tree, "position", _position_or_none),
        hint=take(tree, "hint", text_or_none),
        excerpt=take(tree, "excerpt", text_or_none),
        related=each_of(
            tree,
            "related",
            lambda each: Related(
                message=take(each, "message", text), position=take(each, "position", _position)
            ),
        ),
    )


def _position(tree: object) -> Position:
    return Position(
        file=take(tree, "file", text),
        line=take(tree, "line", count),
        column=take(tree, "column", count),
        width=take(tree, "width", count),
    )


def _position_or_none(tree: object) -> Position | None:
    return None if tree is None else _position(tree)


def _reference(tree: object) -> SecretRef:
    content = mapping(tree)
    version = take(content, "version", count) if "version" in content else None
    for scheme in Scheme:
        if scheme in content:
            return SecretRef(scheme=scheme, name=take(content, scheme, text), version=version)
    raise MalformedError("")


def _text_or_reference(tree: object) -> str | SecretRef:
    return tree if type(tree) is str else _reference(tree)


def _plain(tree: object) -> str | bool | Unknown:
    return UNKNOWN if tree == {"unknown": True} else text_or_flag(tree)


def _event(tree: object) -> str:
    if type(tree) is not str or tree not in _EVENTS:
        raise MalformedError("")
    return tree
