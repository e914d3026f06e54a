"""The list of equivalent mutants, and what is made of results, without running any."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.verdict import (
    LIST,
    Equivalent,
    equivalents,
)

ROOT = Path(__file__).resolve().parents[2]
KNOWN = list(equivalents(LIST.read_text(encoding="utf-8")))


@pytest.mark.parametrize("entry", KNOWN, ids=lambda each: f"{each.file}: {each.change[:50]}")
def test_an_equivalent_mutant_is_one_of_code_that_is_there(entry: Equivalent) -> None:
    """An entry whose line has gone is to go too."""
    lines = {line.strip() for line in (ROOT / entry.file).read_text("utf-8").splitlines()}
    removed = [line[2:] for line in entry.change.splitlines() if line.startswith("- ")]
    assert removed
    assert set(removed) - {")"} <= lines


def test_no_mutant_is_listed_twice() -> None:
    """One reason each."""
    assert len(set(KNOWN)) == len(KNOWN)
