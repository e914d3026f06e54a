"""Source lines that may be shown: what could be secret is starred out.

A line shows only values known to be harmless, by the key that holds them: whatever stands under
`token`, `password`, `url`, under a key that nobody knows, or looks like a Slack token or a link,
is hidden. A misspelt `pasword` therefore hides its value too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from enum import Enum
from functools import cache, lru_cache
from typing import Final, TypeAlias

from reconciler.findings import Position
from reconciler.kinds import KINDS
from reconciler.kinds.slack import TOKEN_PART
from reconciler.source.nodes import Form, Node, comment, lines, tree

MASK: Final = "***"
SECRET_KEYS: Final = frozenset().union(*(kind.secret_fields for kind in KINDS.values()))
"""Keys whose values are never shown, wherever they stand."""

_SHOWN_KEYS: Final = frozenset(
    ("$schema", "version", "organization", "prune", "scope", "ignore", "protect", "max_deletes")
).union(
    ("name", "type", "event_types", "id", "previously", "state"),
    (field.name for kind in KINDS.values() for field in kind.fields if not field.secret),
)
_HOLDERS: Final = frozenset(("limits", "defaults", "webhooks", "configuration", "file", "<<"))
_REFERENCE: Final = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r".*"),
    "version": re.compile(r"-?[0-9]*"),
}
"""Keys of a reference to a secret, and what may be shown of their values."""

_LOOKS_SECRET: Final = re.compile(
    TOKEN_PART.pattern + r"|https?://[^\s\"']*[@/?#][^\s\"']*"  # a link with more than a host
)
_KEY: Final = re.compile(r"(?:^|(?<=[\s{,\-]))[\"']?([\w$.-]+)[\"']?\s*:(?=\s|$|[\"'\[{])")

_BEFORE_KEY: Final = re.compile(r"(?:^[\s\-?{\[]*|[,{]\s*)$")

Span: TypeAlias = tuple[int, int]


def excerpt(text: str, position: Position) -> str:
    """Return the source line of `position` with everything that may be secret starred out.

    Columns up to the position stay what they are; further on, three stars stand for anything.
    """
    number = position.line - 1
    return _starred(lines(text)[number], _spans(text, number), position.column - 1)


def rough_excerpt(text: str, position: Position) -> str:
    """Do the same, with nothing but the line to go by: for text that is not YAML at all."""
    line = text.split("\n")[position.line - 1]
    spans = [*_guessed(line), *_suspicious(line)]
    return _starred(line, spans, position.column - 1)


def narrow(text: str, position: Position) -> Position:
    """Return `position` with the width of the stars, if that is all that is shown there."""
    start = position.column - 1
    for first, last in _spans(text, position.line - 1):
        if first <= start and (last < 0 or start < last):
            return replace(position, width=min(position.width, len(MASK)))
    return position


def harmless(value: str) -> str:
    """Return text of a user for a message: what looks like a secret is hidden, and not too long."""
    shown = _LOOKS_SECRET.sub(MASK, value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _spans(text: str, number: int) -> list[Span]:
    """Return what to hide of a line, counted from 0."""
    line = lines(text)[number]
    known = _hidden(text).get(number, ()) if tree(text).complete else _guessed(line)
    return [*known, *_suspicious(line)]


def _suspicious(line: str) -> Iterator[Span]:
    return (match.span() for match in _LOOKS_SECRET.finditer(line))


def _starred(line: str, spans: list[Span], column: int) -> str:
    end = len(line.rstrip())
    for first, last in reversed(_united(spans)):
        stop = end if last < 0 else last
        hidden = "*" * (stop - first) if first < column else MASK
        line = line[:first] + hidden + line[stop:]
    return line


def _united(spans: list[Span]) -> list[Span]:
    """Return the spans sorted, those that overlap made one; an end of -1 is the line's."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and (found[-1][1] < 0 or first < found[-1][1]):
            before = found[-1][1]
            found[-1] = (found[-1][0], -1 if before < 0 or last < 0 else max(before, last))
        else:
            found.append((first, last))
    return found


@lru_cache(maxsize=2)
def _hidden(text: str) -> dict[int, list[Span]]:
    """Return, by line from 0, the columns that must not be shown; an end of -1 is the line's."""
    found: dict[int, list[Span]] = {}
    root = tree(text).root
    if root is None:
        return found
    stack: list[tuple[Node, str | None, _Around]] = [(root, None, _Around.KNOWN)]
    while stack:
        node, key, around = stack.pop()
        if node.form is Form.SCALAR:
            if not _may_show(node.text, key, around):
                _cover(text, node, found)
        elif node.form is Form.ALIAS:
            # What looks like an alias may be a secret that starts with a star.
            if around is not _Around.KNOWN or not (key in _HOLDERS or _may_show("", key, around)):
                _cover(text, node, found)
        elif node.form is Form.SEQUENCE:
            stack.extend((item, key, around) for item in node.items)
        else:
            inside = _inside(key, around)
            for name, value in node.pairs():
                if name.form is not Form.SCALAR or not _may_show_key(name, inside):
                    stack.append((name, None, _Around.SECRET))
                stack.append((value, name.text, inside))
                if value.is_empty and not _may_show("?", name.text, inside):
                    instead = comment(text, name, value)
                    if instead is not None:
                        found.setdefault(instead[0], []).append((instead[1], -1))
    return found


class _Around(Enum):
    """What a mapping belongs to: something known, a key that nobody knows, or a secret."""

    KNOWN = 1
    UNKNOWN = 2
    SECRET = 3


def _inside(key: str | None, around: _Around) -> _Around:
    """Return what the entries of a mapping under `key` belong to."""
    if key in SECRET_KEYS or around is _Around.SECRET:
        return _Around.SECRET
    known = key is None or _is_known(key) or key.startswith("x-") or key == "<<"
    return around if known else _Around.UNKNOWN


def _may_show_key(name: Node, inside: _Around) -> bool:
    if inside is _Around.KNOWN or name.is_merge:
        return True
    return name.text in _REFERENCE or (inside is _Around.UNKNOWN and _is_known(name.text))


def _may_show(value: str, key: str | None, around: _Around) -> bool:
    if key in _REFERENCE:
        return _REFERENCE[key].fullmatch(value) is not None
    return around is not _Around.SECRET and key is not None and _is_harmless_key(key)


@cache
def _is_harmless_key(key: str) -> bool:
    """Say whether values under `key` may be shown: it is known, or a misspelling of such a key."""
    if key in _SHOWN_KEYS:
        return True

    def likeness(known: str) -> float:
        return SequenceMatcher(None, key.lower(), known).ratio()

    if len(key) > 32:
        return False
    best = max(map(likeness, _SHOWN_KEYS))
    return best >= 0.8 and best > max(map(likeness, SECRET_KEYS))


def _cover(text: str, node: Node, found: dict[int, list[Span]]) -> None:
    """Hide a scalar, and a comment behind it: a # may have cut a secret in two."""
    for number in range(node.line, node.end_line + 1):
        first = node.column if number == node.line else 0
        last = node.end_column if number == node.end_line else -1
        rest = lines(text)[number][last:] if last >= 0 else ""
        if rest.lstrip().startswith("#"):
            last = -1
            if node.is_empty:
                first += len(rest) - len(rest.lstrip())
        if last != first:
            found.setdefault(number, []).append((first, last))


def _guessed(line: str) -> Iterator[Span]:
    """Yield what to hide of a line of a file that is no YAML: all but values of known keys.

    Other keys are hidden too: they may be parts of a secret with a colon in it.
    """
    start, shown = 0, False
    for match in _KEY.finditer(line):
        known = _is_known(match[1])
        if not shown and not (known and _BEFORE_KEY.search(line[: match.start()])):
            continue
        if not shown:
            yield from _words(line, start, match.start())
        start = match.end() if known else match.start()
        shown = known and (_is_harmless_key(match[1]) or match[1] == "env")
    if not shown:
        yield from _words(line, start, len(line))


def _is_known(key: str) -> bool:
    return key in SECRET_KEYS or key in _HOLDERS or key == "env" or _is_harmless_key(key)


def _words(line: str, start: int, end: int) -> Iterator[Span]:
    part = line[start:end]
    inner = part.strip(" \t-{}[],?")
    if inner:
        first = start + part.index(inner)
        yield first, first + len(inner)
