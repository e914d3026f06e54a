"""The real client and engine against the emulated CloudTruth, with each kind of lost response."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode
from tests.api.support import World
from tests.emulated import faults
from tests.emulated.emulator import LATE
from tests.emulated.faults import Fault
from tests.execute.world import slack

LOST = {
    "drop before": (faults.drop(), 2),
    "drop after commit": (faults.drop(commit=True), 1),
    "drop, commit late": (faults.drop(commit_after=0.5), 1),
    "hang": (faults.hang(), 2),
    "hang after commit": (faults.hang(commit=True), 1),
    "500": (faults.status(500), 2),
    "500 after commit": (faults.status(500, commit=True), 1),
    "html 502 after commit": (faults.html(502, commit=True), 1),
    "html 200": (faults.html(200), 2),
    "html 200 after commit": (faults.html(200, commit=True), 1),
    "redirect after commit": (faults.redirect("https://x.example.com/", commit=True), 1),
    "truncated": (faults.truncate(), 1),
    "reset": (faults.reset(), 1),
}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(("fault", "sends"), LOST.values(), ids=LOST)
def test_a_write_without_a_response_is_repeated_only_if_needed(
    method: str, fault: Fault, sends: int
) -> None:
    """It is read back first; the result is as declared, and nothing is left to do."""
    world = World()
    world.insert("old")
    world.insert("b")
    world.faults.add(fault, method=method)
    declared = (slack("a"), slack("b", "#new"))
    report = world.apply(*declared)
    assert world.names() == ["a", "b"]
    arrived = [each for each in world.emulator.log if each.method == method]
    # A late write is in the log twice.
    assert sum(world.emulator.labels.get(each.seq) != LATE for each in arrived) == sends
    assert (report.exit_code, report.verified) == (ExitCode.OK, True)
    assert world.apply(*declared).plan.operations == ()
