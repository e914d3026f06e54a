"""What exactly was reviewed, as a number that two machines compute alike.

An operation's digest is over what a reviewer can see and what decides the result: kind, live id or
its absence, and name, type, events, plain configuration and secret references before and after.
Positions, guards, reasons and secret values are no part of it, so a plan has the same digest with
and without the secrets at hand, in any order of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from reconciler.kinds import KINDS
from reconciler.model import Scheme, SecretRef, Unknown, Webhook
from reconciler.planning.changes import (
    Change,
    Create,
    Delete,
    KeyLost,
    SecretChange,
    Snapshot,
    Update,
)


def operation_digest(change: Change) -> str | None:
    """Return the digest of one change; None if only a secret's value makes it.

    No review can see such a change: that the value differs shows only where both are at hand.
    """
    if isinstance(change, Update) and only_secrets(change):
        return None
    match change:
        case Create(after=after):
            content = ["create", None, None, _declared(after)]
        case Update(before=before, after=after):
            content = ["update", before.id, _live(before), _declared(after)]
        case Delete(before=before):
            content = ["delete", before.id, _live(before), None]
    return _digest(content)


def only_secrets(change: Update) -> bool:
    """Say whether only referenced secrets change, and keys that this version does not know."""
    kind = KINDS[change.after.type]
    return all(
        isinstance(each.after, SecretRef)
        if isinstance(each, SecretChange)
        else isinstance(each, KeyLost) and kind.field(str(each.path[-1])) is None
        for each in change.fields
    )


def plan_digest(origin: str, organization: str, operations: Iterable[str | None]) -> str:
    """Return the digest of a whole plan: the organization and the set of its operations."""
    return _digest([origin, organization, sorted(each for each in operations if each)])


def _declared(webhook: Webhook) -> dict[str, Any]:
    kind = KINDS[webhook.type]
    configuration: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        field = kind.field(name)
        if isinstance(value, SecretRef):
            configuration[name] = _reference(value)
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
    return "sha256:" + sha256(text.encode()).hexdigest()
