"""Untrusted text made harmless: names, ids, channels, file names, messages of servers.

Such text comes from people and from the API. A terminal obeys control characters in it, bidi marks
reorder what a reviewer sees, and the log of a CI runner executes `##[command]` anywhere in a line
and `::command::` at its start. After `quote` or `prose` nothing of that is left; what remains to
be done for Markdown and for annotations is the business of those renderers.

`quote` loses nothing: text that begins with `"` reads as a JSON string, all other text is itself.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

# Printable for Python, yet drawn as nothing or as a blank: joiners, fillers, variation selectors.
_HIDDEN: Final = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef"
)
_HIDDEN_CHARACTER: Final = re.compile(f"[{_HIDDEN}]")
_NOT_ASCII: Final = re.compile(r"[^ -~]")
_BRACKET_COMMAND: Final = re.compile(r"(##\w*)\[")  # GitHub's `##[`, Azure's `##vso[` and the like
_COLON_COMMAND: Final = re.compile(r"(?:(?<=^)|(?<=\s)):(?=:)")

# What would be read as a part of our own layout: quotes, text in parentheses, columns, arrows, or
# at the start of a line by Buildkite as the header of a group.
_LAYOUT: Final = re.compile(r'^[" (]|^(?:---|\+\+\+|~~~) | $|  | -> ')


def quote(text: str) -> str:
    """Return a value for display: bare when that is harmless and clear, else a JSON string."""
    if _is_clear(text):
        return text
    escaped = _NOT_ASCII.sub(_visible, text.replace("\\", "\\\\").replace('"', '\\"'))
    if unicodedata.category(text[:1] or " ")[0] == "M" and escaped[0] != "\\":
        escaped = _escape(escaped[0]) + escaped[1:]
    return f'"{_disarm(escaped)}"'


def prose(text: str) -> str:
    """Return a sentence that may hold untrusted text, dangerous characters escaped in place."""
    return _disarm(_NOT_ASCII.sub(_visible, text))


def _is_clear(text: str) -> bool:
    if not text or not text.isprintable() or _LAYOUT.search(text) is not None:
        return False
    if "##" in text and _BRACKET_COMMAND.search(text) is not None:
        return False
    if "::" in text and _COLON_COMMAND.search(text) is not None:
        return False
    return text.isascii() or not (
        _HIDDEN_CHARACTER.search(text) or unicodedata.category(text[0])[0] == "M"
    )


def _visible(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable() and _HIDDEN_CHARACTER.match(char) is None:
        return char
    return _escape(char)


def _escape(char: str) -> str:
    """Return `char` as JSON escapes."""
    shown = json.dumps(char)[1:-1]
    return shown if shown != char else f"\\u{ord(char):04x}"


def _disarm(text: str) -> str:
    return _COLON_COMMAND.sub(r"\\u003a", _BRACKET_COMMAND.sub(r"\1\\u005b", text))
