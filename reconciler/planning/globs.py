"""Case-sensitive globs over names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import translate
from re import compile as compile_pattern

from reconciler.model import Pattern


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


def first_match(patterns: Iterable[Pattern], name: str) -> Pattern | None:
    """Return the first pattern that matches `name`, to show where it was written."""
    for each in patterns:
        if Globs((each.glob,)).match(name):
            return each
    return None
