"""The client against variants of the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    InvalidRequestError,
    OrganizationError,
    ProtocolError,
)
from reconciler.report import Failed
from tests.api.support import EmulatedApi, slack
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY
from tests.emulated.variant import CurrentFlag
from tests.planning import builders

HOOKS = "/api/v1/webhooks/"
ORGANIZATIONS = "/api/v1/organizations/"


# --- the organization ---


def _member_of(others: int, **choices: Any) -> EmulatedApi:
    """Create an emulated API whose key belongs to a user in `others` further organizations."""
    emulated = EmulatedApi(**choices)
    store = emulated.emulator.store
    user = store.user_of_key(LOCAL_KEY)
    assert user is not None
    for number in range(others):
        store.add_membership(user.id, store.add_organization(f"Other {number}").id, role="VIEWER")
    return emulated


@pytest.mark.parametrize("flag", get_args(CurrentFlag))
@pytest.mark.parametrize("others", [0, 2])
def test_the_organization_of_the_key_is_found(flag: CurrentFlag, others: int) -> None:
    """The organization is the current one, the only one, or that of the user's membership."""
    emulated = _member_of(others, current_flag=flag)
    found = emulated.client.organization()
    assert (found.id, found.name, found.role) == (emulated.organization, "Acme", "OWNER")


def test_live_webhooks_identify_the_organization_as_a_last_resort() -> None:
    """If all live webhooks belong to one organization, that is the organization of the key."""
    emulated = _member_of(1, current_flag="missing", membership_shown=False)
    emulated.create("A", "B")
    assert emulated.client.organization().name == "Acme"


def test_an_unknown_organization_is_not_guessed() -> None:
    """An organization that cannot be determined is an error with a hint."""
    emulated = _member_of(1, current_flag="missing", membership_shown=False)
    with pytest.raises(OrganizationError) as caught:
        emulated.client.organization()
    assert caught.value.hint


def test_unlisted_organizations_are_found_by_membership() -> None:
    """After a 403 for the list of organizations, the membership has the id, but no name."""
    emulated = EmulatedApi()
    emulated.faults.add(faults.status(403), path=ORGANIZATIONS)
    found = emulated.client.organization()
    assert (found.id, found.name, found.role) == (
        emulated.organization,
        emulated.organization,
        None,
    )


def test_a_webhook_of_another_organization_is_an_error() -> None:
    """A listing or a response with a webhook of another organization is an error with its id."""
    emulated = EmulatedApi()
    emulated.client.organization()
    row = {"id": "w1", "name": "A", "type": "slack", "event_types": []}
    row["organization"] = "https://h/api/v1/organizations/other/"
    document = json.dumps({"count": 1, "next": None, "results": [row]}).encode()
    emulated.faults.add(faults.raw(document), method="GET", path=HOOKS)
    with pytest.raises(ProtocolError, match="w1"):
        emulated.client.list()
    emulated.faults.add(faults.raw(json.dumps(row).encode(), code=201), method="POST")
    with pytest.raises(ProtocolError, match="w1"):
        emulated.create("A")
    emulated.faults.add(faults.raw(json.dumps(row).encode()), method="GET", path=f"{HOOKS}w1/")
    with pytest.raises(ProtocolError, match="w1"):
        emulated.client.get("w1")


# --- PUT instead of PATCH ---


@pytest.mark.parametrize(
    ("type", "fields"), [("slack", "token"), ("generic", "password, token, url"), ("new", "all")]
)
def test_put_without_secrets_reports_the_missing_ones(type: str, fields: str) -> None:
    """The client never sends a request that would erase a token."""
    emulated = EmulatedApi(methods=("PUT", "DELETE"))
    own = emulated.create("A")[0]
    draft = slack("B")._replace(configuration=None, type=type)
    with pytest.raises(InvalidRequestError, match=fields) as caught:
        emulated.client.update(own, draft, frozenset({"name"}))
    assert caught.value.hint
    assert not any(line.startswith("PUT") for line in emulated.requests())


@pytest.mark.parametrize(
    ("read_back", "extra", "named"),
    [("mask", {}, "token"), ("plain", {"note": "by hand"}, "note"), ("plain", {}, None)],
)
def test_put_never_changes_more_than_the_plan_names(
    read_back: str, extra: dict[str, str], named: str | None
) -> None:
    """A complete replacement would lose undeclared fields, and replace hidden secrets."""
    emulated = EmulatedApi(methods=("PUT", "DELETE"), read_back=read_back)
    emulated.create("Deploys")
    emulated.emulator.configure("Deploys", **extra)
    (outcome,) = emulated.apply(builders.slack(events=("value_deleted",))).outcomes
    assert any(line.startswith("PUT") for line in emulated.requests()) is (named is None)
    if named is not None:
        assert isinstance(outcome, Failed)
        assert outcome.message.endswith(f"that the plan does not name: {named}")
        assert "--resend-secret Deploys" in str(outcome.hint)


def test_a_server_without_patch_and_put_is_an_error() -> None:
    """If both are rejected, the client does not delete and create instead."""
    emulated = EmulatedApi(methods=("DELETE",))
    own = emulated.create("A")[0]
    with pytest.raises(InvalidRequestError) as caught:
        emulated.client.update(own, slack("B"), frozenset({"name"}))
    assert caught.value.status == 405


# --- checks of responses ---

OTHER = faults.raw(b'{"id": "other"}')


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("POST", faults.raw(b"{}", code=201, commit=True)),
        ("POST", faults.raw(b'{"id": 5}', code=201, commit=True)),
        ("POST", faults.raw(b'{"id": "x"}', code=200, commit=True)),
        ("POST", faults.raw(b"", code=204, commit=True)),
        ("POST", faults.html(201, commit=True)),
        ("POST", faults.redirect("/elsewhere", commit=True)),
        ("PATCH", OTHER),
        ("DELETE", faults.raw(b"{}", code=200, commit=True)),
        ("DELETE", faults.raw(b"{}", code=202, commit=True)),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_an_unconfirmed_write_is_ambiguous(method: str, fault: faults.Fault) -> None:
    """Only 201 with a usable id, the webhook's own id or 204 confirm a write; it is sent once."""
    emulated = EmulatedApi()
    (own,) = emulated.create("A")
    emulated.emulator.log.clear()
    emulated.faults.add(fault, method=method)
    writes: dict[str, Callable[[], object]] = {
        "POST": lambda: emulated.create("B"),
        "PATCH": lambda: emulated.client.update(own, slack("B"), frozenset({"name"})),
        "DELETE": lambda: emulated.client.delete(own),
    }
    with pytest.raises(AmbiguousWriteError):
        writes[method]()
    assert [entry.method for entry in emulated.emulator.log] == [method]
    assert len(emulated.client.list()) == {"POST": 2, "PATCH": 1, "DELETE": 0}[method]


def test_a_row_of_another_webhook_is_an_error() -> None:
    """A response must have the id of the requested webhook."""
    emulated = EmulatedApi()
    (own,) = emulated.create("A")
    emulated.faults.add(OTHER, path=f"{HOOKS}{own}/", times=None)
    with pytest.raises(ProtocolError):
        emulated.client.get(own)


def test_an_html_404_is_not_a_missing_webhook() -> None:
    """A 404 that does not come from the API does not prove that the webhook is gone."""
    emulated = EmulatedApi()
    own = emulated.create("A")[0]
    emulated.faults.add(faults.html(404), method="DELETE")
    with pytest.raises(ProtocolError):
        emulated.client.delete(own)
    assert emulated.client.get(own) is not None
