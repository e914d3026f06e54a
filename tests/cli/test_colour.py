"""When output is coloured."""

from __future__ import annotations

import pytest

from reconciler.cli.colour import Colour, wants_colour

A, Y, N = Colour.AUTO, Colour.ALWAYS, Colour.NEVER


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "coloured"),
    [
        (A, {}, True, True),
        (A, {}, False, False),
        (Y, {"NO_COLOR": "1"}, False, True),
        (N, {"FORCE_COLOR": "1"}, True, False),
        (A, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        (A, {"NO_COLOR": "0"}, True, False),
        (A, {"NO_COLOR": ""}, True, True),
        (A, {"FORCE_COLOR": "1"}, False, True),
        (A, {"FORCE_COLOR": "0"}, False, False),
        (A, {"FORCE_COLOR": ""}, False, False),
        (A, {"CLICOLOR_FORCE": "1", "CLICOLOR": "0"}, False, True),
        (A, {"CLICOLOR": "0"}, True, False),
        (A, {"CLICOLOR": "1"}, False, False),
        (A, {"TERM": "dumb"}, True, False),
        (A, {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_precedence(
    choice: Colour, environ: dict[str, str], terminal: bool, coloured: bool
) -> None:
    """The option beats NO_COLOR beats forcing beats CLICOLOR=0 and dumb beats the terminal."""
    assert wants_colour(choice, environ, terminal=terminal) is coloured
