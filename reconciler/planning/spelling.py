"""Names that a reader, or a server, may take for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable
from typing import Final

_LATIN: Final = str.maketrans(
    # Small letters of which this or the capital looks like a Latin one, and dashes and quotes.
    "авеікмнорстухјѕһԁԛԝѵӏαβεζηικμνορτυχıɑɡ‐‒–—―−‘’‛ʼ′“”‟\u2800",
    "abeikmhopctyxjshdqwvlabezhikmnoptyxiag------'''''\"\"\" ",
)
_HIDDEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0").union(
    map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
)
"""Characters that are drawn as nothing, besides those of the category `Cf`."""


def lookalike_key(name: str) -> str:
    """Return the form in which names that look alike are equal.

    They differ only in case, in spaces at the ends or in a row, in the kind of spaces, dashes and
    quotation marks, in invisible characters, in forms of the same letter (NFKC), or in Cyrillic
    and Greek letters that look like Latin ones.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        name = "".join(
            char for char in name if char not in _HIDDEN and unicodedata.category(char) != "Cf"
        ).translate(_LATIN)
    return " ".join(name.casefold().split())


def left_out(
    declared: Iterable[str], live: Collection[str], selects: Callable[[str], bool]
) -> Callable[[str], bool]:
    """Return what says whether a live name may stand for a declared one that is not selected.

    A server that changes names may keep a declared webhook under another spelling. A whole plan
    creates it again before that one is deleted; a plan that leaves the create out leaves the
    delete out too.
    """
    keys = {lookalike_key(name) for name in declared if name not in live and not selects(name)}
    return lambda name: bool(keys) and lookalike_key(name) in keys
