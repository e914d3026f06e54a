"""The status of each live webhook."""

from __future__ import annotations

from pathlib import Path

from reconciler.findings import Position
from reconciler.model import Absent, LiveWebhook
from reconciler.planning.plan import names_of
from reconciler.planning.run import ManagementStatus, live_status
from tests.goldens import rows
from tests.planning.builders import desired, live, live_slack, make_plan, slack

FOUND = live(
    live_slack("z-unmanaged", "1"),
    live_slack("same", "2"),
    live_slack("other", "3", channel="#x"),
    live_slack("gone", "4"),
    live_slack("copied", "6"),
    live_slack("copied", "5"),
    live_slack("t-undeclared", "7"),
    live_slack("t-kept", "8"),
    live_slack("twice", "10", channel="#x"),
    live_slack("twice", "9"),
    live_slack("manual", "11"),
    LiveWebhook(id="12", name="a", type="teams", event_types=frozenset(), configuration={}),
    live_slack("b", "13", events=("value_created", "tag_created")),
)
DECLARED = desired(
    slack("same", line=2),
    slack("other", line=3),
    slack("copied", line=4),
    slack("twice", line=5),
    slack("new", line=8),
    absent=(Absent(name="gone", position=Position(file="webhooks.yaml", line=6)),),
    scope=("t-*",),
    protect=("t-kept",),
    ignore=("manual",),
)


def test_every_webhook_has_its_status_and_line() -> None:
    """Webhooks are sorted by name and id; a duplicate has its declaration's line."""
    shown = live_status(FOUND, make_plan(DECLARED, FOUND)).webhooks

    assert [
        [each.webhook.id, str(each.management), each.position and each.position.line]
        for each in shown
    ] == rows(Path(__file__).with_name("statuses.yaml"))


def test_a_missing_webhook_comes_before_others_with_its_name() -> None:
    """It has no id."""
    found = live(live_slack(id="1"))
    result = make_plan(desired(slack(id="1"), slack(id="2", channel="#x")), found)

    assert [each.webhook.id for each in live_status(found, result).webhooks] == ["", "1"]


def test_drift_is_counted() -> None:
    """The status decides what counts as drift: an undeclared webhook does not."""
    assert live_status(FOUND, make_plan(DECLARED, FOUND)).drift == {
        ManagementStatus.MISSING: 1,
        ManagementStatus.DIFFERS: 1,
        ManagementStatus.ABSENT: 1,
        ManagementStatus.DUPLICATE: 3,
        ManagementStatus.UNDECLARED: 1,
    }
    unchecked = live_status(FOUND, None)
    assert {each.management for each in unchecked.webhooks} == {ManagementStatus.UNCHECKED}
    assert unchecked.drift == {}


def test_a_selection_contains_a_webhook_by_either_name() -> None:
    """One that is to be renamed has two."""
    found = live(live_slack("old", "1"), live_slack("gone", "2"))
    result = make_plan(desired(slack("new", previously=("old",))), found)
    assert [names_of(operation) for operation in result.operations] == [("old", "new"), ("gone",)]
    for glob, ids in (("old", ["1"]), ("new", ["1"]), ("gone", ["2"]), ("other", [])):
        assert [each.webhook.id for each in live_status(found, result, (glob,)).webhooks] == ids
