"""Signals in the middle of `apply`, while time stands still: nothing but they can end the run."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import pytest

from tests.cli.conftest import Cloud, Shell
from tests.emulated.faults import Fault, hang
from tests.execute.world import VirtualClock
from tests.waiting import TIMEOUT

NAMES = [f"hook-{number}" for number in range(8)]
FILE = "defaults: {type: generic, event_types: [value_created]}\nwebhooks:\n" + "".join(
    f"  - {{name: {name}, configuration: {{url: 'https://h.example.com/{name}'}}}}\n"
    for name in NAMES
)
ASKED = ("apply", "--yes", "--parallelism", "1", "--timeout", str(TIMEOUT), "--format", "json")


class Interrupting:
    """Signals us while a write arrives, and lets that go on once the signals are heard."""

    def __init__(self, heard: threading.Event, *numbers: int, fault: Fault | None = None) -> None:
        self._heard = heard
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
            # Handlers run in the order of their numbers: once this one has, so has the other.
            os.kill(os.getpid(), signal.SIGWINCH)
            assert self._heard.wait(TIMEOUT)
        return self._fault


@pytest.fixture
def heard() -> Iterator[threading.Event]:
    """Tells when a signal has been dealt with, by way of one that nobody else uses."""
    event = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        event.set()

    before = signal.signal(signal.SIGWINCH, note)
    yield event
    signal.signal(signal.SIGWINCH, before)


def told(out: str) -> list[tuple[str, str]]:
    return [(each["name"], each["outcome"]) for each in json.loads(out)["outcomes"]]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["HUP", "INT", "TERM"],
)
def test_after_a_signal_what_is_in_flight_is_finished_and_nothing_begun(
    shell: Shell,
    file: Callable[..., Path],
    cloud: Callable[..., Cloud],
    heard: threading.Event,
    number: int,
    code: int,
) -> None:
    """The report names what is done and what is not, and is true."""
    file(FILE)
    there = cloud(faults=Interrupting(heard, number))
    done = shell(*ASKED, clock=VirtualClock(), **there.environ)
    assert done.code == code, done.err
    ends = ["applied"] * 3 + ["skipped"] * (len(NAMES) - 3)
    assert "Interrupted: creating hook-2. The run stops when this is confirmed" in done.err
    assert told(done.out) == list(zip(NAMES, ends, strict=True))
    assert there.names() == NAMES[:3]


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)],
    ids=["the same", "another"],
)
def test_a_second_signal_leaves_an_answer_that_does_not_come(
    shell: Shell,
    file: Callable[..., Path],
    cloud: Callable[..., Cloud],
    heard: threading.Event,
    numbers: Sequence[int],
) -> None:
    """The doubt is told, under the code of the first."""
    file(FILE)
    there = cloud(faults=Interrupting(heard, *numbers, fault=hang(commit=True)))
    done = shell(*ASKED, clock=VirtualClock(), **there.environ)
    assert done.code == 143, done.err
    assert Counter(outcome for _, outcome in told(done.out)) == {
        "applied": 2, "unconfirmed": 1, "skipped": len(NAMES) - 3,
    }  # fmt: skip
    assert there.names() == NAMES[:3]
