"""Threads that run a limited number of calls concurrently, and the signals that end them.

Threads live as long as the pool, so that each can keep its own connection. They are daemon threads,
so that a run that must stop immediately does not wait for a response.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Generic, TypeVar

from reconciler.errors import ExitCode
from reconciler.ports import MAX_PARALLELISM

_T = TypeVar("_T")

_POLL_SECONDS: Final = 0.1  # seconds between two checks of `halted`


class Halted(BaseException):
    """The program must end immediately: calls stay in flight, with unknown results.

    A BaseException, so that no handler treats it as the failure of a single call.
    """


class ThreadWorkers:
    """The Workers port with `parallelism` threads, 1 to MAX_PARALLELISM.

    While `run` waits for calls, it checks `halted`; if that returns true, it raises Halted and
    abandons them. A call may itself call `run`: its thread then runs calls, too, so a full pool
    does not deadlock.
    """

    def __init__(self, parallelism: int, *, halted: Callable[[], bool] | None = None) -> None:
        if not 1 <= parallelism <= MAX_PARALLELISM:
            raise ValueError(f"parallelism must be 1 to {MAX_PARALLELISM}")
        self._parallelism = parallelism
        self._halted = halted
        self._queue: SimpleQueue[_Work[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._local = threading.local()
        self._lock = threading.Lock()

    def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Run every call and return the results in the order of the calls.

        If calls raise, all of them end first; then the exception of the first in `calls` is raised.
        """
        if not calls:
            return []
        batch: _Work[_T] = _Work(calls)
        nested = getattr(self._local, "is_worker", False)
        threads = min(len(calls), self._parallelism)
        self._grow(threads)
        # A thread that comes late finds no calls left, and takes the next batch.
        for _ in range(threads):
            self._queue.put(batch)
        if nested:
            batch.work()
        # In short waits, because a signal handler only sets what `halted` reads.
        while not batch.ended.wait(_POLL_SECONDS):
            if self._halted is not None and self._halted():
                batch.abandon()
                raise Halted
        return batch.results()

    def close(self) -> None:
        """End idle threads now, and busy ones after their call."""
        with self._lock:
            for _ in self._threads:
                # Behind the batches that are queued already, one for each thread.
                self._queue.put(None)
            self._threads.clear()

    def _grow(self, wanted: int) -> None:
        with self._lock:
            while len(self._threads) < wanted:
                thread = threading.Thread(target=self._serve, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self) -> None:
        self._local.is_worker = True
        while True:
            batch = self._queue.get()
            if batch is None:
                return
            batch.work()


class _Work(Generic[_T]):
    """Calls, taken one by one by idle threads, and their results."""

    def __init__(self, calls: Sequence[Callable[[], _T]]) -> None:
        self.ended = threading.Event()
        self._waiting = deque(enumerate(calls))
        self._left = len(calls)
        self._results: dict[int, _T] = {}
        self._raised: dict[int, BaseException] = {}
        self._lock = threading.Lock()

    def work(self) -> None:
        while True:
            try:
                index, call = self._waiting.popleft()
            except IndexError:
                return
            try:
                self._results[index] = call()
            except BaseException as error:  # raised again where `run` was called
                self._raised[index] = error
            with self._lock:
                self._left -= 1
                if not self._left:
                    self.ended.set()

    def abandon(self) -> None:
        """Start nothing more."""
        self._waiting.clear()

    def results(self) -> list[_T]:
        if self._raised:
            raise self._raised[min(self._raised)]
        return [self._results[index] for index in sorted(self._results)]


# Signals: the first ends the run within seconds, the second ends it immediately.
#
# After the first SIGINT, SIGTERM or SIGHUP no operation is started, and those in flight have six
# seconds to finish. After a second signal, or these six seconds, the run ends and the report names
# what is unknown. Signal handlers set values and wake the watchdog of requests, but raise nothing,
# so a signal never interrupts the handling of a write. After the writes, the first signal is only
# noted, so that the report is not lost; another one ends a program that hangs.
#
# A terminal that closes often sends SIGHUP twice, so a repeated SIGHUP is ignored. If SIGHUP is
# ignored, as under `nohup`, it stays ignored. Windows has no SIGHUP.

GRACE: Final = 6.0
"""Seconds that operations in flight have after the first signal."""

_HANGUP: Final = getattr(signal, "SIGHUP", None)


class SignalStop:
    """The Stop port for SIGINT, SIGTERM and SIGHUP, as a context manager.

    Enter it in the main thread, around `execute` only. `close` restores the previous handlers, once
    the report is out. Pass `halted` to the workers. `shorten_deadline` is called at the first
    signal with the seconds left for requests, a little less than the grace period; like a handler,
    it must not wait or raise.
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
        self._is_writing = False
        self._is_late = False  # whether a signal came after the writes
        self._before: dict[int, Any] = {}

    def requested(self) -> ExitCode | None:
        """Return the exit code for the first signal, None without a signal."""
        return self._code

    def halted(self) -> bool:
        """Return whether to stop waiting: after a second signal, or when the grace period ends."""
        # Reads after the writes have the deadline of the run only.
        if self._code is None or not self._is_writing:
            return False
        return self._again or self._monotonic() - self._since >= GRACE

    def __enter__(self) -> SignalStop:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            numbers.append(_HANGUP)
        for number in numbers:
            self._before.setdefault(number, signal.signal(number, self._on_signal))
        self._is_writing = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_writing = False

    def close(self) -> None:
        """Restore the previous handlers."""
        for number, handler in self._before.items():
            # None is a handler that was not set in Python, and that Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._code is None:
            # Set the time first: threads that see the code measure the grace period from it.
            self._since = self._monotonic()
            self._code = ExitCode(128 + number)
            if self._shorten_deadline is not None and self._is_writing:
                self._shorten_deadline(GRACE - 1.0)  # then the report names unknown outcomes
        elif number == _HANGUP:
            return
        elif self._is_writing:
            self._again = True
        elif self._is_late:
            self.close()
            signal.raise_signal(number)
        self._is_late = not self._is_writing
