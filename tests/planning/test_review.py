"""The rule of reviews: reviewed, stale, not reviewed, done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import Live, Scheme, Secret, SecretRef
from reconciler.planning.plan import Create, Plan, SecretCause, SecretChange, Update
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import Judgement, Review, judge, review_of
from tests.planning.builders import (
    OTHER_TOKEN,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    made,
    slack,
)

HOOK = SecretRef(scheme=Scheme.FILE, name="hooks/pager")
OLD, NEW = "https://hooks.example.com", "https://new.example.com"
MOVED = {HOOK: Secret(f"{NEW}/secret")}


def judged(result: Plan, review: Review, *, values: bool = False) -> tuple[list[str], ...]:
    """Return the names of what is reviewed, not reviewed, and stale."""
    found: Judgement = judge(result, review, values=values)
    return (
        [result.operations[index].name for index in sorted(found.reviewed)],
        [result.operations[index].name for index in sorted(found.unreviewed)],
        [each.name for each in found.stale],
    )


TWO = desired(slack("A", channel="#a"), slack("B", channel="#b"))


def test_what_is_done_is_no_longer_planned() -> None:
    """After half of it the other half is still reviewed."""
    review = review_of(made(TWO))
    result = made(TWO, live_slack("A", channel="#a"))
    assert judged(result, review) == (["B"], [], [])
    done = live(live_slack("A", channel="#a"), live_slack("B", "id-2", channel="#b"))
    assert judged(made(TWO, done), review) == ([], [], [])


def test_another_webhook_is_not_reviewed() -> None:
    """A review of one webhook agrees to nothing of another."""
    review = review_of(made(desired(slack("A", channel="#a"))))
    assert judged(made(TWO), review) == (["A"], ["B"], [])


@pytest.mark.parametrize(
    ("reviewed", "found"),
    [
        (live(), live(live_slack("A", channel="#other"))),
        (live(live_slack("A", channel="#x")), live(live_slack("A", channel="#y"))),
        (live(live_slack("A", channel="#x")), live()),
        (live(live_slack("old", channel="#x")), live(live_slack("A", channel="#y"))),
    ],
    ids=["created by someone", "changed by someone", "deleted by someone", "renamed by someone"],
)
def test_something_else_of_a_reviewed_webhook_is_stale(reviewed: Live, found: Live) -> None:
    """By id, and by name where there is no id yet or no longer."""
    declared = desired(slack("A", channel="#a", previously=("old",)), slack("B", channel="#b"))
    review = review_of(made(declared, reviewed))
    assert judged(made(declared, found), review)[2] == ["A"]


def test_a_reviewed_webhook_that_is_kept_now_is_stale() -> None:
    """Two of the name, which differ: none of them is written, and it is said."""
    review = review_of(made(TWO))
    twins = live(live_slack("A", "1", channel="#x"), live_slack("A", "2", channel="#y"))
    assert judged(made(TWO, twins), review)[2] == ["A"]


def test_a_value_alone_needs_no_review_only_if_that_is_said() -> None:
    """No review can have it; it goes along with an update of the same webhook."""
    rotated = live(live_slack("A", channel="#a", token=OTHER_TOKEN))
    review = review_of(made(TWO, rotated, secrets={}))
    result = made(TWO, rotated)
    assert judged(result, review) == (["B"], ["A"], [])
    assert judged(result, review, values=True) == (["A", "B"], [], [])
    other = live(live_slack("A", channel="#x", token=OTHER_TOKEN))
    assert judged(made(TWO, other), review_of(made(TWO, other, secrets={})))[0] == ["A", "B"]


def test_another_host_behind_a_reference_is_not_reviewed() -> None:
    """Nobody who reads the commit can see it, whatever else was reviewed of the webhook."""
    declared = desired(generic(url=HOOK, verify=False))
    found = live(live_generic(verify=True))
    review = review_of(made(declared, found, secrets={}))
    judgement = judge(made(declared, found, secrets=MOVED), review, values=True)
    (why,) = judgement.unreviewed.values()
    assert why.startswith("the secret leads to another host than live has: bump its `version`")
    same = {HOOK: Secret(f"{OLD}/another")}
    assert judged(made(declared, found, secrets=same), review)[0] == ["Pager"]


def test_a_bump_is_the_review_of_another_host() -> None:
    """The reference with its version is what a reviewer sees of the destination."""
    bumped = replace(HOOK, version=2)
    declared = desired(generic(url=bumped))
    options = PlanOptions(previous=desired(generic(url=HOOK)))
    planned = plan(declared, live(live_generic()), {}, options)
    review = review_of(planned)
    again = PlanOptions(reviewed=review.resends)
    result = plan(declared, live(live_generic()), {bumped: MOVED[HOOK]}, again)
    assert judged(result, review) == (["Pager"], [], [])


def test_a_request_alone_is_no_review_of_another_host() -> None:
    """To send a secret again is not to send it elsewhere."""
    declared, found = desired(generic(url=HOOK)), live(live_generic())
    review = review_of(made(declared, found, secrets={}, resend_all=True))
    result = made(declared, found, secrets=MOVED, reviewed=review.resends)
    assert judged(result, review, values=True) == ([], ["Pager"], [])


def test_a_host_that_the_commit_shows_is_reviewed() -> None:
    """The content of a file that git tracks is part of the digest, as far as its host goes."""
    declared, found = desired(generic(url=HOOK)), live(live_generic())
    shown = PlanOptions(shown={HOOK: NEW})
    result = plan(declared, found, MOVED, shown)
    ((operation,),) = result.digests
    (change,) = result.updates[0].fields
    assert isinstance(change, SecretChange)
    assert change.cause is SecretCause.DESTINATION
    assert judged(result, review_of(result)) == (["Pager"], [], [])
    elsewhere = live(live_generic(url="https://third.example.com/x"))
    assert plan(declared, elsewhere, MOVED, shown).digests != ((operation,),)
    nothing = Review(origin=result.origin, organization=result.organization.id)
    assert judged(result, nothing, values=True) == ([], ["Pager"], [])


def test_a_create_has_another_digest_where_the_commit_shows_another_host() -> None:
    """So a push that only changes the file is not what was reviewed."""
    declared = desired(generic(url=HOOK))
    digests = {
        made(declared, secrets={}, shown=shown).digest for shown in ({}, {HOOK: OLD}, {HOOK: NEW})
    }
    assert len(digests) == 3


def test_a_half_done_resend_is_still_reviewed() -> None:
    """The visible part of an update is done; the resend, of which nobody can tell, comes again."""
    options = PlanOptions(resend=("A",))
    declared = desired(slack("A", channel="#a"))
    review = review_of(
        plan(declared, live(live_slack("A", channel="#x", token="***")), {}, options)
    )
    result = made(declared, live_slack("A", channel="#a", token="***"), reviewed=review.resends)
    assert len(review.operations) == 2
    assert judged(result, review) == (["A"], [], [])


def test_the_rest_of_a_plan_can_be_taken_alone() -> None:
    """Changes, digests and secrets of what was reviewed, and nothing of the rest."""
    result = made(TWO)
    half = result.only({1})
    assert [each.name for each in half.operations] == ["B"]
    assert half.digests == result.digests[1:]
    assert {each.webhook for each in half.secrets} == {"B"}
    assert not {type(each) for each in half.operations} - {Create, Update}
