"""What is said of `--only`."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigurationError
from reconciler.model import Absent
from reconciler.planning.plan import Create
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import desired, live, live_slack, slack


@pytest.mark.parametrize("glob", ["new", "old", "live-*", "*"])
def test_a_glob_that_selects_something_is_not(glob: str) -> None:
    """A declared name, an earlier one and a live one are each enough."""
    declared = desired(slack("new", previously=("old",)))
    made = plan(declared, live(live_slack("live-1")), {}, PlanOptions(only=(glob,)))
    assert "only-matches-nothing" not in {each.rule for each in made.notes}


@pytest.mark.parametrize("glob", ["gone", "live"])
def test_an_absent_webhook_is_selected_by_either_of_its_names(glob: str) -> None:
    """The declared one, and the one that the webhook of its id bears."""
    declared = desired(slack(), absent=(Absent(name="gone", id="id-1"),))
    made = plan(declared, live(live_slack("live")), {}, PlanOptions(only=(glob,)))
    assert [each.before.id for each in made.operations] == ["id-1"]  # type: ignore[union-attr]


@pytest.mark.parametrize("glob", ["new", "old", "older"])
def test_an_unclear_rename_is_refused_under_each_of_its_names(glob: str) -> None:
    """Whichever of them is looked at, which webhook is meant cannot be told."""
    declared = desired(slack("new", previously=("old", "older")))
    found = live(live_slack("old", "id-1"), live_slack("older", "id-2"))
    with pytest.raises(ConfigurationError):
        plan(declared, found, {}, PlanOptions(only=(glob,)))


def test_further_bearers_of_a_pinned_name_lead_nowhere() -> None:
    """They are twins of an entry that is not looked at, not webhooks to rename."""
    declared = desired(slack("A", id="id-1"), slack("B", previously=("A",)))
    found = live(*(live_slack("A", f"id-{number}") for number in (1, 2, 3)))
    made = plan(declared, found, {}, PlanOptions(only=("B",)))
    assert [(type(each), each.name) for each in made.operations] == [(Create, "B")]
