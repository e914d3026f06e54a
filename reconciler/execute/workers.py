"""A pool of threads that runs a limited number of calls concurrently.

Threads live as long as the pool, so that each can keep its own connection. They are daemon threads,
so that a run that must stop immediately does not wait for a response.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

_T = TypeVar("_T")

_POLL_SECONDS: Final = 0.1  # seconds between two checks of `halted`


class Halted(BaseException):
    """The program must end immediately: calls stay in flight, with unknown results.

    A BaseException, so that no handler treats it as the failure of a single call.
    """


class ThreadWorkers:
    """The Workers port with `parallelism` threads, 1 to 16.

    While `run` waits for calls, it checks `halted`; if that returns true, it raises Halted and
    abandons them. A call may itself call `run`: its thread then runs calls, too, so a full pool
    does not deadlock.
    """

    def __init__(self, parallelism: int, *, halted: Callable[[], bool] | None = None) -> None:
        if not 1 <= parallelism <= 16:
            raise ValueError("parallelism must be 1 to 16")
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
