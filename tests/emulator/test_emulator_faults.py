"""Faults: which request fails, what reaches the store, what the carrier is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.emulated import faults
from tests.emulated.faults import Fault, Rule, Script, Wire

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]


def failing(start: Start, fault: Fault, **match: Any) -> Any:
    script = Script()
    script.add(fault, **match)
    return start(faults=script)


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize(
    ("make", "status", "wire"),
    [
        (lambda commit: faults.status(503, commit=commit), 503, Wire.SEND),
        (lambda commit: faults.drop(commit=commit), 0, Wire.DROP),
        (lambda commit: faults.hang(commit=commit), 0, Wire.HANG),
        (lambda commit: faults.html(commit=commit), 200, Wire.SEND),
        (lambda commit: faults.redirect("https://x/", 302, commit=commit), 302, Wire.SEND),
        (lambda commit: faults.raw(b"\xff", commit=commit), 200, Wire.SEND),
    ],
)
def test_a_fault_strikes_before_or_after_the_commit(
    start: Start, make: Callable[[bool], Fault], status: int, wire: Wire, commit: bool
) -> None:
    """The store, the log and the answer agree on which it was."""
    api = failing(start, make(commit))
    answer = api("POST", HOOKS, api.slack())
    assert answer.fault is not None
    assert answer.fault.wire is wire
    assert len(api.stored()) == commit
    (entry,) = api.emulator.store.log()
    assert (entry.status, entry.changed is not None) == (status, commit)
    label = api.emulator.labels[entry.seq]
    assert label == answer.fault.label
    assert label.endswith("after commit") is commit


def test_a_lost_write_can_happen_later(start: Start) -> None:
    """By the clock, before the next request is looked at; the log shows both moments."""
    api = failing(start, faults.drop(commit_after=5), method="POST")
    api("POST", HOOKS, api.slack())
    api.time.now += 4
    assert api.names() == []
    api.time.now += 1
    assert api.names() == ["alerts"]
    labels = [
        (api.emulator.labels.get(entry.seq), entry.status) for entry in api.emulator.store.log()
    ]
    assert labels[0] == ("drop and commit after 5 s", 0)
    assert ("late commit", 0) in labels


def test_late_writes_happen_in_the_order_of_their_time(start: Start) -> None:
    """`settle` lets them happen without a request."""
    script = Script()
    script.add(faults.hang(commit_after=5), name="a")
    script.add(faults.hang(commit_after=2), name="b")
    api = start(faults=script)
    for name in "ab":
        api("POST", HOOKS, api.slack(name))
    api.time.now += 5
    api.emulator.settle()
    assert api.stored() == ["b", "a"]


def test_rules_match_by_method_path_and_name(start: Start) -> None:
    """Every part that is set has to match."""
    script = Script()
    script.add(faults.status(500), method="POST", path="*/webhooks/", name="b")
    api = start(faults=script)
    assert api("GET").status == 200
    assert api("POST", HOOKS, api.slack("a")).status == 201
    assert api("POST", HOOKS, raw=b"{").status == 400
    assert api("POST", HOOKS, raw=b"[]").status == 400
    assert api("POST", HOOKS, api.slack("b")).status == 500
    assert api("POST", HOOKS, api.slack("b")).status == 201


@pytest.mark.parametrize(
    ("nth", "times", "statuses"),
    [
        (1, 1, [500, 200, 200, 200]),
        (3, 1, [200, 200, 500, 200]),
        (2, 2, [200, 500, 500, 200]),
        (2, None, [200, 500, 500, 500]),
    ],
)
def test_rules_fire_on_the_nth_match(
    start: Start, nth: int, times: int | None, statuses: list[int]
) -> None:
    """And on as many after it as they say."""
    rule = Rule(fault=faults.status(500), nth=nth, times=times)
    api = start(faults=Script([rule]))
    assert [api("GET").status for _ in statuses] == statuses
