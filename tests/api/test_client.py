"""The client against the emulator, over its variants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    InvalidRequestError,
    NotFoundError,
    OrganizationError,
    ProtocolError,
)
from tests.api.support import World, slack
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY
from tests.emulated.variant import CurrentFlag, Variant

HOOKS = "/api/v1/webhooks/"
ORGANIZATIONS = "/api/v1/organizations/"


def bodies(world: World, method: str) -> list[Any]:
    """Return the bodies of all requests with a method."""
    return [
        json.loads(entry.body) for entry in world.emulator.store.log() if entry.method == method
    ]


# --- the organization ---


@pytest.mark.parametrize("flag", list(CurrentFlag))
@pytest.mark.parametrize("others", [0, 2])
def test_the_key_s_organization_is_found(flag: CurrentFlag, others: int) -> None:
    """By the current flag, by being the only one, or by the user's membership."""
    world = World(Variant(current_flag=flag))
    user = world.emulator.store.user_of_key(LOCAL_KEY)
    assert user is not None
    for number in range(others):
        more = world.emulator.store.add_organization(f"Other {number}")
        world.emulator.store.add_membership(user.id, more.id, role="VIEWER")
    found = world.client.organization()
    assert (found.id, found.name, found.role) == (world.organization, "Acme", "OWNER")


def _ambiguous_world(**choices: Any) -> World:
    """Make a world whose organizations do not tell which is the key's."""
    world = World(Variant(current_flag=CurrentFlag.MISSING, **choices))
    user = world.emulator.store.user_of_key(LOCAL_KEY)
    assert user is not None
    more = world.emulator.store.add_organization("Other")
    world.emulator.store.add_membership(user.id, more.id, role="VIEWER")
    return world


def test_live_webhooks_tell_the_organization_as_a_last_resort() -> None:
    """All live webhooks are of one organization: that is it."""
    world = _ambiguous_world(membership_shown=False)
    world.create("A", "B")
    assert world.client.organization().name == "Acme"


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(403),
        faults.status(404),
        faults.raw(b"[]"),
        faults.raw(b'{"membership_id": "../x"}'),
        faults.raw(b'{"membership_id": "a b"}'),
    ],
)
def test_a_user_that_cannot_be_read_is_no_way(fault: faults.Fault) -> None:
    """The next way is tried instead."""
    world = _ambiguous_world()
    world.create("A")
    world.faults.add(fault, path="/api/v1/users/current/")
    assert world.client.organization().name == "Acme"


def test_an_organization_that_nothing_tells_is_not_guessed() -> None:
    """The run stops with advice."""
    world = _ambiguous_world(membership_shown=False)
    with pytest.raises(OrganizationError) as caught:
        world.client.organization()
    assert caught.value.hint


def test_organizations_that_may_not_be_listed_are_found_another_way() -> None:
    """A 403 of the organizations leaves the membership; the name is unknown then."""
    world = World()
    world.faults.add(faults.status(403), path=ORGANIZATIONS)
    found = world.client.organization()
    assert (found.id, found.name, found.role) == (world.organization, world.organization, None)


def test_a_webhook_of_another_organization_is_not_ours() -> None:
    """A listing or an answer that shows one is an error that names it."""
    world = World()
    world.client.organization()
    row = {
        "id": "w1",
        "name": "A",
        "type": "slack",
        "event_types": [],
        "organization": "https://h/api/v1/organizations/other/",
    }
    document = json.dumps({"count": 1, "next": None, "results": [row]}).encode()
    world.faults.add(faults.raw(document), method="GET", path=HOOKS)
    with pytest.raises(ProtocolError, match="w1"):
        world.client.list()
    world.faults.add(faults.raw(json.dumps(row).encode(), code=201), method="POST")
    with pytest.raises(ProtocolError, match="w1"):
        world.create("A")
    world.faults.add(faults.raw(json.dumps(row).encode()), method="GET", path=f"{HOOKS}w1/")
    with pytest.raises(ProtocolError, match="w1"):
        world.client.get("w1")


# --- PUT instead of PATCH ---


@pytest.mark.parametrize(
    ("type", "fields"), [("slack", "token"), ("generic", "password, token, url"), ("new", "all")]
)
def test_put_without_secrets_says_which_it_needs(type: str, fields: str) -> None:
    """Nothing is sent that would erase a token."""
    world = World(Variant(methods=("PUT", "DELETE")))
    own = world.create("A")[0]
    draft = replace(slack("B"), configuration=None, type=type)
    with pytest.raises(InvalidRequestError, match=fields) as caught:
        world.client.update(own, draft, frozenset({"name"}))
    assert caught.value.hint
    assert not any(line.startswith("PUT") for line in world.requests())


def test_a_server_that_takes_neither_says_so() -> None:
    """Both refused: an error, no delete and create."""
    world = World(Variant(methods=("DELETE",)))
    own = world.create("A")[0]
    with pytest.raises(InvalidRequestError) as caught:
        world.client.update(own, slack("B"), frozenset({"name"}))
    assert caught.value.status == 405


# --- what answers must be ---


def test_an_update_of_what_is_gone_is_not_found() -> None:
    """The engine decides what follows."""
    with pytest.raises(NotFoundError):
        World().client.update("gone", slack(), frozenset({"name"}))


@pytest.mark.parametrize(
    "fault",
    [
        faults.raw(b"{}", code=201, commit=True),
        faults.raw(b'{"id": 5}', code=201, commit=True),
        faults.raw(b'{"id": "x"}', code=200, commit=True),
        faults.raw(b"", code=204, commit=True),
        faults.html(201, commit=True),
        faults.redirect("/elsewhere", commit=True),
    ],
    ids=lambda fault: fault.label,
)
def test_a_create_that_is_not_confirmed_is_in_doubt(fault: faults.Fault) -> None:
    """Only 201 with a usable id confirms a create; nothing is sent twice."""
    world = World()
    world.faults.add(fault, method="POST")
    with pytest.raises(AmbiguousWriteError):
        world.create("A")
    assert len(world.client.list()) == 1
    assert len(bodies(world, "POST")) == 1


def test_an_answer_about_another_webhook_confirms_nothing() -> None:
    """The id has to be the one that was asked for."""
    world = World()
    own = world.create("A")[0]
    world.faults.add(faults.raw(b'{"id": "other"}'), method="PATCH")
    with pytest.raises(AmbiguousWriteError):
        world.client.update(own, slack("B"), frozenset({"name"}))
    world.faults.add(faults.raw(b'{"id": "other"}'), path=f"{HOOKS}{own}/", times=None)
    with pytest.raises(ProtocolError):
        world.client.get(own)


@pytest.mark.parametrize("code", [200, 202])
def test_a_deletion_is_confirmed_by_204_alone(code: int) -> None:
    """Anything else may have deleted it or not."""
    world = World()
    own = world.create("A")[0]
    world.faults.add(faults.raw(b"{}", code=code, commit=True), method="DELETE")
    with pytest.raises(AmbiguousWriteError):
        world.client.delete(own)


def test_a_page_of_html_deletes_nothing() -> None:
    """A 404 that is not the API's says nothing about the webhook."""
    world = World()
    own = world.create("A")[0]
    world.faults.add(faults.html(404), method="DELETE")
    with pytest.raises(ProtocolError):
        world.client.delete(own)
    assert world.client.get(own) is not None


def test_an_id_is_one_part_of_a_path() -> None:
    """Whatever an id holds, it addresses one webhook and nothing else."""
    world = World()
    assert world.client.get("a/b?c#d%2F") is None
    assert world.requests()[-1] == f"GET {HOOKS}a%2Fb%3Fc%23d%252F/"
