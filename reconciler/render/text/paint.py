"""Colour: our own few SGR codes, the only control characters in any output."""

from __future__ import annotations

import re
from typing import Final

_CODES: Final = {
    "+": "32",
    "~": "33",
    "-": "31",
    "!": "35",
    "x": "31",
    "?": "35",
    "error": "1;31",
    "warning": "1;33",
    "note": "1;36",
    "good": "32",
    "strong": "1",
    "faint": "2",
}
_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")


def paint(text: str, style: str, color: bool) -> str:
    """Return `text` in a style, unchanged without colour or for a style that has none."""
    code = _CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if color and code and text else text


def strip(text: str) -> str:
    """Return `text` without colour."""
    return _SGR.sub("", text) if "\x1b" in text else text
