"""Exactly what was reviewed: the one rule by which an apply holds a plan against a review.

A review is a set of operations, whether it comes from a saved plan, from comments on a pull
request or as the digest of a whole plan. The plan is always made again; `judge` says of each of
its changes whether it was reviewed. What was reviewed and is no longer planned is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from reconciler.model import Scheme, SecretRef
from reconciler.planning.changes import (
    Change,
    Create,
    Kept,
    Reason,
    SecretCause,
    SecretChange,
    Update,
)
from reconciler.planning.digest import Operation, is_resend, plan_digest
from reconciler.planning.plan import Plan
from reconciler.planning.resend import Resend, resends


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was agreed to, for one organization (its id) on one server (scheme and host).

    `resends` are the secrets that the reviewed plan sends again. They are planned again, too, as
    no listing shows whether that is done.
    """

    origin: str
    organization: str
    operations: frozenset[Operation] = frozenset()
    resends: tuple[Resend, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest of the plan that was reviewed; empty if it had no operations."""
        return plan_digest(self.origin, self.organization, self.operations)


Stale: TypeAlias = Change | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a review says of a plan; numbers are places in `plan.changes`.

    `unreviewed` has why each change needs a review; `stale` are changes, or webhooks that the plan
    keeps, of which the review has something else.
    """

    reviewed: frozenset[int]
    unreviewed: dict[int, str]
    stale: tuple[Stale, ...]


def review_of(plan: Plan) -> Review:
    """Return the review that agrees to all of a plan."""
    return Review(
        origin=plan.origin,
        organization=plan.organization.id,
        operations=frozenset(chain.from_iterable(plan.operations)),
        resends=resends(plan.changes),
    )


def judge(plan: Plan, review: Review, *, values: bool) -> Judgement:
    """Hold a plan against a review.

    With `values` changes that only the value of a secret makes need no review.
    """
    digests = {each.digest for each in review.operations}
    mentioned = Mentioned(review.operations)
    agreed: set[int] = set()
    unreviewed: dict[int, str] = {}
    stale: list[Stale] = []
    for index, (change, found) in enumerate(zip(plan.changes, plan.operations, strict=True)):
        id_ = None if isinstance(change, Create) else change.before.id
        if _moves(change):
            unreviewed[index] = f"the secret leads to another host than live has: {_bump(change)}"
        elif not found and not values:
            unreviewed[index] = (
                f"only the value of a secret differs, which no review shows: {_bump(change)}"
            )
        elif digests.issuperset(each.digest for each in found):
            agreed.add(index)
        elif mentioned(id_, change.name):
            stale.append(change)
        else:
            unreviewed[index] = "no review has it"
    stale += [
        kept
        for kept in plan.kept
        if kept.reason is not Reason.PROTECTED
        and any(mentioned(each.id, each.name) for each in kept.webhooks)
    ]
    return Judgement(reviewed=frozenset(agreed), unreviewed=unreviewed, stale=tuple(stale))


def _moves(change: Change) -> bool:
    """Say whether a secret leads to another host than live has, and nothing shows that."""
    return isinstance(change, Update) and any(
        isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.moved
        and not (is_resend(each) and each.cause is not SecretCause.REQUESTED)
        for each in change.fields
    )


def _bump(change: Change) -> str:
    """Return the edit of the file that brings secrets into a review."""
    if not isinstance(change, Update):
        return "bump its `version`"
    edits = [
        f"`{each.path[-1]}: {{{each.after.scheme}: {each.after.name}, "
        f"version: {(each.after.version or 1) + 1}}}`"
        for each in change.fields
        if isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.after.scheme is not Scheme.LITERAL
    ]
    where = f" at {change.after.position}" if edits and change.after.position else ""
    return "bump its `version`" + (f" ({' and '.join(edits)}{where})" if edits else "")


class Mentioned:
    """The webhooks that a review mentions: by id, else by name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        found = tuple(operations)
        self._ids = {each.id for each in found}
        self._names = {each.name for each in found}
        self._created = {each.name for each in found if each.id is None}

    def __call__(self, id: str | None, name: str) -> bool:
        """Return whether the webhook of that id (None if it is not live) and name is one."""
        if id is None:
            return name in self._names
        return id in self._ids or name in self._created
