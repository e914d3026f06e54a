"""The status of each live webhook."""

from __future__ import annotations

from pathlib import Path

from reconciler.planning.plan import Reason, names_of
from reconciler.planning.run import _STATUSES, ManagementStatus, live_status
from reconciler.render.words import REASONS
from reconciler.source.accept import _UNDECLARABLE
from tests.goldens import rows
from tests.planning.builders import declared, desired, live, live_rows, live_slack, make_plan, slack

TABLES = rows(Path(__file__).with_name("statuses.yaml"))
FOUND = live(*live_rows(TABLES["live"]))
DECLARED = declared(TABLES["file"])


def test_every_webhook_has_its_status_and_line() -> None:
    """Webhooks are sorted by name and id; a duplicate has its declaration's line."""
    shown = live_status(FOUND, make_plan(DECLARED, FOUND)).webhooks

    assert [
        [each.webhook.id, str(each.management), each.position and each.position.line]
        for each in shown
    ] == TABLES["statuses"]


def test_a_missing_webhook_comes_before_others_with_its_name() -> None:
    """It has no id."""
    found = live(live_slack(id="1"))
    result = make_plan(desired(slack(id="1"), slack(id="2", channel="#x")), found)

    assert [each.webhook.id for each in live_status(found, result).webhooks] == ["", "1"]


def test_every_reason_has_its_texts() -> None:
    """Also one that no other test has. Only an undeclared webhook can be declared."""
    changed = {Reason.MISSING, Reason.DIFFERS, Reason.RENAMED, Reason.ADOPTED, Reason.RESEND}
    deleted = {Reason.ABSENT, Reason.NOT_DECLARED, Reason.DUPLICATE}
    assert set(REASONS) == set(Reason)
    assert set(_STATUSES) == set(Reason) - changed
    assert set(_UNDECLARABLE) == deleted - {Reason.NOT_DECLARED}


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
