"""When a delete and a create look like one rename."""

from __future__ import annotations

import pytest

from reconciler.model import LiveWebhook, Webhook
from reconciler.planning.planner import plan
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    slack,
)

HOOK = live_generic("old")


def hinted(declared: tuple[Webhook, ...], *found: LiveWebhook) -> bool:
    notes = plan(desired(*declared), live(*found), SECRETS).notes
    return "looks-like-rename" in {each.rule for each in notes}


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (slack("new"), live_slack("old")),
        (slack("new"), live_slack("old", token=OTHER_TOKEN)),
        (slack("new"), live_slack("old", channel="deploys")),
        (slack("new"), live_slack("old", extra="x")),
        (generic("new"), live_generic("old", verify=True)),
        (generic("new", verify=True), HOOK),
        (generic("new", url="https://elsewhere.example.com/"), HOOK),
    ],
)
def test_what_can_be_seen_is_alike(declared: Webhook, found: LiveWebhook):
    """Secrets, defaults, and fields that nobody knows make no difference."""
    assert hinted((declared,), found)


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (slack("new"), live_slack("old", channel="#x")),
        (slack("new"), live_slack("old", events=("value_created",))),
        (generic("new"), live_generic("old", verify=False)),
        (generic("new", verify=False), HOOK),
        (generic("new"), live_slack("old")),
    ],
)
def test_what_can_be_seen_differs(declared: Webhook, found: LiveWebhook):
    """Then it is another webhook."""
    assert not hinted((declared,), found)


def test_of_several_that_are_alike_none_is_meant():
    """Two to be created, or two to be deleted: which would be which?"""
    assert not hinted((slack("new"), slack("newer")), live_slack("old"))
    assert not hinted((slack("new"),), live_slack("old", "1"), live_slack("older", "2"))
