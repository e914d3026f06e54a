"""Counts the steps of a regular expression: Python's own engine does not say how many it makes.

The matcher tries what `re` tries, in the same order, one step for each character or group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any


class Matcher:
    """Matches one pattern and counts what that takes."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.tree = _parser.parse(pattern.pattern, pattern.flags)
        self._flags = pattern.flags
        self.steps = 0

    def match(self, text: str, *, whole: bool) -> int:
        """Return the steps of `match`, or of `fullmatch`."""
        self.steps = 0
        next(
            (end for end in self._match(list(self.tree), text, 0) if end == len(text) or not whole),
            None,
        )
        return self.steps

    def search(self, text: str) -> int:
        """Return the steps of `finditer`, which tries every start."""
        self.steps, start = 0, 0
        while start <= len(text):
            end = self._first(list(self.tree), text, start)
            start = max(start + 1, end or 0)
        return self.steps

    def _first(self, items: list[Any], text: str, at: int) -> int | None:
        return next(self._match(items, text, at), None)

    def _match(self, items: list[Any], text: str, at: int) -> Iterator[int]:
        """Yield each place where a match of `items` that begins at `at` can end."""
        if not items:
            yield at
            return
        self.steps += 1
        (op, argument), rest = items[0], items[1:]
        if op in _REPEATS:
            low, high, item = argument
            yield from self._repeat(op, low, high, list(item), rest, text, at)
        elif op is sre.SUBPATTERN:
            yield from self._match([*argument[3], *rest], text, at)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from self._match([*branch, *rest], text, at)
        elif op is sre.ATOMIC_GROUP:
            end = self._first(list(argument), text, at)
            if end is not None:
                yield from self._match(rest, text, end)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            direction, item = argument
            start = at if direction > 0 else at - item.getwidth()[1]
            found = start >= 0 and self._first(list(item), text, start) is not None
            if found is (op is sre.ASSERT):
                yield from self._match(rest, text, at)
        elif op is sre.AT:
            if self._at(argument, text, at):
                yield from self._match(rest, text, at)
        elif at < len(text) and self._is(op, argument, text[at]):
            yield from self._match(rest, text, at + 1)

    def _repeat(
        self, op: Any, low: int, high: Any, item: list[Any], rest: list[Any], text: str, at: int
    ) -> Iterator[int]:
        ends = [at]
        if op is sre.MIN_REPEAT:
            while True:
                if len(ends) > low:
                    yield from self._match(rest, text, ends[-1])
                end = self._first(item, text, ends[-1]) if len(ends) <= high else None
                if end is None or end == ends[-1]:
                    return
                ends.append(end)
        while len(ends) <= high:
            end = self._first(item, text, ends[-1])
            if end is None or end == ends[-1]:
                break
            ends.append(end)
        for end in reversed(ends[low:] if op is sre.MAX_REPEAT else ends[low:][-1:]):
            yield from self._match(rest, text, end)

    def _at(self, where: Any, text: str, at: int) -> bool:
        multiline = self._flags & re.MULTILINE
        if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0 or bool(multiline and text[at - 1] == "\n")
        if where in (sre.AT_END, sre.AT_END_STRING):
            return at == len(text) or text[at:] == "\n" or bool(multiline and text[at] == "\n")
        inside = at < len(text) and (text[at].isalnum() or text[at] == "_")
        before = at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_")
        return (inside != before) is (where is sre.AT_BOUNDARY)

    def _is(self, op: Any, argument: Any, char: str) -> bool:
        if op is sre.ANY:
            return char != "\n" or bool(self._flags & re.DOTALL)
        if op is sre.NOT_LITERAL:
            return ord(char) != argument
        if op is sre.LITERAL:
            return ord(char) == argument or bool(
                self._flags & re.IGNORECASE and char.lower() == chr(argument).lower()
            )
        assert op is sre.IN, op
        negated = argument[0][0] is sre.NEGATE
        return any(_in(each, char) for each in argument[negated:]) is not negated


_CATEGORIES = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
}
_NOT = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
}


def _in(item: Any, char: str) -> bool:
    op, argument = item
    if op is sre.LITERAL:
        return ord(char) == argument
    if op is sre.RANGE:
        return argument[0] <= ord(char) <= argument[1]
    if argument in _NOT:
        return not _CATEGORIES[_NOT[argument]](char)
    return _CATEGORIES[argument](char)


def letters(tree: Any) -> Iterator[str]:
    """Yield the characters that a pattern names, of a range its first one."""
    for op, argument in tree:
        if op is sre.LITERAL:
            yield chr(argument)
        elif op is sre.IN:
            yield from (chr(each[0]) for kind, each in argument if kind is sre.RANGE)
            yield from (chr(each) for kind, each in argument if kind is sre.LITERAL)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from letters(branch)
        elif op is sre.ATOMIC_GROUP:
            yield from letters(argument)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            yield from letters(argument[1])
        elif isinstance(argument, tuple):  # a repeat or a group
            yield from letters(argument[-1])


def opening(tree: Any) -> str:
    """Return the literal text with which a match can begin; optional parts are left out."""
    text = ""
    for op, argument in tree:
        if op is sre.LITERAL:
            text += chr(argument)
        elif op is sre.BRANCH:
            return text + opening(argument[1][0])
        elif op is sre.SUBPATTERN:
            text += opening(argument[3])
        elif op is not sre.AT and not (op in _REPEATS and argument[0] == 0):
            break
    return text


_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
