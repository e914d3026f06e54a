"""Declarations and listings that a plan might misread."""

from __future__ import annotations

from reconciler.planning.plan import Reason
from reconciler.planning.planner import plan
from tests.planning.builders import SECRETS, desired, generic, live, live_generic


def test_same_name_to_other_places_are_no_copies() -> None:
    """Webhooks that visibly deliver to different addresses are ambiguous, not duplicates."""
    wanted = desired(generic("Pager"))
    other = live_generic("Pager", "id-a", url="https://elsewhere.example.net/hook")
    made = plan(wanted, live(live_generic("Pager", "id-9"), other), SECRETS)
    assert not made.deletes
    assert [each.reason for each in made.kept] == [Reason.AMBIGUOUS]
