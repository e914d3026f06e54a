"""What people see while changes are made.

On a terminal one line that rewrites itself. Anywhere else a line before each write, flushed at
once, so that the log of a run that was killed shows what may have happened.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, assert_never

from reconciler.cli.console import Console
from reconciler.planning.changes import Change, Create, Delete, Update
from reconciler.render.quote import quote

if TYPE_CHECKING:  # planning needs no report
    from reconciler.planning.plan import Plan
    from reconciler.report import Outcome

_WIDEST: Final = 60


class Progress:
    """The Watcher port over a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._lock = threading.Lock()

    def expect(self, plan: Plan) -> None:
        """Hear what is about to be done."""
        self._total = len(plan.changes)

    def starting(self, change: Change) -> None:
        """Hear that a change is about to be sent."""
        if self._console.shows_progress:
            shown = f"{_verb(change)} {quote(change.name)}"
            self._console.status(f"{self._done}/{self._total} {shown[:_WIDEST]}")
        else:
            self._console.note(f"{_verb(change)} {quote(change.name)}")

    def finished(self, outcome: Outcome) -> None:
        """Hear what became of it."""
        with self._lock:
            self._done += 1


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
