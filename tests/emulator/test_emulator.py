"""The emulator is like CloudTruth's server: routes, validation, roles, pages, the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.store import Store
from tests.emulated.emulator import LOCAL_KEY, Emulator, Request, Response
from tests.emulated.variant import Variant
from tests.goldens import rows
from tests.ports import VirtualClock

HOOKS = "/api/v1/webhooks/"


@dataclass(slots=True)
class Api:
    """Calls an emulator like a client with one key."""

    emulator: Emulator

    def __call__(
        self,
        method: str,
        path: str = HOOKS,
        body: Any = None,
        *,
        query: str = "",
        raw: bytes | None = None,
        **headers: str,
    ) -> Response:
        sent = {"authorization": f"Api-Key {LOCAL_KEY}", "host": "api.cloudtruth.io"}
        if body is not None or raw is not None:
            sent["content-type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is None:
            raw = b"" if body is None else json.dumps(body).encode()
        return self.emulator.handle(
            Request(method=method, path=path, query=query, headers=sent, body=raw)
        )

    def slack(self, name: str = "alerts", **changes: Any) -> dict[str, Any]:
        """Return a body that creates a Slack webhook."""
        return {
            "name": name,
            "organization": self.emulator.organization,
            "event_types": ["value_created", "parameter_updated"],
            "type": "slack",
            "configuration": {"token": "xoxb-0123456789", "channel": "#alerts", "username": "CT"},
        } | changes

    def generic(self, name: str = "pager", **configuration: Any) -> dict[str, Any]:
        """Return a body that creates a generic webhook."""
        url = {"url": "https://hooks.example.com/ct"}
        return self.slack(name, type="generic", configuration=url | configuration)

    def create(self, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Create a webhook and return it."""
        response = self("POST", HOOKS, body or self.slack())
        assert response.status == 201, response.body
        made: dict[str, Any] = response.json()
        return made

    def names(self, query: str = "") -> list[str]:
        response = self("GET", HOOKS, query=query)
        assert response.status == 200, response.body
        return [row["name"] for row in response.json()["results"]]

    def stored(self) -> list[str]:
        """Return the names of the stored webhooks."""
        return [row["name"] for row in self.emulator.store.webhooks()]


@pytest.fixture
def start() -> Callable[..., Api]:
    """Start an emulator with the choices given by name."""

    def start(*, store: Store | None = None, **choices: Any) -> Api:
        return Api(Emulator(store, behavior=Variant(**choices), clock=VirtualClock().monotonic))

    return start


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    """An emulator with the default variant."""
    return start()


def test_server_fields_are_read_only(api: Api) -> None:
    """`id`, `last_run` and `last_error` in a body are ignored."""
    made = api.create(api.slack(id="mine", last_run="2020-01-01T00:00:00Z", last_error={"code": 1}))
    assert made["id"] != "mine"
    assert (made["last_run"], made["last_error"]) == (None, None)


def test_a_path_without_its_trailing_slash_does_not_exist(api: Api) -> None:
    """An HTML page means that there is no such route."""
    response = api("POST", "/api/v1/webhooks", api.slack(), query="page=1")
    assert (response.status, response.body[:9]) == (404, b"<!doctype")
    assert api.stored() == []


@pytest.mark.parametrize("role", ["VIEWER", "contrib", "NO_SECRETS"])
def test_a_low_role_can_read_and_not_write(start: Callable[..., Api], role: str) -> None:
    """A write without the role is 403, before the body is checked."""
    api = start(shown_role=role)
    response = api("POST", HOOKS, raw=b"{")
    assert response.status == 403
    assert response.json() == {"detail": "You do not have permission to perform this action."}
    assert api("GET").status == 200
    assert api("GET", "/api/v1/organizations/").json()["results"][0]["role"] == role


def test_two_organizations_do_not_see_each_other(api: Api) -> None:
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


def fill(api: Api, count: int) -> Any:
    for i in range(count):
        api.create(api.slack(f"w{(i * 7) % count}"))
    return api


def test_pages_have_counts_and_links(start: Callable[..., Api]) -> None:
    """`count`, `next` and `previous` are set, and all pages together are the list."""
    api = fill(start(), 5)
    pages = [api("GET", query=f"page={n}&page_size=2&ordering=name").json() for n in (1, 2, 3)]
    assert [row["name"] for page in pages for row in page["results"]] == [f"w{i}" for i in range(5)]
    assert {page["count"] for page in pages} == {5}
    url = f"https://api.cloudtruth.io{HOOKS}"
    assert pages[0]["next"] == f"{url}?page=2&page_size=2&ordering=name"
    assert pages[1]["previous"] == f"{url}?page=1&page_size=2&ordering=name"
    assert (pages[0]["previous"], pages[2]["next"]) == (None, None)


def test_webhooks_have_the_requested_order(api: Api) -> None:
    """The order is ascending or descending, by one or more keys; unknown keys are ignored."""
    fill(api, 3)
    assert api.names() == ["w0", "w1", "w2"]
    api.create(api.generic("w0"))
    assert api.names("ordering=-name") == ["w2", "w1", "w0", "w0"]
    rows = api("GET", query="ordering=name,colour,-id").json()["results"]
    first, second = rows[:2]
    assert (first["name"], second["name"], first["id"] > second["id"]) == ("w0", "w0", True)


REQUIRED = ["This field is required."]
REJECTED = rows(Path(__file__).with_name("rejected.yaml"))


def test_all_missing_fields_are_reported_together(api: Api) -> None:
    """An empty object lacks all five fields, and so does a missing body."""
    fields = ("name", "organization", "event_types", "type", "configuration")
    for response in (api("POST", HOOKS, {}), api("POST", HOOKS)):
        assert (response.status, response.json()) == (400, dict.fromkeys(fields, REQUIRED))


@pytest.mark.parametrize(("change", "errors"), REJECTED["slack"])
def test_slack_input_is_rejected_per_field(api: Api, change: Any, errors: Any) -> None:
    """Each wrong field has its own message, and nothing is stored."""
    response = api("POST", HOOKS, api.slack(**change))
    assert (response.status, response.json()) == (400, errors)
    assert api.stored() == []


@pytest.mark.parametrize(("configuration", "errors"), REJECTED["generic"])
def test_generic_input_is_rejected_per_key(api: Api, configuration: Any, errors: Any) -> None:
    """The URL is required; user and password must be set together."""
    response = api("POST", HOOKS, api.generic(**configuration))
    assert (response.status, response.json()) == (400, {"configuration": errors})


def test_patch_replaces_the_configuration(api: Api) -> None:
    """Keys that are not sent are removed, so required ones must be sent."""
    path = f"{HOOKS}{api.create(api.generic(token='t'))['id']}/"
    sent = {"url": "https://b.example.com"}
    assert api("PATCH", path, {"configuration": sent}).json()["configuration"] == sent
    assert api("PATCH", path, {"configuration": {"verify": False}}).status == 400


def test_the_type_can_change_with_its_configuration(api: Api) -> None:
    """The type cannot change without a matching configuration."""
    made = api.create()
    path = f"{HOOKS}{made['id']}/"
    rejected = api("PATCH", path, {"type": "generic"})
    assert rejected.json()["configuration"]["url"] == REQUIRED
    body = {"type": "generic", "configuration": {"url": "https://x.example.com"}}
    assert api("PATCH", path, body).json()["type"] == "generic"


def test_the_key_is_not_in_the_file(tmp_path: Path, start: Callable[..., Api]) -> None:
    """Only the key's digest is stored."""
    path = tmp_path / "db"
    api = start(store=Store(path))
    api.create()
    api.emulator.store.close()
    assert LOCAL_KEY.encode() not in path.read_bytes()


def test_a_failed_transaction_changes_nothing(api: Api) -> None:
    """A nested transaction is part of the outermost one."""
    store = api.emulator.store

    def fail() -> None:
        with store.transaction():
            store.save(api.slack())
            with store.transaction():
                store.save(api.slack())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert api.stored() == []
    assert api.create()


def test_eight_concurrent_threads_lose_nothing(tmp_path: Path, start: Callable[..., Api]) -> None:
    """Every create is stored once, and every log entry exists."""
    api = start(store=Store(tmp_path / "db"), unique_names="exact")

    def work(number: int) -> list[int]:
        return [
            api("POST", HOOKS, api.slack(f"{number // 2}-{i}")).status  # each name from two threads
            for i in range(20)
        ]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for part in pool.map(work, range(8)) for status in part]
    assert sorted(statuses) == [201] * 80 + [400] * 80
    assert len(set(api.stored())) == 80
    assert len(api.emulator.log) == 160
    api.emulator.store.close()
