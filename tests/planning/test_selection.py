"""What is said of `--only`."""

from __future__ import annotations

import pytest

from reconciler.findings import Severity
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import desired, live, live_slack, slack


@pytest.mark.parametrize("glob", ["deploys", "Deploys?", ""])
def test_a_glob_that_selects_nothing_is_warned_of(glob: str) -> None:
    """A misspelt glob plans no change, and says why."""
    made = plan(desired(slack("Deploys")), live(), {}, PlanOptions(only=(glob, "Dep*")))
    (note,) = made.notes
    assert (note.rule, note.severity) == ("only-matches-nothing", Severity.WARNING)
    assert repr(glob) in note.message


@pytest.mark.parametrize("glob", ["new", "old", "live-*", "*"])
def test_a_glob_that_selects_something_is_not(glob: str) -> None:
    """A declared name, an earlier one and a live one are each enough."""
    declared = desired(slack("new", previously=("old",)))
    made = plan(declared, live(live_slack("live-1")), {}, PlanOptions(only=(glob,)))
    assert "only-matches-nothing" not in {each.rule for each in made.notes}
