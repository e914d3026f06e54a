"""No regular expression applied to user input backtracks excessively.

Python's engine does not count its steps, so a pattern is run here as the engine runs it: a step is
an attempt to match one character or position.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice, product
from pathlib import Path
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import reconciler
from reconciler.source.schema import schema_text
from tests.goldens import rows

FEW, MANY = 100, 200
"""Lengths of strings."""
MAX_FACTOR = 2.1
"""The maximum factor for twice the length; a quadratic pattern has almost four."""
MAX_STEPS = 100_000
"""An exponential pattern takes more for any length."""
READERS = ("kinds", "planning", "render", "source")
"""The folders that read user input."""


def _within(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        # One of bytes is for the beginning of a file.
        is_text = isinstance(value.pattern, str)
        yield value if is_text else re.compile(value.pattern.decode(), value.flags)
    elif isinstance(value, type) and issubclass(value, Enum):
        yield from _within(tuple(item.value for item in value))
    elif isinstance(value, (tuple, frozenset, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _within(item)


def _patterns() -> Iterator[tuple[re.Pattern[str], str]]:
    """Yield each pattern and how it is used: `search` everywhere, `match` or `fullmatch`."""
    for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if found.name.split(".")[1] not in READERS:
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            uses = set(re.findall(rf"\b{name}\.(search|finditer|sub|match)\b", source))
            use = "fullmatch" if not uses else "match" if uses == {"match"} else "search"
            for pattern in _within(value):
                yield pattern, use if isinstance(value, re.Pattern) else "search"
    for text in re.findall(r'"pattern": (".*")', schema_text("webhooks.schema.json")):
        yield re.compile(json.loads(text)), "match"


PATTERNS = {f"{use} {pattern.pattern}": (pattern, use) for pattern, use in _patterns()}


def opening(tree: Any) -> str:
    """Return the literal text with which a match can begin; optional parts are omitted."""
    text = ""
    for op, argument in tree:
        if op is _constants.LITERAL:
            text += chr(argument)
        elif op is _constants.BRANCH:
            return text + opening(argument[1][0])
        elif op is _constants.SUBPATTERN:
            text += opening(argument[3])
        elif op is not _constants.AT and not (_constants.MAX_REPEAT is op and argument[0] == 0):
            break
    return text


Run = Callable[[str, int], Iterator[int]]
"""Yields the ends of matches in a text that begin at a position, in the engine's order."""


class Stepper:
    """Runs a pattern, and counts the steps."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.steps = 0
        tree = _parser.parse(pattern.pattern, pattern.flags)
        self.opening = opening(tree)
        self._run = self._sequence(tree, pattern.flags)

    def count(self, use: str, text: str) -> int:
        """Return the steps for a text, at most MAX_STEPS."""
        self.steps, begin = 0, 0
        while begin <= len(text) and self.steps < MAX_STEPS:
            ends = self._run(text, begin)
            end = next((end for end in ends if use != "fullmatch" or end == len(text)), begin)
            begin = max(end, begin + 1) if use == "search" else len(text) + 1
        return self.steps

    def _sequence(self, items: Any, flags: int) -> Run:
        runs = [self._item(op, argument, flags) for op, argument in items]

        def sequence(text: str, begin: int, index: int = 0) -> Iterator[int]:
            if index == len(runs):
                yield begin
            else:
                for end in runs[index](text, begin):
                    yield from sequence(text, end, index + 1)

        return sequence

    def _item(self, op: Any, argument: Any, flags: int) -> Run:
        match op:
            case _constants.SUBPATTERN:
                return self._sequence(argument[3], (flags | argument[1]) & ~argument[2])
            case _constants.BRANCH:
                branches = [self._sequence(items, flags) for items in argument[1]]
                return lambda text, begin: (end for run in branches for end in run(text, begin))
            case _constants.ASSERT if argument[0] > 0:
                inner = self._sequence(argument[1], flags)
                return lambda text, begin: (begin for _ in islice(inner(text, begin), 1))
            case _constants.MAX_REPEAT | _constants.MIN_REPEAT:
                return self._repeat(*argument, flags)
            case _constants.POSSESSIVE_REPEAT:
                inner = self._repeat(*argument, flags)
                return lambda text, begin: islice(inner(text, begin), 1)
        assert op is not _constants.ATOMIC_GROUP  # no pattern has one
        single = _compiler.compile(_parser.SubPattern(_parser.State(), [(op, argument)]), flags)

        def character(text: str, begin: int) -> Iterator[int]:
            self.steps += 1
            found = single.match(text, begin) if self.steps < MAX_STEPS else None
            if found is not None:
                yield found.end()

        return character

    def _repeat(self, least: int, most: int, items: Any, flags: int) -> Run:
        inner = self._sequence(items, flags)

        def repeat(text: str, begin: int, count: int = 0) -> Iterator[int]:
            if count < most:
                for end in inner(text, begin):
                    if end > begin or count < least:
                        yield from repeat(text, end, count + 1)
            if count >= least:
                yield begin

        return repeat


def slow(pattern: re.Pattern[str], use: str) -> str | None:
    """Return a text on which a pattern backtracks excessively; None if there is none.

    Texts repeat each character of the pattern, after nothing or after the start of a match.
    """
    stepper = Stepper(pattern)
    begin = stepper.opening
    units = dict.fromkeys((*pattern.pattern, begin or "b", "a", "A", " ", "a ", "-", "{a"))
    for unit, before, after in product(units, dict.fromkeys(("", begin)), ("", "\0", " ")):
        few, many = (
            stepper.count(use, f"{before}{(unit * length)[:length]}{after}")
            for length in (FEW, MANY)
        )
        if many > MAX_FACTOR * few or many >= MAX_STEPS:
            return before + unit + after
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_does_not_backtrack_excessively(name: str) -> None:
    """Twice the text takes about twice the steps."""
    assert slow(*PATTERNS[name]) is None


@pytest.mark.parametrize(
    ("pattern", "use"), rows(Path(__file__).with_name("quadratic_patterns.yaml"))
)
def test_quadratic_patterns_are_detected(pattern: str, use: str) -> None:
    """Patterns that took minutes for a file of 30 KB are reported."""
    assert slow(re.compile(pattern), use) is not None
