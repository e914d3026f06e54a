"""Declarations and listings that a plan might misread."""

from __future__ import annotations

from reconciler.planning.changes import Reason, Update
from reconciler.planning.planner import plan
from tests.planning.builders import SECRETS, desired, generic, live, live_generic, live_slack, slack


def test_a_chain_of_previous_names() -> None:
    """With `a` and `b` live, b (once a) and c (once b) are two renames: nothing is deleted."""
    wanted = desired(slack("b", previously=("a",)), slack("c", previously=("b",)))
    made = plan(wanted, live(live_slack("a", "1"), live_slack("b", "2")), SECRETS)
    assert [type(each) for each in made.changes] == [Update, Update]
    assert [(each.before.name, each.after.name) for each in made.updates] == [
        ("b", "c"),
        ("a", "b"),
    ]


def test_same_name_to_other_places_are_no_copies() -> None:
    """Webhooks that visibly deliver to different addresses are twins that differ, not copies."""
    wanted = desired(generic("Pager"))
    other = live_generic("Pager", "id-a", url="https://elsewhere.example.net/hook")
    made = plan(wanted, live(live_generic("Pager", "id-9"), other), SECRETS)
    assert not made.deletes
    assert [each.reason for each in made.kept] == [Reason.TWINS]
