"""Signals during `apply` with a stopped clock, so that only they can end the run."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from reconciler.cli.commands import apply
from reconciler.cli.connection import Progress
from reconciler.execute.workers import SignalStop
from tests.cli.conftest import File, MakeCloud, Shell
from tests.emulated.faults import Fault, hang
from tests.folders import python
from tests.ports import VirtualClock
from tests.waiting import TIMEOUT

NAMES = [f"hook-{number}" for number in range(8)]
FILE = "defaults: {type: generic, event_types: [value_created]}\nwebhooks:\n" + "".join(
    f"  - {{name: {name}, configuration: {{url: 'https://h.example.com/{name}'}}}}\n"
    for name in NAMES
)
STOPPING = ("apply", "--yes", "--parallelism", "1", "--timeout", str(TIMEOUT), "--format", "json")


class Interrupting:
    """Sends signals during a write, and continues the write after they are handled."""

    def __init__(self, handled: threading.Event, *numbers: int, fault: Fault | None = None) -> None:
        self._heard = handled
        self._numbers = numbers
        self._fault = fault
        self.posts = 0

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        self.posts += method == "POST"
        if method != "POST" or self.posts != 3:
            return None
        for number in self._numbers:
            self._heard.clear()
            os.kill(os.getpid(), number)
            assert self._heard.wait(TIMEOUT)
        return self._fault


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the first signal was reported, and when a second one was handled."""
    event = threading.Event()
    note, report = SignalStop._on_signal, Progress._report_signal

    def noting(stop: SignalStop, number: int, frame: FrameType | None) -> None:
        note(stop, number, frame)
        if stop._again:
            event.set()

    def reporting(progress: Progress) -> None:
        report(progress)
        event.set()

    monkeypatch.setattr(SignalStop, "_on_signal", noting)
    monkeypatch.setattr(Progress, "_report_signal", reporting)
    return event


def reported_outcomes(out: str) -> list[tuple[str, str]]:
    return [
        (each["name"], each["outcome"]) for each in json.loads(out)["organizations"][0]["outcomes"]
    ]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_writes_in_flight_finish_and_no_other_starts(
    shell: Shell, file: File, cloud: MakeCloud, handled: threading.Event, number: int
) -> None:
    """The report correctly lists which operations were applied and which were not."""
    file(FILE)
    there = cloud(faults=Interrupting(handled, number))
    done = shell(*STOPPING, clock=VirtualClock(), **there.environ)
    assert done.code == 128 + number, done.err
    ends = ["applied"] * 3 + ["skipped"] * (len(NAMES) - 3)
    assert "Interrupted. Waiting up to " in done.err
    assert reported_outcomes(done.out) == list(zip(NAMES, ends, strict=True))
    assert there.names() == NAMES[:3]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_abandons_a_pending_response(
    shell: Shell, file: File, cloud: MakeCloud, handled: threading.Event, second: int
) -> None:
    """The write is reported as unconfirmed, with the exit code of the first signal."""
    file(FILE)
    there = cloud(faults=Interrupting(handled, signal.SIGTERM, second, fault=hang(commit=True)))
    done = shell(*STOPPING, clock=VirtualClock(), **there.environ)
    assert done.code == 143, done.err
    assert Counter(outcome for _, outcome in reported_outcomes(done.out)) == {
        "applied": 2, "unconfirmed": 1, "skipped": len(NAMES) - 3,
    }  # fmt: skip
    assert there.names() == NAMES[:3]


@pytest.mark.parametrize(("count", "code", "reports"), [(1, 0, 1), (2, 130, 0)])
def test_a_signal_after_the_writes_does_not_lose_the_report(
    shell: Shell, file: File, cloud: MakeCloud, monkeypatch: pytest.MonkeyPatch,
    count: int, code: int, reports: int,
) -> None:  # fmt: skip
    """The run is complete; a second one ends a program that hangs."""

    def signaled(
        *arguments: Any, show: Callable[..., None] = apply._show_report, **options: Any
    ) -> None:
        for _ in range(count):
            signal.raise_signal(signal.SIGINT)
        show(*arguments, **options)

    file(FILE)
    monkeypatch.setattr(apply, "_show_report", signaled)
    done = shell("apply", "--yes", **cloud().environ)
    assert (done.code, done.out.count("Applied")) == (code, reports), done
    assert "Interrupted" not in done.err


DROPPED = """
import os, signal, weakref
from pathlib import Path
from reconciler.cli.console import Process

Process.of_this_process()
target = set()
reference = weakref.ref(target, lambda _: os.kill(os.getpid(), signal.{name}))
try:
    del target
    signal.pause()
except BaseException as problem:
    print(type(problem).__name__)
"""


@pytest.mark.parametrize(
    ("name", "expected"), [("SIGTERM", "Terminated"), ("SIGINT", "KeyboardInterrupt")]
)
def test_a_signal_in_a_callback_is_not_lost(tmp_path: Path, name: str, expected: str) -> None:
    """Python drops an exception in a callback of the garbage collection: the signal is repeated."""
    done = python(tmp_path, "-c", DROPPED.format(name=name))
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


AGAIN = """
import signal
from reconciler.__main__ import main
from reconciler.cli.console import Console
Console.error = lambda *_: (print("for a hanging reader"), signal.raise_signal(signal.SIGTERM))
main()
"""


def test_a_signal_while_an_error_is_printed_ends_the_process(tmp_path: Path) -> None:
    """It prints no traceback, and does not wait for a reader that hangs."""
    done = python(tmp_path, "-c", AGAIN, "unknown")
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
