"""The checks of CloudTruth, with every variant of the emulator."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from reconciler.api.client import connect
from reconciler.api.wire import live_webhook
from reconciler.checks import Check, Status
from reconciler.doctor.service import check_server, failure, read_back
from reconciler.emulator.emulator import schema as published
from reconciler.errors import UnreachableError
from reconciler.model import EVENT_TYPES, Secret
from tests.api.support import URL, Scripted, World, answer
from tests.emulated.emulator import LOCAL_KEY
from tests.emulated.in_process import InProcess
from tests.emulated.variant import EVENTS, Variant
from tests.ports import InlineWorkers, VirtualClock


def check(
    adapter: httpx.BaseTransport,
    clock: VirtualClock,
    *,
    key: str | None = LOCAL_KEY,
    guards: tuple[str, ...] = (),
) -> tuple[Check, ...]:
    api = connect(
        server_url=URL,
        key=None if key is None else Secret(key),
        clock=clock,
        workers=InlineWorkers(),
        adapter=adapter,
    )
    return tuple(check_server(api, clock, keyed=key is not None, guards=guards))


def check_with(
    *names: str, key: str | None = LOCAL_KEY, guards: tuple[str, ...] = (), **choices: Any
) -> tuple[Check, ...]:
    """Check an emulator with these choices and live webhooks of these names."""
    world = World()
    world.create(*names)
    world.emulator.behavior = Variant(**choices)
    adapter = InProcess(world.emulator.handle, clock=world.clock)
    return check(adapter, world.clock, key=key, guards=guards)


def scripted(*answers: Any, key: str | None = LOCAL_KEY) -> tuple[Check, ...]:
    """Check a server that gives prepared responses."""
    clock = VirtualClock()
    return check(Scripted(*answers), clock, key=key)


def row(checks: tuple[Check, ...], name: str) -> Check:
    return next(each for each in checks if each.name == name)


def all_of(checks: tuple[Check, ...], name: str) -> str:
    return " | ".join(f"{each.status} {each.detail}" for each in checks if each.name == name)


def test_a_correct_server() -> None:
    """Every check passes; live webhooks are a detail."""
    checks = check_with("Deploys", "Audit")
    assert {str(each.status) for each in checks} == {"ok"}
    assert row(checks, "role").detail == "OWNER"
    assert "Acme" in str(row(checks, "organization").aside)
    assert not any("Acme" in each.detail or "Deploys" in each.detail for each in checks)
    assert all_of(checks, "methods") == ("ok list: GET, POST | ok webhook: GET, PATCH, PUT, DELETE")


NEW = {"events": [*EVENTS, "secret_rotated"], "types": ["slack", "generic", "teams"]}
UNREADABLE = {"shown_role": "VIEWER", "read_role": "ADMIN"}
NO_COUNT = {"counts": False}
SMALL = {"page_size": 2, "max_page_size": 2}


@pytest.mark.parametrize(
    ("choices", "name", "said"),
    [
        (NEW, "schema", "warn event types: new: secret_rotated | warn webhook types: new: teams"),
        ({"key": "no", "bad_key_status": 401}, "key", "does not accept the API key (HTTP 401)"),
        ({"key": "no", "bad_key_status": 403}, "key", "does not accept the API key (HTTP 403)"),
        # The key is accepted; the error of the listing is that the role is too low.
        (UNREADABLE, "key", "ok accepted"),
        (UNREADABLE, "role", "warn VIEWER can only read webhooks"),
        (UNREADABLE, "webhooks", "lacks permission"),
        ({"shown_role": "CONTRIB"}, "role", "warn CONTRIB can only read"),
        ({"shown_role": "viewer"}, "role", "warn VIEWER can only read"),
        ({"maintenance": True}, "maintenance", "fail the organization is in maintenance"),
        ({"guards": ("Acme",)}, "organization", "ok found, as expected"),
        ({"guards": ("Acme", "Globex")}, "organization", "fail the key belongs to another"),
        # The page size is the server's, not the requested one.
        ({}, "pages", "1000 rows requested, 3 returned, 3 webhooks in all"),
        (SMALL, "pages", "1000 rows requested, 2 returned, 3 webhooks in all"),
        (NO_COUNT, "pages", "1000 rows requested, 3 returned; the server reports no count"),
        ({"names": ()}, "pages", "0 webhooks in all"),
        ({"names": ()}, "methods", "ok list: GET, POST"),
        ({"names": ()}, "read-back", "unknown no live webhook has secrets"),
        ({"methods": ("PUT", "DELETE")}, "methods", "warn webhook: GET, PUT, DELETE; no PATCH"),
        ({"methods": ("PATCH", "DELETE")}, "methods", "ok webhook: GET, PATCH, DELETE"),
        ({"methods": ("DELETE",)}, "methods", "fail webhook: GET, DELETE; no PATCH or PUT"),
        ({"read_back": "plain"}, "read-back", "slack token: complete (3 webhooks)"),
        ({"read_back": "partial"}, "read-back", "masked or encrypted (3 webhooks);"),
        ({"read_back": "ciphertext"}, "read-back", "masked or encrypted (3 webhooks);"),
        ({"read_back": "omitted"}, "read-back", "omitted (3 webhooks);"),
        ({"read_back": "null"}, "read-back", "null (3 webhooks);"),
        ({"read_back": "empty"}, "read-back", "empty (3 webhooks);"),
        ({"read_back": "configuration-null"}, "read-back", "not shown"),
    ],
)
def test_each_variant_is_reported(choices: dict[str, Any], name: str, said: str) -> None:
    """The check names the behavior; it has no secret and no other organization."""
    checks = check_with(
        *choices.get("names", "abc"), **{k: choices[k] for k in choices if k != "names"}
    )
    assert said in all_of(checks, name)
    assert not any("canary" in each.detail or "Globex" in each.detail for each in checks)


def test_without_a_key_the_server_is_checked() -> None:
    """Only the server's description is requested."""
    checks = check_with(key=None)
    assert {each.name for each in checks} == {"http", "schema"}


def test_an_unknown_organization() -> None:
    """If nothing identifies the organization, the check fails with a next step."""
    two = {"results": [{"id": "o-1"}, {"id": "o-2"}], "count": 2, "next": None}
    empty: dict[str, Any] = {"results": [], "count": 0, "next": None}
    gone = answer(404, {"detail": "Not found."})
    checks = scripted(answer(200, {}), answer(200, two), answer(200, two), gone, answer(200, empty))
    found = row(checks, "organization")
    assert found.status is Status.FAIL
    assert "service account" in str(found.fix)


def shown(type: str, **configuration: Any) -> str:
    """Return the check of the first secret of a webhook."""
    live = live_webhook(
        {"id": "1", "name": "a", "type": type, "event_types": [], "configuration": configuration}
    )
    return next(read_back([live])).detail.partition(" (")[0]


def test_only_a_known_shape_is_readable() -> None:
    """A password has no shape, so any text may be masked; a number is not text."""
    assert shown("slack", token="xoxb-" + "0123456789") == "slack token: complete"
    assert shown("slack", token="something else") == "slack token: possibly complete"
    assert shown("generic", password="hunter2") == "generic password: possibly complete"


def test_an_optional_secret_may_be_unset() -> None:
    """Only a required field, or one whose partner is shown, counts as omitted."""
    assert shown("generic", url="https://x.example/") == "generic url: complete"
    both = shown("generic", url="https://x.example/", username="me")
    assert both == "generic password: omitted"
    assert shown("teams", token="canary") == "no live webhook has secrets"


# Servers that are not CloudTruth, or do not work.

HTML = httpx.Response(404, headers={"Content-Type": "text/html"}, content=b"<h1>canary</h1>")


def test_another_web_server() -> None:
    """A 404 without JSON is not a missing object: the server is not CloudTruth."""
    checks = scripted(HTML)
    assert row(checks, "http").detail == "the server responds (HTTP 404)"
    assert "unknown the server publishes no description" in all_of(checks, "schema")
    assert "it does not have this API" in row(checks, "key").detail
    assert "server URL" in str(row(checks, "key").fix)


def test_a_redirect() -> None:
    """The new location is in the aside only."""
    moved = httpx.Response(302, headers={"Location": "https://login.canary.example/?x=1"})
    found = row(scripted(moved), "key")
    assert found.detail.startswith("the server redirects to [address] (HTTP 302)")
    assert "login.canary.example" in str(found.aside)


@pytest.mark.parametrize("problem", [httpx.ConnectError("x"), httpx.ReadTimeout("x")])
def test_an_unreachable_server(problem: Exception) -> None:
    """It is one failure, not five, without the host in the detail."""
    checks = scripted(problem)
    assert [(each.name, str(each.status)) for each in checks] == [("http", "fail")]
    assert "cloudtruth.io" not in checks[0].detail
    assert checks[0].fix


def test_the_address_of_a_proxy_is_not_in_the_detail() -> None:
    """A server or proxy in a message is in the aside only."""
    api = connect(server_url=URL, key=None, clock=VirtualClock(), workers=InlineWorkers())
    problem = UnreachableError("the proxy http://canary.example:1 (HTTPS_PROXY) cannot be reached")
    found = failure(api, "http", problem)
    assert found.detail == "the proxy [address] (HTTPS_PROXY) cannot be reached"
    assert found.aside == "http://canary.example:1"


def test_invalid_lists() -> None:
    """A response that is not a list, or has rows that are not webhooks, fails only that check."""
    rows = {"results": [{"id": "o-1", "name": "Acme", "current": True}], "count": 1, "next": None}
    pages: tuple[Any, ...] = ([], {"results": None}, {"results": [{"name": "x"}]})
    for page in pages:
        checks = scripted(answer(200, {}), answer(200, rows), answer(200, rows), answer(200, page))
        assert row(checks, "webhooks").status is Status.FAIL
        assert row(checks, "organization").status is Status.OK
        assert row(checks, "role").status is Status.UNKNOWN


def test_a_server_without_required_methods() -> None:
    """Missing methods are failures; no list of methods is unknown."""
    rows = {"results": [{"id": "o-1", "name": "Acme", "current": True}], "count": 1, "next": None}
    hook = {"id": "w-1", "name": "a", "type": "slack", "event_types": []}
    page = {"results": [hook], "count": 1, "next": None}

    def methods(listed: str, single: str) -> str:
        checks = scripted(
            answer(200, {}), answer(200, rows), answer(200, rows),
            answer(200, page, allow=listed), answer(200, hook, allow=single),
        )  # fmt: skip
        return all_of(checks, "methods")

    assert "fail list: GET; no POST" in methods("GET", "GET, PATCH, DELETE")
    assert "fail webhook: GET, PATCH; no DELETE" in methods("GET, POST", "GET, PATCH")
    assert methods("", "").count("unknown") == 2


@pytest.mark.parametrize(
    ("seconds", "status", "word"),
    [(0, "ok", "agree"), (59, "ok", "agree"), (-60, "ok", "agree"), (61, "warn", "ahead of"),
     (-3600, "warn", "behind")],
)  # fmt: skip
def test_clocks(seconds: float, status: str, word: str) -> None:
    """The server's Date header may differ by a minute, in both directions."""
    clock = VirtualClock()
    date = format_datetime(clock.now() - timedelta(seconds=seconds), usegmt=True)
    found = row(check(Scripted(answer(200, {}, date=date)), clock, key=None), "clock")
    assert (str(found.status), word in found.detail) == (status, True)


@pytest.mark.parametrize("date", ["soon", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"])
def test_an_invalid_date_is_ignored(date: str) -> None:
    """There is no check of the clocks."""
    checks = check(Scripted(answer(200, {}, date=date)), VirtualClock(), key=None)
    assert "clock" not in {each.name for each in checks}


# The published description of the API.


def described(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(published(Variant()).body)
    found["components"]["schemas"] |= changes
    return found


def schema_checks(description: Any) -> list[str]:
    checks = scripted(answer(200, description), key=None)
    return [f"{each.status} {each.detail}" for each in checks if each.name == "schema"]


def test_a_matching_description() -> None:
    """Matching fields are counted."""
    assert schema_checks(described()) == [
        "ok event types: all 15 known, no others",
        "ok webhook types: all 2 known, no others",
        "ok fields: all 8 known, no others",
    ]


def test_new_fields_are_named() -> None:
    """A new field of webhooks is reported by name."""
    document = described()
    fields = document["components"]["schemas"]["WebHooks"]["properties"]
    fields |= {"description": {}, "x\x1b[31m": {}}
    assert schema_checks(document)[2] == 'warn fields: new: description, "x\\u001b[31m"'
    del fields["last_error"]
    assert schema_checks(document)[2].endswith("; missing: last_error")


@pytest.mark.parametrize("wrapper", ["allOf", "oneOf", "anyOf"])
def test_references_to_an_enumeration(wrapper: str) -> None:
    """Values are found through the wrappers that generators add around references."""
    document = described()
    fields = document["components"]["schemas"]["WebHooks"]["properties"]
    fields["type"] = {wrapper: [{"$ref": "#/components/schemas/WebHooksTypeEnum"}]}
    fields["event_types"] = {"type": "array", "items": {"enum": ["one", *EVENT_TYPES]}}
    assert schema_checks(document)[:2] == [
        "warn event types: new: one",
        "ok webhook types: all 2 known, no others",
    ]


@pytest.mark.parametrize(
    "document",
    [[], {}, {"components": {"schemas": {}}}, {"components": {"schemas": {"WebHooks": 1}}}],
)
def test_a_description_without_webhooks(document: Any) -> None:
    """The check is unknown."""
    assert schema_checks(document) == ["unknown the server's description has no webhooks"]


def test_a_circular_description() -> None:
    """Circular references end."""
    circle = {"$ref": "#/components/schemas/EventTypesEnum"}
    found = schema_checks(described(EventTypesEnum=circle))
    assert found[0] == "unknown the server's description names no event types"
