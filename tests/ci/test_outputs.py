"""The outputs of a step."""

from __future__ import annotations

import pytest

from reconciler.ci.outcome import Outputs, format_outputs


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
