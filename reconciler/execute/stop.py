"""Signals: the first ends the run within seconds, the second ends it immediately.

After the first SIGINT, SIGTERM or SIGHUP no operation is started, and those in flight have six
seconds to finish. After a second signal, or these six seconds, the run ends and the report names
what is unknown. Signal handlers set values and wake the watchdog of requests, but raise nothing,
so a signal never interrupts the handling of a write.

A terminal that closes often sends SIGHUP twice, so a repeated SIGHUP is ignored. If SIGHUP is
ignored, as under `nohup`, it stays ignored. Windows has no SIGHUP.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

from reconciler.errors import ExitCode

GRACE: Final = 6.0
"""Seconds that operations in flight have after the first signal."""

_HANGUP: Final = getattr(signal, "SIGHUP", None)


class SignalStop:
    """The Stop port for SIGINT, SIGTERM and SIGHUP, as a context manager.

    Enter it in the main thread, around `execute` only; on exit the previous handlers are restored.
    Pass `halted` to the workers. `shorten_deadline` is called at the first signal with the seconds
    left for requests, a little less than the grace period; like a handler, it must not wait or
    raise.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        shorten_deadline: Callable[[float], None] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._shorten_deadline = shorten_deadline
        self._code: ExitCode | None = None
        self._since = 0.0
        self._again = False
        self._before: dict[int, Any] = {}

    def requested(self) -> ExitCode | None:
        """Return the exit code for the first signal, None without a signal."""
        return self._code

    def halted(self) -> bool:
        """Return whether to stop waiting: after a second signal, or when the grace period ends."""
        if self._code is None:
            return False
        return self._again or self._monotonic() - self._since >= GRACE

    def __enter__(self) -> SignalStop:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            numbers.append(_HANGUP)
        for number in numbers:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None is a handler that was not set in Python, and that Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._code is None:
            # Set the time first: threads that see the code measure the grace period from it.
            self._since = self._monotonic()
            self._code = ExitCode(128 + number)
            if self._shorten_deadline is not None:
                self._shorten_deadline(GRACE - 1.0)  # then the report names unknown outcomes
        elif number != _HANGUP:
            self._again = True
