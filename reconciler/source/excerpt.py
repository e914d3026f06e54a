"""Source lines that may be shown: what could be secret is starred out.

A line shows the keys of the schema, and near misspellings of them. It shows a value only outside
of `configuration`, under a key of the schema, on one line, and only if the whole file can be read:
where the parser fails, a typo may have moved a secret anywhere. Comments, and what looks like a
Slack token or a link, are hidden everywhere.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, TypeAlias

from reconciler.findings import EXCERPT_BEFORE, Finding, Place, Position
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES
from reconciler.source.allowed import LOOKS_SECRET, MASK, is_word
from reconciler.source.position import Form, Node, lines, locate, tree
from reconciler.source.schema import schema

_SHOWN_KEYS: Final = frozenset(
    ("$schema", "version", "organization", "prune", "scope", "ignore", "protect", "max_deletes")
).union(("name", "type", "event_types", "id", "previously", "state"))
"""Keys whose values are shown."""

_KNOWN_KEYS: Final = _SHOWN_KEYS.union(
    key for part in (schema(), *schema()["$defs"].values()) for key in part.get("properties", ())
)
_OPEN_KEYS: Final = _SHOWN_KEYS | {"limits", "defaults", "webhooks"}
"""Keys below which not everything may be secret."""

_HOLDERS: Final = frozenset(("configuration", "defaults", "webhooks", "<<"))
_WORD_KEYS: Final = frozenset(("type", "event_types", "state"))
"""Keys whose values are shown only if they look like words of the schema."""

_KNOWN_WORDS: Final = frozenset((*EVENT_TYPES, *KINDS, "absent", "true", "false", "null"))
_REFERENCE: Final = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r".*"),
    "version": re.compile(r"-?[0-9]*"),
}
"""Keys of a reference to a secret, and what may be shown of their values."""

_KEY: Final = re.compile(
    r"""(?:^[\s\-?{\[]*+|[,{]\s*+)(["']?+)([\w$.-]++)["']?+\s*+:(?=\s|$|["'\[{])"""
)
"""A key at the beginning of a line or of an entry in flow style."""

_LETTERS: Final = re.compile(r"[a-z_]{1,20}")
_EDGES: Final = " \t-{}[],?"
_AFTER: Final = 400

_Span: TypeAlias = tuple[int, int]


def placed(texts: Mapping[str, str], findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with positions and excerpts, as far as the texts of their files are known.

    `texts` are by name; an empty one has no excerpts.
    """
    found = list(findings)
    places: set[Place | Position | None] = {each.place or each.position for each in found}
    places |= {related.place for each in found for related in each.related}
    known = [each for each in places if each is not None]
    positions: dict[Place | Position | None, Position] = {}
    excerpts: dict[Place | Position | None, str] = {}
    for at in sorted(known, key=lambda each: each.file):  # a tree at a time
        if text := texts.get(at.file):
            if isinstance(at, Place):
                positions[at] = narrow(text, locate(text, at.file, at.path, key=at.key))
            else:
                positions[at] = narrow(text, at)
            excerpts[at] = excerpt(text, positions[at])
    return [
        replace(
            each,
            place=None,
            position=positions.get(each.place or each.position, each.position),
            excerpt=excerpts.get(each.place or each.position),
            related=tuple(
                replace(other, place=None, position=positions.get(other.place, other.position))
                for other in each.related
            ),
        )
        for each in found
    ]


def excerpt(text: str, position: Position) -> str:
    """Return the source line of `position` with everything that may be secret starred out.

    Columns up to the position stay what they are; further on, three stars stand for anything.
    Of a long line only the part around the position is shown: at most `EXCERPT_BEFORE` characters
    before it and 400 from there on, with `...` where something is left out.
    """
    number = position.line - 1
    return _starred(lines(text)[number], _spans(text, number), position.column - 1)


def narrow(text: str, position: Position) -> Position:
    """Return `position` with the width of the stars, if that is all that is shown there."""
    span = _span_at(_spans(text, position.line - 1), position.column - 1)
    return position if span is None else replace(position, width=min(position.width, len(MASK)))


@lru_cache(maxsize=256)  # many findings may be on one long line
def _spans(text: str, number: int) -> list[_Span]:
    """Return what to hide of a line, counted from 0: sorted, without overlaps."""
    line = lines(text)[number]
    known = _hidden(text).get(number, ()) if tree(text).complete else _guessed(line)
    suspicious = (match.span() for match in LOOKS_SECRET.finditer(line))
    return _united([*known, *suspicious], len(line.rstrip()))


def _span_at(spans: list[_Span], column: int) -> _Span | None:
    """Return the span that holds `column`."""
    index = bisect_right(spans, column, key=lambda span: span[0]) - 1
    return spans[index] if index >= 0 and column < spans[index][1] else None


def _starred(line: str, spans: list[_Span], column: int) -> str:
    """Return the part of `line` around `column`, with stars for `spans`."""
    start, stop = max(0, column - EXCERPT_BEFORE), min(len(line), column + _AFTER)
    shown = ["..."] if start else []
    at = start
    for index in range(bisect_left(spans, start, key=lambda span: span[1]), len(spans)):
        first, last = spans[index]
        if stop <= first < len(line):
            break
        shown.append(line[at : max(at, first)])
        at, first = last, max(first, start)
        shown.append("*" * (min(last, stop) - first) if first < column else MASK)
    shown.append(line[at:stop])
    if stop < len(line):
        shown.append("...")
    return "".join(shown)


def _united(spans: Iterable[_Span], end: int) -> list[_Span]:
    """Return the spans sorted, those that overlap made one; a last column of -1 means `end`."""
    found: list[_Span] = []
    for first, last in sorted(
        (first, max(first, end) if last < 0 else last) for first, last in spans
    ):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


@lru_cache(maxsize=2)
def _hidden(text: str) -> dict[int, list[_Span]]:
    """Return, by line from 0, the columns that must not be shown; an end of -1 is the line's."""
    found: dict[int, list[_Span]] = {}
    root = tree(text).root
    ends: dict[int, int] = {}
    stack: list[tuple[Node, str | None, bool]] = [(root, None, False)] if root is not None else []
    while stack:
        node, key, secret = stack.pop()
        if node.form is Form.MAPPING:
            stack.extend(_entries(node, secret))
        elif node.form is Form.SEQUENCE:
            stack.extend((item, key, secret) for item in node.items)
        elif not _may_show(node, key, secret):
            _cover(node, found)
        for line in range(node.line, node.end_line + 1):
            if node.form is Form.SCALAR and line < node.end_line:
                ends[line] = len(lines(text)[line])
            else:
                ends[line] = max(ends.get(line, 0), node.end_column if line == node.end_line else 0)
    for number, text_of_line in enumerate(lines(text)):
        start = text_of_line.find("#", ends.get(number, 0))
        if start >= 0:
            before = len(text_of_line[:start].rstrip())
            spans = found.setdefault(number, [])
            hidden = any(last == before for _, last in spans)
            spans.append((before if hidden else start, -1))
    return found


def _entries(node: Node, secret: bool) -> Iterator[tuple[Node, str | None, bool]]:
    """Yield the keys and values of a mapping: each with its key, and whether it may be secret.

    A key that is shown is not yielded.
    """
    pairs = node.pairs()
    is_reference = all(name.text in _REFERENCE for name, _ in pairs)
    for name, value in pairs:
        key = name.text
        is_anchored = not secret and key.startswith("x-")
        if name.form is not Form.SCALAR or not (name.is_merge or is_anchored or is_known(key)):
            yield name, None, True
        is_open = (
            name.is_merge
            or is_anchored
            or _is_near(key, _OPEN_KEYS)
            or (value.form is Form.ALIAS and key in _HOLDERS)
        )
        yield value, key, not is_reference and (secret or not is_open)


def _may_show(node: Node, key: str | None, secret: bool) -> bool:
    if node.form is Form.ALIAS:
        # What looks like an alias may be a secret that starts with a star.
        may_have = key in _HOLDERS or (key is not None and _is_near(key, _SHOWN_KEYS))
        return node.target is not None or (not secret and may_have)
    if node.text in _KNOWN_WORDS:
        return True
    if secret or key is None or node.line != node.end_line:
        return False
    if key in _REFERENCE:
        return _REFERENCE[key].fullmatch(node.text) is not None
    return is_word(node.text) if _is_near(key, _WORD_KEYS) else _is_near(key, _SHOWN_KEYS)


def is_known(key: str) -> bool:
    """Return whether a key is a word of the schema, or may be meant for one of its keys."""
    return key in _KNOWN_WORDS or _is_near(key, _KNOWN_KEYS) or _is_meant(key)


@lru_cache(maxsize=4096)
def _is_meant(key: str) -> bool:
    """Return whether `key` is one word much like a known key, with less than 6 other letters."""
    longer = [each for each in _KNOWN_KEYS if len(key) <= len(each) + 2]
    return _LETTERS.fullmatch(key) is not None and bool(get_close_matches(key, longer, 1, 0.6))


@lru_cache(maxsize=4096)
def _is_near(key: str, known: frozenset[str]) -> bool:
    """Return whether `key` is one of `known`, or so near to one that it holds nothing else."""
    if key in known:
        return True
    lower = key.lower()
    alike = [each for each in known if abs(len(key) - len(each)) <= 2]
    return sorted(lower) in map(sorted, alike) or bool(get_close_matches(lower, alike, 1, 0.8))


def _cover(node: Node, found: dict[int, list[_Span]]) -> None:
    for number in range(node.line, node.end_line + 1):
        first = node.column if number == node.line else 0
        last = node.end_column if number == node.end_line else -1
        if last != first:
            found.setdefault(number, []).append((first, last))


def _guessed(line: str) -> Iterator[_Span]:
    """Yield what to hide of a line of a file that is no YAML: all but keys and words of the schema.

    Other keys are hidden too: they may be parts of a secret with a colon in it.
    """
    start = 0
    for match in _KEY.finditer(line):
        if is_known(match[2]):
            yield from _words(line, start, match.start(1))
            start = match.end()
    yield from _words(line, start, len(line))


def _words(line: str, start: int, end: int) -> Iterator[_Span]:
    part = line[start:end]
    inner = part.strip(_EDGES)
    if inner and not _KNOWN_WORDS.issuperset(re.split(r"[\s,\[\]{}\"']+", inner)):
        first = start + len(part) - len(part.lstrip(_EDGES))
        yield first, first + len(inner)
