"""A fixed number of histories of runs over several organizations."""

from __future__ import annotations

import pytest

from tests.simulation.organizations import run_seed

_SEEDS = 120
_BLOCK = 40


@pytest.mark.parametrize("start", range(0, _SEEDS, _BLOCK))
def test_no_history_of_several_organizations_breaks_a_guarantee(start: int) -> None:
    """Signals, crashes, lost responses, a dead server and a rejected key break no promise."""
    for seed in range(start, start + _BLOCK):
        violation, world = run_seed(seed)
        assert violation is None, "\n".join([str(world.case), *world.trace])


def test_a_seed_of_several_organizations_always_gives_the_same_history() -> None:
    """A failing seed can be run again."""
    for seed in range(10):
        assert run_seed(seed)[1].trace == run_seed(seed)[1].trace
