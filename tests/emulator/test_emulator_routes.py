"""The emulator's routes, bodies, roles and pages are like Django's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]


def test_server_fields_are_read_only(api: Any) -> None:
    """`id`, `last_run` and `last_error` in a body are ignored."""
    made = api.create(api.slack(id="mine", last_run="2020-01-01T00:00:00Z", last_error={"code": 1}))
    assert made["id"] != "mine"
    assert (made["last_run"], made["last_error"]) == (None, None)


def test_a_path_without_its_trailing_slash_does_not_exist(api: Any) -> None:
    """An HTML page means that there is no such route."""
    response = api("POST", "/api/v1/webhooks", api.slack(), query="page=1")
    assert (response.status, response.body[:9]) == (404, b"<!doctype")
    assert api.stored() == []


@pytest.mark.parametrize("role", ["VIEWER", "contrib", "NO_SECRETS"])
def test_a_low_role_can_read_and_not_write(start: Start, role: str) -> None:
    """A write without the role is 403, before the body is checked."""
    api = start(shown_role=role)
    response = api("POST", HOOKS, raw=b"{")
    assert response.status == 403
    assert response.json() == {"detail": "You do not have permission to perform this action."}
    assert api("GET").status == 200
    assert api("GET", "/api/v1/organizations/").json()["results"][0]["role"] == role


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


def fill(api: Any, count: int) -> Any:
    for i in range(count):
        api.create(api.slack(f"w{(i * 7) % count}"))
    return api


def test_pages_have_counts_and_links(start: Start) -> None:
    """`count`, `next` and `previous` are set, and all pages together are the list."""
    api = fill(start(), 5)
    pages = [api("GET", query=f"page={n}&page_size=2&ordering=name").json() for n in (1, 2, 3)]
    assert [row["name"] for page in pages for row in page["results"]] == [f"w{i}" for i in range(5)]
    assert {page["count"] for page in pages} == {5}
    url = f"https://api.cloudtruth.io{HOOKS}"
    assert pages[0]["next"] == f"{url}?page=2&page_size=2&ordering=name"
    assert pages[1]["previous"] == f"{url}?page=1&page_size=2&ordering=name"
    assert (pages[0]["previous"], pages[2]["next"]) == (None, None)


def test_webhooks_have_the_requested_order(api: Any) -> None:
    """The order is ascending or descending, by one or more keys; unknown keys are ignored."""
    fill(api, 3)
    assert api.names() == ["w0", "w1", "w2"]
    api.create(api.generic("w0"))
    assert api.names("ordering=-name") == ["w2", "w1", "w0", "w0"]
    rows = api("GET", query="ordering=name,colour,-id").json()["results"]
    first, second = rows[:2]
    assert (first["name"], second["name"], first["id"] > second["id"]) == ("w0", "w0", True)
