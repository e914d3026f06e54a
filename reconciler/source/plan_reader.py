"""From the tree of a plan document back to a `Plan`.

Types are checked value by value, since nothing about the file is known to be true. That no key is
missing, unknown or at odds with the rest is the business of `saved_plan`, which writes the plan
again and compares.
"""

from __future__ import annotations

from reconciler.findings import Finding, Related, Severity
from reconciler.model import Organization
from reconciler.planning.changes import Kept, Reason, Unmanaged
from reconciler.planning.guards import Grounds
from reconciler.planning.plan import Matched, Plan, SecretUse
from reconciler.source.change_reader import (
    position_or_none,
    read_change,
    read_position,
    read_reference,
    read_snapshot,
    read_webhook,
)
from reconciler.source.typed import (
    MalformedError,
    count,
    each_of,
    flag,
    member,
    take,
    text,
    text_or_none,
)


def read_plan(tree: object) -> Plan:
    """Return the plan that a document holds. Raises MalformedError at the first odd value."""

    def number(key: str) -> int:
        return take(tree, "counts", lambda counts: take(counts, key, count))

    return Plan(
        origin=take(tree, "origin", text),
        organization=take(tree, "organization", _organization),
        changes=each_of(tree, "changes", read_change),
        matched=each_of(tree, "matched", _matched),
        kept=each_of(tree, "kept", _kept),
        unmanaged=each_of(tree, "unmanaged", _unmanaged),
        ignored=number("ignored"),
        files=number("files"),
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


def _kept(tree: object) -> Kept:
    webhooks = each_of(tree, "webhooks", read_snapshot)
    if not webhooks:
        raise MalformedError("webhooks")
    return Kept(
        webhooks=webhooks,
        reason=take(tree, "reason", lambda each: member(each, Reason)),
        position=take(tree, "position", position_or_none),
        detail=take(tree, "detail", text),
    )


def _unmanaged(tree: object) -> Unmanaged:
    return Unmanaged(
        webhook=take(tree, "webhook", read_snapshot),
        reason=take(tree, "reason", lambda each: member(each, Reason)),
    )


def _matched(tree: object) -> Matched:
    return Matched(id=take(tree, "id", text), webhook=take(tree, "webhook", read_webhook))


def _unreadable(tree: object) -> tuple[str, str]:
    return (take(tree, "webhook", text), take(tree, "field", text))


def _use(tree: object) -> SecretUse:
    return SecretUse(
        reference=take(tree, "reference", read_reference),
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
        position=take(tree, "position", position_or_none),
        hint=take(tree, "hint", text_or_none),
        excerpt=take(tree, "excerpt", text_or_none),
        related=each_of(
            tree,
            "related",
            lambda each: Related(
                message=take(each, "message", text), position=take(each, "position", read_position)
            ),
        ),
    )
