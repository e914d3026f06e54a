"""Words of users in messages: hidden if they may be secret, and the known word that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

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


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Return a hint with the most similar word of `known`, if any."""
    similar = near(word, known) if isinstance(word, str) else None
    return None if similar is None else f"did you mean `{similar}`?"
