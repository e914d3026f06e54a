"""What exactly was reviewed, as a number that two machines compute alike.

An operation's digest is over what a reviewer can see and what decides the result: kind, live id or
its absence, and name, type, events, plain configuration and secret references before and after,
with the destination of deliveries where the commit shows it. Positions, guards, reasons and values
of secrets are not part of it, so a plan has the same digest with and without the values, in any
order of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeAlias

from reconciler.kinds import KINDS, Kind
from reconciler.model import Scheme, SecretRef, Unknown, Webhook
from reconciler.planning.changes import (
    Change,
    Create,
    Delete,
    FieldChange,
    KeyLost,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
)

DIGITS: Final = 32
"""Length of an operation's digest in hexadecimal digits: 128 bits."""

Shown: TypeAlias = Mapping[SecretRef, str]
"""Scheme and host of each reference whose file git tracks: a reviewer can read where it leads."""

RESENT: Final = frozenset(
    (SecretCause.REFERENCE_CHANGED, SecretCause.VERSION_CHANGED, SecretCause.REQUESTED)
)
"""The causes that send a secret although live cannot show that it differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a reviewer agrees to: a digest, and the webhook by id (None for a create) and name."""

    digest: str
    name: str
    id: str | None = None


def operations(change: Change, shown: Shown) -> tuple[Operation, ...]:
    """Return what a reviewer sees in one change: itself, and each secret that is resent with it.

    Nothing, if only the value behind an unchanged reference makes the change: no review can see
    that, as it shows only where both values are available.
    """
    id_ = None if isinstance(change, Create) else change.before.id
    match change:
        case Create(after=after):
            contents: list[Any] = [["create", None, None, _declared(after, shown)]]
        case Update():
            contents = list(_update(change, shown))
        case Delete(before=before):
            contents = [["delete", id_, _live(before), None]]
    return tuple(
        Operation(digest=_digest(each)[:DIGITS], name=change.name, id=id_) for each in contents
    )


def _update(change: Update, shown: Shown) -> Iterable[Any]:
    before, after = change.before, _declared(change.after, shown)
    kind = KINDS[change.after.type]
    seen = [each for each in change.fields if _visible(each, kind)]
    if seen:
        # Of secret fields nothing is in the rest: where a URL led, and which are there and go.
        secret = [
            [str(each.path[-1]), each.before if isinstance(each, SecretChange) else None]
            for each in seen
            if isinstance(each, SecretChange | KeyLost)
        ]
        yield ["update", before.id, _live(before), after, secret]
    goal = after["configuration"].get(kind.destination)
    for each in change.fields:
        if is_resend(each):
            name = str(each.path[-1])
            value = after["configuration"].get(name)
            yield ["resend", before.id, change.name, change.after.type, name, value, goal]


def is_resend(field: FieldChange) -> bool:
    """Say whether a field is sent, or goes, although live does not show that it differs."""
    match field:
        case SecretChange(cause=cause):
            return cause in RESENT
        case ValueChange(hidden=hidden) | KeyLost(hidden=hidden):
            return hidden
        case SetChange():
            return False


def _visible(field: FieldChange, kind: Kind) -> bool:
    """Say whether a reviewer sees that live differs.

    What this version does not know goes with whatever is sent, so it is no difference by itself.
    """
    if is_resend(field):
        return False
    match field:
        case SecretChange(after=after, cause=cause):
            return isinstance(after, str) or cause is SecretCause.DESTINATION
        case KeyLost(path=path):
            return kind.field(str(path[-1])) is not None
        case _:
            return True


def plan_digest(origin: str, organization: str, found: Iterable[Operation]) -> str:
    """Return the digest of a whole plan, over the organization and its operations.

    Empty for a plan without operations: there is nothing to review.
    """
    digests = sorted({each.digest for each in found})
    return f"sha256:{_digest([origin, organization, digests])}" if digests else ""


def _declared(webhook: Webhook, shown: Shown) -> dict[str, Any]:
    kind = KINDS[webhook.type]
    configuration: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        field = kind.field(name)
        if isinstance(value, SecretRef):
            configuration[name] = _reference(value)
            if name == kind.destination and value in shown:
                configuration[name]["destination"] = shown[value]
        elif isinstance(value, str) and field is not None:
            configuration[name] = field.normal(value)
        else:
            configuration[name] = value
    return _normal(webhook.name, webhook.type, webhook.event_types, configuration)


def _live(found: Snapshot) -> dict[str, Any]:
    kind = KINDS.get(found.type)
    configuration: dict[str, Any] = {}
    for name, value in found.configuration.items():
        field = kind.field(name) if kind is not None else None
        if isinstance(value, Unknown):
            configuration[name] = {"unknown": True}
        elif isinstance(value, str) and field is not None:
            configuration[name] = field.normal(value)
        else:
            configuration[name] = value
    return _normal(found.name, found.type, found.event_types, configuration)


def _normal(
    name: str, kind: str, events: frozenset[str], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "event_types": sorted(events),
        "configuration": configuration,
    }


def _reference(reference: SecretRef) -> dict[str, Any]:
    if reference.scheme is Scheme.LITERAL:
        return {"literal": True}
    shown: dict[str, Any] = {str(reference.scheme): reference.name}
    if reference.version is not None:
        shown["version"] = reference.version
    return shown


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
