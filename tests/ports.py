"""Clocks and workers for tests: waits take no time, and calls run one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class VirtualClock:
    """Time advances only in `sleep`; random choices return the upper end."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.highs: list[float] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time += seconds

    def uniform(self, low: float, high: float) -> float:
        self.highs.append(high)
        return high


class SkippingClock:
    """Real time plus skipped waits, for complete commands over real connections.

    Each thread has its own offset: a wait in one thread does not time out a request of another.
    """

    def __init__(self) -> None:
        self._skipped = threading.local()

    def monotonic(self) -> float:
        return time.monotonic() + self._offset()

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._offset())

    def sleep(self, seconds: float) -> None:
        self._skipped.seconds = self._offset() + max(0.0, seconds)

    def uniform(self, low: float, high: float) -> float:
        return high

    def _offset(self) -> float:
        seconds: float = getattr(self._skipped, "seconds", 0.0)
        return seconds


class InlineWorkers:
    """Workers that run one call after the other."""

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]
