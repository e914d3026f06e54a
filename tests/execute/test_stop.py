"""A signal as threads see it that are at work while it comes."""

from __future__ import annotations

import os
import signal

from reconciler.execute.stop import SignalStop


def test_the_grace_begins_with_the_signal_for_whoever_looks_meanwhile() -> None:
    """A thread that looks while the signal is being noted is not told that waiting is over."""
    seen: list[bool] = []

    def monotonic() -> float:
        if not seen:
            seen.append(stop.halted())
        return 1000.0

    with SignalStop(monotonic) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not stop.halted()
    assert seen == [False]
