"""The checks of CloudTruth and the probe, with every variant of the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.api.origin import Origin
from reconciler.doctor import check_network, check_server, probe
from reconciler.errors import UnreachableError
from reconciler.execute.operation import draft
from reconciler.kinds import EVENT_TYPES, KINDS
from reconciler.model import Secret
from reconciler.report import Check, Section
from tests.api import support
from tests.api.support import EmulatedApi, Scripted, client, json_response
from tests.cli.conftest import MakeCloud, Shell
from tests.emulated.emulator import LOCAL_KEY, Emulator, Request
from tests.emulated.faults import Fault, drop, status
from tests.emulated.variant import Variant
from tests.goldens import rows
from tests.planning.builders import generic
from tests.ports import VirtualClock


def check(
    adapter: httpx.BaseTransport,
    clock: VirtualClock,
    *,
    key: str | None = LOCAL_KEY,
    guards: tuple[str | None, ...] = (None,),
) -> tuple[Check, ...]:
    api = client(adapter, clock, key)
    declared, *selected = guards
    return tuple(check_server(api, has_key=key is not None, declared=declared, selected=selected))


def check_with(
    *names: str,
    key: str | None = LOCAL_KEY,
    guards: tuple[str | None, ...] = (None,),
    **choices: Any,
) -> tuple[Check, ...]:
    """Check an emulator with these choices and live webhooks of these names."""
    emulated = EmulatedApi()
    emulated.create(*names)
    emulated.emulator.behavior = Variant(**choices)
    return check(emulated.adapter, emulated.clock, key=key, guards=guards)


def scripted(*responses: Any, key: str | None = LOCAL_KEY) -> tuple[Check, ...]:
    """Check a server that gives prepared responses."""
    return check(Scripted(*responses), VirtualClock(), key=key)


def row(checks: tuple[Check, ...], name: str) -> Check:
    return next(each for each in checks if each.name == name)


def all_of(checks: tuple[Check, ...], name: str) -> str:
    return " | ".join(f"{check.status} {check.detail}" for check in checks if check.name == name)


def test_a_correct_server() -> None:
    """Every check passes; live webhooks are a detail."""
    checks = check_with("Deploys", "Audit")
    assert {str(each.status) for each in checks} == {"ok"}
    assert row(checks, "role").detail == "OWNER"
    assert "Acme" in str(row(checks, "organization").private)
    assert not any("Acme" in each.detail or "Deploys" in each.detail for each in checks)


NEW = {"events": [*Variant.events, "secret_rotated"], "types": ["slack", "generic", "teams"]}
SCHEMA = "warn event types: new: secret_rotated | warn webhook types: new: teams"


@pytest.mark.parametrize(
    ("choices", "name", "shown"),
    [(NEW, "schema", SCHEMA), *rows(Path(__file__).with_name("variants.yaml"))],
)
def test_each_variant_is_reported(choices: dict[str, Any], name: str, shown: str) -> None:
    """The check reports the behavior, and shows no secret and no other organization."""
    checks = check_with(
        *choices.get("names", "abc"), **{k: choices[k] for k in choices if k != "names"}
    )
    assert shown in all_of(checks, name)
    assert not any("canary" in each.detail or "Globex" in each.detail for each in checks)


def test_without_a_key_the_server_is_checked() -> None:
    """Without a key, only the server's API description is requested."""
    checks = check_with(key=None)
    assert {each.name for each in checks} == {"http", "schema"}


SERVERS = rows(Path(__file__).with_name("servers.yaml"))
HOOK = {"id": "w-1", "name": "a", "type": "slack", "event_types": []}
ACME = {"results": [{"id": "o-1", "name": "Acme", "current": True}], "count": 1, "next": None}
KNOWN = (json_response(200, {}), json_response(200, ACME))
"""The responses before that of the listing."""
MOVED = httpx.Response(302, headers={"Location": "https://login.canary.example/?x=1"})
HTML = httpx.Response(404, headers={"Content-Type": "text/html"}, content=b"<h1>canary</h1>")


@pytest.mark.parametrize(("responses", "name", "shown", "fix"), SERVERS["other servers"])
def test_other_servers(responses: list[Any], name: str, shown: str, fix: str) -> None:
    """Each problem fails only its check, which has a next step and no address."""
    named = {"HTML": HTML, "MOVED": MOVED}
    checks = scripted(*(named.get(str(row)) or json_response(*row) for row in responses))
    assert shown in all_of(checks, name)
    assert fix in " ".join(str(each.fix) for each in checks if each.name == name)
    assert "canary" not in all_of(checks, name)


def test_an_address_in_a_message_is_not_in_the_detail() -> None:
    """The detail contains neither another server nor a proxy, because JSON shows it."""
    assert "login.canary.example" in str(row(scripted(MOVED), "key").private)

    class Behind(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise UnreachableError("the proxy http://canary.example:1 cannot be reached")

    (found,) = check(Behind(), VirtualClock())
    assert (found.detail, found.private) == (
        "the proxy [address] cannot be reached", "http://canary.example:1"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type", "configuration", "expected"), rows(Path(__file__).with_name("forms.yaml"))
)
def test_forms_of_secrets(type: str, configuration: dict[str, Any], expected: str) -> None:
    """Each secret that a webhook has, shown or not, has its form."""
    channel = {"channel": "#x"} if type == "slack" else {}
    shown = {**HOOK, "type": type, "configuration": {**configuration, **channel}}
    page = json_response(200, {"results": [shown], "count": 1, "next": None})
    assert expected in all_of(
        scripted(*KNOWN, page, json_response(404, {"detail": "Not found."})), "read-back"
    )


# The published description of the API.


def describe(fields: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    """Return the published description, changed; None removes a field."""
    request = Request(method="GET", path="/api/schema/")
    found: dict[str, Any] = json.loads(Emulator().handle(request).body)
    known = found["components"]["schemas"]
    changed = known["WebHooks"]["properties"] | fields
    known["WebHooks"]["properties"] = {k: v for k, v in changed.items() if v is not None}
    known |= {"WebHooksTypeEnum": {"enum": [*KINDS]}, **schemas}
    return found


NO_EVENTS = "unknown the server's API description does not list event types"
NEW_EVENT = describe({}, EventTypesEnum={"enum": ["one", *EVENT_TYPES]})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        *((describe(fields, **more), text) for fields, more, text in SERVERS["descriptions"]),
        (NEW_EVENT, "warn event types: new: one"),
        *((invalid, NO_EVENTS) for invalid in ([], {"components": {"schemas": {}}})),
    ],
)
def test_descriptions(document: Any, expected: str) -> None:
    """Differences of the API description are reported: events, types and fields."""
    assert expected in all_of(scripted(json_response(200, document), key=None), "schema")


# The proxy and the certificates.


@pytest.mark.parametrize(("environ", "expected"), rows(Path(__file__).with_name("network.yaml")))
def test_proxy_and_certificates(environ: dict[str, str], expected: str) -> None:
    """The variables in use are shown; the user and password of a proxy never are."""
    checks = [*check_network(Origin.parse("https://a.example"), environ)]
    lines = [
        f"{each.status} {each.detail}" + (f" ({each.private})" if each.private else "")
        for each in checks
    ]
    assert expected in lines
    assert "canary" not in repr(checks)


GENERIC = draft(generic("doctor probe (safe to delete)"), {})


def run(emulated: EmulatedApi) -> Section:
    return probe(emulated.client, emulated.clock, emulated.client.organization())


def details(section: Section) -> str:
    return "\n".join(f"{each.status} {each.name}: {each.detail}" for each in section.checks)


@pytest.mark.parametrize(
    ("choices", "expected"), rows(Path(__file__).with_name("behaviors.yaml")), ids=str
)
def test_a_probe_reports_the_behavior_of_the_server(choices: dict[str, Any], expected: str) -> None:
    """Each behavior has its line, and the test webhook is deleted at the end."""
    emulated = EmulatedApi(**choices)
    other = emulated.create("Deploys")
    found = details(run(emulated))
    assert expected in found
    assert "fail" not in found
    assert [each.id for each in emulated.client.list()] == other


def test_only_the_webhook_of_an_earlier_probe_is_deleted() -> None:
    """A webhook with the probe's name and another destination is kept."""
    emulated = EmulatedApi()
    foreign = emulated.client.create(GENERIC, emulated.organization).id
    ours = GENERIC._replace(configuration={"url": Secret("https://webhooks-probe.example/")})
    emulated.client.create(ours, emulated.organization)
    assert "ok clean-up: deleted 1 probe webhook" in details(run(emulated))
    assert [each.id for each in emulated.client.list()] == [foreign]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("fault", [drop(commit=True), status(403, commit=True)], ids=str)
def test_a_failed_probe_leaves_no_webhook(method: str, fault: Fault) -> None:
    """The failure is reported without the host, and the webhook is deleted."""
    emulated = EmulatedApi()
    emulated.faults.add(fault, method=method, times=99)
    found = details(run(emulated))
    assert "fail probe: " in found
    assert support.URL.removeprefix("https://") not in found
    assert "ok clean-up: deleted 1 probe webhook" in found
    assert emulated.client.list() == ()


def test_a_failed_slack_probe_leaves_no_webhook() -> None:
    """A lost response to the second create is a failure, and both webhooks are deleted."""
    emulated = EmulatedApi()
    emulated.faults.add(
        drop(commit=True), method="POST", name="doctor probe for Slack (safe to delete)"
    )
    found = details(run(emulated))
    assert "fail slack: " in found
    assert "ok clean-up: deleted 1 probe webhook" in found
    assert emulated.client.list() == ()


def test_a_probe_that_cannot_delete_names_its_webhooks() -> None:
    """The fix has each name under which one can be live, also that after the rename."""
    emulated = EmulatedApi()
    emulated.faults.add(status(403), method="DELETE", times=None)
    fix = str(row(run(emulated).checks, "clean-up").fix)
    (left,) = emulated.client.list()
    assert left.name == "doctor probe (safe to delete) renamed"
    slack = "doctor probe for Slack (safe to delete)"
    assert fix.endswith(f", {left.name!r}, {slack!r}")


DELIVER = ("doctor", "--probe", "--deliver", "Scratch", "--yes")


@pytest.mark.parametrize(("choices", "error", "code", "texts"), SERVERS["deliveries"])
def test_a_probe_with_deliveries_reports_what_the_server_shows(
    shell: Shell, cloud: MakeCloud, choices: dict[str, Any], error: object, code: int,
    texts: list[str],
) -> None:  # fmt: skip
    """The time until `last_run` moves, and whether a success removes an error, are reported."""
    clock = VirtualClock()
    site = cloud(server_time=clock.now, **choices)
    hook = {**GENERIC._asdict(), "name": "Pager", "event_types": ["value_updated"]}
    hook["configuration"] = {"url": "https://pager.example.com"}
    organization = {"organization": site.emulator.organization}
    site.emulator.store.save({**hook, **organization, "last_error": error})
    done = shell(*DELIVER, clock=clock, **site.environ)
    printed = " ".join(done.out.split())
    assert (done.code, [text for text in texts if text in printed]) == (code, texts), printed
    found = shell(*DELIVER, "--format", "json", clock=clock, **site.environ)
    assert "Pager" not in found.out
    assert "example.com" not in found.out
