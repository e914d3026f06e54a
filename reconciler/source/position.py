"""Find the positions of findings in a file, and show source lines without secrets.

The parser keeps few positions, because valid files need none. To locate a finding, the text is
parsed again into nodes, which is slow. An alias stays an alias, and both duplicate keys are kept.
Paths are paths of the data: aliases and merges are followed to the value itself, which is the
position to fix.

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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import yaml

from reconciler.findings import MAX_EXCERPT_PREFIX, Finding, Place, Position, Related, error
from reconciler.kinds import EVENT_TYPES, KINDS
from reconciler.model import DataPath
from reconciler.source.schema import schema
from reconciler.source.syntax import PARSER
from reconciler.source.text import LOOKS_SECRET, MASK, ambiguity, is_word, near

if TYPE_CHECKING:
    from reconciler.source.document import Document


@dataclass(slots=True, eq=False)
class _Node:
    """One node. Lines and columns count from 0; the end is exclusive.

    `form` is the class of its first event. `text` is the text of a scalar or the name of an alias,
    `plain` is true if it is not quoted. `items` has a sequence's items, or a mapping's alternating
    keys and values. `target` is the node that an alias refers to, or None. `entries` has a
    mapping's keys and values by name, merged ones included, and a sequence's items by index.
    """

    form: type
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    plain: bool = False
    items: list[_Node] = field(default_factory=list)
    target: _Node | None = None
    entries: dict[str | int, _Step] = field(default_factory=dict)

    def pairs(self) -> list[tuple[_Node, _Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=True))

    @property
    def is_merge(self) -> bool:
        """Return whether this key is the merge key `<<`."""
        return self.plain and self.text == "<<"


_Step: TypeAlias = "tuple[_Node | None, _Node]"
"""A value, and its key if it is in a mapping."""


@lru_cache(maxsize=2)  # findings of one file are located consecutively
def _nodes(text: str) -> list[_Node]:
    """Return the nodes of `text` in the order of their ends, the root last.

    The list is empty if the text is not one valid document.
    """
    if ambiguity(text, "") is not None:
        return []
    parser: Any = PARSER(text)
    nodes: list[_Node] = []
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    try:
        event: Any = parser.get_event()
        while not isinstance(event, yaml.StreamEndEvent):
            end = event.end_mark
            if isinstance(event, yaml.CollectionEndEvent):
                node = stack.pop()
                node.end_line, node.end_column = end.line, end.column
                # Complete: merged mappings end before the one that merges them.
                node.entries = _entries(node)
                nodes.append(node)
            elif isinstance(event, yaml.NodeEvent):
                if nodes and not stack:  # a second document
                    return []
                node = _node(event, anchors)
                if stack:
                    stack[-1].items.append(node)
                is_collection = isinstance(event, yaml.CollectionStartEvent)
                (stack if is_collection else nodes).append(node)
            event = parser.get_event()
    except yaml.YAMLError:
        return []
    return nodes


def _node(event: Any, anchors: dict[str, _Node]) -> _Node:
    """Return the node that an event starts; one with an anchor is added to `anchors`."""
    start, end = event.start_mark, event.end_mark
    node = _Node(type(event), start.line, start.column, end.line, end.column)
    if isinstance(event, yaml.AliasEvent):
        node.text, node.target = str(event.anchor), anchors.get(str(event.anchor))
    elif event.anchor is not None:
        anchors[event.anchor] = node
    if isinstance(event, yaml.ScalarEvent):
        node.text, node.plain = event.value, not event.style
    return node


@lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    """Return the lines of `text` without line breaks."""
    return text.split("\n")


def locate(text: str, file: str, path: DataPath, *, key: bool = False) -> Position:
    """Return the position of the value at `path`, or with `key` that of its key.

    A missing value has the position of its nearest existing ancestor: the key, or for a list item
    its first key. An empty value has the position of its key.
    """
    name, node, exists = _follow(text, path)
    is_empty = node.plain and not node.text
    if exists and not key and not is_empty:
        return _position(text, file, node)
    if name is None and node.form is yaml.MappingStartEvent and node.items:
        name = node.items[0]
    return _position(text, file, name or node)


def positions(documents: Mapping[str, Document], places: Iterable[Place]) -> dict[Place, Position]:
    """Return the positions of places in the documents, given by name."""
    # Each file is parsed again once.
    ordered = sorted(places, key=lambda place: place.file)
    return {place: locate(documents[place.file].text, place.file, place.path) for place in ordered}


def is_null(text: str, path: DataPath) -> bool:
    """Return whether the value at `path` is written as the literal `null`."""
    _, node, exists = _follow(text, path)
    # In quotes it is text; an empty value is probably a mistake.
    return exists and node.plain and node.text == "null"


def duplicate_keys(text: str, file: str) -> Iterator[Finding]:
    """Yield the findings for the duplicate keys of a file."""
    same_webhook = range(0)
    for node in _nodes(text):
        first: dict[str, _Node] = {}
        pairs = node.pairs() if node.form is yaml.MappingStartEvent else []
        for key, _ in pairs:
            if key.form is not yaml.ScalarEvent or key.is_merge:
                continue
            before = first.setdefault(key.text, key)
            if before is key or before.line in same_webhook:
                continue
            hint = "merge the two, or remove one"
            if key.text == "name" and key.line > before.line:
                # The other keys follow from the `name` without a dash.
                same_webhook = range(before.line, key.line)
                hint = "write `- name:` if a webhook starts here; otherwise remove one of the two"
            where, other = _position(text, file, key), _position(text, file, before)
            related = (Related(message="first written here", position=other),)
            yield error("duplicate-key", "duplicate key in a mapping", hint, where, related)


def _follow(text: str, path: DataPath) -> tuple[_Node | None, _Node, bool]:
    """Return key and value of the last step of `path` that exists, and whether all steps do."""
    name, node = None, _nodes(text)[-1]
    for part in path:
        step = _resolved(node).entries.get(part)
        if step is None:
            return name, node, False
        name, node = step
    return name, node, True


def _entries(node: _Node) -> dict[str | int, _Step]:
    """Return the parts of a collection; a mapping's own ones override those that it merges."""
    if node.form is yaml.SequenceStartEvent:
        return {index: (None, item) for index, item in enumerate(node.items)}
    written: dict[str | int, _Step] = {}
    merged: dict[str | int, _Step] = {}
    for key, value in node.pairs():
        if key.is_merge:
            value = _resolved(value)
            parts = value.items if value.form is yaml.SequenceStartEvent else [value]
            for other in map(_resolved, parts):
                merged = {**other.entries, **merged}
        elif key.form is yaml.ScalarEvent:
            written.setdefault(key.text, (key, value))
    return {**merged, **written}


def _resolved(node: _Node) -> _Node:
    """Return the node that an alias refers to, or the node itself."""
    return node.target or node


def _position(text: str, file: str, node: _Node) -> Position:
    column, line = node.column, _lines(text)[node.line]
    end = node.end_column if node.end_line == node.line else len(line.rstrip())
    if end <= column:  # an empty value: the character before is a colon or a dash
        column, end = max(0, min(column, len(line)) - 1), 0
    return Position(file=file, line=node.line + 1, column=column + 1, width=max(1, end - column))


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

_MAX_GUESSED: Final = 100_000
"""A longer line of a file that cannot be parsed is hidden: guessing would take much memory."""

_Span: TypeAlias = tuple[int, int]


def add_positions(documents: Mapping[str, Document], findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with positions and excerpts from the documents, given by name.

    A value of a parent file has its position there. For a document without text only the lines of
    its items are known.
    """
    located = list(findings)
    written: dict[Place | Position, Place | Position] = {}
    for finding in located:
        related_places = (other.place for other in finding.related)
        for place in (finding.place or finding.position, *related_places):
            if place is not None and place.file in documents:
                written[place] = place
                if isinstance(place, Place):
                    source = documents[place.file].written_at(place.path)
                    written[place] = source._replace(key=place.key)
    shown: dict[Place | Position | None, _Shown] = {}
    # Files are parsed again one after the other.
    for asked, target in sorted(written.items(), key=lambda pair: (pair[1].file, pair[0].file)):
        through: tuple[Related, ...] = ()
        if asked.file != target.file:
            overlay, _ = _shown(documents[asked.file], Place(asked.file, ("extends",)))
            through = (Related(message="extended here", position=overlay),)
        shown[asked] = _Shown(*_shown(documents[target.file], target), through)
    return [_located(finding, shown) for finding in located]


class _Shown(NamedTuple):
    """A position with its excerpt; for a place in a parent file, where it is extended."""

    position: Position | None
    excerpt: str | None
    through: tuple[Related, ...] = ()


def _located(finding: Finding, shown: Mapping[Place | Position | None, _Shown]) -> Finding:
    """Return a finding with position and excerpt, and those of its related places."""
    main = shown.get(finding.place or finding.position, _Shown(finding.position, None))
    others = []
    for other in finding.related:
        if other.place in shown:
            position = shown[other.place].position
            through = shown[other.place].through
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


def _shown(document: Document, place: Place | Position) -> tuple[Position, str | None]:
    """Return a position and its excerpt."""
    text = document.text
    if text:
        if isinstance(place, Place):
            place = locate(text, place.file, place.path, key=place.key)
        return excerpt(text, place)
    # The document is from a saved plan, which keeps the lines of list items.
    match place:
        case Position():
            return place, None
        case Place(path=(str(key), int(index), *_)) if key in document.items:
            return document.items[key][index], None
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


@lru_cache(maxsize=256)  # many findings may be on one long line
def _masked(text: str, number: int) -> str:
    """Return a line, counted from 0, with a placeholder for each hidden character."""
    line = _lines(text)[number]
    spans: Iterable[_Span]
    if _nodes(text):
        spans = _hidden(text).get(number, ())
    elif len(line) > _MAX_GUESSED:
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
def _hidden(text: str) -> dict[int, list[_Span]]:
    """Return the columns to hide by line, counted from 0."""
    hidden: dict[int, list[_Span]] = defaultdict(list)
    ends: dict[int, int] = defaultdict(int)  # comments start after them
    rows = _lines(text)
    stack: list[tuple[_Node, str | None, bool]] = [(_nodes(text)[-1], None, False)]
    while stack:
        node, key, secret = stack.pop()
        ends[node.end_line] = max(ends[node.end_line], node.end_column)
        if node.form is yaml.MappingStartEvent:
            stack.extend(_parts(node, secret))
        elif node.form is yaml.SequenceStartEvent:
            stack.extend((item, key, secret) for item in node.items)
        elif not _may_show(node, key, secret):
            first = node.column
            for line in range(node.line, node.end_line):
                ends[line] = max(first + 1, len(rows[line]))  # hide that a line is empty, too
                hidden[line].append((first, ends[line]))
                first = 0
            hidden[node.end_line].append((first, node.end_column))
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


def _parts(node: _Node, secret: bool) -> Iterator[tuple[_Node, str | None, bool]]:
    """Yield the keys and values of a mapping: each with its key, and whether it may be secret.

    A key that is shown is not yielded.
    """
    for name, value in node.pairs():
        key = name.text
        is_open = name.is_merge or (not secret and key.startswith("x-"))
        if name.form is not yaml.ScalarEvent or not (is_open or is_known(key)):
            yield name, None, True
        yield value, key, secret or not (is_open or key in _OPEN_KEYS)


def _may_show(node: _Node, key: str | None, secret: bool) -> bool:
    # A word of the schema is no secret, wherever it is.
    if node.text in _KNOWN_WORDS and node.form is yaml.ScalarEvent:
        return True
    if secret or node.target is not None or node.line != node.end_line:
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
