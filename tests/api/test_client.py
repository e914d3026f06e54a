"""The client against the emulator, over its variants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    OrganizationError,
    PermissionDeniedError,
    ProtocolError,
)
from tests.api.support import World, slack
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY
from tests.emulated.variant import Count, CurrentFlag, NextLink, Variant

HOOKS = "/api/v1/webhooks/"
ORGANIZATIONS = "/api/v1/organizations/"


def bodies(world: World, method: str) -> list[Any]:
    """Return the bodies of all requests with a method."""
    return [
        json.loads(entry.body) for entry in world.emulator.store.log() if entry.method == method
    ]


def test_create_read_update_delete() -> None:
    """The plain life of a webhook."""
    world = World()
    organization = world.client.organization()
    assert (organization.name, organization.role, organization.maintenance) == (
        "Acme",
        "OWNER",
        False,
    )
    made = world.client.create(slack("A"), organization.id)
    assert made.name == "A"
    assert world.client.get(made.id) == made
    assert world.client.list() == (made,)
    changed = world.client.update(made.id, slack("B"), frozenset({"name"}))
    assert (changed.id, changed.name) == (made.id, "B")
    assert bodies(world, "PATCH") == [{"name": "B"}]
    assert world.client.delete(made.id) is True
    assert world.client.delete(made.id) is False
    assert world.client.get(made.id) is None
    assert world.client.list() == ()


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_told_by_its_words(status: int) -> None:
    """Some servers say 401, some 403: the error is the same."""
    world = World(Variant(bad_key_status=status))
    with pytest.raises(AuthenticationError):
        world.connect(key="wrong").organization()
    with pytest.raises(AuthenticationError):
        world.connect(key="wrong").list()


def test_a_low_role_reads_and_is_refused_a_write() -> None:
    """The refusal says that it is one of permission."""
    world = World(Variant(shown_role="viewer"))
    assert world.client.organization().role == "viewer"
    assert world.client.list() == ()
    with pytest.raises(PermissionDeniedError):
        world.create("A")


# --- pages ---


@pytest.mark.parametrize("size", [1, 3, 7, 10, 1000])
@pytest.mark.parametrize("next_link", [NextLink.NULL, NextLink.EMPTY])
@pytest.mark.parametrize("count", [Count.TRUE, Count.MISSING])
def test_every_webhook_is_listed_whatever_the_pages(
    size: int, next_link: NextLink, count: Count
) -> None:
    """Nothing is missed and nothing comes twice."""
    world = World(Variant(page_size=1, max_page_size=size, next_link=next_link, count=count))
    ids = world.create(*"abcdefghij")
    assert sorted(hook.id for hook in world.client.list()) == sorted(ids)


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


def test_a_malformed_organization_is_a_protocol_error() -> None:
    """An organization without an id cannot be chosen."""
    world = World()
    world.faults.add(
        faults.raw(b'{"count": 1, "next": null, "results": [{"name": "x"}]}'), path=ORGANIZATIONS
    )
    with pytest.raises(ProtocolError, match="organization without a usable id"):
        world.client.organization()


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


def test_put_is_used_where_patch_is_refused_and_remembered() -> None:
    """One refusal is enough for a run; the body is whole, with organization and secrets."""
    world = World(Variant(methods=("PUT", "DELETE")))
    first, second = world.create("A", "B")
    before = len(world.requests())
    assert world.client.update(first, slack("A2"), frozenset({"name"})).name == "A2"
    assert world.client.update(second, slack("B2"), frozenset({"name"})).name == "B2"
    methods = [line.split()[0] for line in world.requests()[before:]]
    assert methods == ["PATCH", "GET", "PUT", "PUT"]  # the organization is read once
    assert bodies(world, "PUT")[0] == {
        "name": "A2",
        "type": "slack",
        "event_types": ["value_created", "value_updated"],
        "configuration": {
            "token": "xoxb-token-canary-0815",
            "channel": "#deploys",
            "username": "CloudTruth",
        },
        "organization": world.organization,
    }


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
        faults.status(500, commit=True),
        faults.drop(commit=True),
        faults.hang(commit=True),
        faults.truncate(),
        faults.reset(),
        faults.drip(5.0),
        faults.redirect("/elsewhere", commit=True),
        faults.content_type("text/plain"),
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
