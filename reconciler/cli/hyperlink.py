"""Text to click on, for terminals that are known to draw it (OSC 8).

No terminal can be asked without waiting for an answer, so the variables that the able ones set
are looked at. Anywhere else the address itself is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PROGRAMS: Final = frozenset(
    {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "mintty", "rio", "WarpTerminal"}
)
_TERMS: Final = re.compile(r"xterm-kitty|xterm-ghostty|alacritty.*|foot.*|contour.*|wezterm")
_VTE: Final = 5000


def can_link(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Say whether a stream draws links; `terminal` says whether it is one.

    FORCE_HYPERLINK decides where it is set: 0 is no, anything else yes.
    """
    forced = environ.get("FORCE_HYPERLINK")
    if forced:
        return forced != "0"
    term = environ.get("TERM", "")
    if not terminal or term == "dumb" or environ.get("CI"):
        return False
    if environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return False  # whether it passes them on depends on its version and its terminal
    vte = environ.get("VTE_VERSION", "")
    return (
        environ.get("TERM_PROGRAM") in _PROGRAMS
        or _TERMS.fullmatch(term) is not None
        or any(environ.get(name) for name in ("WT_SESSION", "KONSOLE_VERSION", "KITTY_WINDOW_ID"))
        or (vte.isascii() and vte.isdigit() and int(vte) >= _VTE)
    )


def linked(text: str, address: str) -> str:
    """Return `text` that leads to `address`, which must be percent-encoded."""
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\"
