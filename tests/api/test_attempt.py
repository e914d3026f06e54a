"""Which failures are repeated."""

from __future__ import annotations

import pytest

from reconciler.api.attempt import ACTIONS, Action, Failure, failure_of


def test_every_failure_has_an_action_for_reads_and_writes() -> None:
    """Only what was not carried out is repeated when it writes."""
    assert set(ACTIONS) == set(Failure)
    repeated = {failure for failure, (_, write) in ACTIONS.items() if write is Action.REPEAT}
    assert repeated == {Failure.NOT_SENT}
    assert ACTIONS[Failure.AMBIGUOUS] == (Action.REPEAT, Action.RESOLVE)


@pytest.mark.parametrize(
    ("statuses", "failure"),
    [
        ((400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422), Failure.REJECTED),
        ((429,), Failure.THROTTLED),
        ((408, 500, 502, 503, 504, 507), Failure.AMBIGUOUS),
        ((499, 460, 520, 599, 199), Failure.AMBIGUOUS),
        ((300, 301, 302, 303, 304, 307, 308), Failure.MOVED),
    ],
)
def test_the_class_of_a_status(statuses: tuple[int, ...], failure: Failure) -> None:
    """A status that is not known to precede any work leaves the outcome open."""
    assert {failure_of(status) for status in statuses} == {failure}
