"""A fixed number of histories on each change, and proof that they would find mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS, SEEDS, Bug, hunt
from tests.simulation.case import case
from tests.simulation.trial import live_through, trial

_BLOCK = 50


@pytest.mark.parametrize("start", range(0, SEEDS, _BLOCK))
def test_every_promise_is_kept(start: int) -> None:
    """No history breaks a promise."""
    for seed in range(start, start + _BLOCK):
        verdict = trial(seed)
        if verdict.broken is not None:
            again = f"python -m tests.simulation --seed {seed} --trace"
            trace = "\n".join(verdict.trace)
            pytest.fail(f"{verdict.broken}\nagain: {again}\n{trace}", pytrace=False)


def test_the_same_seed_is_the_same_history() -> None:
    """A failing seed can be looked at again."""
    for seed in range(40):
        assert trial(seed) == trial(seed)


@pytest.mark.parametrize("seed", [34, 37, 58, 72, 84, 94])  # saved plans, a base, ...
def test_a_crash_at_any_step_is_mended_by_the_next_apply(seed: int) -> None:
    """Killed before each request arrives, and after each one is carried out."""
    drawn = case(seed)
    whole = replace(
        drawn, teams=drawn.teams[:1], applies=1, crash=None, stop=None, meddling=0.0, parallelism=1
    )
    steps = sum(" first " in line for line in live_through(whole).trace)
    assert steps > 10
    for step in range(steps):
        for after in (False, True):
            verdict = live_through(replace(whole, crash=(step, after)))
            assert verdict.broken is None, "\n".join(verdict.trace)


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.name) for bug in BUGS],
)
def test_a_mistake_is_found(bug: Bug, tmp_path: Path) -> None:
    """The simulation, run on a copy of the package with a mistake in it, breaks a promise."""
    found = hunt(bug, tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "again: python -m tests.simulation --seed " in found.stdout
