"""Outputs of a step."""

from __future__ import annotations

import pytest

from reconciler.cli.commands.ci import format_outputs


def test_no_value_can_forge_an_output() -> None:
    """A value with line ends and assignments stays one value; a guessed delimiter is refused."""
    text = format_outputs({"digest": "x\nresult=applied\nEOF"}, delimiter="d-1")
    assert text == "digest<<d-1\nx\nresult=applied\nEOF\nd-1\n"
    with pytest.raises(ValueError, match="delimiter"):
        format_outputs({"digest": "a\nd-1\nresult<<d-1\napplied"}, delimiter="d-1")
