"""The program as a process that is killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.pausing import PauseAtWrite
from tests.served import served
from tests.waiting import TIMEOUT

pytestmark = pytest.mark.slow

_COUNT = 200


class Site:
    """An HTTP server, and a directory from which 200 webhooks are applied to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.hold = PauseAtWrite()
        self.emulator = Emulator(listener=self.hold)
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

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ.get("PATH", ""),
                "CLOUDTRUTH_API_KEY": LOCAL_KEY,
                "CLOUDTRUTH_SERVER_URL": self.url,
                "SLACK_BOT_TOKEN": "xoxb-0123456789-abcdef",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        with self.start(*arguments) as process:
            out, errors = process.communicate(timeout=TIMEOUT)
        return process.returncode, out + errors

    def start_and_pause(self, writes: int, *arguments: str) -> subprocess.Popen[str]:
        """Start the program and return once the server pauses, after this many writes."""
        self.hold.after(writes)
        process = self.start(*arguments)
        self.hold.wait(process)
        return process

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    here = Site(tmp_path)
    with served(here.emulator) as here.url:
        yield here
        here.hold.release()


@pytest.mark.parametrize("saved", [False, True], ids=["files", "saved plan"])
def test_the_next_apply_finishes_after_each_of_twenty_kills(site: Site, saved: bool) -> None:
    """After `kill -9` the same command continues, and no webhook is duplicated."""
    chance = random.Random(20)
    what = ["apply", "--yes", "--parallelism", "4"]
    if saved:
        assert site.run("plan", "--out", "plan.json")[0] == 0
        what.insert(1, "plan.json")
    for _ in range(20):
        with site.start_and_pause(chance.randrange(1, 10), *what) as process:
            process.kill()
            process.communicate()
        site.hold.release()
        assert process.returncode == -signal.SIGKILL
    assert 20 <= len(site.names()) < _COUNT
    code, output = site.run(*what)
    assert code == 0, output
    assert site.names() == [f"hook-{n:03}" for n in range(_COUNT)]
    before = site.hold.writes
    assert site.run(*what)[0] == 0
    assert site.hold.writes == before
