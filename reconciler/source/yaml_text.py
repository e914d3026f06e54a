"""Text as a person would write it in YAML: bare where that is safe, quoted where it is not."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_BARE: Final = re.compile(r"[^\W\d_]\w*(?:[ ./-]\w+)*")
# Words that some reader of YAML takes for a flag or for nothing.
_SPECIAL: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_RUNNER_COMMAND: Final = re.compile(r"(##\w*)\[")  # the log of a CI runner executes it
_HARMLESS: Final = r"\1\\u005B"
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def scalar(text: str) -> str:
    """Write `text` so that it is read back as exactly this text, in block and flow style."""
    if _BARE.fullmatch(text) and text.casefold() not in _SPECIAL and text.isprintable():
        return text
    escaped = "".join(_escaped(char) for char in text)
    return f'"{_RUNNER_COMMAND.sub(_HARMLESS, escaped)}"'


def flow(items: list[str]) -> str:
    """Write a list of texts on one line."""
    return "[" + ", ".join(scalar(item) for item in items) + "]"


def comment(text: str) -> str:
    """Return `text` as it can stand in a comment."""
    escaped = "".join(_escaped(char) if char not in '"\\' else char for char in text)
    return _RUNNER_COMMAND.sub(_HARMLESS, escaped)


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if unicodedata.category(char) in _UNSEEN or (char.isspace() and char != " "):
        code = ord(char)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return char
