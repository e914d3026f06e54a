"""Whether a plan is what was reviewed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from reconciler.ci.approval import NoReview, Review, judge

from reconciler.ci.marker import Marker, listed
from reconciler.model import Organization, Webhook
from reconciler.planning.changes import Create
from reconciler.planning.digest import Operation
from reconciler.planning.plan import Plan

ORIGIN = "https://api.cloudtruth.io"


def operation(number: int) -> Operation:
    return Operation(digest=f"{number:032x}", name=f"w{number}")


def plan(*numbers: int | None, digest: str = "sha256:" + "d" * 64) -> Plan:
    """Make a plan with one create for each number; None has no digest."""
    changes = tuple(
        Create(
            after=Webhook(
                name=f"w{number}", type="slack", event_types=frozenset(), configuration={}
            )
        )
        for number in numbers
    )
    return Plan(
        origin=ORIGIN,
        organization=Organization(id="org", name="Acme"),
        changes=changes,
        operations=tuple(() if each is None else (operation(each),) for each in numbers),
        digest=digest,
    )


def review(number: int, *shown: int, digest: str = "sha256:" + "e" * 64) -> Review:
    marker = Marker(
        kind="plan",
        label="",
        file="w.yaml",
        organization="org",
        origin=ORIGIN,
        digest=digest,
        operations=listed([operation(each) for each in shown]),
    )
    return Review(number=number, marker=marker)


numbers = st.lists(st.integers(0, 6), unique=True, max_size=6)


@given(now=numbers, shown=st.lists(numbers, max_size=3))
def test_a_plan_is_approved_if_every_operation_was_shown_somewhere(
    now: list[int], shown: list[list[int]]
) -> None:
    """The union of all reviews decides; doing less than was shown is fine."""
    verdict = judge(plan(*now), [review(at, *each) for at, each in enumerate(shown)])
    unseen = [each for each in now if not any(each in one for one in shown)]
    assert verdict.approved is (not unseen)
    assert [each.name for each in verdict.missing] == [f"w{each}" for each in unseen]


def test_a_change_that_only_a_secret_makes_needs_no_review() -> None:
    """Nobody could have seen it."""
    assert judge(plan(None), []).approved


def test_the_whole_plan_counts_where_its_operations_are_not_listed() -> None:
    """With too many operations for a comment the digest of all of them is the review."""
    whole = review(1)
    assert whole.marker is not None
    made = plan(1, 2)
    unlisted = replace(whole, marker=replace(whole.marker, operations=None, digest=made.digest))
    assert judge(made, [unlisted]).approved
    other = replace(whole, marker=replace(whole.marker, operations=None))
    assert not judge(made, [other]).approved


def test_reviews_that_do_not_count_are_named_with_their_reason() -> None:
    """No comment, a failed plan, another organization, another server."""
    good = review(9, 1)
    assert good.marker is not None
    reviews = [
        Review(number=1, marker=None),
        Review(number=2, marker=replace(good.marker, digest=None)),
        Review(number=3, marker=replace(good.marker, organization="other")),
        Review(number=4, marker=replace(good.marker, origin="https://elsewhere.example")),
    ]
    verdict = judge(plan(1), reviews)
    assert not verdict.approved
    assert verdict.discounted == (
        (1, NoReview.NO_COMMENT),
        (2, NoReview.NO_PLAN),
        (3, NoReview.OTHER_ORGANIZATION),
        (4, NoReview.OTHER_ORGANIZATION),
    )
    assert judge(plan(1), [*reviews, good]).approved
