"""A fixed number of histories per change, and a test that they find bugs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.folders import ProgramCopy, replacing
from tests.simulation import history, organizations
from tests.simulation.bugs import BUGS, SEEDS, Bug
from tests.simulation.case import case
from tests.simulation.history import run_case

_BLOCK = 40
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("simulation", "start"),
    [
        *((history, start) for start in range(0, 240, _BLOCK)),
        *((organizations, start) for start in range(0, 120, _BLOCK)),
    ],
)
def test_no_history_breaks_a_guarantee(simulation: ModuleType, start: int) -> None:
    """No history breaks a guarantee, with one organization or with several."""
    for seed in range(start, start + _BLOCK):
        result = simulation.run_seed(seed)
        if result.violation is not None:
            trace = "\n".join(result.trace)
            pytest.fail(f"seed {seed}: {result.violation}\n{trace}", pytrace=False)


@pytest.mark.parametrize("seed", [66159747, 67003457, 73104838])
def test_a_rare_history_breaks_no_guarantee(seed: int) -> None:
    """A resend of hidden secrets fails beside an old row; a glob matches only what was deleted.

    After a signal, the only listing shows a webhook that a user made as before the update.
    """
    assert history.run_seed(seed).violation is None


@pytest.mark.parametrize(("simulation", "seeds"), [(history, 40), (organizations, 10)])
def test_a_seed_always_gives_the_same_history(simulation: ModuleType, seeds: int) -> None:
    """A failing seed can be run again."""
    for seed in range(seeds):
        assert simulation.run_seed(seed) == simulation.run_seed(seed)


@pytest.mark.parametrize("seed", [16, 34, 58, 72, 84, 94])  # saved plans, a base, ...
def test_the_next_apply_recovers_from_a_crash_at_any_step(seed: int) -> None:
    """An apply is killed before each request arrives and after each one is committed."""
    drawn = case(seed)
    alone = replace(drawn, teams=drawn.teams[:1], applies=1, parallelism=1)
    undisturbed = replace(alone, crash=None, stop=None, manual_edit_odds=0.0, copy_odds=0.0)
    steps = sum(" first " in line for line in run_case(undisturbed).trace)
    assert steps > 10
    for step in range(steps):
        for after in (False, True):
            result = run_case(replace(undisturbed, crash=(step, after)))
            assert result.violation is None, "\n".join(result.trace)


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    """The simulation finds a violation in a copy of the package with a bug."""
    parts = ("tests/simulation", "tests/emulated", "tests/__init__.py", "tests/loading.py")
    copy = ProgramCopy(tmp_path, *parts)
    copy.add({f"reconciler/{bug.file}": replacing(bug.old, bug.new)})
    seeds = ("--start", str(bug.start), "--seeds", str(SEEDS))
    found = copy.python("-m", "tests.simulation", *seeds)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "again: python -m tests.simulation --seed " in found.stdout
