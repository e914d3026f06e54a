"""Routes, methods, bodies and authentication, like Django."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.emulated.emulator import Answer

HOOKS = "/api/v1/webhooks/"
MISSING = f"{HOOKS}00000000-0000-4000-8000-000000000000/"
Start = Callable[..., Any]


def test_a_webhook_from_create_to_delete(api: Any) -> None:
    """Create, read, change and delete answer 201, 200, 200, 204; then it is gone."""
    made = api.create()
    path = f"{HOOKS}{made['id']}/"
    assert api.read(made["id"]) == made
    changed = api("PATCH", path, {"name": "renamed"})
    assert (changed.status, changed.json()) == (200, made | {"name": "renamed"})
    gone = api("DELETE", path)
    assert (gone.status, gone.body, gone.header("content-length")) == (204, b"", "0")
    assert api("GET", path).status == api("DELETE", path).status == 404


def test_server_fields_are_read_only(api: Any) -> None:
    """id, last_run and last_error in a body are ignored."""
    made = api.create(api.slack(id="mine", last_run="2020-01-01T00:00:00Z", last_error={"code": 1}))
    assert made["id"] != "mine"
    assert (made["last_run"], made["last_error"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (HOOKS, "GET, POST, HEAD, OPTIONS"),
        (MISSING, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/api/v1/organizations/", "GET, HEAD, OPTIONS"),
        ("/api/schema/", "GET, HEAD, OPTIONS"),
    ],
)
def test_every_answer_names_the_methods_of_its_route(api: Any, path: str, allow: str) -> None:
    """`Allow` is present with every status."""
    for method in ("GET", "TRACE"):
        assert api(method, path).header("allow") == allow


def test_a_missing_trailing_slash_is_a_redirect(api: Any) -> None:
    """Django redirects any method to the path with the slash, and keeps the query."""
    answer = api("POST", "/api/v1/webhooks", api.slack(), query="page=1")
    assert (answer.status, answer.header("location")) == (301, "/api/v1/webhooks/?page=1")
    assert api.stored() == []


def test_an_unknown_route_is_an_html_page(api: Any) -> None:
    """Django answers, not the REST framework."""
    answer = api("GET", "/api/v1/hooks/")
    assert (answer.status, answer.header("content-type")) == (404, "text/html; charset=utf-8")


def test_head_is_get_without_a_body(api: Any) -> None:
    """The headers are those of GET, including the length."""
    got, head = api("GET"), api("HEAD")
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


def test_a_body_that_is_not_json_is_415(api: Any) -> None:
    """The content type decides."""
    answer = api("POST", HOOKS, api.slack(), content_type="text/plain")
    assert answer.status == 415
    assert answer.json() == {"detail": 'Unsupported media type "text/plain" in request.'}


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"name": NaN}', b"[" * 100_000])
def test_malformed_json_is_400(api: Any, raw: bytes) -> None:
    """The parser's error is in `detail`."""
    answer = api("POST", HOOKS, raw=raw)
    assert answer.status == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


def test_a_client_that_does_not_accept_json_is_406(api: Any) -> None:
    """It is, whatever the client requests."""
    assert api("GET", HOOKS, accept="text/html").status == 406
    assert api("GET", HOOKS, accept="text/html, application/json;q=0.9").status == 200


@pytest.mark.parametrize("scheme", ["Api-Key", "api-key", "Bearer"])
def test_both_kinds_of_credentials_are_accepted(api: Any, scheme: str) -> None:
    """A service account's key and a user's token are valid."""
    assert api("GET", HOOKS, authorization=f"{scheme} {api.key}").status == 200


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ("Api-Key wrong", "Incorrect authentication credentials."),
        ("", "Authentication credentials were not provided."),
        ("Basic eDp5", "Authentication credentials were not provided."),
    ],
)
def test_a_bad_key_is_refused(start: Start, status: int, sent: str, detail: str) -> None:
    """The status is the variant's."""
    answer = start(bad_key_status=status)("GET", HOOKS, authorization=sent)
    assert (answer.status, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("role", ["VIEWER", "contrib", "NO_SECRETS"])
def test_a_low_role_can_read_and_not_write(start: Start, role: str) -> None:
    """Writes are 403, before the body is checked."""
    api = start(shown_role=role)
    answer = api("POST", HOOKS, raw=b"{")
    assert answer.status == 403
    assert answer.json() == {"detail": "You do not have permission to perform this action."}
    assert api("GET").status == 200
    assert api("GET", "/api/v1/organizations/").json()["results"][0]["role"] == role


def test_maintenance_refuses_writes(start: Start) -> None:
    """Reads continue, and the organization has the flag."""
    api = start(maintenance=True)
    assert api("POST", HOOKS, api.slack()).status == 403
    assert api("GET").status == 200
    assert api("GET", "/api/v1/organizations/").json()["results"][0]["maintenance"] is True


def test_the_organization_can_be_found_from_the_key(api: Any) -> None:
    """It is found directly, and through the current user's membership."""
    rows = api("GET", "/api/v1/organizations/").json()["results"]
    assert [(row["name"], row["current"]) for row in rows] == [("Acme", True)]
    user = api("GET", "/api/v1/users/current/").json()
    assert user["organization_name"] == "Acme"
    assert "|" in user["id"]
    membership = api("GET", f"/api/v1/memberships/{user['membership_id']}/").json()
    assert membership["organization"].endswith(f"/organizations/{rows[0]['id']}/")
    assert api("GET", "/api/v1/memberships/other/").status == 404


def test_two_organizations_do_not_see_each_other(api: Any) -> None:
    """A key lists, reads and changes only its own organization's webhooks."""
    store = api.emulator.store
    other = store.add_organization("Other")
    store.add_user(other.id, key="other-key")
    mine = api.create()
    path = f"{HOOKS}{mine['id']}/"
    bearer = "Api-Key other-key"
    for method in ("GET", "PATCH", "DELETE"):
        assert api(method, path, {"name": "x"}, authorization=bearer).status == 404
    assert api("GET", HOOKS, authorization=bearer).json()["results"] == []
    stray = api("POST", HOOKS, api.slack(organization=other.id))
    assert stray.json() == {"organization": [f'Invalid pk "{other.id}" - object does not exist.']}
    assert api("POST", HOOKS, api.slack(organization=other.id), authorization=bearer).status == 201
    assert api.names() == ["alerts"]


def test_the_schema_needs_no_key_and_names_events_and_types(start: Start) -> None:
    """A client can discover unknown events."""
    api = start(events=["value_created", "moon_landed"], types=["slack", "teams"])
    answer: Answer = api("GET", "/api/schema/", query="format=json", authorization="")
    parts = answer.json()["components"]["schemas"]
    assert parts["EventTypesEnum"]["enum"] == ["value_created", "moon_landed"]
    assert parts["WebHooksTypeEnum"]["enum"] == ["slack", "teams"]
    assert api("GET", "/api/schema/", query="format=cobol").status == 404
