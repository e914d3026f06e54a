"""The program as a process that is killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.performance.sample import TOKEN, declaration
from tests.served import PauseAtWrite, served
from tests.waiting import TIMEOUT

_COUNT = 200


class Site:
    """An HTTP server, and a directory from which 200 webhooks are applied to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.hold = PauseAtWrite()
        self.emulator = Emulator(listener=self.hold)
        (folder / "webhooks.yaml").write_text(declaration(range(_COUNT)))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        site = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "CLOUDTRUTH_SERVER_URL": self.url}
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", ""), "TOKEN": TOKEN, **site},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> None:
        with self.start(*arguments) as process:
            output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, output

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    here = Site(tmp_path)
    with served(here.emulator) as here.url:
        yield here
        here.hold.release()


@pytest.mark.slow
@pytest.mark.parametrize("saved", [False, True], ids=["files", "saved plan"])
def test_the_next_apply_finishes_after_each_of_twenty_kills(site: Site, saved: bool) -> None:
    """After `kill -9` the same command continues, and no webhook is duplicated."""
    chance = random.Random(20)
    what = ["apply", "--yes", "--parallelism", "4"]
    if saved:
        site.run("plan", "--out", "plan.json")
        what.insert(1, "plan.json")
    for _ in range(20):
        site.hold.after(chance.randrange(1, 10))
        with site.start(*what) as process:
            site.hold.wait(process)
            process.kill()
            process.communicate()
        site.hold.release()
        assert process.returncode == -signal.SIGKILL
    assert 20 <= len(site.names()) < _COUNT
    site.run(*what)
    assert site.names() == [f"webhook-{number:05}" for number in range(_COUNT)]
    before = site.hold.writes
    site.run(*what)
    assert site.hold.writes == before
