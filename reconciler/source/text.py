"""Decode files, refuse text that two readers would interpret differently, and hide secrets in text.

The readers are an editor and a parser, a reviewer and a parser, or libyaml and the pure parser.
Accepted text is UTF-8, has `\\n` as its only line break, and contains no control character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeAlias

from reconciler.findings import Finding, Position, error

_PRINTABLE: Final = bytes([*range(0x20, 0x7F), 0x0A, 0x09])

_Check: TypeAlias = tuple[str, str, Finding]
"""Substring, pattern, finding: only text with the substring is searched for the pattern."""


def _check(rule: str, pattern: str, message: str, hint: str, substring: str = "") -> _Check:
    return substring, pattern, error(rule, message, hint)


_NON_ASCII_CHECKS: Final[tuple[_Check, ...]] = (
    _check(
        "line-break",
        "[\r\x85\u2028\u2029]",
        "{character} is a line break that most editors do not show",
        "end lines with LF or CR LF",
    ),
    _check(
        "control-character",
        "[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
        "the character {character} is not allowed in the file",
        "delete it, and save the file as UTF-8",
    ),
)
"""Rules that only text outside of ASCII can violate; most files are ASCII."""

_CHECKS: Final[tuple[_Check, ...]] = (
    _check(
        "plan-as-configuration",
        r'\A\{\s*"format_version": [^,]+,\s*("kind": "plan")',
        "this is a plan, not a configuration file",
        "pass a saved plan to `webhooks show FILE` or `webhooks apply FILE`",
        '"kind": "plan"',
    ),
    _check(
        "control-character",
        r"\\(?:u|U0000)[dD][89a-fA-F][0-9a-fA-F]{2}|\\U(?!0010|000[0-9a-fA-F])[0-9a-fA-F]{8}",
        "this escape is half of a surrogate pair",
        "write the character itself instead of a pair of \\u escapes",
        "\\",
    ),
    _check(
        "directive",
        r"(?m)^%(?!YAML 1\.2 *(?: #.*)?$)",
        "a line that starts with % is a YAML directive, which is not supported",
        "delete the line; quote the text if it belongs to a value",
        "%",
    ),
)


def decode(raw: bytes, file: str) -> tuple[str, Finding | None]:
    """Return the text of a file, ending in a line break, and its first error.

    The text is empty if it is not UTF-8.
    """
    body = raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as cause:
        before = body[: cause.start].decode("utf-8")
        where = position_at(before, file, len(before))
        return "", error("encoding", "the file is not UTF-8", "save it as UTF-8", where)
    text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    return text, ambiguity(text, file)


def ambiguity(text: str, file: str) -> Finding | None:
    """Return the error for the first part of `text` that readers may interpret differently."""
    is_plain = text.isascii() and not text.encode().translate(None, _PRINTABLE)
    for substring, pattern, finding in _CHECKS if is_plain else _NON_ASCII_CHECKS + _CHECKS:
        match = re.search(pattern, text) if substring in text else None
        if match is not None:
            first, last = match.span(match.lastindex or 0)
            where = position_at(text, file, first, last - first)
            message = finding.message.format(character=f"U+{ord(text[first]):04X}")
            return finding._replace(message=message, position=where)
    return None


def position_at(text: str, file: str, index: int, width: int = 1) -> Position:
    """Return the position of the character at `index` of `text`."""
    start = text.rfind("\n", 0, index) + 1
    return Position(
        file=file, line=text.count("\n", 0, index) + 1, column=index - start + 1, width=width
    )


# Text of files in messages

MASK: Final = "***"
LOOKS_SECRET: Final = re.compile(
    # A URL with more than a host. Normalized as a path, it has only one slash after the colon.
    r"(?:xox[a-z]|xapp)[-.][A-Za-z0-9._-]*"  # a Slack token, complete or not
    r"|(?i:https?:/++|\b[a-z][a-z0-9+.-]{1,20}+://)[^\s\"']*[@/?#][^\s\"']*"
)
"""Text that is always hidden when part of a file is shown."""

_WORD: Final = (
    r"(?!.{41})(?:[a-z0-9_*-]+|[A-Za-z_*?!\[\]]+(?:[.:/-][A-Za-z_*?!\[\]]+)*"
    r"|[A-Z]?[a-z]+ [A-Z]?[a-z]+)"
)
"""An event, a type or a state in any spelling, such as `value.updated` or `ValueUpdated`.

Digits are allowed only in lower-case text, because a mixture may be a secret.
"""


def masked(text: str) -> str:
    """Return user text for a message: likely secrets hidden, long text truncated."""
    safe = LOOKS_SECRET.sub(MASK, text)
    return safe if len(safe) <= 120 else f"{safe[:117]}..."


def in_quotes(name: object) -> str:
    """Return a user's name for a message, hidden if it may be a secret."""
    return repr(masked(name)) if isinstance(name, str) else "this"


def quoted(noun: str, word: str) -> str:
    """Return `noun` followed by the user's word, unless that may be a secret."""
    return f"{noun} `{word}`" if is_word(word) else noun


def is_word(text: str) -> bool:
    """Return whether a text looks like an event, a type or a state."""
    return re.fullmatch(_WORD, text) is not None and LOOKS_SECRET.search(text) is None


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar word of `known`, if any."""
    return _near(word.lower(), tuple(known))


@lru_cache(maxsize=4096)  # many webhooks may have the same mistake
def _near(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # only for an error

    return next(iter(get_close_matches(word, known, n=1)), None)


class NotJsonError(ValueError):
    """A text is not JSON. The message continues a sentence about its file."""


def read_json(raw: bytes) -> Any:
    """Parse JSON strictly. Raises NotJsonError."""
    try:
        # With equal keys or NaN, two readers could see different documents.
        tree = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
        json.dumps(tree, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except NotJsonError:
        raise
    except (ValueError, RecursionError):
        raise NotJsonError("is not JSON") from None
    return tree


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise NotJsonError(f"has the key `{key}` twice in an object")
        members[key] = value
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise NotJsonError(f"is not JSON: `{name}` is not a JSON number")


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Return a hint with the most similar word of `known`, if any."""
    similar = near(word, known) if isinstance(word, str) else None
    return None if similar is None else f"did you mean `{similar}`?"
