"""No regular expression over what a user wrote backtracks without bound: its steps are counted."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import reconciler
from reconciler.source.schema import schema_text
from tests.performance.backtracking import Matcher, letters, opening

FEW, MANY = 40, 80
MOST = 2.5
"""Twice as long a text may take twice the steps, and a few more."""
READERS = ("kinds", "planning", "render", "source")
"""The folders that read what a user wrote."""


def _within(value: Any, name: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, (tuple, frozenset)):
        for each in value:
            yield from _within(each, name)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each, name)


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
                yield f"{found.name}.{each}", pattern, use
    for pattern in sorted(
        set(re.findall(r'"pattern": (".*")', schema_text("webhooks.schema.json")))
    ):
        yield "webhooks.schema.json", re.compile(json.loads(pattern)), "match"


PATTERNS = {f"{name} {use} {pattern.pattern}": (pattern, use) for name, pattern, use in _patterns()}


def _steps(matcher: Matcher, use: str, text: str) -> int:
    return (
        matcher.search(text) if use == "search" else matcher.match(text, whole=use == "fullmatch")
    )


def growth(pattern: re.Pattern[str], use: str) -> tuple[float, str]:
    """Return the worst growth of steps when a text doubles, and what the text repeats."""
    matcher = Matcher(pattern)
    named = list(dict.fromkeys(letters(matcher.tree)))[:8]
    begin = opening(matcher.tree)
    worst = (0.0, "")
    for unit in (*named, begin or "b", "a", "A", " ", "a ", "-", "{a"):
        for before in ("", begin):
            for after in ("", "\0", " "):
                few, many = (
                    _steps(matcher, use, f"{before}{(unit * count)[:count]}{after}")
                    for count in (FEW, MANY)
                )
                worst = max(worst, (many / max(few, 20), f"{before}, {unit} again and again"))
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_does_not_backtrack_without_bound(name: str) -> None:
    """Twice as long a text takes about twice as many steps, whatever the text repeats."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        worst = growth(*PATTERNS[name])
    finally:
        sys.setrecursionlimit(limit)
    assert worst[0] < MOST, worst


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"[a-z*]*[*][a-z*]*", "fullmatch"),
        (r"https?://[^\s/]+\S*", "fullmatch"),
        (r"\s*:?\s+#", "match"),
        (r"(?<=-)[a-]+:", "search"),
    ],
)
def test_a_square_would_be_seen(pattern: str, use: str) -> None:
    """Patterns that took minutes for a file of 30 KB are told from the others."""
    assert growth(re.compile(pattern), use)[0] > MOST
