"""A life with a thousand webhooks, inside this process, each request counted."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from reconciler.api.client import connect
from reconciler.errors import ExitCode
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Secret
from reconciler.planning.changes import Change
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.report import Outcome
from reconciler.workflow import Connection, Inputs, apply, load
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.in_process import InProcess
from tests.performance.sample import TOKEN, declaration

PARALLELISM = 6


class Counting(httpx.BaseTransport):
    """Hands requests on, and notes how many are in flight at the most."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._now = self.most = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self._inner.handle_request(request)
        finally:
            with self._lock:
                self._now -= 1


class Still:
    """A clock that stands; nobody stops the run, and nobody watches."""

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing fails here, so nothing waits")

    def uniform(self, low: float, high: float) -> float:
        return low

    def requested(self) -> None:
        return None

    def starting(self, change: Change) -> None:
        return

    def finished(self, outcome: Outcome) -> None:
        return


class World:
    """An emulated CloudTruth, and a folder with a file."""

    def __init__(self, directory: Path) -> None:
        self.emulator = Emulator(seed=1, clock=lambda: 0.0)
        self._directory = directory
        self._seen = 0

    def apply(self, text: str, **options: int) -> Counter[str]:
        """Apply a file; return the requests by method."""
        (self._directory / "webhooks.yaml").write_text(text)
        inputs = Inputs(directory=self._directory, environ={"TOKEN": TOKEN}, stdin=bytes)
        clock = Still()
        workers = ThreadWorkers(PARALLELISM)
        adapter = Counting(InProcess(self.emulator.handle, clock=clock))
        try:
            with connect(
                server_url="https://api.example.com",
                key=Secret(LOCAL_KEY),
                clock=clock,
                workers=workers,
                adapter=adapter,
            ) as api:
                report = apply(
                    load(inputs),
                    Connection(
                        api=api,
                        clock=clock,
                        workers=workers,
                        stop=nullcontext(clock),
                        watcher=clock,
                    ),
                    options=PlanOptions(**options),
                    confirm=self._agree,
                )
        finally:
            workers.close()
        assert report.exit_code is ExitCode.OK
        assert adapter.most <= PARALLELISM
        new = self.emulator.store.log(after=self._seen)
        self._seen = new[-1].seq
        return Counter(each.method for each in new)

    def _agree(self, plan: Plan) -> bool:
        return True


@pytest.mark.slow
def test_a_thousand_webhooks(tmp_path: Path) -> None:
    """Creating, nothing, changing ten and deleting ten make exactly the requests they need."""
    world = World(tmp_path)
    pruned = "prune: true\n"
    everything = pruned + declaration(range(1000))
    assert world.apply(everything) == {"GET": 4, "POST": 1000}
    assert world.apply(everything) == {"GET": 2}

    def channel(number: int) -> str:
        return "#elsewhere" if number < 10 else f"#channel-{number % 50}"

    changed = pruned + declaration(range(1000), channel=channel)
    assert world.apply(changed) == {"GET": 4, "PATCH": 10}
    assert world.apply(changed) == {"GET": 2}
    fewer = pruned + declaration(range(10, 1000), channel=channel)
    assert world.apply(fewer, allow_deletes=10) == {"GET": 4, "DELETE": 10}
    assert world.apply(fewer) == {"GET": 2}
    assert len(world.emulator.store.webhooks()) == 990
