"""Which terminals get links to click on."""

from __future__ import annotations

import pytest

from reconciler.cli.hyperlink import can_link, linked


@pytest.mark.parametrize(
    "environ",
    [
        {"TERM_PROGRAM": "iTerm.app"},
        {"TERM_PROGRAM": "vscode"},
        {"TERM": "xterm-kitty"},
        {"TERM": "alacritty-direct"},
        {"WT_SESSION": "0"},
        {"KONSOLE_VERSION": "220401"},
        {"VTE_VERSION": "5000"},
    ],
)
def test_terminals_that_can(environ: dict[str, str]) -> None:
    """A terminal known to draw links gets them, unless no person looks at it."""
    assert can_link(environ, terminal=True)
    assert not can_link(environ, terminal=False)
    assert not can_link({**environ, "CI": "true"}, terminal=True)
    assert not can_link({**environ, "TMUX": "/tmp/tmux"}, terminal=True)


@pytest.mark.parametrize(
    "environ",
    [{}, {"TERM": "xterm-256color"}, {"VTE_VERSION": "4999"}, {"VTE_VERSION": "x"},
     {"TERM": "dumb", "TERM_PROGRAM": "vscode"}],
)  # fmt: skip
def test_terminals_that_cannot(environ: dict[str, str]) -> None:
    """Any other terminal gets the address itself."""
    assert not can_link(environ, terminal=True)


def test_forcing() -> None:
    """FORCE_HYPERLINK decides, both ways."""
    assert can_link({"FORCE_HYPERLINK": "1"}, terminal=False)
    assert not can_link({"FORCE_HYPERLINK": "0", "TERM": "xterm-kitty"}, terminal=True)


def test_the_form() -> None:
    """A link is opened and closed again."""
    assert linked("here", "https://x.example/") == (
        "\x1b]8;;https://x.example/\x1b\\here\x1b]8;;\x1b\\"
    )
