"""Find the positions of findings in files, and show source lines without secrets.

In an excerpt, anything in a line that may be secret is masked. Keys and words of the schema and
near misspellings of its keys are shown. Another value is shown only outside of `configuration`,
under a key of the schema, on one line, and only if the complete file can be parsed: after a syntax
error, a typo may have moved a secret anywhere. Comments, tags, anchors and their aliases are always
hidden, because a secret may start with `#`, `!`, `&` or `*`; so is text that looks like a Slack
token or a URL.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import yaml

from reconciler.findings import (
    LOOKS_SECRET,
    MASK,
    MAX_EXCERPT_PREFIX,
    Finding,
    Place,
    Position,
    Related,
    is_word,
    near,
)
from reconciler.kinds import EVENT_TYPES, KINDS
from reconciler.source.document import Document
from reconciler.source.nodes import Node, locate, nodes
from reconciler.source.schema import schema
from reconciler.source.syntax import PARSER, ambiguity


def positions(documents: Mapping[str, Document], places: Iterable[Place]) -> dict[Place, Position]:
    """Return the positions of places in the documents, given by name."""
    # Each file is parsed again once.
    ordered = sorted(places, key=lambda place: place.file)
    return {place: locate(documents[place.file].text, place) for place in ordered}


# Excerpts

_WORD_KEYS: Final = frozenset(("type", "event_types", "state"))
"""Keys whose values are shown only if they look like words of the schema."""

_SHOWN_KEYS: Final = _WORD_KEYS.union(
    ("$schema", "version", "organization", "profile", "extends", "prune", "scope", "ignore"),
    ("protect", "max_deletes", "environment", "name", "id", "previously", "adopt"),
)
"""Keys whose values are shown."""

_KNOWN_KEYS: Final = _SHOWN_KEYS.union(
    key for part in (schema(), *schema()["$defs"].values()) for key in part.get("properties", ())
)
_OPEN_KEYS: Final = _SHOWN_KEYS | {"limits", "github", "defaults", "webhooks"}
"""Keys whose value is not secret as a whole; its parts are checked."""

_KNOWN_WORDS: Final = frozenset(
    (*EVENT_TYPES, *KINDS, "absent", "true", "false", "null", "~", "yes", "no", "on", "off")
)
_KEY: Final = re.compile(
    r"""(?:^[\s\-?{\[]*+|[,{]\s*+)(["']?+)([\w$.-]++)["']?+\s*+:(?=\s|$|["'\[{])"""
)
"""A key at the beginning of a line or of an entry in flow style."""


_HIDDEN: Final = "\0"
_HIDDEN_RUN: Final = re.compile(f"{_HIDDEN}+")

_Span: TypeAlias = tuple[int, int]


def add_positions(documents: Mapping[str, Document], findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with positions and excerpts from the documents, given by name.

    A value of a parent file has its position there. For a document without text only the lines of
    its items are known.
    """
    sources: dict[Place | Position, Place | Position] = {}
    for finding in findings:
        related_places = (other.place for other in finding.related)
        for place in (finding.place or finding.position, *related_places):
            if place is not None and place.file in documents:
                sources[place] = place
                if isinstance(place, Place):
                    written = documents[place.file].written_at(place.path)
                    sources[place] = written._replace(key=place.key)
    lines: dict[Place | Position | None, _Line] = {}
    # Files are parsed again one after the other.
    for place, source in sorted(sources.items(), key=lambda pair: (pair[1].file, pair[0].file)):
        through: tuple[Related, ...] = ()
        if place.file != source.file:
            overlay, _ = _line(documents[place.file], Place(place.file, ("extends",)))
            through = (Related(message="extended here", position=overlay),)
        lines[place] = _Line(*_line(documents[source.file], source), through)
    return [_located(finding, lines) for finding in findings]


class _Line(NamedTuple):
    """A position with its excerpt; for a place in a parent file, where it is extended."""

    position: Position | None
    excerpt: str | None
    through: tuple[Related, ...] = ()


def _located(finding: Finding, lines: Mapping[Place | Position | None, _Line]) -> Finding:
    """Return a finding with position and excerpt, and those of its related places."""
    main = lines.get(finding.place or finding.position, _Line(finding.position, None))
    others = []
    for other in finding.related:
        if other.place in lines:
            position, _, through = lines[other.place]
            if position == main.position and through:
                # Two overlays inherit the same line: only their `extends` tell them apart.
                position = through[0].position or position
            other = other._replace(place=None, position=position)
        others.append(other)
    return finding._replace(
        place=None,
        position=main.position,
        excerpt=main.excerpt,
        related=(*others, *main.through),
    )


def _line(document: Document, place: Place | Position) -> tuple[Position | None, str | None]:
    """Return a position and its excerpt, as far as they are known."""
    text = document.text
    if text:
        if isinstance(place, Place):
            place = locate(text, place)
        return excerpt(text, place)
    # The document is from a saved plan, which keeps the lines of list items.
    match place:
        case Position():
            return place, None
        case Place(path=(str(key), int(index), *rest)) if key in document.items:
            position = document.items[key][index]
            # A field of a webhook of a parent may have been set by another layer.
            if rest and position.file != document.file:
                return None, None
            return position, None
        case _:
            return Position(file=place.file, line=1), None


def excerpt(text: str, position: Position) -> tuple[Position, str]:
    """Return a position, and its source line with possible secrets masked.

    If only a mask is shown there, the position has its width. Columns up to the position do not
    change; after it, `***` replaces text of any length. For a long line, only the part around the
    position is shown: at most `MAX_EXCERPT_PREFIX` characters before it and 400 from it on, with
    `...` for omitted text.
    """
    column = position.column - 1
    line = _masked(text, position.line - 1)
    start, stop = max(0, column - MAX_EXCERPT_PREFIX), column + 400
    # Hidden text before the position keeps its length, so that the mark below it is aligned.
    split = column
    hidden = _HIDDEN_RUN.match(line, column)
    if hidden is not None:
        position = position._replace(width=min(position.width, len(MASK)))
        if line[column - 1 : column] == _HIDDEN:
            split = min(hidden.end(), stop)
    before = line[start:split].replace(_HIDDEN, "*")
    after = _HIDDEN_RUN.sub(MASK, line[split:stop])
    return position, f"{'...' if start else ''}{before}{after}{'...' if stop < len(line) else ''}"


@lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    """Return the lines of `text` without line breaks."""
    return text.split("\n")


@lru_cache(maxsize=256)  # many findings may be on one long line
def _masked(text: str, number: int) -> str:
    """Return a line, counted from 0, with a placeholder for each hidden character."""
    line = _lines(text)[number]
    spans: Iterable[_Span]
    hidden = _hidden(text)
    if hidden is not None:
        spans = hidden.get(number, ())
    # For a longer line of a file that cannot be parsed, guessing would take much memory.
    elif len(line) > 100_000:
        spans = [(0, len(line))]
    else:
        spans = _guessed(line)
    parts: list[str] = []
    end = 0
    for first, last in sorted((*spans, *(match.span() for match in LOOKS_SECRET.finditer(line)))):
        if last > end:
            first = max(first, end)
            parts += (line[end:first], _HIDDEN * (last - first))
            end = last
    return "".join((*parts, line[end:]))


@lru_cache(maxsize=2)
def _hidden(text: str) -> dict[int, list[_Span]] | None:
    """Return the columns to hide by line, counted from 0; None if the text cannot be parsed."""
    if ambiguity(text, "") is not None or not nodes(text):
        return None
    hidden: dict[int, list[_Span]] = defaultdict(list)
    ends: dict[int, int] = defaultdict(int)  # comments start after them
    rows = _lines(text)
    for node, is_shown in _values(nodes(text)[-1]):
        ends[node.end.line] = max(ends[node.end.line], node.end.column)
        if is_shown:
            continue
        first = node.start.column
        for line in range(node.start.line, node.end.line):
            ends[line] = max(first + 1, len(rows[line]))  # hide that a line is empty, too
            hidden[line].append((first, ends[line]))
            first = 0
        hidden[node.end.line].append((first, node.end.column))
    # A comment may have a secret, such as a value that was replaced by a reference.
    for number, row in enumerate(rows):
        start = row.find("#", ends[number])
        if start >= 0:
            hidden[number].append((start, len(row)))
    # Any word can follow these characters, also a part of a secret without quotes.
    if "&" in text or "!" in text:
        for token in yaml.scan(text, PARSER):
            if isinstance(token, yaml.AnchorToken | yaml.TagToken):
                span = (token.start_mark.column, token.end_mark.column)
                hidden[token.start_mark.line].append(span)
    return hidden


def _values(root: Node) -> Iterator[tuple[Node, bool]]:
    """Yield the nodes of a text, except keys that are shown, and whether each may be shown."""
    stack: list[tuple[Node, str | None, bool]] = [(root, None, False)]
    while stack:
        node, key, secret = stack.pop()
        # A collection is shown: only its parts may be hidden.
        is_shown = True
        if node.form is yaml.MappingStartEvent:
            stack.extend(_parts(node, secret))
        elif node.form is yaml.SequenceStartEvent:
            stack.extend((item, key, secret) for item in node.items)
        else:
            is_shown = _may_show(node, key, secret)
        yield node, is_shown


def _parts(node: Node, secret: bool) -> Iterator[tuple[Node, str | None, bool]]:
    """Yield the keys and values of a mapping: each with its key, and whether it may be secret.

    A key that is shown is not yielded.
    """
    for name, value in node.pairs():
        key = name.text
        is_open = name.is_merge or (not secret and key.startswith("x-"))
        if name.form is not yaml.ScalarEvent or not (is_open or is_known(key)):
            yield name, None, True
        yield value, key, secret or not (is_open or key in _OPEN_KEYS)


def _may_show(node: Node, key: str | None, secret: bool) -> bool:
    # A word of the schema is no secret, wherever it is.
    if node.text in _KNOWN_WORDS and node.form is yaml.ScalarEvent:
        return True
    if secret or node.target is not None or node.start.line != node.end.line:
        return False
    if key in _WORD_KEYS or node.form is yaml.AliasEvent:  # such as an event glob without quotes
        return key in _SHOWN_KEYS and (not node.text or is_word(node.text))
    return key in _SHOWN_KEYS


@lru_cache(maxsize=4096)
def is_known(key: str) -> bool:
    """Return whether a key is a word of the schema, or a likely misspelling of one.

    A misspelling is a single word so close to a known key that it cannot contain a secret.
    """
    if key in _KNOWN_WORDS or key in _KNOWN_KEYS:
        return True
    long_enough = [known for known in _KNOWN_KEYS if len(key) <= len(known) + 2]
    return near(key, long_enough) is not None and re.fullmatch(r"[A-Za-z_-]{1,20}", key) is not None


def _guessed(line: str) -> Iterator[_Span]:
    """Yield the columns to hide in a line of invalid YAML: everything except keys and words of the
    schema.

    Other keys are hidden, too: they may be part of a secret that contains a colon.
    """
    known = [match for match in _KEY.finditer(line) if is_known(match[2])]
    starts = (0, *(match.end() for match in known))
    ends = (*(match.start(1) for match in known), len(line))
    for start, end in zip(starts, ends, strict=True):
        inner = line[start:end].strip(" \t-{}[],?")
        if inner and not _KNOWN_WORDS.issuperset(re.split(r"[\s,\[\]{}\"']+", inner)):
            first = line.index(inner, start)
            yield first, first + len(inner)
