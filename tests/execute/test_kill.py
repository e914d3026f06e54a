"""`webhooks apply` as a process that is killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.performance.sample import TOKEN, declaration
from tests.served import PauseAtWrite, served
from tests.waiting import TIMEOUT

_COUNT = 200


@pytest.mark.slow
@pytest.mark.parametrize("saved", [False, True], ids=["files", "saved plan"])
def test_the_next_apply_finishes_after_each_of_twenty_kills(tmp_path: Path, saved: bool) -> None:
    """After `kill -9` the same command continues, and no webhook is duplicated."""
    chance = random.Random(20)
    hold = PauseAtWrite()
    emulator = Emulator(listener=hold)
    (tmp_path / "webhooks.yaml").write_text(declaration(range(_COUNT)))

    def start(*arguments: str) -> subprocess.Popen[str]:
        site = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "CLOUDTRUTH_SERVER_URL": url, "TOKEN": TOKEN}
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", ""), **site},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(*arguments: str) -> list[str]:
        with start(*arguments) as process:
            output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, output
        return names()

    def names() -> list[str]:
        return sorted(row["name"] for row in emulator.store.webhooks())

    apply = ["apply", *(["plan.json"] if saved else []), "--yes", "--parallelism", "4"]
    with served(emulator) as url, ExitStack() as stack:
        stack.callback(hold.release)
        finish("plan", "--out", "plan.json")
        for _ in range(20):
            hold.after(chance.randrange(1, 10))
            with start(*apply) as process:
                hold.wait(process)
                process.kill()
                process.communicate()
            hold.release()
            assert process.returncode == -signal.SIGKILL
        assert 20 <= len(names()) < _COUNT
        assert finish(*apply) == [f"webhook-{number:05}" for number in range(_COUNT)]
        before = hold.writes
        finish(*apply)
        assert hold.writes == before
