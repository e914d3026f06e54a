"""The program as a process: killed at any moment, or asked to stop."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator import faults
from reconciler.emulator.faults import Script
from reconciler.emulator.handler import LOCAL_KEY, Emulator
from reconciler.emulator.server import Server

pytestmark = pytest.mark.slow

_COUNT = 200


class Site:
    """A server with real HTTP, and a directory from which 200 webhooks are applied to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = Script()
        self.reached = threading.Event()
        self.wait_for = 0
        self.writes = 0
        self.emulator = Emulator(faults=self.script, listener=self._heard)
        self.server = Server(self.emulator)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        webhooks = [{"name": f"hook-{n:03}"} for n in range(_COUNT)]
        defaults = {
            "type": "slack",
            "event_types": ["value_created"],
            "configuration": {
                "token": {"env": "SLACK_BOT_TOKEN"},
                "channel": "#ops",
                "username": "CT",
            },
        }
        text = json.dumps({"version": 1, "defaults": defaults, "webhooks": webhooks})
        (folder / "webhooks.yaml").write_text(text)

    def _heard(self, entry: Any) -> None:
        self.writes += entry.method in ("POST", "PATCH", "DELETE")
        if self.wait_for and self.writes >= self.wait_for:
            self.reached.set()

    def close(self) -> None:
        self.server.stop()
        self.thread.join(10)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ.get("PATH", ""),
                "CLOUDTRUTH_API_KEY": LOCAL_KEY,
                "CLOUDTRUTH_SERVER_URL": self.server.url,
                "SLACK_BOT_TOKEN": "xoxb-0123456789-abcdef",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            out, errors = process.communicate(timeout=120)
        return process.returncode, out + errors

    def start_and_wait_for(self, writes: int, *arguments: str) -> subprocess.Popen[str]:
        """Start the program and return once the server has seen so many writes of it."""
        self.reached.clear()
        self.wait_for = self.writes + writes
        process = self.start(*arguments)
        while not self.reached.wait(0.02) and process.poll() is None:
            pass
        return process

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    here = Site(tmp_path)
    yield here
    here.close()


@pytest.mark.parametrize("saved", [False, True], ids=["files", "saved plan"])
def test_twenty_kills_leave_nothing_that_the_next_apply_does_not_finish(
    site: Site, saved: bool
) -> None:
    """`kill -9` after any write: the same command goes on, and no webhook is doubled."""
    chance = random.Random(20)
    what = ["apply", "--yes", "--parallelism", "4"]
    if saved:
        assert site.run("plan", "--out", "plan.json")[0] == 0
        what.insert(1, "plan.json")
    for _ in range(20):
        with site.start_and_wait_for(chance.randrange(1, 10), *what) as process:
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert 20 <= len(site.names()) < _COUNT
    code, said = site.run(*what)
    assert code == 0, said
    assert site.names() == [f"hook-{n:03}" for n in range(_COUNT)]
    before = site.writes
    assert site.run(*what)[0] == 0
    assert site.writes == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_ends_the_run_with_a_whole_report(
    site: Site, number: signal.Signals, code: int
) -> None:
    """Nothing more is started; what was begun is finished and told."""
    what = ("apply", "--yes", "--parallelism", "2", "--format", "json")
    with site.start_and_wait_for(10, *what) as process:
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == code, out + errors
    outcomes = json.loads(out)["outcomes"]
    assert len(outcomes) == _COUNT
    done = sum(each["outcome"] == "applied" for each in outcomes)
    assert done == len(site.names()) < _COUNT


def test_a_second_signal_ends_the_run_at_once(site: Site) -> None:
    """An answer that does not come is not waited for, and the doubt is told."""
    site.script.add(faults.hang(25.0, commit=True), method="POST", nth=5)
    what = ("apply", "--yes", "--parallelism", "1", "--format", "json")
    with site.start_and_wait_for(5, *what) as process:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=3)
    assert process.returncode == 143, out + errors
    counts: dict[str, int] = {}
    for each in json.loads(out)["outcomes"]:
        counts[each["outcome"]] = counts.get(each["outcome"], 0) + 1
    assert counts == {"applied": 4, "unconfirmed": 1, "skipped": _COUNT - 5}
