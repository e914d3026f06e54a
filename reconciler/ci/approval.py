"""Whether what would be applied is what people reviewed.

Reviewed is the union of the operations that the plan comments of the merged pull requests showed.
A plan may do less than that, for a part may be done already; it may do nothing more. Changes that
only a secret's value makes have no digest, no review can see them, and they need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from reconciler.ci.marker import Marker
from reconciler.planning.changes import Change
from reconciler.planning.plan import Plan
from reconciler.values import dataclass


class NoReview(StrEnum):
    """Why a merged pull request approves nothing."""

    NO_COMMENT = "it has no plan comment of this workflow"
    NO_PLAN = "its last plan failed"
    OTHER_ORGANIZATION = "its plan is of another organization or server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one merged pull request says: the marker of its plan comment, None without one."""

    number: int
    marker: Marker | None

    def refusal(self, plan: Plan) -> NoReview | None:
        """Return why this review does not count for `plan`; None if it does."""
        if self.marker is None:
            return NoReview.NO_COMMENT
        if self.marker.digest is None:
            return NoReview.NO_PLAN
        here = (plan.organization.id, plan.origin)
        if (self.marker.organization, self.marker.origin) != here:
            return NoReview.OTHER_ORGANIZATION
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which changes of a plan nobody approved, and which reviews did not count and why."""

    missing: tuple[Change, ...]
    discounted: tuple[tuple[int, NoReview], ...]

    @property
    def approved(self) -> bool:
        """Say whether the plan may be applied."""
        return not self.missing


def judge(plan: Plan, reviews: Sequence[Review]) -> Verdict:
    """Compare the plan's operations with all that was reviewed."""
    counted: list[Marker] = []
    discounted: list[tuple[int, NoReview]] = []
    for review in reviews:
        refusal = review.refusal(plan)
        if refusal is not None:
            discounted.append((review.number, refusal))
        elif review.marker is not None:
            counted.append(review.marker)
    if any(marker.digest == plan.digest for marker in counted):
        return Verdict(missing=(), discounted=tuple(discounted))
    approved = {each for marker in counted for each in marker.operations or ()}
    missing = tuple(
        change
        for change, found in zip(plan.changes, plan.operations, strict=True)
        if not approved.issuperset(each.digest for each in found)
    )
    return Verdict(missing=missing, discounted=tuple(discounted))
