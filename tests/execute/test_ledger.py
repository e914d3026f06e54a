"""The ledger shared by the workers of a run, also after they are abandoned."""

from __future__ import annotations

import threading

from reconciler.execute.ledger import Ledger
from reconciler.planning.plan import Operation
from reconciler.report import Applied
from tests.execute.world import RecordingWatcher, StopAfter, memory, planned, slack
from tests.waiting import TIMEOUT

PLAN = planned(memory(), slack("a"), slack("b"))


def test_after_the_report_nothing_starts_and_nothing_is_recorded() -> None:
    """An abandoned thread changes neither the report nor the progress output."""
    watcher = RecordingWatcher()
    ledger = Ledger(PLAN, StopAfter(memory()), watcher)
    assert ledger.start(0)
    outcomes = ledger.close()
    assert not ledger.start(1)
    ledger.finish(0, Applied(operation=PLAN.operations[0], id="1"))
    assert (ledger.close(), watcher.started, watcher.ended) == (outcomes, ["a"], [])


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
    assert begun == [False]  # an operation that was reported as unconfirmed is not sent afterwards
