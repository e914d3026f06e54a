"""Entries of equivalent.toml are still in the code."""

from __future__ import annotations

import pytest

from tests.folders import ROOT
from tests.mutation.verdict import LIST, Equivalent, equivalents

KNOWN = list(equivalents(LIST.read_text(encoding="utf-8")))


@pytest.mark.parametrize("entry", KNOWN, ids=lambda each: f"{each[0]}: {each[1][:50]}")
def test_an_equivalent_mutant_exists_in_the_code(entry: Equivalent) -> None:
    """An entry whose line no longer exists must be removed."""
    lines = {line.strip() for line in (ROOT / entry[0]).read_text("utf-8").splitlines()}
    removed = [line[2:] for line in entry[1].splitlines() if line.startswith("- ")]
    assert removed
    assert set(removed) - {")"} <= lines
