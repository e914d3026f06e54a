"""Outputs and summaries of a step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ci.outcome import Outputs, cut_bytes, format_outputs

texts = st.lists(st.text(max_size=30), max_size=20).map("\n".join)
NOTICE = "(cut)"


def test_no_value_can_forge_an_output() -> None:
    """A value with line ends and assignments stays one value."""
    text = format_outputs({"digest": "x\nresult=applied\nEOF"}, delimiter="d-1")
    assert text == "digest<<d-1\nx\nresult=applied\nEOF\nd-1\n"


def test_a_delimiter_that_occurs_is_refused() -> None:
    """Even a guessed delimiter sets no output."""
    with pytest.raises(ValueError, match="delimiter"):
        format_outputs({"digest": "a\nd-1\nresult<<d-1\napplied"}, delimiter="d-1")


def test_outputs_have_the_names_of_the_action() -> None:
    """Counts are decimal, truth is in lower case, nothing is left out."""
    assert Outputs(result="planned", creates=1, deletes=2, digest="d").values() == {
        "result": "planned",
        "has-changes": "true",
        "creates": "1",
        "updates": "0",
        "deletes": "2",
        "digest": "d",
        "plan-json": "",
        "failure-reason": "",
    }
    assert Outputs(result="no-changes").values()["has-changes"] == "false"


@given(texts, st.integers(min_value=0, max_value=400))
def test_a_summary_fits_and_keeps_whole_lines(text: str, limit: int) -> None:
    """Bytes are counted as UTF-8, whatever script it is in; what stays are the first lines."""
    cut = cut_bytes(text, limit, notice=NOTICE)
    assert len(cut.encode()) <= limit
    if limit >= len(NOTICE) + 3 and len(text.encode()) > limit:
        kept = cut[: -len(NOTICE) - 2]
        assert text.startswith(kept)
        assert not kept or text[len(kept)] == "\n"


def test_a_line_that_ends_at_the_limit_stays() -> None:
    """The limit itself is inside."""
    limit = len("one\ntwo") + len(NOTICE) + 2
    cut = cut_bytes("one\ntwo\n" + "x" * 100, limit, notice=NOTICE)
    assert cut == f"one\ntwo\n{NOTICE}\n"


def test_lone_surrogates_become_question_marks() -> None:
    """Text that UTF-8 cannot hold is no reason to fail."""
    assert cut_bytes("a\ud800", 100, notice=NOTICE) == "a?"
