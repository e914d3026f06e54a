"""Which change is this one's and which is drift; which policy lines were relaxed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import Absent, Desired, FileScope, Policy
from reconciler.planning.guards import relaxed
from reconciler.planning.plan import Attribution
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import SECRETS, desired, live, live_slack, slack


def test_drift_is_told_from_this_change():
    """What the declaration before would change too is drift."""
    base = desired(slack("A"), slack("B"))
    now = desired(slack("A"), slack("B", channel="#b"), slack("C"))
    found = live(live_slack("A", "id-1", channel="#by-hand"), live_slack("B", "id-2"))

    result = plan(now, found, SECRETS, PlanOptions(previous=base))

    assert [(each.name, each.attribution) for each in result.operations] == [
        ("A", Attribution.DRIFT),
        ("B", Attribution.THIS_CHANGE),
        ("C", Attribution.THIS_CHANGE),
    ]


def test_a_rotated_secret_is_drift_when_the_reference_is_the_same():
    """The file did not change; the value behind it did."""
    found = live(live_slack(token="xoxb-9999999999-CCCCCCCC"))

    result = plan(desired(slack()), found, SECRETS, PlanOptions(previous=desired(slack())))

    assert [each.attribution for each in result.operations] == [Attribution.DRIFT]


def test_of_creates_and_of_updates_each_is_told_by_itself():
    """The base asks for one create, and for another value of the same field."""
    base = desired(slack("A"), slack("C", channel="#base"))
    now = desired(slack("A"), slack("B"), slack("C", channel="#now"))
    found = live(live_slack("C", "id-1", channel="#by-hand"))

    result = plan(now, found, SECRETS, PlanOptions(previous=base))

    assert [(each.name, each.attribution) for each in result.operations] == [
        ("C", Attribution.THIS_CHANGE),
        ("A", Attribution.DRIFT),
        ("B", Attribution.THIS_CHANGE),
    ]


def test_a_base_is_looked_at_as_far_as_only_goes():
    """What is wrong with its other entries hides no drift of this one."""
    base = desired(slack("A"), slack("X", id="not-live"))
    found = live(live_slack("A", channel="#by-hand"))

    result = plan(desired(slack("A")), found, SECRETS, PlanOptions(previous=base, only=("A",)))

    assert [each.attribution for each in result.operations] == [Attribution.DRIFT]


@pytest.mark.parametrize("asked", [PlanOptions(resend_all=True), PlanOptions(resend=("Deploys",))])
def test_what_is_asked_to_be_sent_again_is_no_drift(asked: PlanOptions):
    """Somebody asked for it just now; the files say nothing of it."""
    found = live(live_slack(token="*****"))

    result = plan(desired(slack()), found, SECRETS, replace(asked, previous=desired(slack())))

    assert [each.attribution for each in result.operations] == [Attribution.THIS_CHANGE]


def test_a_base_that_does_not_fit_explains_nothing():
    """All changes are then this one's."""
    base = desired(slack(previously=("a", "b")))
    found = live(live_slack("a", "1"), live_slack("b", "2"))

    result = plan(desired(slack(), prune=False), found, SECRETS, PlanOptions(previous=base))

    assert [each.attribution for each in result.operations] == [Attribution.THIS_CHANGE]


def test_the_base_makes_no_difference_to_the_digest():
    """Labels are for reading."""
    declaration, found = desired(slack()), live()

    with_base = plan(declaration, found, SECRETS, PlanOptions(previous=desired()))

    assert with_base.digest == plan(declaration, found, SECRETS).digest


def policy(**more: object) -> Desired:
    scope = FileScope(file="f", globs=more.pop("globs", ("*",)), prune=more.pop("prune", True))  # type: ignore[arg-type]
    return Desired(policy=Policy(scopes=(scope,), **more))  # type: ignore[arg-type]


def test_tightening_is_not_relaxing():
    """Only what permits more is named."""
    base = policy(max_deletes=5)
    now = replace(
        policy(globs=("a",), prune=False, max_deletes=1),
        organization="Acme",
        absent=(Absent(name="x"),),
    )

    assert [finding.rule for finding in relaxed(base, now) if "scope" not in finding.rule] == []
