"""Exactly what was reviewed: what a reviewer sees of a plan, and what a review lets through.

An operation's digest is over what a reviewer can see and what decides the result: kind, live id or
its absence, and name, type, events, plain configuration and secret references before and after,
with the destination of deliveries where the commit shows it. Positions, guards, reasons and values
of secrets are not part of it, so a plan has the same digest with and without the values, in any
order of files.

A review is a set of such digests, whether it comes from a saved plan, from comments on a pull
request or as the digest of a whole plan. The plan is always made again; `judge` says of each of
its operations whether it was reviewed. What was reviewed and is no longer planned is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any, Final, TypeAlias

from reconciler.errors import UsageError
from reconciler.kinds import KINDS, Kind
from reconciler.model import Scheme, SecretRef, Unknown, Webhook
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldChange,
    Kept,
    KeyLost,
    Operation,
    OperationDigest,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    Snapshot,
    Update,
    is_resend,
)
from reconciler.planning.resend import Resend, resends

DIGITS: Final = 32
"""Length of an operation's digest in hexadecimal digits: 128 bits."""

Shown: TypeAlias = Mapping[SecretRef, str]
"""Scheme and host of each reference whose file git tracks: a reviewer can read where it leads."""


def digests(operation: Operation, shown: Shown) -> tuple[OperationDigest, ...]:
    """Return what a reviewer sees in one operation: itself, and each secret that is resent with it.

    Nothing, if only the value behind an unchanged reference makes the operation: no review can see
    that, as it shows only where both values are available.
    """
    id_ = None if isinstance(operation, Create) else operation.before.id
    match operation:
        case Create(after=after):
            contents: list[Any] = [["create", None, None, _content(after, shown)]]
        case Update():
            contents = list(_update(operation, shown))
        case Delete(before=before):
            contents = [["delete", id_, _content(before, shown), None]]
    return tuple(
        OperationDigest(digest=_digest(each)[:DIGITS], name=operation.name, id=id_)
        for each in contents
    )


def _update(operation: Update, shown: Shown) -> Iterable[Any]:
    before, after = operation.before, _content(operation.after, shown)
    kind = KINDS[operation.after.type]
    seen = [each for each in operation.fields if _visible(each, kind)]
    if seen:
        # Of secret fields nothing is in the rest: where a URL led, and which are there and go.
        secret = [
            [str(each.path[-1]), each.before if isinstance(each, SecretChange) else None]
            for each in seen
            if isinstance(each, SecretChange | KeyLost)
        ]
        yield ["update", before.id, _content(before, shown), after, secret]
    goal = after["configuration"].get(kind.destination)
    for each in operation.fields:
        if is_resend(each):
            name = str(each.path[-1])
            value = after["configuration"].get(name)
            yield ["resend", before.id, operation.name, operation.after.type, name, value, goal]


def _visible(field: FieldChange, kind: Kind) -> bool:
    """Return whether a reviewer sees that live differs.

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


def check_digest(text: str) -> None:
    """Refuse what cannot be a plan's digest. Raises UsageError."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise UsageError(
            "the expected digest is empty or malformed",
            hint="copy all of it from the plan: sha256: and 64 hexadecimal digits",
        )


def plan_digest(origin: str, organization: str, found: Iterable[OperationDigest]) -> str:
    """Return the digest of a whole plan, over the organization and its operations.

    Empty for a plan without operations: there is nothing to review.
    """
    digests = sorted({each.digest for each in found})
    return f"sha256:{_digest([origin, organization, digests])}" if digests else ""


def _content(webhook: Webhook | Snapshot, shown: Shown) -> dict[str, Any]:
    kind = KINDS.get(webhook.type)
    configuration: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        field = kind.field(name) if kind is not None else None
        if isinstance(value, SecretRef):
            configuration[name] = _reference(value)
            if kind is not None and name == kind.destination and value in shown:
                configuration[name]["destination"] = shown[value]
        elif isinstance(value, Unknown):
            configuration[name] = {"unknown": True}
        elif isinstance(value, str) and field is not None:
            configuration[name] = field.normal(value)
        else:
            configuration[name] = value
    return {
        "name": webhook.name,
        "type": webhook.type,
        "event_types": sorted(webhook.event_types),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was agreed to, for one organization (its id) on one server (scheme and host).

    `resends` are the secrets that the reviewed plan sends again. They are planned again, too, as
    no listing shows whether that is done.
    """

    origin: str
    organization: str
    operations: frozenset[OperationDigest] = frozenset()
    resends: tuple[Resend, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest of the plan that was reviewed; empty if it had no operations."""
        return plan_digest(self.origin, self.organization, self.operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a review says of a plan; numbers are places in `plan.operations`.

    `unreviewed` has why each operation needs a review; `stale` are operations, or webhooks that the
    plan keeps, of which the review has something else.
    """

    reviewed: frozenset[int]
    unreviewed: dict[int, str]
    stale: tuple[Operation | Kept, ...]


def review_of(plan: Plan) -> Review:
    """Return the review that agrees to all of a plan."""
    return Review(
        origin=plan.origin,
        organization=plan.organization.id,
        operations=frozenset(chain.from_iterable(plan.digests)),
        resends=resends(plan.operations),
    )


def judge(plan: Plan, review: Review, *, values: bool) -> Judgement:
    """Hold a plan against a review.

    With `values` operations that only the value of a secret makes need no review.
    """
    digests = {each.digest for each in review.operations}
    mentioned = Mentioned(review.operations)
    agreed: set[int] = set()
    unreviewed: dict[int, str] = {}
    stale: list[Operation | Kept] = []
    for index, (operation, found) in enumerate(zip(plan.operations, plan.digests, strict=True)):
        id_ = None if isinstance(operation, Create) else operation.before.id
        if _moves(operation):
            unreviewed[index] = (
                f"the secret leads to another host than live has: {_bump(operation)}"
            )
        elif not found and not values:
            unreviewed[index] = (
                f"only the value of a secret differs, which no review shows: {_bump(operation)}"
            )
        elif digests.issuperset(each.digest for each in found):
            agreed.add(index)
        elif mentioned(id_, operation.name):
            stale.append(operation)
        else:
            unreviewed[index] = "no review has it"
    stale += [
        kept
        for kept in plan.kept
        if kept.reason is not Reason.PROTECTED
        and any(mentioned(each.id, each.name) for each in kept.webhooks)
    ]
    return Judgement(reviewed=frozenset(agreed), unreviewed=unreviewed, stale=tuple(stale))


def _moves(operation: Operation) -> bool:
    """Say whether a secret leads to another host than live has, and nothing shows that."""
    return isinstance(operation, Update) and any(
        isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.moved
        and not (is_resend(each) and each.cause is not SecretCause.REQUESTED)
        for each in operation.fields
    )


def _bump(operation: Operation) -> str:
    """Return the edit of the file that brings secrets into a review."""
    if not isinstance(operation, Update):
        return "bump its `version`"
    edits = [
        f"`{each.path[-1]}: {{{each.after.scheme}: {each.after.name}, "
        f"version: {(each.after.version or 1) + 1}}}`"
        for each in operation.fields
        if isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.after.scheme is not Scheme.LITERAL
    ]
    where = f" at {operation.after.position}" if edits and operation.after.position else ""
    return "bump its `version`" + (f" ({' and '.join(edits)}{where})" if edits else "")


class Mentioned:
    """The webhooks that a review mentions: by id, else by name."""

    def __init__(self, operations: Iterable[OperationDigest]) -> None:
        found = tuple(operations)
        self._ids = {each.id for each in found}
        self._names = {each.name for each in found}
        self._created = {each.name for each in found if each.id is None}

    def __call__(self, id: str | None, name: str) -> bool:
        """Return whether the webhook of that id (None if it is not live) and name is one."""
        if id is None:
            return name in self._names
        return id in self._ids or name in self._created
