"""Cutting text to GitHub's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconciler.ci.limits import cut_bytes, cut_characters

texts = st.lists(st.text(max_size=30), max_size=20).map("\n".join)
NOTICE = "(cut)"


@given(texts, st.integers(min_value=0, max_value=400))
def test_cut_text_fits_and_keeps_whole_lines(text: str, limit: int) -> None:
    """At most `limit` characters; what stays are first lines, unharmed."""
    cut = cut_characters(text, limit, notice=NOTICE)
    assert len(cut) <= limit
    if len(text) <= limit:
        assert cut == text
    elif limit >= len(NOTICE) + 3:
        kept, notice = cut[: -len(NOTICE) - 2], cut[-len(NOTICE) - 1 : -1]
        assert notice == NOTICE
        assert text.startswith(kept)
        assert not kept or text[len(kept)] == "\n"


@given(texts, st.integers(min_value=0, max_value=400))
def test_bytes_are_counted_as_utf8(text: str, limit: int) -> None:
    """A summary never exceeds its bytes, whatever script it is in."""
    cut = cut_bytes(text, limit, notice=NOTICE)
    assert len(cut.encode()) <= limit
    if limit >= len(NOTICE) + 3 and len(text.encode()) > limit:
        kept = cut[: -len(NOTICE) - 2]
        assert text.startswith(kept)
        assert not kept or text[len(kept)] == "\n"


@pytest.mark.parametrize("cut", [cut_characters, cut_bytes])
def test_a_line_that_ends_at_the_limit_stays(cut) -> None:
    """The border itself is inside."""
    text = "one\ntwo\n" + "x" * 100
    limit = len("one\ntwo") + len(NOTICE) + 2
    assert cut(text, limit, notice=NOTICE) == f"one\ntwo\n{NOTICE}\n"


def test_lone_surrogates_become_question_marks() -> None:
    """Text that UTF-8 cannot hold is no reason to fail."""
    assert cut_bytes("a\ud800", 100, notice=NOTICE) == "a?"
