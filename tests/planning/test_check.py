"""Live webhooks decide whether an operation is pending, done or stale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model import Absent, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.check import Listing, OperationState
from reconciler.planning.plan import Plan
from tests.planning.builders import (
    EVENTS,
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live_generic,
    live_slack,
    make_plan,
    slack,
    unshown,
)

EDITED = live_slack(channel="#edited")
CREATE = make_plan(desired(slack()))
UPDATE = make_plan(desired(slack()), EDITED)
DELETE = make_plan(desired(absent=(Absent(name="Deploys"),)), live_slack())
NAMESAKE = live_slack(id="id-2")
RENAME = make_plan(desired(slack(previously=("Old",))), live_slack("Old"))
PINNED = make_plan(desired(slack(id="id-1")), EDITED)
DUPLICATE = make_plan(desired(slack()), live_slack(), NAMESAKE)
PRUNE = make_plan(desired(), live_slack())
REPIN = make_plan(desired(slack(id="id-1")), live_slack("Old"))
Response = tuple[OperationState, str, str | None]
PAGER = live_generic()
PRUNE_PAGER = make_plan(desired(), PAGER)
ABSENT_PAGER = make_plan(desired(absent=(Absent(name="Pager"),)), PAGER)
RETYPE_PAGER = make_plan(desired(slack("Pager")), PAGER)
ATTACKED = live_generic(url="https://elsewhere.example.com/ct")
OTHER_PATH = live_generic(url="https://hooks.example.com/other")
NOTED = live_slack(channel="#edited", note=Secret("by hand"))
ROTATED = live_slack(token=OTHER_TOKEN)
ROTATION = make_plan(desired(slack()), ROTATED)
RENAME_ROTATED = make_plan(
    desired(slack(previously=("Old",))), live_slack("Old", token=OTHER_TOKEN), secrets={}
)
MASKED, MASKED_EDITED = live_slack(token="*****"), live_slack(token="*****", channel="#x")
RESEND = make_plan(desired(slack()), MASKED, resend=("*",))
RESEND_EDITED = make_plan(desired(slack()), MASKED_EDITED, resend=("*",))
SIDE_EFFECT = make_plan(desired(slack()), MASKED_EDITED)
REMOVES_NOTE = make_plan(desired(slack()), live_slack(channel="#edited", note="x"))
BEARER_MASKED = live_generic(token="***")
WITH_BEARER = desired(generic(token=SecretRef(scheme="env", name="BEARER")))
REMOVAL = make_plan(desired(generic()), BEARER_MASKED, secrets={}, previous=WITH_BEARER)
FLAG = make_plan(desired(generic()), live_generic(verify=False), secrets={})


@pytest.mark.parametrize(
    ("result", "before", "now", "expected"),
    [
        (PRUNE_PAGER, PAGER, ATTACKED, False),
        (ABSENT_PAGER, PAGER, ATTACKED, False),
        (RETYPE_PAGER, PAGER, ATTACKED, False),
        (UPDATE, EDITED, NOTED, False),
        (make_plan(desired(slack()), NOTED), NOTED, EDITED, False),
        (PRUNE_PAGER, PAGER, OTHER_PATH, True),
        (RETYPE_PAGER, PAGER, live_generic(token="***"), False),
    ],
    ids=["pruned", "absent", "another type", "a new field", "a field that is gone", "a path",
         "a field that the new type has, too"],
)  # fmt: skip
def test_whatever_a_plan_shows_of_a_webhook_is_compared(
    result: Plan, before: LiveWebhook, now: LiveWebhook, expected: bool
) -> None:
    """A webhook that moved to another host, or has other unknown fields, makes its operation stale.

    Where this run made the plan, a secret that changed does so too, if it is readable.
    """
    (operation,) = result.operations
    assert Listing(result, (before,), SECRETS).check(operation).state is OperationState.PENDING
    state = Listing(result, (now,), SECRETS).check(operation).state
    assert state is (OperationState.PENDING if expected else OperationState.STALE)
    known = {before.id: before}
    assert (
        Listing(result, (before,), SECRETS, known).check(operation).state is OperationState.PENDING
    )
    assert Listing(result, (now,), SECRETS, known).check(operation).state is OperationState.STALE


@pytest.mark.parametrize(("one", "two"), [("enc:AAAA", "enc:BBBB"), ("*****", "****")])
def test_hidden_secrets_that_change_are_not_a_change(one: str, two: str) -> None:
    """A server may encrypt a secret differently each time."""
    before, now = live_slack(token=one), live_slack(token=two)
    result = make_plan(desired(), before)
    listing = Listing(result, (now,), SECRETS, {before.id: before})
    assert listing.check(result.operations[0]).state is OperationState.PENDING


@pytest.mark.parametrize(
    ("token", "state"), [("", OperationState.STALE), ("***", OperationState.PENDING)]
)
def test_a_secret_that_is_set_since_the_plan_is_a_change(token: str, state: OperationState) -> None:
    """An empty secret is none, on either side; a hidden one may be the same."""
    unset, now = live_slack(token=token), live_slack()
    result = make_plan(desired(), unset)
    for before, after in ((unset, now), (now, unset)):
        listing = Listing(result, (after,), SECRETS, {before.id: before})
        assert listing.check(result.operations[0]).state is state


def checks(result: Plan, found: tuple[LiveWebhook, ...], secrets: Any = SECRETS) -> list[Response]:
    listing = Listing(result, found, secrets)
    return [(each.state, each.reason, each.id) for each in map(listing.check, result.operations)]


def states(
    result: Plan, found: tuple[LiveWebhook, ...], secrets: Any = SECRETS
) -> list[OperationState]:
    return [state for state, _, _ in checks(result, found, secrets)]


def done(why: str = "it is already applied", id: str | None = "id-1") -> Response:
    return (OperationState.DONE, why, id)


def stale(why: str) -> Response:
    return (OperationState.STALE, why, None)


def pending() -> Response:
    return (OperationState.PENDING, "", None)


ANOTHER = "another webhook with this name was created since the plan"
EDITED_SINCE = "it was changed since the plan"
MOVED = f"{EDITED_SINCE}: it is now slack #deploys"
VANISHED = "it was deleted since the plan"
KEEPER = "the webhook to keep was deleted"


@pytest.mark.parametrize(
    ("result", "found", "expected"),
    [
        (CREATE, (), pending()),
        (CREATE, (live_slack(),), done()),
        # a hidden value may be another user's: only the response to a request confirms it
        (CREATE, (live_slack(token="*****"),), stale(ANOTHER)),
        (CREATE, (EDITED,), stale(ANOTHER)),
        (CREATE, (live_slack(), NAMESAKE), stale(ANOTHER)),
        (UPDATE, (EDITED,), pending()),
        (UPDATE, (live_slack(),), done()),
        (UPDATE, (live_slack(channel="#third"),), stale(f"{EDITED_SINCE}: it is now slack #third")),
        (UPDATE, (), stale(VANISHED)),
        (DELETE, (live_slack(),), pending()),
        (DELETE, (), done("it is already deleted")),
        (DELETE, (EDITED,), stale(f"{EDITED_SINCE}: it is now slack #edited")),
        (DELETE, (live_slack(username="other"),), stale(EDITED_SINCE)),
        (DELETE, (live_slack(), NAMESAKE), stale(ANOTHER)),
        (DUPLICATE, (live_slack(), NAMESAKE), pending()),
        (DUPLICATE, (live_slack(),), done("it is already deleted", "id-2")),
        (DUPLICATE, (NAMESAKE,), stale(KEEPER)),
        (UPDATE, (EDITED, NAMESAKE), stale(ANOTHER)),
        (UPDATE, (live_slack(), NAMESAKE), stale(ANOTHER)),
        (RENAME, (live_slack("Old"), live_slack("Old", "id-2")), stale(ANOTHER)),
        (RENAME, (live_slack("Old"), NAMESAKE), stale(ANOTHER)),
        (PINNED, (EDITED, NAMESAKE), pending()),
        (PRUNE, (live_slack(), NAMESAKE), pending()),
        (REPIN, (live_slack("Old"), NAMESAKE), stale(ANOTHER)),
        (DUPLICATE, (live_slack(), NAMESAKE, live_slack(id="id-0")), stale(ANOTHER)),
        (DUPLICATE, (live_slack(token=OTHER_TOKEN), NAMESAKE),
         stale("it differs from the webhook to keep")),
        (DUPLICATE, (live_slack("Renamed"), NAMESAKE), stale(KEEPER)),
        # a rotation is pending until the new value is live; other fields are the same
        (ROTATION, (ROTATED,), pending()),
        (ROTATION, (live_slack(),), done()),
        # a resend is not visible, so it is repeated, also if the rest was done by hand
        (RESEND, (MASKED,), pending()),
        (RESEND_EDITED, (MASKED,), pending()),
        (RESEND_EDITED, (live_slack(),), done()),
        (RESEND_EDITED, (live_slack(token="*****", channel="#y"),),
         stale(f"{EDITED_SINCE}: it is now slack #y")),
        (RESEND_EDITED, (live_slack(token="*****", note="x"),), stale(MOVED)),
        (SIDE_EFFECT, (MASKED,), pending()),
        (RETYPE_PAGER, (live_slack("Pager", "id-9", token="*****"),), pending()),
        # a removal that the plan names is left, although no known field differs
        (REMOVES_NOTE, (live_slack(note="x"),), pending()),
        (REMOVES_NOTE, (live_slack(),), done()),
        (REMOVES_NOTE, (live_slack(note="x", more="y"),), stale(MOVED)),
        (UPDATE, (live_slack(note="x"),), done()),
        # a field that is still shown, or hidden, may still be set
        (REMOVAL, (BEARER_MASKED,), pending()),
        *((REMOVAL, (gone,), done(id="id-9")) for gone in (PAGER, live_generic(token=""))),
        # a server shows the default of a boolean that is not set
        (FLAG, (live_generic(verify=False),), pending()),
        (FLAG, (live_generic(verify=True),), done(id="id-9")),
        # a plan made without secrets is done although an older token is live
        (RENAME_ROTATED, (live_slack("Old", token=OTHER_TOKEN),), pending()),
        (RENAME_ROTATED, (ROTATED,), done()),
    ],
)  # fmt: skip
def test_a_change_is_pending_done_or_stale(
    result: Plan, found: tuple[LiveWebhook, ...], expected: Response
) -> None:
    """The live webhook is as before the change, as after it, or different."""
    assert checks(result, found) == [expected]


def test_a_removal_from_a_hidden_configuration_is_pending() -> None:
    """Nothing visible differs."""
    hidden = unshown(BEARER_MASKED)
    removal = make_plan(desired(generic()), hidden, previous=WITH_BEARER)
    assert checks(removal, (hidden,)) == [pending()]
    assert Listing(removal, (hidden,), {}).check_against(removal.updates[0], hidden).differing == ()


def test_a_rotation_is_not_done_while_the_old_secret_is_live() -> None:
    """An unchanged webhook shows that passwords are readable; the live one is the old one."""
    reference = SecretRef(scheme="env", name="PASSWORD")
    secrets = {reference: Secret("the new password")}
    declared = [generic(name, username="u", password=reference) for name in ("A", "B")]
    same = live_generic("A", "id-1", username="u", password="the new password")
    before = live_generic("B", "id-2", username="before", password="the old password")
    half = live_generic("B", "id-2", username="u", password="the old password")
    result = make_plan(desired(*declared), same, before, secrets=secrets)

    assert states(result, (same, before), secrets) == [OperationState.PENDING]
    assert checks(result, (same, half), secrets) == [stale(EDITED_SINCE)]
    third = live_generic("B", "id-2", username="before", password="a third password")
    listing = Listing(result, (same, third), secrets, {"id-2": before})
    assert listing.check(result.operations[0]).state is OperationState.STALE


FEWER = EVENTS[:1]
HIDDEN_PAGER = replace(unshown(live_generic()), event_types=frozenset(FEWER))


@pytest.mark.parametrize(
    ("declared", "found", "secrets", "expected"),
    [
        (slack(channel="#other"), live_slack(token="*****"), SECRETS, ()),
        (slack(), live_slack(events=FEWER), SECRETS, ()),
        (slack(), live_slack(events=FEWER, token="*****"), SECRETS, ("token",)),
        (slack(), live_slack(events=FEWER, token=OTHER_TOKEN, note="x"), {}, ("note", "token")),
        (generic(), HIDDEN_PAGER, {}, ("password", "token", "url")),
    ],
)
def test_what_a_complete_replacement_would_change_is_known(
    declared: Webhook, found: LiveWebhook, secrets: Any, expected: tuple[str, ...]
) -> None:
    """A server may replace the configuration, although an update does not send it."""
    result = make_plan(desired(declared), found, secrets=secrets)
    assert Listing(result, (found,), SECRETS).unplanned(result.updates[0]) == expected


def test_webhooks_of_the_plan_do_not_make_it_stale() -> None:
    """Webhooks that the plan renames may already have the names, or give them up."""
    declared = desired(slack("b", previously=("a",)), slack("d", previously=("c",)))
    found = (live_slack("a", "id-1"), live_slack("c", "id-2"))
    renames = make_plan(declared, *found)

    assert states(renames, found) == [OperationState.PENDING, OperationState.PENDING]
    later = (live_slack("b", "id-1"), live_slack("c", "id-2"), live_slack("d", "id-9"))
    assert checks(renames, later) == [done(), stale(ANOTHER)]


def test_a_create_is_stale_if_a_rename_is_possible() -> None:
    """The next plan renames the webhook that has appeared under the previous name."""
    result = make_plan(desired(slack("a"), slack("b", previously=("was",))))
    why = "a webhook that must be renamed to this name was created since the plan"

    was = live_slack("was", "id-9")
    assert checks(result, (was,)) == [pending(), stale(why)]
    assert checks(result, (was, live_slack("b"))) == [pending(), done()]


def test_an_unreviewed_operation_does_not_make_others_stale() -> None:
    """The webhook that the unreviewed operation would change is not new."""
    declared = desired(slack(id="id-1"), slack(id="id-2", channel="#b"))
    result = make_plan(declared, EDITED, live_slack(id="id-2"))
    assert len(result.operations) == 2

    listing = Listing(result.select({0}), (live_slack(), live_slack(id="id-2")), SECRETS)

    assert listing.not_in_plan("Deploys") == []


def test_a_namesake_of_a_pinned_webhook_is_no_conflict() -> None:
    """It was live before the plan, and without prune it stays."""
    found = (EDITED, live_slack(id="id-2"))
    result = make_plan(desired(slack(id="id-1"), prune=False), *found)
    assert len(result.operations) == 1
    assert Listing(result, found, SECRETS).not_in_plan("Deploys") == []
