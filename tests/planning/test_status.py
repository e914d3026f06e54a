"""What each live webhook is to the declaration."""

from __future__ import annotations

from dataclasses import replace

from reconciler.findings import Position
from reconciler.model import Absent, DeliveryError, LiveWebhook
from reconciler.planning.planner import plan
from reconciler.planning.status import Footing, statuses
from tests.planning.builders import SECRETS, desired, live, live_slack, slack

FOUND = live(
    live_slack("z-unmanaged", "1"),
    live_slack("same", "2"),
    live_slack("other", "3", channel="#x"),
    live_slack("gone", "4"),
    live_slack("copied", "6"),
    live_slack("copied", "5"),
    live_slack("t-undeclared", "7"),
    live_slack("t-kept", "8"),
    live_slack("twin", "10", channel="#x"),
    live_slack("twin", "9"),
    live_slack("manual", "11"),
    LiveWebhook(id="12", name="a", type="teams", event_types=frozenset(), configuration={}),
    live_slack("b", "13", events=("value_created", "tag_created")),
)
DECLARED = desired(
    slack("same", line=2),
    slack("other", line=3),
    slack("copied", line=4),
    slack("twin", line=5),
    absent=(Absent(name="gone", position=Position(file="webhooks.yaml", line=6)),),
    scope=("t-*",),
    protect=("t-kept",),
    ignore=("manual",),
)


def test_every_live_webhook_has_its_footing_and_its_line():
    """By name, then id; copies and twins by the declaration they are of."""
    shown = statuses(FOUND, plan(DECLARED, FOUND, SECRETS))

    assert [
        (each.webhook.id, each.footing, each.position and each.position.line) for each in shown
    ] == [
        ("12", Footing.UNKNOWN, None),
        ("13", Footing.UNKNOWN, None),
        ("5", Footing.DECLARED, 4),
        ("6", Footing.TWIN, 4),
        ("4", Footing.ABSENT, 6),
        ("11", Footing.IGNORED, None),
        ("3", Footing.DIFFERS, 3),
        ("2", Footing.DECLARED, 2),
        ("8", Footing.PROTECTED, 7),
        ("7", Footing.UNDECLARED, None),
        ("10", Footing.TWIN, 5),
        ("9", Footing.TWIN, 5),
        ("1", Footing.UNMANAGED, None),
    ]


def test_without_a_declaration_nothing_has_a_footing():
    """There is nothing to hold it against."""
    shown = statuses(FOUND, None)

    assert {each.footing for each in shown} == {Footing.UNCHECKED}
    assert len(shown) == len(FOUND.webhooks)


def test_the_last_delivery_error_is_told():
    """As the server remembers it."""
    failed = DeliveryError(code="channel_not_found")
    found = replace(live_slack(), last_error=failed)

    (shown,) = statuses(live(found), None)

    assert (shown.error, shown.failing) == (failed, True)
