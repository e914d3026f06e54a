"""The threads, signals and clock of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from reconciler.errors import ExitCode
from reconciler.execute.workers import Halted, SignalStop, ThreadWorkers
from reconciler.ports import SystemClock
from tests.waiting import TIMEOUT


@pytest.fixture
def workers() -> Iterator[ThreadWorkers]:
    pool = ThreadWorkers(3)
    yield pool
    pool.close()


@pytest.fixture(autouse=True)
def ignored_sigterm() -> Iterator[None]:
    """Let SIGTERM have an effect only through a SignalStop."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


class Backwards:
    """Three concurrent calls that end in reverse order."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self._may_end = [threading.Event() for _ in range(3)]
        self._may_end[-1].set()

    def calls(self, end: Callable[[int], int]) -> list[Callable[[], int]]:
        """Return the calls; `end` is the result of each."""

        def call(n: int) -> int:
            assert self._may_end[n].wait(TIMEOUT)
            self.ended.append(n)
            self._may_end[n - 1].set()
            return end(n)

        return [partial(call, n) for n in range(3)]


def test_results_have_the_order_of_the_calls(workers: ThreadWorkers) -> None:
    """The order does not depend on which call ends first."""
    backwards = Backwards()
    assert workers.run(backwards.calls(lambda n: n)) == [0, 1, 2]
    assert backwards.ended == [2, 1, 0]
    assert workers.run([]) == []


@pytest.mark.parametrize("nested", [False, True], ids=["calls", "one call that runs calls"])
def test_calls_use_all_threads(workers: ThreadWorkers, nested: bool) -> None:
    """Three threads meet at a barrier, and are kept, because connections belong to a thread."""
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    idents: set[int] = set()

    def call() -> None:
        idents.add(threading.get_ident())
        barrier.wait()

    for _ in range(2):
        workers.run([lambda: workers.run([call] * 9)] if nested else [call] * 9)
    assert len(idents) == 3


def test_the_first_exception_is_raised_after_all_have_ended(workers: ThreadWorkers) -> None:
    """The first exception is that of the first call given, not of the first to end."""

    def fail(n: int) -> int:
        if n:
            raise ValueError(str(n))
        return n

    backwards = Backwards()
    with pytest.raises(ValueError, match="1"):
        workers.run(backwards.calls(fail))
    assert backwards.ended == [2, 1, 0]


def test_a_call_may_run_calls(workers: ThreadWorkers) -> None:
    """A call that runs further calls does not wait for itself when all threads are busy."""
    inner: list[Callable[[], int]] = [lambda: 1, lambda: 2]
    assert workers.run([lambda: sum(workers.run(inner))] * 6) == [3] * 6
    alone = ThreadWorkers(1)
    assert alone.run([lambda: sum(alone.run(inner))]) == [3]
    alone.close()


@pytest.mark.parametrize("parallelism", [0, 17])
def test_parallelism_is_bounded(parallelism: int) -> None:
    """Parallelism is 1 to 16, as documented."""
    with pytest.raises(ValueError, match="1 to 16"):
        ThreadWorkers(parallelism)


def test_a_halted_run_does_not_wait() -> None:
    """Calls in flight are abandoned and do not keep the process alive; other calls never start."""
    release, began = threading.Event(), threading.Event()
    later: list[int] = []
    threads: list[threading.Thread] = []
    workers = ThreadWorkers(1, halted=began.is_set)

    def stuck() -> None:
        threads.append(threading.current_thread())
        began.set()
        assert release.wait(TIMEOUT)

    with pytest.raises(Halted):
        workers.run([stuck, lambda: later.append(1)])
    release.set()
    workers.close()
    (thread,) = threads
    thread.join(TIMEOUT)
    assert (later, thread.is_alive(), thread.daemon) == ([], False, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_halts(number: int) -> None:
    """Handlers only set flags, shorten the deadline once, and are restored at the end."""
    hurried: list[float] = []
    previous = signal.signal(number, signal.SIG_IGN)
    with SignalStop(lambda: 0.0, shorten_deadline=hurried.append) as stop, closing(stop):
        assert (stop.requested(), stop.halted()) == (None, False)
        os.kill(os.getpid(), number)
        assert (stop.requested(), stop.halted(), hurried) == (128 + number, False, [5.0])
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.requested(), stop.halted(), hurried) == (128 + number, True, [5.0])
    assert not stop.halted()
    assert signal.signal(number, previous) is signal.SIG_IGN


def test_six_seconds_after_the_first_signal_the_run_halts() -> None:
    """The grace period is measured on the given clock."""
    now = [0.0]
    with SignalStop(lambda: now[0]) as stop, closing(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        now[0] = 5.9
        assert not stop.halted()
        now[0] = 6.0
        assert stop.halted()


def test_the_system_clock_never_goes_backwards() -> None:
    """Time only advances, and random values stay in range."""
    clock = SystemClock()
    start = clock.monotonic()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert clock.monotonic() - start >= 0.01
    assert clock.now().utcoffset() is not None
    assert 1 <= clock.uniform(1, 2) <= 2


def test_the_grace_period_starts_with_the_signal_for_every_thread() -> None:
    """`halted` is false for a thread that checks while the signal is being recorded."""
    seen: list[bool] = []

    def monotonic() -> float:
        if not seen:
            seen.append(stop.halted())
        return 1000.0

    with SignalStop(monotonic) as stop, closing(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert not stop.halted()
    assert seen == [False]


def test_a_closing_terminal_may_send_its_signal_twice() -> None:
    """Requests in flight keep the grace period until a different signal comes."""
    with SignalStop(lambda: 0.0) as stop, closing(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop.requested(), stop.halted()) == (ExitCode.SIGHUP, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.requested(), stop.halted()) == (ExitCode.SIGHUP, True)


def test_under_nohup_a_run_continues() -> None:
    """A SIGHUP that was ignored before the run stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalStop(lambda: 0.0) as stop, closing(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested() is None
    finally:
        signal.signal(signal.SIGHUP, before)
