"""Run threads in virtual time, one at a time.

Every wait, including that of a request for the network, switches to the thread that is due next.
The order of events depends only on the seed, and an hour takes no time.
"""

from __future__ import annotations

import heapq
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from reconciler.errors import ExitCode
from reconciler.execute.workers import GRACE, Halted

T = TypeVar("T")

_POLL_SECONDS = 0.1  # seconds between two checks of `halted`
_START = datetime(2025, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """The process is killed at this point: none of its threads run any more."""


class ProcessState:
    """The state that the threads of one process share."""

    def __init__(self) -> None:
        self.killed = False


@dataclass(slots=True, kw_only=True)
class Signal:
    """A signal to a process, and its Stop port; it comes only while this is entered."""

    now: Callable[[], float] = lambda: 0.0
    shorten_deadline: Callable[[float], None] = lambda seconds: None
    _armed: bool = False
    _since: float | None = None

    def __enter__(self) -> Self:
        self._armed = True
        return self

    def __exit__(self, *error: object) -> None:
        self._armed = False

    def come(self) -> None:
        """Let the signal come, unless it came before."""
        if self._armed and self._since is None:
            self._since = self.now()
            self.shorten_deadline(GRACE - 1.0)

    def requested(self) -> ExitCode | None:
        """Return the signal's exit code once it has come."""
        return None if self._since is None else ExitCode.SIGTERM

    def halted(self) -> bool:
        """Return whether the grace period is over."""
        return self._since is not None and self.now() - self._since >= GRACE


class Task:
    """One thread of a process, running or waiting."""

    def __init__(self, state: ProcessState) -> None:
        self.state = state
        self.turn = threading.Lock()
        self.turn.acquire()
        self.done = False
        self.error: BaseException | None = None
        self.waiting: Task | None = None


class Scheduler:
    """Virtual time. The thread that creates it is its first task."""

    def __init__(self) -> None:
        self.now = 0.0
        self.current = Task(ProcessState())
        self._due: list[tuple[float, int, Task]] = []
        self._order = 0

    def spawn(self, state: ProcessState, body: Callable[[], None]) -> Task:
        """Start a task; it first runs when the current one waits."""
        task = Task(state)
        self._put(task, self.now)
        threading.Thread(target=self._run_task, args=(task, body), daemon=True).start()
        return task

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Crash if the process was killed during the wait."""
        me, until = self.current, self.now + max(0.0, seconds)
        if self._due and self._due[0][0] <= until:
            self._put(me, until)
            self._switch(me)
        else:
            self.now = until
        if me.state.killed:
            raise Crash

    def join(self, tasks: Sequence[Task]) -> None:
        """Wait until all `tasks` have ended."""
        me = self.current
        for task in tasks:
            if not task.done:
                task.waiting = me
                self._switch(me)
        if me.state.killed:
            raise Crash

    def run_as(self, state: ProcessState, body: Callable[[], T]) -> T | None:
        """Run `body` in the current task on behalf of that process; None if it is killed."""
        previous, self.current.state = self.current.state, state
        try:
            return body()
        except Crash:
            return None
        finally:
            self.current.state = previous

    def _put(self, task: Task, when: float) -> None:
        self._order += 1
        heapq.heappush(self._due, (when, self._order, task))

    def _switch(self, me: Task | None) -> None:
        when, _, task = heapq.heappop(self._due)
        self.now = max(self.now, when)
        if task is me:
            return
        self.current = task
        task.turn.release()
        if me is not None:
            me.turn.acquire()

    def _run_task(self, task: Task, body: Callable[[], None]) -> None:
        task.turn.acquire()
        try:
            if not task.state.killed:
                body()
        except BaseException as error:
            task.error = error
        task.done = True
        if task.waiting is not None:
            self._put(task.waiting, self.now)
        self._switch(None)


class SeededClock:
    """The Clock port over a scheduler."""

    def __init__(self, scheduler: Scheduler, seed: str) -> None:
        self._scheduler = scheduler
        self._chance = random.Random(seed)

    def monotonic(self) -> float:
        return self._scheduler.now

    def now(self) -> datetime:
        return _START + timedelta(seconds=self._scheduler.now)

    def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        return self._chance.uniform(low, high)


@dataclass
class SeededWorkers:
    """The Workers port over a scheduler, for one process.

    With `halted`, the first caller of `run` only waits and polls, as the program's main thread
    does: once `halted` returns True, it abandons the calls in flight. Without it, the caller works
    too.
    """

    scheduler: Scheduler
    life: ProcessState
    parallelism: int
    halted: Callable[[], bool] | None = None
    mine: set[Task] = field(default_factory=set)

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        waiting = deque(enumerate(calls))
        results: dict[int, Any] = {}
        raised: dict[int, BaseException] = {}

        def work() -> None:
            while waiting:
                index, call = waiting.popleft()
                try:
                    results[index] = call()
                except Crash:
                    raise
                except BaseException as error:
                    raised[index] = error

        watches = self.halted is not None and self.scheduler.current not in self.mine
        helpers = min(len(calls), self.parallelism) - (not watches)
        tasks = [self.scheduler.spawn(self.life, work) for _ in range(helpers)]
        self.mine.update(tasks)
        try:
            if watches:
                self._watch(tasks, waiting)
            else:
                work()
        except Halted:
            raise
        except BaseException:
            self.scheduler.join(tasks)
            raise
        self.scheduler.join(tasks)
        if raised:
            raise raised[min(raised)]
        return [results[index] for index in range(len(calls))]

    def _watch(self, tasks: Sequence[Task], waiting: deque[Any]) -> None:
        while not all(task.done for task in tasks):
            self.scheduler.sleep(_POLL_SECONDS)
            if self.halted is not None and self.halted():
                waiting.clear()
                raise Halted
