"""Mutation tests can run: entries of equivalent.toml are in the code, and no type guard is."""

from __future__ import annotations

import ast
import re

import pytest

from tests.folders import ROOT
from tests.mutation.__main__ import MUTATED
from tests.mutation.verdict import LIST, Equivalent, equivalents

KNOWN = list(equivalents(LIST.read_text(encoding="utf-8")))


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: f"{entry.file}:{entry.function}")
def test_an_equivalent_mutant_exists_in_the_code(entry: Equivalent) -> None:
    """An entry whose function no longer has its lines must be removed."""
    text = (ROOT / entry.file).read_text("utf-8")
    place: ast.AST = ast.parse(text)
    for name in entry.function.split("."):
        place = next(node for node in ast.walk(place) if getattr(node, "name", "") == name)
    lines = {line.strip() for line in (ast.get_source_segment(text, place) or "").splitlines()}
    removed = [line[2:] for line in entry.lines.splitlines() if line.startswith("- ")]
    assert removed
    assert set(removed) <= lines


def test_no_mutated_module_has_a_type_guard() -> None:
    """mutmut calls each function through another one, which mypy does not take for a guard."""
    for pattern in MUTATED:
        for path in (ROOT / "reconciler").glob(pattern):
            assert not re.search("Type(Guard|Is)", path.read_text("utf-8")), path.name
