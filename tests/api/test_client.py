"""The client against variants of the emulator; a listing is complete, or raises an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from hypothesis import given, strategies as st

from reconciler.api.client import Client, _read_all
from reconciler.api.parameters import Parameters
from reconciler.errors import (
    AmbiguousWriteError,
    IncompleteListingError,
    InvalidRequestError,
    OrganizationError,
    ProtocolError,
)
from reconciler.model import DeliveryError, Secret
from reconciler.report import Failed
from reconciler.workflow import Connector
from tests.api.support import EmulatedApi, Scripted, json_response, slack, transport
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY
from tests.emulated.variant import CurrentFlag
from tests.goldens import rows
from tests.planning import builders
from tests.ports import InlineWorkers

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
    id_ = emulated.organization
    assert (found.id, found.name, found.role) == (id_, id_, None)


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


# --- secrets of live webhooks ---


QUOTE = faults.status(400, detail="NewPassword-2 pin9")


def _with_secrets() -> EmulatedApi:
    """Create an emulated API with two secrets in webhook `A`, which an error of `B` quotes."""
    emulated = EmulatedApi()
    emulated.create("A", "B")
    emulated.emulator.configure("A", note="NewPassword-2", pin="pin9")
    emulated.emulator.change("B", last_error={"text": "NewPassword-2 pin9"})
    return emulated


@pytest.mark.parametrize(
    ("request_of", "detail"),
    [
        (lambda client, a: client.get(a), "*** ***"),
        (lambda client, a: client.update(a, slack("A"), frozenset({"name"})), "*** ***"),
        (lambda client, a: client.delete(a), "*** ***"),
        (lambda client, a: client.create(slack("C"), ""), "*** pin9"),
        (lambda client, a: client.list(), "*** pin9"),
        (lambda client, a: client.organization(), "*** pin9"),
    ],
)
def test_an_error_quotes_no_secret_that_was_read(
    request_of: Callable[[Client, str], object], detail: str
) -> None:
    """A short one is hidden only in errors about its webhook, because it is in many texts."""
    emulated = _with_secrets()
    first, second = emulated.client.list()
    assert second.last_error == DeliveryError(text="*** pin9")
    emulated.faults.add(QUOTE, times=None)
    with pytest.raises(InvalidRequestError) as caught:
        request_of(emulated.client, first.id)
    assert caught.value.detail == detail


def test_an_error_quotes_no_secret_of_another_organization() -> None:
    """This includes those that are read only after the error."""
    first, second = EmulatedApi(), _with_secrets()
    first.faults.add(QUOTE, times=None)
    key = Secret(LOCAL_KEY)
    with Connector() as connect:
        with pytest.raises(InvalidRequestError) as caught:
            connect(key, adapter=first.adapter).api.list()
        connect(key, adapter=second.adapter).api.list()
    assert caught.value.detail == "*** pin9"


def test_an_error_quotes_no_value_of_a_parameter() -> None:
    """A server that ignores the filters of a list shows the values of other parameters."""
    row = {"id": "1", "name": "other", "values": {"default": {"value": "NewPassword-2"}}}
    refusal = json_response(400, {"detail": "NewPassword-2 is in use"})
    parameters = Parameters(transport(json_response(200, {"results": [row]}), refusal)[0])
    assert parameters.named("p", "mine") is None
    with pytest.raises(InvalidRequestError) as caught:
        parameters.create("p", "mine", "")
    assert caught.value.detail == "*** is in use"


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
        *((method, faults.raw(text.encode(), code=code, commit=True))
          for method, code, text in rows(Path(__file__).with_name("unconfirmed.yaml"))),
        ("POST", faults.html(201, commit=True)),
        ("POST", faults.redirect("/elsewhere", commit=True)),
        ("PATCH", OTHER),
    ],
    ids=lambda value: getattr(value, "label", value),
)  # fmt: skip
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


def page(count: Any, *ids: int, more: Any = None) -> httpx.Response:
    results = [{"id": str(id_)} for id_ in ids]
    return json_response(200, {"count": count, "next": more, "previous": None, "results": results})


GONE = json_response(404, {"detail": "Invalid page."})


def listing(*responses: Any) -> tuple[list[str], Scripted]:
    """List all webhooks; return the ids and the server."""
    one, server, _ = transport(*responses)
    found = _read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    return list(found), server


def response(document: Any) -> httpx.Response:
    """Return a page with a count, ids and a next link, if any, or another response."""
    if isinstance(document, dict):
        return json_response(**document)
    count, ids, *more = document
    return page(count, *ids, more=more[0] if more else None)


@pytest.mark.parametrize(("title", "documents"), rows(Path(__file__).with_name("listings.yaml")))
def test_an_inconsistent_listing_is_read_twice(title: str, documents: list[Any]) -> None:
    """The same problem twice is an error; a consistent second listing is returned."""
    responses = list(map(response, documents))
    with pytest.raises(IncompleteListingError, match="returns an incomplete listing") as caught:
        listing(*responses, *responses)
    assert caught.value.path == "/x/"
    assert caught.value.__context__ is None
    found, _ = listing(*responses, page(2, 7, 8))
    assert found == ["7", "8"]


@pytest.mark.parametrize(
    "responses", [[page(200_001, *range(1000))], [page(2001, 1)]], ids=["rows", "pages"]
)
def test_an_excessive_count_is_not_read(responses: list[Any]) -> None:
    """A count above the limit is an error after one request."""
    one, server, _ = transport(*responses)
    with pytest.raises(IncompleteListingError, match="more than 2000 pages or 200000 rows"):
        _read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert len(server.requests) == 1


def growing(writes: int) -> Callable[[httpx.Request], httpx.Response]:
    """Serve 10 rows a page while another process adds a row before each of `writes` requests."""
    live = list(range(20))

    def serve(request: httpx.Request) -> httpx.Response:
        if len(live) < 20 + writes:
            live.append(len(live))
        start = (int(request.url.params["page"]) - 1) * 10
        return page(len(live), *live[start : start + 10])

    return serve


def test_a_changing_listing_is_read_again_with_growing_pauses() -> None:
    """The listing waits for a concurrent apply of another scope that writes 60 webhooks."""
    one, server, clock = transport(growing(60))
    found = _read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert found == tuple(str(number) for number in range(80))
    assert clock.highs[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert len(server.requests) > 60


def test_a_listing_that_never_stops_changing_is_an_error_at_half_the_deadline() -> None:
    """The other half of the time is left for the rest of the run."""
    one, _, clock = transport(growing(10**6), deadline=100.0)
    began = clock.time
    with pytest.raises(IncompleteListingError, match="changed each time it was read") as caught:
        _read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert caught.value.hint is not None
    assert "--deadline" in caught.value.hint
    assert 20.0 < clock.time - began <= 50.0


def test_a_missing_list_is_not_an_empty_list() -> None:
    """A 404 on the first page is a server error."""
    with pytest.raises(ProtocolError, match="has no list at /x/"):
        listing(GONE)


@given(
    total=st.integers(0, 40),
    size=st.integers(1, 15),
    edits=st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 50)), max_size=4),
)
def test_a_listing_during_edits_is_consistent(
    total: int, size: int, edits: list[tuple[int, bool, int]]
) -> None:
    """An accepted listing has every row once, even if rows move between pages."""
    live = list(range(total))
    fresh = iter(range(1000, 2000))
    served = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal served
        for moment, insert, where in edits:
            if moment == served and insert:
                live.insert(min(where, len(live)), next(fresh))
            elif moment == served and where < len(live):
                del live[where]
        served += 1
        start = (int(request.url.params["page"]) - 1) * size
        if start and start >= len(live):
            return GONE
        part = live[start : start + size]
        return page(len(live), *part, more="x" if start + size < len(live) else None)

    try:
        found, _ = listing(serve)
    except IncompleteListingError:
        assert edits
        return
    assert len(found) == len(set(found))
    if not edits:
        assert found == [str(number) for number in live]
