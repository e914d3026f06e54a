"""The real clock and real chance."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


class SystemClock:
    """Time as the operating system tells it."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC. For display and `Retry-After` dates only."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait; not at all for what is not positive."""
        if seconds > 0:
            time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high`."""
        return random.uniform(low, high)  # noqa: S311 - spreads retries, protects nothing
