"""What a run is doing: a status line on a terminal, and lines about writes, waits and signals.

A thread of its own shows it, so that a signal is answered at once whatever the main thread does:
its handler only puts a note into a queue. Without a terminal there is a line before each write, so
that the log of a run that was killed shows what may have happened.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, assert_never

from reconciler.cli.console import Console
from reconciler.execute.stop import GRACE
from reconciler.planning.changes import Change, Create, Delete, Update
from reconciler.render.quote import quote

if TYPE_CHECKING:  # planning needs no report
    from reconciler.planning.plan import Plan
    from reconciler.report import Outcome

_TICK: Final = 1.0  # seconds
_WIDEST: Final = 60
_SHOWN: Final = 3  # names of webhooks in one line


class Progress:
    """The Watcher port over a console. Use it in a `with` block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._notes: SimpleQueue[str | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._doing = ""
        self._total = 0
        self._done = 0
        self._in_flight: list[str] = []
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._notes.put(None)
        self._thread.join()
        self._console.status("")

    def phase(self, doing: str) -> None:
        """Name what takes the time from now on; empty while nothing is to be shown."""
        self._doing = doing
        if not doing:
            self._console.status("")

    def expect(self, plan: Plan) -> None:
        """Take the number of operations to come from a plan."""
        self._total = len(plan.changes)

    def starting(self, change: Change) -> None:
        """Show that a change is about to be sent."""
        text = f"{_verb(change)} {quote(change.name)}"
        with self._lock:
            self._in_flight.append(text)
        if self._console.shows_progress:
            self._console.status(self._state())
        else:
            self._console.note(text)

    def finished(self, outcome: Outcome) -> None:
        """Count an outcome."""
        with self._lock:
            self._done += 1
            text = f"{_verb(outcome.change)} {quote(outcome.change.name)}"
            if text in self._in_flight:  # what is skipped was not
                self._in_flight.remove(text)
            if self._done == self._total:
                self._doing = "verifying the result"

    def interrupted(self) -> None:
        """Report a signal. Call it from a signal handler: it takes no lock."""
        self._notes.put(_SIGNAL)

    def note(self, text: str) -> None:
        """Print a line to standard error."""
        self._notes.put(text)

    def _show(self) -> None:
        seconds, before = 0, ""
        while True:
            try:
                note = self._notes.get(timeout=_TICK if self._console.shows_progress else None)
            except Empty:
                state = self._state()
                seconds, before = (seconds + 1 if state == before else 1), state
                if state:
                    self._console.status(f"{state} ({seconds} s)")
                continue
            if note is None:
                return
            if note == _SIGNAL:
                self._console.block(self._interruption())
            else:
                self._console.note(note)

    def _state(self) -> str:
        with self._lock:
            if not self._in_flight:
                return self._doing
            return f"{self._done}/{self._total} {self._in_flight[-1][:_WIDEST]}"

    def _interruption(self) -> str:
        with self._lock:
            flying = list(self._in_flight)
        if not flying:
            return "Interrupted: no write is in flight. The run stops."
        more = f" and {len(flying) - _SHOWN} more" if len(flying) > _SHOWN else ""
        return (
            f"Interrupted: {', '.join(flying[:_SHOWN])}{more}. The run stops when this is "
            f"confirmed, after {GRACE:g} s at most.\n"
            "Press Ctrl-C again to stop at once; what is in flight is then reported as unconfirmed."
        )


_SIGNAL: Final = "\0signal"


def _verb(change: Change) -> str:
    match change:
        case Create():
            return "creating"
        case Update():
            return "updating"
        case Delete():
            return "deleting"
        case _:
            assert_never(change)
