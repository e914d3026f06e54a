"""Live webhooks decide whether an operation is pending, done or stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model import LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.check import Listing, OperationState
from reconciler.planning.plan import Plan
from tests.goldens import rows
from tests.planning.builders import (
    EVENTS,
    OTHER_TOKEN,
    SECRETS,
    declared,
    desired,
    generic,
    live_generic,
    live_row,
    live_rows,
    live_slack,
    make_plan,
    slack,
    unshown,
)

TABLES = rows(Path(__file__).with_name("checks.yaml"))
Response = tuple[OperationState, str, str | None]


def plan_of(file: object, live: Any = (), previous: object = None, **options: Any) -> Plan:
    if previous is not None:
        options["previous"] = declared(yaml.safe_dump(previous))
    return make_plan(declared(yaml.safe_dump(file)), *live_rows(live), **options)


PLANS = {name: plan_of(**fields) for name, fields in TABLES["plans"].items()}


@pytest.mark.parametrize(("name", "live", "live_now", "expected"), TABLES["shown"])
def test_whatever_a_plan_shows_of_a_webhook_is_compared(
    name: str, live: dict[str, Any], live_now: dict[str, Any], expected: bool
) -> None:
    """A webhook that moved to another host, or has other unknown fields, makes its operation stale.

    Where this run made the plan, a secret that changed does so too, if it is readable.
    """
    result, before, now = PLANS[name], live_row(**live), live_row(**live_now)
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


def checks(result: Plan, listed: tuple[LiveWebhook, ...], secrets: Any = SECRETS) -> list[Response]:
    listing = Listing(result, listed, secrets)
    return [(each.state, each.reason, each.id) for each in map(listing.check, result.operations)]


def done(why: str = "it is already applied", id: str | None = "id-1") -> Response:
    return (OperationState.DONE, why, id)


def stale(why: str) -> Response:
    return (OperationState.STALE, why, None)


PENDING: Response = (OperationState.PENDING, "", None)


@pytest.mark.parametrize(("name", "listed", "state", "reason", "id"), TABLES["states"])
def test_a_change_is_pending_done_or_stale(
    name: str, listed: list[dict[str, Any]], state: str, reason: str, id: str | None
) -> None:
    """The live webhook is as before the change, as after it, or different."""
    assert checks(PLANS[name], live_rows(listed)) == [(OperationState(state), reason, id)]


def test_a_removal_from_a_hidden_configuration_is_pending() -> None:
    """Nothing visible differs."""
    hidden = unshown(live_generic())
    with_bearer = desired(generic(token=SecretRef(scheme="env", name="BEARER")))
    removal = make_plan(desired(generic()), hidden, previous=with_bearer)
    assert checks(removal, (hidden,)) == [PENDING]
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

    assert checks(result, (same, before), secrets) == [PENDING]
    assert checks(result, (same, half), secrets) == [stale("it was changed since the plan")]
    third = live_generic("B", "id-2", username="before", password="a third password")
    listing = Listing(result, (same, third), secrets, {"id-2": before})
    assert listing.check(result.operations[0]).state is OperationState.STALE


FEWER = EVENTS[:1]
HIDDEN_PAGER = replace(unshown(live_generic()), event_types=frozenset(FEWER))


@pytest.mark.parametrize(
    ("declared", "listed", "secrets", "expected"),
    [
        (slack(channel="#other"), live_slack(token="*****"), SECRETS, ()),
        (slack(), live_slack(events=FEWER), SECRETS, ()),
        (slack(), live_slack(events=FEWER, token="*****"), SECRETS, ("token",)),
        (slack(), live_slack(events=FEWER, token=OTHER_TOKEN, note="x"), {}, ("note", "token")),
        (generic(), HIDDEN_PAGER, {}, ("password", "token", "url")),
    ],
)
def test_what_a_complete_replacement_would_change_is_known(
    declared: Webhook, listed: LiveWebhook, secrets: Any, expected: tuple[str, ...]
) -> None:
    """A server may replace the configuration, although an update does not send it."""
    result = make_plan(desired(declared), listed, secrets=secrets)
    assert Listing(result, (listed,), SECRETS).unplanned(result.updates[0]) == expected


def test_webhooks_of_the_plan_do_not_make_it_stale() -> None:
    """Webhooks that the plan renames may already have the names, or give them up."""
    declared = desired(slack("b", previously=("a",)), slack("d", previously=("c",)))
    listed = (live_slack("a", "id-1"), live_slack("c", "id-2"))
    renames = make_plan(declared, *listed)

    assert checks(renames, listed) == [PENDING, PENDING]
    later = (live_slack("b", "id-1"), live_slack("c", "id-2"), live_slack("d", "id-9"))
    why = "another webhook with this name was created since the plan"
    assert checks(renames, later) == [done(), stale(why)]


def test_a_create_is_stale_if_a_rename_is_possible() -> None:
    """The next plan renames the webhook that has appeared under the previous name."""
    result = make_plan(desired(slack("a"), slack("b", previously=("was",))))
    why = "a webhook that must be renamed to this name was created since the plan"

    was = live_slack("was", "id-9")
    assert checks(result, (was,)) == [PENDING, stale(why)]
    assert checks(result, (was, live_slack("b"))) == [PENDING, done()]


def test_an_unreviewed_operation_does_not_make_others_stale() -> None:
    """The webhook that the unreviewed operation would change is not new."""
    declared = desired(slack(id="id-1"), slack(id="id-2", channel="#b"))
    result = make_plan(declared, live_slack(channel="#edited"), live_slack(id="id-2"))
    assert len(result.operations) == 2

    listing = Listing(result.select({0}), (live_slack(), live_slack(id="id-2")), SECRETS)

    assert listing.not_in_plan("Deploys") == []


def test_a_namesake_of_a_pinned_webhook_is_no_conflict() -> None:
    """It was live before the plan, and without prune it stays."""
    listed = (live_slack(channel="#edited"), live_slack(id="id-2"))
    result = make_plan(desired(slack(id="id-1"), prune=False), *listed)
    assert len(result.operations) == 1
    assert Listing(result, listed, SECRETS).not_in_plan("Deploys") == []
