"""Case-sensitive globs over names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import translate
from re import compile as compile_pattern
from typing import Final

from reconciler.model import Pattern

MAX_GLOB: Final = 256
"""The longest glob over names, in characters: as long as the longest name."""

_SPECIAL: Final = compile_pattern(r"[*?\[]")


class Globs:
    """Several case-sensitive globs as one question."""

    __slots__ = ("_everything", "_match", "_names")

    def __init__(self, globs: Iterable[str]) -> None:
        listed = tuple(globs)
        self._everything = "*" in listed
        self._names = frozenset(glob for glob in listed if _SPECIAL.search(glob) is None)
        others = [translate(glob) for glob in listed if glob not in self._names]
        self._match = compile_pattern("|".join(others)).match if others else None

    def match(self, name: str) -> bool:
        """Return whether any of the globs matches the whole of `name`."""
        return (
            self._everything
            or name in self._names
            or (self._match is not None and self._match(name) is not None)
        )


def first_match(patterns: Iterable[Pattern], name: str) -> Pattern | None:
    """Return the first pattern that matches `name`, to show where it was written."""
    for each in patterns:
        if Globs((each.glob,)).match(name):
            return each
    return None
