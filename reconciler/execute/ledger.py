"""The outcomes of operations so far, and whether another one may start.

This is the only state that worker threads share. Closing it returns a complete list of outcomes at
any time: an operation that was started but not finished is unconfirmed, one that was not started is
skipped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

from reconciler.errors import ApiError, RateLimitedError
from reconciler.planning.plan import Create, Operation, Plan
from reconciler.ports import Stop, Watcher
from reconciler.report import (
    NOT_CONVERGED,
    Applied,
    Failed,
    FieldMessage,
    Outcome,
    Skipped,
    Unconfirmed,
)


def is_verifiable(outcome: Outcome) -> bool:
    """Return whether the final listing can confirm or contradict an outcome."""
    match outcome:
        case Applied() | Unconfirmed():
            return True
        case Failed(code=code):
            return code == NOT_CONVERGED
        case Skipped(code=code):
            return code == "vanished"


class Ledger:
    """Outcomes by the index of their operation in the plan. All methods are thread-safe.

    `writes` is the number of requests that may have changed something. `sent` are the creates for
    which a request was sent, with any result, by name, `lost` the names of those whose response was
    lost. `closed` means that the report is complete, so that later outcomes are not reported.
    """

    def __init__(self, plan: Plan, stop: Stop, watcher: Watcher) -> None:
        self._operations = plan.operations
        self._stop = stop
        self._watcher = watcher
        self._lock = threading.Lock()
        self._outcomes: dict[int, Outcome] = {}
        self._started: set[int] = set()
        self._ended: str | None = None
        self.closed = False
        self.writes = 0
        self.sent: dict[str, Create] = {}
        self.lost: set[str] = set()

    @property
    def needs_verification(self) -> bool:
        """Return whether the final listing can confirm or contradict an operation of this run."""
        return self.writes > 0 or any(
            is_verifiable(self._outcomes[index]) for index in self._started & self._outcomes.keys()
        )

    @property
    def stopping(self) -> bool:
        """Return whether nothing more may be sent, not even for started operations."""
        return self.closed or self._stop.requested() is not None

    def applied(self, index: int) -> bool:
        """Return whether an operation was applied."""
        return isinstance(self._outcomes.get(index), Applied)

    def recorded(self) -> Iterator[tuple[int, Outcome]]:
        """Yield the outcomes recorded so far, in the plan's order."""
        yield from sorted(self._outcomes.items())

    def start(self, index: int, obstacle: str | None = None) -> bool:
        """Start an operation, or record that it is skipped.

        The reason is an `obstacle` after an earlier failure, or that the run is ending.
        """
        operation = self._operations[index]
        with self._lock:
            # The check before the first write has recorded what is already done, and what is stale.
            if self.closed or index in self._outcomes:
                return False
            skipped: Skipped | None = None
            if obstacle is not None:
                # Before the signal: it explains more, and holds without the signal, too.
                skipped = Skipped(operation, "after-failure", obstacle)
            elif self._stop.requested() is not None:
                skipped = interrupted(operation)
            elif self._ended is not None:
                skipped = Skipped(operation, "run-ended", self._ended)
            if skipped is None:
                self._started.add(index)
        if skipped is not None:
            self.finish(index, skipped)
            return False
        # Not under the lock: output may take long, and must not delay `close`.
        with suppress(Exception):  # output never affects writes
            self._watcher.starting(operation)
        return not self.closed  # later writes would not be reported

    def finish(self, index: int, outcome: Outcome) -> None:
        """Record the outcome of an operation; no effect after `close`."""
        with self._lock:
            if self.closed:
                return
            self._outcomes[index] = outcome
        with suppress(Exception):
            self._watcher.finished(outcome)

    def correct(self, index: int, outcome: Outcome) -> None:
        """Replace an outcome with the result of the final verification."""
        with self._lock:
            self._outcomes[index] = outcome

    def count_write(self) -> None:
        """Count a request that changed or may have changed something."""
        with self._lock:
            self.writes += 1

    def record_lost(self, operation: Operation) -> None:
        """Count a write whose response was lost; a create may then have a duplicate."""
        self.count_write()
        if isinstance(operation, Create):
            with self._lock:
                self.lost.add(operation.name)

    def record_create_sent(self, create: Create) -> None:
        """Record that a duplicate of this webhook may exist from now on."""
        with self._lock:
            self.sent[create.name] = create

    def end(self, why: str) -> None:
        """Start no more operations."""
        with self._lock:
            # The first reason is the cause, and later ones follow from it.
            self._ended = self._ended or why

    def close(self) -> tuple[Outcome, ...]:
        """Accept no more outcomes, and return one for each operation, in the plan's order."""
        with self._lock:
            self.closed = True
            # An operation that was started but not finished may have been sent.
            self.writes += len(self._started - self._outcomes.keys())
            outcomes: list[Outcome] = []
            for index, operation in enumerate(self._operations):
                outcome = self._outcomes.get(index)
                if outcome is None and index in self._started:
                    outcome = unconfirmed(operation, "interrupted before CloudTruth confirmed it")
                outcomes.append(outcome or interrupted(operation))
            return tuple(outcomes)


def interrupted(operation: Operation) -> Skipped:
    """Return the outcome of an operation that was not started because of a signal."""
    return Skipped(operation, code="interrupted", message="not started: the run was interrupted")


def unconfirmed(operation: Operation, message: str) -> Unconfirmed:
    """Return the outcome of an operation whose request may still be processed."""
    if isinstance(operation, Create):
        late = "it may still appear: wait a minute before you run again"
        message = f"{message}; {late}, else a duplicate is possible"
    return Unconfirmed(operation, message)


def failed(operation: Operation, error: ApiError) -> Failed:
    """Return the outcome of a failed operation, with the server's message."""
    message = error.message
    # A 429 precedes any processing, which its own message rarely says.
    if isinstance(error, RateLimitedError):
        message += "; nothing was changed"
    fields = [FieldMessage(path, text) for path, text in error.fields]
    if error.detail:
        fields.insert(0, FieldMessage((), error.detail))
    return Failed(operation, error.code, message, error.hint, tuple(fields), error.exit_code)
