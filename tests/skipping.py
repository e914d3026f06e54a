"""A clock for whole commands over real connections: every wait is over at once."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class SkippingClock:
    """Real time, and what was slept on top of it; chance picks the upper end.

    Each thread skips for itself: what one waits through ends no request of another's.
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
