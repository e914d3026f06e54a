"""Find the positions of findings in a file, and the source lines to show for them.

The parser keeps few positions, because valid files need none. To locate a finding, the text is
parsed again into a tree: slowly, and tolerant of errors. An alias stays an alias, both duplicate
keys are kept, and a syntax error ends the tree early. Paths are paths of the data: aliases and
merges are followed to the value itself, which is the position to fix.

Anything that may be secret is masked in a line. Keys of the schema and near misspellings of them
are shown. A value is shown only outside of `configuration`, under a key of the schema, on one line,
and only if the complete file can be parsed: after a syntax error, a typo may have moved a secret
anywhere. Comments, and text that looks like a Slack token or a URL, are always hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from reconciler.findings import EXCERPT_BEFORE, Finding, Place, Position, Related
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES, Path
from reconciler.source.schema import schema
from reconciler.source.secrets import LOOKS_SECRET, MASK, is_word
from reconciler.source.yaml import PARSER, Document, check

_COMMENT: Final = re.compile(r"(?:\s*+:)?+\s++(?=#)")
_NEXT_COMMENT: Final = re.compile(r"\s#")


@dataclass(slots=True, eq=False)
class _Node:
    """One node. Lines and columns count from 0; the end is exclusive.

    `form` is the class of its first event. `text` is a scalar's text, `plain` is true if it is not
    quoted. `items` has a sequence's items, or a mapping's alternating keys and values. `target` is
    the node that an alias refers to, or None. `entries` has a mapping's keys and values by name,
    and is computed on first use.
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
    entries: dict[str, tuple[_Node, _Node]] | None = None

    def pairs(self) -> list[tuple[_Node, _Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=False))

    @property
    def is_merge(self) -> bool:
        """Return whether this key is the merge key `<<`."""
        return self.plain and self.text == "<<"

    @property
    def is_empty(self) -> bool:
        """Return whether this node is empty."""
        return self.plain and not self.text


class _Tree(NamedTuple):
    """The parsed part of a text: `root` (None for an empty text), and whether it is complete."""

    root: _Node | None
    complete: bool


@lru_cache(maxsize=2)  # findings of one file are located one after the other
def _tree(text: str) -> _Tree:
    """Parse `text`, which ends in a line break, into a tree as far as possible."""
    if check(text, "") is not None:
        return _Tree(None, complete=False)
    root: _Node | None = None
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    parser: Any = PARSER(text)
    event: Any
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            start, end = event.start_mark, event.end_mark
            if isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                done.end_line, done.end_column = end.line, end.column
            if not isinstance(event, yaml.NodeEvent):
                continue
            node = _Node(type(event), start.line, start.column, end.line, end.column)
            if node.form is yaml.AliasEvent:
                node.target = anchors.get(str(event.anchor))
            elif event.anchor is not None:
                anchors[event.anchor] = node
            if isinstance(event, yaml.ScalarEvent):
                node.text, node.plain = event.value, not event.style
            if stack:
                stack[-1].items.append(node)
            elif root is None:
                root = node
            else:  # a second document
                return _Tree(root, complete=False)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(node)
    except (yaml.YAMLError, ValueError):  # the pure parser raises ValueError for some escapes
        return _Tree(root, complete=False)
    finally:
        parser.dispose()
    return _Tree(root, complete=True)


@lru_cache(maxsize=2)
def lines(text: str) -> list[str]:
    """Return the lines of `text` without line breaks."""
    return text.split("\n")


def locate(text: str, file: str, path: Path, *, key: bool = False) -> Position:
    """Return the position of the value at `path`, or with `key` that of its key.

    A missing value has the position of its nearest existing ancestor: the key, or for a list item
    the `name`. An empty value has the position of a comment in its place, else of its key.
    """
    steps = _follow(text, path)
    name, node = steps[-1]
    if len(steps) == len(path) + 1 and not key:
        if not node.is_empty:
            return _position(text, file, node)
        instead = _comment(text, name, node)
        if instead is not None:
            line, column, words = instead
            return Position(file=file, line=line + 1, column=column + 1, width=len(words))
    return _position(text, file, name if name is not None else _face(node))


def comment_after(text: str, path: Path) -> str | None:
    """Return the comment in place of the empty value at `path`, or None."""
    steps = _follow(text, path)
    if len(steps) != len(path) + 1 or not steps[-1][1].is_empty:
        return None
    instead = _comment(text, *steps[-1])
    return instead[2] if instead is not None else None


def is_null(text: str, path: Path) -> bool:
    """Return whether the value at `path` is written as the literal `null`."""
    steps = _follow(text, path)
    return len(steps) == len(path) + 1 and steps[-1][1].plain and steps[-1][1].text == "null"


def item_places(text: str, file: str, path: Path) -> list[Position]:
    """Return the position of each item of the list at `path`; [] if it does not exist."""
    steps = _follow(text, path)
    items = _real(steps[-1][1]).items if len(steps) == len(path) + 1 else []
    return [_position(text, file, item) for item in items]


def duplicate_keys(text: str, file: str) -> Iterator[tuple[Position, Position]]:
    """Yield the first and the repeated position of each duplicate key."""
    root = _tree(text).root
    stack = [root] if root is not None else []
    while stack:
        node = stack.pop()
        stack.extend(node.items)
        if node.form is not yaml.MappingStartEvent:
            continue
        first: dict[str, _Node] = {}
        for key, _ in node.pairs():
            if key.form is not yaml.ScalarEvent or key.is_merge:
                continue
            if first.setdefault(key.text, key) is not key:
                yield _position(text, file, first[key.text]), _position(text, file, key)


def _comment(text: str, key: _Node | None, value: _Node) -> tuple[int, int, str] | None:
    """Return line, column (from 0) and text of the comment in place of an empty `value`.

    `key` is its key, None for an item of a list.
    """
    # In flow style, only the next bracket, possibly lines below, marks an empty value.
    line, column = (key.end_line, key.end_column) if key is not None else (value.line, value.column)
    written = lines(text)[line]
    before = _COMMENT.match(written, column)
    if before is None:
        return None
    second = _NEXT_COMMENT.search(written, before.end())
    end = second.start() if second is not None else len(written)
    return line, before.end(), written[before.end() : end].rstrip()


def _follow(text: str, path: Path) -> list[tuple[_Node | None, _Node]]:
    """Return (key, value) of the root and of each step of `path`, as far as they exist."""
    root = _tree(text).root
    assert root is not None, "only files that hold something have findings with paths"
    steps: list[tuple[_Node | None, _Node]] = [(None, root)]
    for part in path:
        step = _step(_real(steps[-1][1]), part)
        if step is None:
            break
        steps.append(step)
    return steps


def _step(node: _Node, part: str | int) -> tuple[_Node | None, _Node] | None:
    """Return (key, value) of one step of a path."""
    if isinstance(part, int):
        if node.form is yaml.SequenceStartEvent and part < len(node.items):
            return None, node.items[part]
        return None
    return _entries(node).get(part)


def _entries(node: _Node) -> dict[str, tuple[_Node, _Node]]:
    """Return the keys of a mapping with their values, including merged ones."""
    if node.entries is None:
        reached = {id(node): node}
        waiting = [node]
        while waiting:
            for other in _merged(waiting.pop()):
                if other.entries is None and id(other) not in reached:
                    reached[id(other)] = other
                    waiting.append(other)
        # Merged mappings end before this one; only invalid files have merge cycles.
        for each in sorted(reached.values(), key=lambda each: (each.end_line, each.end_column)):
            each.entries = {}
            for key, value in each.pairs() if each.form is yaml.MappingStartEvent else ():
                if key.form is yaml.ScalarEvent and not key.is_merge:
                    each.entries.setdefault(key.text, (key, value))
            for other in _merged(each):
                each.entries = {**(other.entries or {}), **each.entries}
    assert node.entries is not None
    return node.entries


def _merged(node: _Node) -> Iterator[_Node]:
    """Yield the mappings that a mapping merges, the one with the highest priority first."""
    if node.form is yaml.MappingStartEvent:
        for key, value in node.pairs():
            if key.is_merge:
                value = _real(value)
                yield from map(
                    _real, value.items if value.form is yaml.SequenceStartEvent else [value]
                )


def _real(node: _Node) -> _Node:
    """Return the node that an alias refers to, or the node itself."""
    return node.target if node.form is yaml.AliasEvent and node.target is not None else node


def _face(node: _Node) -> _Node:
    """Return the part that identifies a list item or the file for users."""
    if node.form is not yaml.MappingStartEvent or not node.items:
        return node
    named = _step(node, "name")
    if (
        named is not None
        and _real(named[1]).form is yaml.ScalarEvent
        and not _real(named[1]).is_empty
    ):
        return named[1]
    return node.items[0]


def _position(text: str, file: str, node: _Node) -> Position:
    column, line = node.column, lines(text)[node.line]
    end = node.end_column if node.end_line == node.line else len(line.rstrip())
    if end <= column:  # an empty value: the character before is a colon or a dash
        column, end = max(0, min(column, len(line)) - 1), 0
    return Position(file=file, line=node.line + 1, column=column + 1, width=max(1, end - column))


# Excerpts

_SHOWN_KEYS: Final = frozenset(
    ("$schema", "version", "organization", "prune", "scope", "ignore", "protect", "max_deletes")
).union(("name", "type", "event_types", "id", "previously", "state"))
"""Keys whose values are shown."""

_KNOWN_KEYS: Final = _SHOWN_KEYS.union(
    key for part in (schema(), *schema()["$defs"].values()) for key in part.get("properties", ())
)
_OPEN_KEYS: Final = _SHOWN_KEYS | {"limits", "defaults", "webhooks"}
"""Keys whose content is not secret as a unit; its parts are checked."""

_HOLDERS: Final = frozenset(("configuration", "defaults", "webhooks", "<<"))
_WORD_KEYS: Final = frozenset(("type", "event_types", "state"))
"""Keys whose values are shown only if they look like words of the schema."""

_KNOWN_WORDS: Final = frozenset((*EVENT_TYPES, *KINDS, "absent", "true", "false", "null"))
_REFERENCE: Final = {
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r".*"),
    "version": re.compile(r"-?[0-9]*"),
}
"""Keys of a secret reference, and the values that may be shown."""

_KEY: Final = re.compile(
    r"""(?:^[\s\-?{\[]*+|[,{]\s*+)(["']?+)([\w$.-]++)["']?+\s*+:(?=\s|$|["'\[{])"""
)
"""A key at the beginning of a line or of an entry in flow style."""

_LETTERS: Final = re.compile(r"[a-z_]{1,20}")
_EDGES: Final = " \t-{}[],?"
_AFTER: Final = 400

_VEIL: Final = "\0"
_VEILED: Final = re.compile(f"{_VEIL}+")

_Span: TypeAlias = tuple[int, int]


def _where_written(documents: Mapping[str, Document], finding: Finding) -> Finding:
    """Return a finding with the position in the parent from which a value of an overlay comes."""

    def written(at: Place) -> Place:
        document = documents.get(at.file)
        if document is None or not document.origins:
            return at
        return replace(document.written_at(at.path), key=at.key)

    at = finding.place
    related = tuple(
        each if each.place is None else replace(each, place=written(each.place))
        for each in finding.related
    )
    if at is not None and (there := written(at)).file != at.file:
        through = Related(message="extended here", place=Place(at.file, ("extends",)))
        return replace(finding, place=there, related=(*related, through))
    return replace(finding, related=related)


def placed(documents: Mapping[str, Document], findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with positions and excerpts, as far as the documents, by name, have them.

    For a document without text only the lines of its items are known.
    """
    found = [_where_written(documents, each) for each in findings]
    places: set[Place | Position | None] = {each.place or each.position for each in found}
    places |= {related.place for each in found for related in each.related}
    known = [each for each in places if each is not None]
    positions: dict[Place | Position | None, Position] = {}
    excerpts: dict[Place | Position | None, str] = {}
    for at in sorted(known, key=lambda each: each.file):  # one tree at a time
        document = documents.get(at.file)
        if document is None:
            continue
        if text := document.text:
            if isinstance(at, Place):
                positions[at] = narrow(text, locate(text, at.file, at.path, key=at.key))
            else:
                positions[at] = narrow(text, at)
            excerpts[at] = excerpt(text, positions[at])
        elif isinstance(at, Place):
            match at.path:
                case (str(key), int(index), *_) if key in document.items:
                    positions[at] = document.items[key][index]
                case _:
                    positions[at] = Position(file=at.file, line=1)
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
    """Return the source line of `position` with everything masked that may be secret.

    Columns up to the position do not change; after it, `***` replaces text of any length. For a
    long line, only the part around the position is shown: at most `EXCERPT_BEFORE` characters
    before it and 400 from it on, with `...` for omitted text.
    """
    line, column = _veiled(text, position.line - 1), position.column - 1
    start, stop = max(0, column - EXCERPT_BEFORE), column + _AFTER
    # Hidden text before the position keeps its length, so that the mark below it is aligned.
    around = _VEILED.match(line, column, stop) if line[column - 1 : column] == _VEIL else None
    split = column if around is None else around.end()
    before = line[start:split].replace(_VEIL, "*")
    after = _VEILED.sub(MASK, line[split:stop])
    return f"{'...' if start else ''}{before}{after}{'...' if stop < len(line) else ''}"


def narrow(text: str, position: Position) -> Position:
    """Return `position` with the width of the mask, if only a mask is shown there."""
    column = position.column - 1
    is_hidden = _veiled(text, position.line - 1)[column : column + 1] == _VEIL
    return replace(position, width=min(position.width, len(MASK))) if is_hidden else position


@lru_cache(maxsize=256)  # many findings may be on one long line
def _veiled(text: str, number: int) -> str:
    """Return a line, counted from 0, with a placeholder for each hidden character."""
    line = lines(text)[number]
    known = _hidden(text).get(number, ()) if _tree(text).complete else _guessed(line)
    shown = list(line)
    for first, last in (*known, *(match.span() for match in LOOKS_SECRET.finditer(line))):
        end = len(line.rstrip()) if last < 0 else min(last, len(line))
        if first < end:
            shown[first:end] = _VEIL * (end - first)
        elif last < 0:  # also hide that a line of a secret is empty
            shown.append(_VEIL)
    return "".join(shown)


@lru_cache(maxsize=2)
def _hidden(text: str) -> dict[int, list[_Span]]:
    """Return the columns to hide by line, counted from 0; an end of -1 is the end of the line."""
    found: dict[int, list[_Span]] = {}
    root = _tree(text).root
    ends: dict[int, int] = {}
    stack: list[tuple[_Node, str | None, bool]] = [(root, None, False)] if root is not None else []
    while stack:
        node, key, secret = stack.pop()
        if node.form is yaml.MappingStartEvent:
            stack.extend(_parts(node, secret))
        elif node.form is yaml.SequenceStartEvent:
            stack.extend((item, key, secret) for item in node.items)
        elif not _may_show(node, key, secret):
            _cover(node, found)
        for line in range(node.line, node.end_line + 1):
            if node.form is yaml.ScalarEvent and line < node.end_line:
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


def _parts(node: _Node, secret: bool) -> Iterator[tuple[_Node, str | None, bool]]:
    """Yield the keys and values of a mapping: each with its key, and whether it may be secret.

    A key that is shown is not yielded.
    """
    pairs = node.pairs()
    is_reference = all(name.text in _REFERENCE for name, _ in pairs)
    for name, value in pairs:
        key = name.text
        is_anchored = not secret and key.startswith("x-")
        if name.form is not yaml.ScalarEvent or not (name.is_merge or is_anchored or is_known(key)):
            yield name, None, True
        is_open = (
            name.is_merge
            or is_anchored
            or _is_near(key, _OPEN_KEYS)
            or (value.form is yaml.AliasEvent and key in _HOLDERS)
        )
        yield value, key, not is_reference and (secret or not is_open)


def _may_show(node: _Node, key: str | None, secret: bool) -> bool:
    if node.form is yaml.AliasEvent:
        # Text that looks like an alias may be a secret that starts with `*`.
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
    """Return whether a key is a word of the schema, or a likely misspelling of one."""
    return key in _KNOWN_WORDS or _is_near(key, _KNOWN_KEYS) or _is_meant(key)


@lru_cache(maxsize=4096)
def _is_meant(key: str) -> bool:
    """Return whether `key` is one word similar to a known key, with less than 6 other letters."""
    longer = [each for each in _KNOWN_KEYS if len(key) <= len(each) + 2]
    return _LETTERS.fullmatch(key) is not None and bool(get_close_matches(key, longer, 1, 0.6))


@lru_cache(maxsize=4096)
def _is_near(key: str, known: frozenset[str]) -> bool:
    """Return whether `key` is one of `known`, or so similar that it contains nothing else."""
    if key in known:
        return True
    lower = key.lower()
    alike = [each for each in known if abs(len(key) - len(each)) <= 2]
    return sorted(lower) in map(sorted, alike) or bool(get_close_matches(lower, alike, 1, 0.8))


def _cover(node: _Node, found: dict[int, list[_Span]]) -> None:
    for number in range(node.line, node.end_line + 1):
        first = node.column if number == node.line else 0
        last = node.end_column if number == node.end_line else -1
        if last != first:
            found.setdefault(number, []).append((first, last))


def _guessed(line: str) -> Iterator[_Span]:
    """Yield what to hide in a line of invalid YAML: everything but keys and words of the schema.

    Other keys are hidden, too: they may be part of a secret that contains a colon.
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
