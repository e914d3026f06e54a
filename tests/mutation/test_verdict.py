"""The list of equivalent mutants, and the evaluation of results."""

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
def test_an_equivalent_mutant_exists_in_the_code(entry: Equivalent) -> None:
    """An entry whose line no longer exists must be removed."""
    lines = {line.strip() for line in (ROOT / entry.file).read_text("utf-8").splitlines()}
    removed = [line[2:] for line in entry.change.splitlines() if line.startswith("- ")]
    assert removed
    assert set(removed) - {")"} <= lines


def test_no_mutant_is_listed_twice() -> None:
    """Each entry has one reason."""
    assert len(set(KNOWN)) == len(KNOWN)
