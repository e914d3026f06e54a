"""`webhooks emulator`: a server process, stopped by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Shell, expect
from tests.waiting import TIMEOUT


class Running:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.url = process.stderr.readline().split()[-1]

    def get(self, path: str, key: str = "any", body: bytes | None = None) -> httpx.Response:
        headers = {"Authorization": f"Api-Key {key}"}
        return httpx.request("GET", self.url + path, headers=headers, content=body)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `webhooks emulator` with more options."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "emulator", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return Running(process)

    yield start
    for process in running:
        process.kill()
        process.communicate()


def hook(name: str) -> dict[str, Any]:
    configuration = {"url": "https://example.com", "token": "a secret"}
    return {"name": name, "type": "generic", "event_types": [], "configuration": configuration}


@pytest.mark.parametrize(("number", "codes"), [(signal.SIGINT, {0}), (signal.SIGTERM, {0, 143})])
def test_serves_until_a_signal(start: Start, number: int, codes: set[int]) -> None:
    """The server prints its URL, accepts any key, and exits cleanly."""
    server = start()
    assert server.url.startswith("http://127.0.0.1:")
    assert server.get("/api/v1/webhooks/").json()["count"] == 0
    assert server.stop(number) in codes


def test_options(start: Start, tmp_path: Path) -> None:
    """Seed, database, log, key, organization, page size and read-back form are options."""
    (tmp_path / "seed.json").write_text(json.dumps([hook("a"), hook("b")]))
    kept = ("--db", "ct.db", "--seed", "seed.json", "--key", "only", "--organization", "Globex")
    server = start(*kept, "--log", "log.jsonl", "--page-size", "1", "--read-back", "mask")
    page = server.get("/api/v1/webhooks/", "only").json()
    assert (page["count"], len(page["results"])) == (2, 1)
    assert page["results"][0]["configuration"] == {"url": "https://example.com", "token": "*****"}
    assert server.get("/api/v1/organizations/", "other").status_code == 401
    (organization,) = server.get("/api/v1/organizations/", "only").json()["results"]
    assert organization["name"] == "Globex"
    server.stop(signal.SIGINT)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == [200, 401, 200]
    again = start(*kept, "--log", "log.jsonl")
    found = again.get("/api/v1/webhooks/", "only").json()["results"]
    assert [each["name"] for each in found] == ["a", "b"]
    assert found[0]["id"] == page["results"][0]["id"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def test_a_database_keeps_its_organization(shell: Shell) -> None:
    """Another name is rejected: any key would get the webhooks of the first organization."""
    expect(shell("apply", "--local-db", "ct.db", "-f", "-", "--yes", keys="webhooks: []\n"), 0)
    expect(shell("emulator", "--db", "ct.db", "--organization", "Globex"), 64,
           "ct.db belongs to organization Acme")  # fmt: skip


def test_log_on_standard_output(start: Start) -> None:
    """With `-` the log goes to standard output, without commands for a CI runner."""
    server = start("--log", "-")
    server.get("/api/v1/webhooks/", body=b"##[group]")
    server.stop(signal.SIGINT)
    assert server.process.stdout is not None
    line = server.process.stdout.readline()
    assert "##[" not in line
    assert json.loads(line)["body"] == "##[group]"
