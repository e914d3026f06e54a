"""The output during a long run: waits and signals."""

from __future__ import annotations

import io
import re
from pathlib import Path
from threading import Thread
from time import sleep

from reconciler.cli.connection import Progress
from reconciler.cli.console import Console, Process
from reconciler.cli.session import Session
from reconciler.report import Applied
from tests.cli.conftest import File, MakeCloud, Shell, Terminal
from tests.emulated.faults import Rule, Script, status
from tests.render.cases import CREATE


def progress(err: io.StringIO) -> Progress:
    streams = {"stdin": io.StringIO(), "stdout": io.StringIO(), "stderr": err}
    return Progress(Session(Console(Process(environ={}, directory=Path(), **streams))))


def test_a_signal_between_writes_prints_that_none_is_in_flight() -> None:
    """Confirmed operations are no longer in flight; test_signals.py has one that is."""
    err = io.StringIO()
    with progress(err) as shown:
        shown.starting(CREATE)
        shown.finished(Applied(operation=CREATE, id="1"))
        shown.interrupted()
    assert err.getvalue().endswith("\nInterrupted: no write is in flight, stopping.\n")


def test_the_count_of_parallel_writes_only_grows() -> None:
    """The status line has the number of completed operations."""

    class Slow(Terminal):
        def write(self, text: str) -> int:
            sleep(0.0005)  # lets other threads run between a count and its output
            return super().write(text)

    def write_all() -> None:
        for _ in range(20):
            shown.starting(CREATE)
            shown.finished(Applied(operation=CREATE, id="1"))

    err = Slow()
    with progress(err) as shown:
        shown.phase("", total=80)
        threads = [Thread(target=write_all) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    counts = [int(each) for each in re.findall(r"(\d+)/80 ", err.getvalue())]
    assert len(counts) > 80
    assert counts == sorted(counts)


def test_a_long_wait_is_reported_once(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A wait of 6 s after HTTP 429 is one line on standard error, and none with -q."""
    file()
    rule = Rule(fault=status(429, retry_after=6), method="GET", times=1)
    done = shell("plan", **cloud(faults=Script([rule])).environ)
    assert done.code == 0
    assert done.err.count(": rate limit exceeded (HTTP 429); trying again in 6 s\n") == 1
    assert shell("plan", "-q", **cloud(faults=Script([rule])).environ).err == ""
