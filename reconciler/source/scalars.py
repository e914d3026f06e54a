"""What an unquoted scalar means: YAML 1.2's words, JSON's numbers, and everything else is text.

So `on`, `yes`, `0777`, `12:30` and dates are text, as people expect of names and channels. A
number without a fraction is an integer however it is written, as in JSON Schema: `1.0` is 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MAX_INTEGER: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact."""

TOO_LARGE: Final = object()
"""The answer for a number beyond `MAX_INTEGER`."""

WORDS: Final[Mapping[str, Any]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The words that are no text; the empty one is a value of which nothing is written."""

NUMERIC: Final = frozenset("-0123456789")
"""The characters a number can start with."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONGEST_INTEGER: Final = len(str(-MAX_INTEGER))


def number(text: str) -> Any:
    """Return the number that `text`, starting with a NUMERIC character, means, else `text`."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    if match[1] is None and match[2] is None:
        value: float = int(text) if len(text) <= _LONGEST_INTEGER else float("inf")
    else:
        value = float(text)
    if abs(value) > MAX_INTEGER:
        return TOO_LARGE
    return int(value) if value == int(value) else value
