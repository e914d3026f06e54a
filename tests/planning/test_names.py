"""Globs over names."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.names import MAX_NORMALIZED_LENGTH, Globs, lookalike_key

GLOBS = st.lists(st.text("ab*?[]!-\n", min_size=1, max_size=6), max_size=6)


@given(GLOBS, st.text("ab[]!-\n", max_size=6))
def test_globs_match_like_each_of_them(globs: list[str], name: str) -> None:
    """A name matches together what it matches alone."""
    assert Globs(globs).match(name) is any(fnmatchcase(name, glob) for glob in globs)


@pytest.mark.parametrize(
    "form", ["team-{:05}-*", "*-team-{:05}", "{:05}?", "[a-z]-{:05}", "*-{:05}-*", "?{:05}[a]"]
)
def test_a_name_is_compared_with_few_of_many_globs(form: str) -> None:
    """Globs with different literal parts are not compared with the same name."""
    globs = Globs(form.format(number) for number in range(1_000))
    for index in (globs._starts, globs._ends, globs._parts):
        assert len(index.matchers) in (0, 1_000)
        assert len(index.lengths) <= 1


@pytest.mark.parametrize(("length", "alike"), [(MAX_NORMALIZED_LENGTH, True), (1001, False)])
def test_the_letters_of_very_long_names_are_not_compared(length: int, alike: bool) -> None:
    """That would take quadratic time."""
    cyrillic, latin = (lookalike_key(letter * length) for letter in ("\u0430", "a"))
    assert (cyrillic == latin) is alike
