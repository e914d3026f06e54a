"""Months of a reconciler in virtual time; `python -m tests.reconcile histories` runs more."""

from __future__ import annotations

import pytest

from tests.reconcile.history import check_month


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 9, 12])
def test_a_month_of_faults(seed: int) -> None:
    """Every promise of the reconciler holds at each moment, and the end is as declared."""
    assert check_month(seed) == []
