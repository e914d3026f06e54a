"""Names and globs over them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from reconciler.errors import UsageError
from reconciler.planning.names import (
    MAX_NORMALIZED_LENGTH,
    Globs,
    lookalike_key,
    missed_organization,
    require_matches,
)
from tests.goldens import rows
from tests.planning.builders import ACME

GLOBS = st.lists(st.text("ab*?[]!-\n", min_size=1, max_size=6), max_size=6)


@given(GLOBS, st.text("ab[]!-\n", max_size=6))
@example(["*a*"], "ba")
@example(["*ab*"], "abb")
def test_globs_match_like_each_of_them(globs: list[str], name: str) -> None:
    """A name matches together what it matches alone."""
    assert Globs(globs).match(name) is any(fnmatchcase(name, glob) for glob in globs)


@pytest.mark.parametrize(
    "form",
    [
        *("team-{:05}-*", "*-team-{:05}", "{:05}?", "[a-z]-{:05}", "*-{:05}-*", "?{:05}[a]"),
        *("?-*-{:05}", "*a-{:05}-*z?"),
    ],
)
def test_a_name_is_compared_with_few_of_many_globs(form: str) -> None:
    """Globs with different literal parts are not compared with the same name."""
    globs = Globs(form.format(number) for number in range(1_000))
    assert len(globs._matchers) == 1_000
    assert len(globs._lengths) == 1


@pytest.mark.parametrize(("length", "alike"), [(MAX_NORMALIZED_LENGTH, True), (1001, False)])
def test_the_letters_of_very_long_names_are_not_compared(length: int, alike: bool) -> None:
    """That would take quadratic time."""
    cyrillic, latin = (lookalike_key(letter * length) for letter in ("\u0430", "a"))
    assert (cyrillic == latin) is alike


@pytest.mark.parametrize(
    ("only", "names", "unmatched"), rows(Path(__file__).with_name("useless_globs.yaml"))
)
def test_a_glob_that_matches_nothing_is_an_error(
    only: list[str], names: list[str], unmatched: str
) -> None:
    """Each glob must match; one that is given twice counts once."""
    expected = [f"--only {glob!r} matches no live webhook" for glob in unmatched]
    if not unmatched:
        require_matches(only, names, "live webhook")
        return
    with pytest.raises(UsageError, match="^" + "; ".join(expected)) as raised:
        require_matches(only, names, "live webhook")
    assert str(raised.value.hint).startswith("a glob must match the whole name")


@pytest.mark.parametrize(
    ("declared", "selected", "expected"), rows(Path(__file__).with_name("organizations.yaml"))
)
def test_the_organization_of_a_key_is_checked(
    declared: str | None, selected: list[str], expected: str | None
) -> None:
    """Files name it by name or id, `--organization` also by a glob."""
    assert missed_organization(ACME._replace(name="A[b]"), declared, selected) == expected
