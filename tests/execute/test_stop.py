"""A signal as threads see it that are at work while it comes."""

from __future__ import annotations

import os
import signal

from reconciler.errors import ExitCode
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


def test_a_terminal_that_closes_may_send_its_signal_twice() -> None:
    """What is in flight keeps its grace, until another signal takes it."""
    with SignalStop(lambda: 0.0) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop.requested(), stop.halted()) == (ExitCode.SIGHUP, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.requested(), stop.halted()) == (ExitCode.SIGHUP, True)


def test_under_nohup_a_run_goes_on() -> None:
    """Whoever ignores SIGHUP wants it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalStop(lambda: 0.0) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested() is None
    finally:
        signal.signal(signal.SIGHUP, before)
