"""Case-sensitive globs over names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import translate
from re import compile as compile_pattern


class Globs:
    """Several case-sensitive globs as one question."""

    __slots__ = ("_everything", "_match")

    def __init__(self, globs: Iterable[str]) -> None:
        listed = tuple(globs)
        self._everything = "*" in listed
        self._match = (
            compile_pattern("|".join(translate(glob) for glob in listed)).match if listed else None
        )

    def match(self, name: str) -> bool:
        """Say whether any of the globs matches the whole of `name`."""
        return self._everything or (self._match is not None and self._match(name) is not None)
