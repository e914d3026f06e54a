"""Decide when the next request may be sent: back-off, the server's pauses, retry budget, deadlines.

All workers of a client share one `Pace`, so one failure pauses all of them. Every wait uses the
Clock and ends early when the run's time is up. Reads and writes each have a retry budget; a 429
does not use it. With an empty budget, no request is repeated and no further write is sent. Clients
of the same run share its `Deadline`, but neither pauses nor budgets: each has another key.
"""

from __future__ import annotations

import math
import re
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from reconciler.errors import ApiError
from reconciler.ports import Clock

_TOKENS: Final = 30  # a full budget; a failure takes 5 or 10, a success returns one
_MAX_DELAY: Final = 20.0
_FIRST_DELAY: Final = 0.5
# Long waits are split, so that a new deadline takes effect.
_SLICE: Final = 1.0


class Pause(NamedTuple):
    """A wait before the next attempt, in seconds, because of `error`."""

    seconds: float
    error: ApiError


class Deadline:
    """The end of a run, `seconds` from now. It can be moved at any time, by any thread."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.end = clock.monotonic() + seconds
        """The monotonic time at which the run's time is up."""

    def restart(self, seconds: float) -> None:
        """Set the end, `seconds` from now."""
        self.end = self._clock.monotonic() + seconds

    def left(self) -> float:
        """Return the remaining seconds; negative when the time is up."""
        return self.end - self._clock.monotonic()


class Pace:
    """The timing state that the workers of one client share."""

    def __init__(self, clock: Clock, deadline: Deadline) -> None:
        self._clock = clock
        self.deadline = deadline
        self._lock = threading.Lock()
        # Two, because the listings that look for lost writes would refill a common budget.
        self._tokens = {False: _TOKENS, True: _TOKENS}  # by whether the request writes
        self._charged = -math.inf
        self._resume = 0.0
        self.exhausted = False
        """Whether a budget was too small for a failure; then no more retries are allowed."""
        self.status: int | None = None
        """The status of the response that asked for the current pause, None if none did."""

    def left(self) -> float:
        """Return the remaining seconds of the run; negative when it is over."""
        return self.deadline.left()

    def pause(self, seconds: float, status: int | None = None) -> None:
        """Pause all workers for `seconds`, unless they are paused for longer already.

        `status` is that of the response that asked for the pause, if one did.
        """
        with self._lock:
            until = self._clock.monotonic() + seconds
            if until > self._resume:
                self._resume, self.status = until, status

    def wait_for_pause(self) -> float | None:
        """Wait until the workers' pause is over, and return None.

        If time would run out first, return the remaining pause in seconds.
        """
        while True:
            pause = self._resume - self._clock.monotonic()
            if pause <= 0:
                return None
            if pause >= self.left():
                return pause
            self._clock.sleep(min(pause, _SLICE))

    def delay(self, earlier: int, floor: float | None = None) -> float:
        """Return the delay after `earlier` failures: full jitter, at least `floor` seconds."""
        longest = min(_MAX_DELAY, _FIRST_DELAY * 2 ** min(earlier, 10))
        return max(floor or 0.0, self._clock.uniform(0.0, longest))

    def charge(self, cost: int, *, writes: bool, sent: float) -> bool:
        """Take `cost` tokens for a request that was sent at the monotonic time `sent` and failed.

        One outage fails all requests in flight: those sent before the last charge are free. Return
        False, and mark the budget exhausted, if there are too few.
        """
        with self._lock:
            if sent < self._charged:
                return not self.exhausted
            self._charged = self._clock.monotonic()
            if self._tokens[writes] < cost:
                self.exhausted = True
            if not self.exhausted:
                self._tokens[writes] -= cost
            return not self.exhausted

    def succeeded(self, *, writes: bool) -> None:
        """Return a token to the budget of a request that succeeded."""
        with self._lock:
            self._tokens[writes] = min(_TOKENS, self._tokens[writes] + 1)


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header; None if it is missing or invalid.

    A date is relative to the response's `Date`, because the clocks may differ by hours; `now` is
    used only without `Date`.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,15}", value):
        return float(value)
    until = http_date(value)
    if until is None:
        return None
    since = http_date(date) if date is not None else None
    seconds = (until - (since or now)).total_seconds()
    if seconds < 0:
        return None
    return seconds


def http_date(text: str) -> datetime | None:
    """Parse an HTTP date; None if it is invalid."""
    try:
        moment = parsedate_to_datetime(text)
        # A zone of -0000 has no offset; HTTP dates are in UTC.
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
