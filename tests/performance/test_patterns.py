"""No regular expression applied to user input backtracks excessively.

Python's engine does not count its steps. A text of 20,000 characters takes about a millisecond with
a linear pattern, and more than half a second with a quadratic one.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from itertools import product
from re import _constants, _parser  # type: ignore[attr-defined]
from time import thread_time
from typing import Any

import pytest

import reconciler
from reconciler.source.schema import schema_text

LENGTHS = (25, 200, 2_000, 20_000)
"""Lengths of strings, short ones first: an exponential pattern never ends on a long one."""
MAX_SECONDS = 0.1
"""The maximum processor time per string, in seconds."""
READERS = ("kinds", "planning", "render", "source")
"""The folders that read user input."""


def _within(value: Any, name: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, (tuple, frozenset)):
        for each in value:
            yield from _within(each, name)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each, name)
    elif isinstance(value, type) and issubclass(value, Enum):
        for each in value:
            yield from _within(each.value, name)


def _patterns() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Yield name, pattern and how it is used: `search` everywhere, `match` or `fullmatch`."""
    for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if found.name.split(".")[1] not in READERS:
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            for each, pattern in _within(value, name):
                uses = re.findall(rf"\b{name}\.(search|finditer|sub|match)\b", source)
                use = "fullmatch" if not uses else "match" if set(uses) == {"match"} else "search"
                if isinstance(pattern.pattern, bytes):  # of the beginning of a file
                    pattern = re.compile(pattern.pattern.decode(), pattern.flags)
                if not isinstance(value, re.Pattern):  # of a table
                    use = "search"
                yield f"{found.name}.{each}", pattern, use
    for pattern in sorted(
        set(re.findall(r'"pattern": (".*")', schema_text("webhooks.schema.json")))
    ):
        yield "webhooks.schema.json", re.compile(json.loads(pattern)), "match"


PATTERNS = {f"{name} {use} {pattern.pattern}": (pattern, use) for name, pattern, use in _patterns()}


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


def texts(pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield strings that repeat each character of a pattern after the start of a match."""
    begin = opening(_parser.parse(pattern.pattern, pattern.flags))
    for unit in dict.fromkeys((*pattern.pattern, begin or "b", "a", "A", " ", "a ", "-", "{a")):
        for before, after in product(dict.fromkeys(("", begin)), ("", "\0", " ")):
            for length in LENGTHS:
                yield f"{before}{(unit * length)[:length]}{after}"


def slow(pattern: re.Pattern[str], use: str) -> str | None:
    """Return the first text on which a pattern backtracks excessively; None if there is none."""
    for text in texts(pattern):
        began = thread_time()
        pattern.sub("", text) if use == "search" else getattr(pattern, use)(text)
        if thread_time() - began > MAX_SECONDS:
            return text
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_does_not_backtrack_excessively(name: str) -> None:
    """No text that repeats a part of the pattern takes long."""
    assert slow(*PATTERNS[name]) is None


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"[a-z*]*[*][a-z*]*", "fullmatch"),
        (r"https?://[^\s/]+\S*", "fullmatch"),
        (r"\s*:?\s+#", "match"),
        (r"(?<=-)[a-]+:", "search"),
        (r"(a+)+b", "match"),
    ],
)
def test_quadratic_patterns_are_detected(pattern: str, use: str) -> None:
    """Patterns that took minutes for a file of 30 KB are reported."""
    assert slow(re.compile(pattern), use) is not None
