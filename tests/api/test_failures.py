"""The failure table."""

from __future__ import annotations

import pytest

from reconciler.api.failures import TABLE, Action, Failure, Use, failure_of, use_of


def test_the_table_decides_every_case() -> None:
    """Each class of failure has an action for each use."""
    assert set(TABLE) == set(Failure)
    assert all(set(row) == set(Use) for row in TABLE.values())


@pytest.mark.parametrize(
    ("failure", "read", "by_id", "create"),
    [
        (Failure.NOT_SENT, Action.REPEAT, Action.REPEAT, Action.REPEAT),
        (Failure.UNTRUSTED, Action.REPORT, Action.REPORT, Action.REPORT),
        (Failure.THROTTLED, Action.WAIT, Action.WAIT, Action.WAIT),
        (Failure.REJECTED, Action.REPORT, Action.REPORT, Action.REPORT),
        (Failure.AMBIGUOUS, Action.REPEAT, Action.READ_BACK, Action.RESOLVE),
        (Failure.MOVED, Action.REPORT, Action.READ_BACK, Action.RESOLVE),
    ],
)
def test_what_follows_from_a_failure(
    failure: Failure, read: Action, by_id: Action, create: Action
) -> None:
    """Only what surely did not happen is repeated when it writes."""
    assert TABLE[failure] == {Use.READ: read, Use.BY_ID: by_id, Use.CREATE: create}


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


def test_what_a_method_is_for() -> None:
    """A method nobody thought of is treated with the care of a create."""
    assert use_of("GET") is Use.READ
    assert {use_of(method) for method in ("PATCH", "PUT", "DELETE")} == {Use.BY_ID}
    assert {use_of(method) for method in ("POST", "BREW")} == {Use.CREATE}
