"""Rows of the table, closely: who is a copy of whom, and what stands beside what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import UNKNOWN, Absent, LiveWebhook
from reconciler.planning.changes import Reason
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    slack,
    unshown,
)

ONE = live_slack(id="id-1")
HIDDEN = unshown(ONE, UNKNOWN)
HOOK = live_generic(id="id-1")


def second(found: LiveWebhook, **more: object) -> LiveWebhook:
    return replace(found, id="id-2", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ONE, second(live_slack(channel="deploys"))),
        (HIDDEN, second(HIDDEN)),
        (HOOK, second(live_generic(verify=True))),
        (HOOK, second(live_generic(username=""))),
        (HOOK, second(live_generic(username=None))),
    ],
    ids=[
        "a channel without its sign",
        "nothing is shown of either",
        "a default that is shown",
        "an empty field that is shown",
        "a null that is shown",
    ],
)
def test_copies_go_but_one(one: LiveWebhook, other: LiveWebhook):
    """What differs is secret, or is no difference."""
    declared = desired(slack("Deploys"), generic("Pager"))

    result = plan(declared, live(one, other), SECRETS)

    assert [(each.before.id, each.reason) for each in result.deletes] == [
        ("id-2", Reason.DUPLICATE)
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ONE, second(live_slack(token=OTHER_TOKEN))),
        (ONE, second(live_slack(token="*****"))),
        (HOOK, second(live_generic(url="https://***"))),
        (ONE, second(live_slack(events=("value_created",)))),
        (ONE, second(live_slack(username="other"))),
        (HIDDEN, second(HIDDEN, type="generic")),
        (HIDDEN, second(HIDDEN, event_types=frozenset({"value_created"}))),
        (HOOK, second(live_generic(url="https://elsewhere.example.com/ct"))),
        (HOOK, second(live_generic(verify=False))),
    ],
    ids=[
        "another token",
        "a token that is shown of one",
        "an address that is shown of one",
        "events",
        "a field",
        "type",
        "events of hidden ones",
        "the address",
        "a flag",
    ],
)
def test_what_differs_is_no_copy(one: LiveWebhook, other: LiveWebhook):
    """Nobody can tell which is meant, so both stay."""
    declared = desired(slack("Deploys"), generic("Pager"))

    result = plan(declared, live(one, other), SECRETS)

    assert result.deletes == ()
    assert [(each.reason, len(each.webhooks)) for each in result.kept] == [(Reason.TWINS, 2)]


def test_a_declared_webhook_keeps_its_live_one_from_a_previous_name():
    """Both are declared: the one that is live stays, the other is created."""
    declared = desired(slack("A"), slack("B", previously=("A",)))

    result = plan(declared, live(live_slack("A", "id-1")), SECRETS)

    assert [(each.id, each.webhook.name) for each in result.matched] == [("id-1", "A")]
    assert [each.name for each in result.creates] == ["B"]


def test_a_webhook_that_is_pinned_belongs_to_no_name():
    """Wherever in the files the entry with its id stands."""
    result = plan(
        desired(slack("A"), slack("B", id="id-1")), live(live_slack("A", "id-1")), SECRETS
    )

    assert [(each.before.id, each.name) for each in result.updates] == [("id-1", "B")]
    assert [each.name for each in result.creates] == ["A"]


def test_ignored_webhooks_are_all_counted_and_hide_no_other():
    """The rest of the table goes on after them."""
    found = live(live_slack("a-1", "id-1"), live_slack("a-2", "id-2"), live_slack("z", "id-3"))

    result = plan(desired(ignore=("a-*",)), found, SECRETS)

    assert (result.ignored, [each.name for each in result.deletes]) == (2, ["z"])


def test_a_webhook_that_is_selected_by_its_new_name_is_in_scope():
    """Renamed, or absent by id: guards count what the plan touches."""
    declared = desired(slack("new", id="id-1"), absent=(Absent(name="new-2", id="id-2"),))
    found = live(live_slack("old", "id-1"), live_slack("old-2", "id-2"), live_slack("z", "id-3"))

    result = plan(declared, found, SECRETS, PlanOptions(only=("new*",)))

    assert (len(result.changes), result.in_scope) == (2, 2)
