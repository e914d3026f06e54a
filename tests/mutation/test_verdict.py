"""The list of equivalent mutants, and what is made of results, without running any."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.verdict import (
    LIST,
    Equivalent,
    Fate,
    Mutant,
    equivalents,
    judged,
    score,
    sentence_only,
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


def mutant(fate: Fate, change: str = "- a\n+ b") -> Mutant:
    return Mutant(file="reconciler/planning/x.py", line=1, diff=f" before\n{change}", fate=fate)


def test_survivors_that_are_listed_do_not_count() -> None:
    """One that is not listed does."""
    made = [mutant(Fate.KILLED), mutant(Fate.SURVIVED), mutant(Fate.SURVIVED, "-   c\n+   d")]
    known = [Equivalent(file="reconciler/planning/x.py", change="- c\n+ d")]
    out, stale = judged(made, known)
    assert [each.fate for each in out] == [Fate.KILLED, Fate.SURVIVED, Fate.EQUIVALENT]
    assert (score(made), score(out), stale) == (pytest.approx(100 / 3), 50.0, [])


def test_an_entry_that_does_not_hold_is_named() -> None:
    """It is noticed after all, or there is nothing like it."""
    known = [
        Equivalent(file="reconciler/planning/x.py", change="- a\n+ b"),
        Equivalent(file="reconciler/planning/x.py", change="- gone\n+ away"),
    ]
    _, stale = judged([mutant(Fate.KILLED)], known)
    assert stale == [
        "reconciler/planning/x.py: it is noticed\n- a\n+ b",
        "reconciler/planning/x.py: there is no such mutant\n- gone\n+ away",
    ]


@pytest.mark.parametrize(
    ("before", "after", "wording"),
    [
        ('message="it is gone"', 'message="XXit is goneXX"', True),
        ('code="gone", note="it was"', 'code="gone", note="IT WAS"', True),
        ('code="gone", note="it was"', 'code="GONE", note="it was"', False),
        ('hint="look again"', "hint=None", False),
        ('a["b"] + c["d"]', 'a["b"] - c["d"]', False),
    ],
)
def test_a_sentence_that_reads_otherwise_is_wording(before: str, after: str, wording: bool) -> None:
    """A code or a key that differs is not, nor is a sentence that is missing."""
    assert sentence_only([f"-    {before}", f"+    {after}"]) is wording
