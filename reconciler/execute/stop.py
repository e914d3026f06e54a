"""Signals: the first asks the run to end soon, the second ends it now.

After the first SIGINT, SIGTERM or SIGHUP nothing more is started, and what is in flight has six
seconds to be finished or resolved. A second signal, or the end of those seconds, leaves it: the
report then names what is unknown. A handler here only takes notes, so that no signal can tear a
write from its resolution.

A terminal that closes sends SIGHUP, often twice, so a repeated one does not count; where SIGHUP is
ignored, as under `nohup`, it stays ignored. Windows has no SIGHUP.

The system's clock is here, too.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Final

from reconciler.errors import ExitCode

GRACE: Final = 6.0
"""Seconds that work in flight is given after the first signal."""

_HURRY: Final = GRACE - 1.0  # seconds for requests, so that what is unknown can still be said
_HANGUP: Final = getattr(signal, "SIGHUP", None)


class SignalStop:
    """The Stop port over SIGINT, SIGTERM and SIGHUP, from `with` to the end of its block.

    Enter it in the main thread, around `execute` alone: before and after, signals mean what they
    meant before. Give `halted` to the workers. `hurry` is called at the first signal with the
    seconds that requests have left, a little less than the grace; it must only take a note too.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        hurry: Callable[[float], None] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._hurry = hurry
        self._code: ExitCode | None = None
        self._since = 0.0
        self._again = False
        self._before: dict[int, Any] = {}

    def requested(self) -> ExitCode | None:
        """Return the exit code of the first signal, None if none came."""
        return self._code

    def halted(self) -> bool:
        """Say whether waiting is over: a second signal came, or the grace has passed."""
        if self._code is None:
            return False
        return self._again or self._monotonic() - self._since >= GRACE

    def __enter__(self) -> SignalStop:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            numbers.append(_HANGUP)
        for number in numbers:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._code is None:
            # The time first: threads that see the code measure the grace from it.
            self._since = self._monotonic()
            self._code = ExitCode(128 + number)
            if self._hurry is not None:
                self._hurry(_HURRY)
        elif number != _HANGUP:
            self._again = True


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
