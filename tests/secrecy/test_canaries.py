"""No secret leaks, with any command, any fault and any output, requests of `--debug` included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from reconciler.api import responses, wire
from reconciler.api.attempt import AttemptRecord, Call
from reconciler.api.transport import Transport
from reconciler.api.wire import Redactor
from reconciler.model import Secret
from reconciler.source import position
from tests.cli.conftest import File, MakeCloud, Shell, expect
from tests.emulated.faults import Script, status
from tests.folders import write
from tests.goldens import rows
from tests.secrecy import canaries as c
from tests.secrecy.world import COMMANDS, FAULTS, INPUTS, Case, World, cases, leaks, some, world
from tests.served import closed_port

EVERY: Final = 3
"""One of this many cases runs without `--all-canaries`."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the servers once."""
    with world(tmp_path_factory.mktemp("canaries")) as found:
        yield found


def test_no_canary_leaks(servers: World, request: pytest.FixtureRequest) -> None:
    """No secret leaks from any pair of command, fault, file, format, verbosity and output."""
    every = 1 if request.config.getoption("--all-canaries") else EVERY
    chosen = some(cases(), every)
    assert {each["command"] for each in chosen} == set(COMMANDS)
    assert {each.get("fault", "none") for each in chosen} == set(FAULTS)
    assert {each["input"] for each in chosen} == set(INPUTS)
    found = list(leaks(servers, chosen))
    assert not found, "\n".join(found)
    # The runs cover every result: done, failed, invalid, denied, partly done, misused.
    assert {0, 1, 3, 4, 7, 64} <= servers.codes


def _send(transport: Transport, call: Call, attempt: int) -> Any:
    path = f"{call.path} {call.content!r}"
    record = AttemptRecord(
        method=call.method, path=path, status=None, seconds=0, size=0, attempt=attempt
    )
    transport._observe(record)
    return SEND(transport, call, attempt)


SEND: Final = Transport._send
MISTAKES: Final[dict[str, tuple[object, str, Callable[..., object]]]] = {
    "a secret that debuggers can read": (Secret, "__repr__", Secret.reveal),
    "the server's text unchanged": (wire, "_without_secrets", lambda text, *_: text),
    "the server's text with what other webhooks have": (Redactor, "add", lambda *values: None),
    "a URL with its user": (
        Secret,
        "origin",
        lambda url: f"https://{urlsplit(url.reveal()).netloc}",
    ),
    "bodies in --debug output": (Transport, "_send", _send),
    "the complete target of a redirect": (responses, "_target", lambda head: head["location"]),
    "an excerpt with the literal": (position, "_masked", lambda text, n: text.splitlines()[n]),
}


@pytest.mark.parametrize(
    ("mistake", "case", "seen"), rows(Path(__file__).with_name("mistakes.yaml"))
)
def test_a_leak_is_found(
    servers: World, monkeypatch: pytest.MonkeyPatch, mistake: str, case: Case, seen: str
) -> None:
    """A leak that is added to the program on purpose is detected."""
    monkeypatch.setattr(*MISTAKES[mistake])
    assert seen in "\n".join(leaks(servers, [case]))


@pytest.mark.parametrize(("environ", "files"), rows(Path(__file__).with_name("settings.yaml")))
def test_settings_do_not_show_the_key(
    shell: Shell, tmp_path: Path, environ: dict[str, str], files: dict[str, str]
) -> None:
    """Errors about a key, profile or URL do not repeat it."""
    environ, files = (
        {name: text.replace("THE_KEY", c.KEY.value) for name, text in texts.items()}
        for texts in (environ, files)
    )
    write(tmp_path, {"webhooks.yaml": "webhooks: []\n", **files})
    given = ["--api-key-file", "key"] if "key" in files else []
    with closed_port() as url:
        site = {"CLOUDTRUTH_SERVER_URL": url}
        if not files:
            site["CLOUDTRUTH_API_KEY"] = c.KEY.value
        done = shell("plan", "-vv", "--debug", *given, **{**site, **environ})
    assert done.code in (1, 3, 4, 64)
    shown = done.out + done.err
    assert not list(c.find(shown.encode(), "output")), shown


LINE = re.compile(
    r"(GET|POST|PATCH|DELETE) (/api/[A-Za-z0-9/-]*) (\d{3}|no answer) (\d+) ms (\d+) B"
    r"(?: attempt (\d+))?"
)


def test_debug_shows_no_content_of_requests(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A request shows method, path, status, time and size, but no header, body or query.

    Settings, which `-v` shows, do not include the key.
    """
    faults = Script()
    faults.add(status(503), method="GET", path="/api/v1/webhooks/")
    there = cloud(faults=faults, cookies=["sessionid=hunter2cookie; Path=/"])
    file()
    quiet = shell("plan", "-v", **there.environ)
    settings = ("server URL: http://127.0.0.1:", "key: *** (from CLOUDTRUTH_API_KEY)")
    expect(quiet, 0, *settings, without=(there.environ["CLOUDTRUTH_API_KEY"],))
    faults.add(status(503), method="GET", path="/api/v1/webhooks/")
    done = shell("apply", "--yes", "--debug", **there.environ)
    expect(done, 0, without=(there.environ["CLOUDTRUTH_API_KEY"],))
    lines = [each for each in done.err.splitlines() if "/api/" in each]
    shown = [each.groups() for each in map(LINE.fullmatch, lines) if each]
    assert len(shown) == len(lines), lines
    assert ("POST", "/api/v1/webhooks/", "201") in {each[:3] for each in shown}
    assert [each[5] for each in shown if each[2] == "503"] == [None]
    assert "2" in {each[5] for each in shown}
    assert all(int(each[4]) > 0 for each in shown)
    assert "/api/" not in quiet.err
