"""The probe: one test webhook on a server."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.checks import Section
from reconciler.doctor import probe
from reconciler.execute.operation import draft
from reconciler.model import Secret
from tests.api import support
from tests.api.support import EmulatedApi
from tests.cli.conftest import MakeCloud, Shell
from tests.emulated.faults import Fault, drop, status
from tests.emulated.variant import ReadBack
from tests.planning.builders import generic
from tests.ports import VirtualClock

GENERIC = draft(generic("doctor probe (safe to delete)"), {})


def run(emulated: EmulatedApi) -> Section:
    return probe(emulated.client, emulated.clock, emulated.client.organization())


def details(section: Section) -> str:
    return "\n".join(f"{each.status} {each.name}: {each.detail}" for each in section.checks)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, "ok read-back: password: shown as sent"),
        ({"read_back": ReadBack.MASK}, "ok read-back: password: masked or encrypted"),
        ({"read_back": ReadBack.NULL}, "ok read-back: password: null"),
        ({"read_back": ReadBack.OMITTED}, "ok read-back: password: omitted"),
        ({"read_back": ReadBack.CONFIGURATION_NULL}, "read-back: configuration: not shown"),
        ({"read_back": ReadBack.CIPHERTEXT}, "ok read-back: password: masked or encrypted"),
        (
            {"stale_list_reads": 1},
            "warn listing: expected, but not the case: shows a new webhook immediately",
        ),
        (
            {"masked_fields": ("username",), "read_back": ReadBack.MASK},
            "warn read-back: username: masked",
        ),
        ({"read_back": ReadBack.MASK}, "ok read-back: slack token: masked or encrypted"),
        (
            {"masked_fields": ("token", "channel"), "read_back": ReadBack.MASK},
            "ok read-back: slack channel: masked or encrypted",
        ),
        ({}, "ok read-back: slack channel: shown as sent"),
        ({"default_keys": True}, "ok defaults: the server adds token, verify"),
        ({"merges": True}, "warn configuration: updates merge"),
        ({"methods": ("PUT", "DELETE")}, "ok update: changes the name and keeps everything else"),
    ],
    ids=str,
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


DELIVER = ("doctor", "--probe", "--deliver", "Scratch", "--yes")
ERROR = {"timestamp": "2026-01-01T00:00:00Z", "code": "502", "text": "bad gateway"}


@pytest.mark.parametrize(
    ("choices", "error", "code", "texts"),
    [
        ({}, None, 0, ("✓ last-run moves 2 to 2 s", "? last-error no webhook with an earlier")),
        ({"delivery_seconds": 9.0}, ERROR, 0, ("moves 10 to", "✓ last-error stays after a")),
        ({"clears_errors": True}, ERROR, 0, ("✓ last-error is removed by a successful",)),
        ({"delivered_events": ()}, None, 0, ("! last-run does not move: 1 webhook",)),
        ({"projects": {"Scratch": "[A-Z]"}}, None, 1, ("✗ parameter not all events were caused",)),
    ],
)
def test_a_probe_with_deliveries_reports_what_the_server_shows(
    shell: Shell, cloud: MakeCloud, choices: dict[str, Any], error: object, code: int,
    texts: tuple[str, ...],
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
    assert (done.code, [text for text in texts if text in printed]) == (code, [*texts]), printed
    found = shell(*DELIVER, "--format", "json", clock=clock, **site.environ)
    assert "Pager" not in found.out
    assert "example.com" not in found.out
