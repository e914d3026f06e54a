"""The ledger shared by the workers of a run, also after they are abandoned."""

from __future__ import annotations

import threading

import pytest

from reconciler.execute.ledger import Ledger
from reconciler.planning.plan import Operation
from reconciler.report import Applied, Skipped, Unconfirmed
from tests.execute.world import RecordingWatcher, StopAfter, memory, planned, slack
from tests.waiting import TIMEOUT

PLAN = planned(memory(), slack("a"), slack("b"), slack("c"))
CHANGES = PLAN.operations


@pytest.fixture
def watcher() -> RecordingWatcher:
    return RecordingWatcher()


@pytest.fixture
def ledger(watcher: RecordingWatcher) -> Ledger:
    return Ledger(PLAN, StopAfter(memory()), watcher)


def test_the_report_is_complete_at_any_moment(ledger: Ledger) -> None:
    """Done, in flight or not started: one outcome each, in the plan's order."""
    a, b, c = CHANGES
    assert ledger.start(1)
    assert ledger.start(0)
    ledger.finish(0, Applied(operation=a, id="1"))
    assert ledger.close() == (
        Applied(operation=a, id="1"),
        Unconfirmed(operation=b, message="interrupted before CloudTruth confirmed it"),
        Skipped(operation=c, code="interrupted", message="not started: the run was interrupted"),
    )


def test_after_the_report_nothing_starts_and_nothing_is_recorded(
    ledger: Ledger, watcher: RecordingWatcher
) -> None:
    """An abandoned thread changes neither the report nor the progress output."""
    a = CHANGES[0]
    assert ledger.start(0)
    outcomes = ledger.close()
    assert not ledger.start(1)
    ledger.finish(0, Applied(operation=a, id="1"))
    assert (ledger.close(), watcher.started, watcher.ended) == (outcomes, ["a"], [])


def test_an_operation_with_an_outcome_is_not_started(
    ledger: Ledger, watcher: RecordingWatcher
) -> None:
    """What was found done is not sent again."""
    a = CHANGES[0]
    ledger.finish(0, Applied(operation=a, id="1"))
    assert not ledger.start(0)
    assert watcher.started == []


def test_the_first_reason_to_end_is_reported(ledger: Ledger) -> None:
    """Later ones are its consequences."""
    ledger.end("the first")
    ledger.end("the second")
    assert not ledger.start(2)
    assert ledger.outcome(2) == Skipped(operation=CHANGES[2], code="run-ended", message="the first")


def test_a_blocked_listener_does_not_delay_the_report() -> None:
    """An unread pipe may block a worker, not the end of the run."""
    outcomes, go_on = threading.Event(), threading.Event()

    class Stuck(RecordingWatcher):
        def starting(self, operation: Operation) -> None:
            outcomes.set()
            go_on.wait()

    ledger = Ledger(PLAN, StopAfter(memory()), Stuck())
    begun: list[bool] = []
    worker = threading.Thread(target=lambda: begun.append(ledger.start(0)))
    worker.start()
    outcomes.wait()
    closing = threading.Thread(target=ledger.close, daemon=True)
    closing.start()
    closing.join(TIMEOUT)
    stuck = closing.is_alive()
    go_on.set()
    worker.join()
    assert not stuck
    assert begun == [False]  # what was reported as unconfirmed is not sent afterwards
