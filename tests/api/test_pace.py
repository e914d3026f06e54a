"""Backoff, pauses, retry budget and deadline, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.api.connections import Deadline
from reconciler.api.responses import retry_after
from reconciler.api.transport import Pace
from tests.ports import VirtualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def test_a_wait_notices_a_new_deadline() -> None:
    """A long wait is split into short ones, so that a signal can shorten it."""

    class InterruptedClock(VirtualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 3:
                pace.deadline.restart(2.0)

    clock = InterruptedClock()
    pace = Pace(clock, Deadline(clock, 600.0))
    pace.pause(100.0)
    assert pace.wait_for_pause() == 97.0
    assert sum(clock.slept) == 3.0


def test_one_outage_is_charged_once() -> None:
    """Requests that were in flight when a failure was charged belong to the same outage."""
    clock = VirtualClock()
    pace = Pace(clock, Deadline(clock, 600.0))
    clock.time = 1.0
    assert all(pace.charge(10, writes=True, sent=0.5) for _ in range(16))
    clock.time = 2.0
    assert pace.charge(10, writes=True, sent=1.5)
    clock.time = 3.0
    assert pace.charge(10, writes=True, sent=2.5)
    clock.time = 4.0
    assert not pace.charge(10, writes=True, sent=3.5)
    assert pace.exhausted


def test_successful_reads_do_not_pay_for_failed_writes() -> None:
    """A server that loses every write ends the run, although its listings can be read."""
    clock = VirtualClock()
    pace = Pace(clock, Deadline(clock, 600.0))
    for clock.time in (1.0, 2.0, 3.0):
        assert pace.charge(10, writes=True, sent=clock.time)
        for _ in range(30):
            pace.succeeded(writes=False)
    assert not pace.charge(10, writes=True, sent=clock.time)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("7", None, 7.0),
        ("999999999999999", None, 999999999999999.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", None, 30.0),
        # The local clock is a day ahead or behind: only the response's date is used.
        ("Fri, 02 Jan 2026 00:00:07 GMT", "Fri, 02 Jan 2026 00:00:00 GMT", 7.0),
        ("Wed, 31 Dec 2025 00:00:07 GMT", "Wed, 31 Dec 2025 00:00:00 GMT", 7.0),
        ("Thu, 01 Jan 2026 02:00:09 +0200", DATE, 9.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", "nonsense", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", DATE, None),
        ("-1", None, None),
        ("soon", None, None),
        ("", None, None),
        ("9" * 400, None, None),
        ("Thu, 99 Foo 99999 00:00:30 GMT", None, None),
        ("Thu, 01 Jan 2026 00:00:30 +99999999999999999999", None, None),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    """Seconds and dates are parsed, invalid values are ignored."""
    assert retry_after(value, date, NOW) == seconds
