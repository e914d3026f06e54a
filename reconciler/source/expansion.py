"""How much aliases may make of a file: enough for any honest one, and no bomb.

300 bytes of nested aliases stand for a billion nodes. Reading them costs nothing, as the parts
are shared, but whoever walks the result (JSON, the schema's judge, a diff) never comes back. So
every use of an alias is charged with the size of what it stands for, written out.
"""

from __future__ import annotations

from typing import Any, Final

_BASE: Final = 100_000
_PER_CHARACTER: Final = 4


class Expansion:
    """The room one file has for what its aliases stand for."""

    def __init__(self, characters: int) -> None:
        self._room = _BASE + _PER_CHARACTER * characters
        # By id; the value itself is kept with its measures, so that no other can take its id.
        self._known: dict[int, tuple[int, int, Any]] = {}

    def spend(self, value: Any) -> bool:
        """Charge one use of `value`; False if there is no room for it."""
        self._room -= self._measure(value)[0]
        return self._room >= 0

    def height(self, value: Any) -> int:
        """Return how many levels of collections `value` has."""
        return self._measure(value)[1]

    def _measure(self, value: Any) -> tuple[int, int]:
        if not isinstance(value, (dict, list)):
            return 1, 0
        known = self._known.get(id(value))
        if known is None:
            children = value.values() if isinstance(value, dict) else value
            parts = [self._measure(child) for child in children]
            size = 1 + sum(each for each, _ in parts)
            height = 1 + max((each for _, each in parts), default=0)
            known = self._known[id(value)] = (size, height, value)
        return known[:2]
