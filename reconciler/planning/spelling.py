"""Names that a server may take for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable


def lookalike_key(name: str) -> str:
    """Return the form in which names that differ only in case or composition are equal."""
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def left_out(
    declared: Iterable[str], live: Collection[str], selects: Callable[[str], bool]
) -> Callable[[str], bool]:
    """Return what says whether a live name may stand for a declared one that is not selected.

    A server that changes names may keep a declared webhook under another spelling. A whole plan
    creates it anew before that one is deleted; a plan that leaves the create out leaves the
    delete out too.
    """
    keys = {_key(name) for name in declared if name not in live and not selects(name)}
    return lambda name: bool(keys) and _key(name) in keys


def _key(name: str) -> str:
    return lookalike_key(name.strip())
