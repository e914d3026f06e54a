"""Where in a file something is written: exact positions for findings.

Reading keeps few positions, because good files need none. To point at something, the text is
walked again and a tree made of it: slow, and tolerant of what reading refuses. An alias stays an
alias, duplicate keys stay both, and a syntax error ends the tree early.

Paths are those of the data: aliases and merges are followed to the place where the value itself
stands, which is the place to fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import yaml

from reconciler.findings import Position
from reconciler.model import Path
from reconciler.source.text import check
from reconciler.source.yaml import PARSER

Form = Enum("Form", "SCALAR SEQUENCE MAPPING ALIAS")
"""What a node is."""


_COMMENT: Final = re.compile(r"(?:\s*+:)?+\s++(?=#)")
_NEXT_COMMENT: Final = re.compile(r"\s#")
_FORMS: Final[Mapping[type, Form]] = {
    yaml.ScalarEvent: Form.SCALAR,
    yaml.SequenceStartEvent: Form.SEQUENCE,
    yaml.MappingStartEvent: Form.MAPPING,
    yaml.AliasEvent: Form.ALIAS,
}


@dataclass(slots=True, eq=False)
class Node:
    """One node. Lines and columns count from 0; the end is exclusive.

    `text` is a scalar's text, and `plain` whether it has no quotes. `items` are a sequence's
    items, or a mapping's keys and values in turn. `target` is the node an alias means, None if
    there is none. `entries` are a mapping's keys and values by name, made when they are needed.
    """

    form: Form
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    plain: bool = False
    items: list[Node] = field(default_factory=list)
    target: Node | None = None
    entries: dict[str, tuple[Node, Node]] | None = None

    def pairs(self) -> list[tuple[Node, Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=False))

    @property
    def is_merge(self) -> bool:
        """Return whether this, as a key, is the merge key."""
        return self.plain and self.text == "<<"

    @property
    def is_empty(self) -> bool:
        """Return whether nothing at all is written here."""
        return self.plain and not self.text


@dataclass(frozen=True, slots=True)
class Tree:
    """All that could be read: `root` (None of an empty text), and whether that is everything."""

    root: Node | None
    complete: bool


@lru_cache(maxsize=2)  # many findings of one file are placed one after the other
def tree(text: str) -> Tree:
    """Compose `text`, ending in a line break, as far as it can be read."""
    if check(text, "") is not None:
        return Tree(None, complete=False)
    root: Node | None = None
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
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
            node = Node(_FORMS[type(event)], start.line, start.column, end.line, end.column)
            if node.form is Form.ALIAS:
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
                return Tree(root, complete=False)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(node)
    except (yaml.YAMLError, ValueError):  # the pure parser meets some escapes with a ValueError
        return Tree(root, complete=False)
    finally:
        parser.dispose()
    return Tree(root, complete=True)


@lru_cache(maxsize=2)
def lines(text: str) -> list[str]:
    """Return the lines of `text` without their ends."""
    return text.split("\n")


def locate(text: str, file: str, path: Path, *, key: bool = False) -> Position:
    """Return where the value at `path` is written, or with `key` the key that introduces it.

    What does not exist is anchored at the nearest ancestor that does: its key, or for a list item
    its `name`. A value of which nothing is written is anchored at the comment that stands in its
    place, else at its key.
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
    """Return the comment that stands where the (empty) value at `path` should be, if one does."""
    steps = _follow(text, path)
    if len(steps) != len(path) + 1 or not steps[-1][1].is_empty:
        return None
    instead = _comment(text, *steps[-1])
    return instead[2] if instead is not None else None


def item_places(text: str, file: str, path: Path) -> list[Position]:
    """Return the place of each item of the list at `path`; [] if there is none."""
    steps = _follow(text, path)
    items = _real(steps[-1][1]).items if len(steps) == len(path) + 1 else []
    return [_position(text, file, item) for item in items]


def duplicate_keys(text: str, file: str) -> Iterator[tuple[Position, Position]]:
    """Yield, for each key that is written again in its mapping, the first place and this one."""
    root = tree(text).root
    stack = [root] if root is not None else []
    while stack:
        node = stack.pop()
        stack.extend(node.items)
        if node.form is not Form.MAPPING:
            continue
        first: dict[str, Node] = {}
        for key, _ in node.pairs():
            if key.form is not Form.SCALAR or key.is_merge:
                continue
            if first.setdefault(key.text, key) is not key:
                yield _position(text, file, first[key.text]), _position(text, file, key)


def _comment(text: str, key: Node | None, value: Node) -> tuple[int, int, str] | None:
    """Return line, column (from 0) and text of the comment that stands where `value` should.

    `value` is an empty node and `key` what introduces it; None for an item of a list.
    """
    # In flow style nothing marks an empty value but the next bracket, lines further down.
    line, column = (key.end_line, key.end_column) if key is not None else (value.line, value.column)
    written = lines(text)[line]
    before = _COMMENT.match(written, column)
    if before is None:
        return None
    second = _NEXT_COMMENT.search(written, before.end())
    end = second.start() if second is not None else len(written)
    return line, before.end(), written[before.end() : end].rstrip()


def _follow(text: str, path: Path) -> list[tuple[Node | None, Node]]:
    """Return (key, value) of the root and of each step of `path`, as far as there are any."""
    root = tree(text).root
    assert root is not None, "only files that hold something have findings with paths"
    steps: list[tuple[Node | None, Node]] = [(None, root)]
    for part in path:
        step = _step(_real(steps[-1][1]), part)
        if step is None:
            break
        steps.append(step)
    return steps


def _step(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    """Return (key, value) of one step."""
    if isinstance(part, int):
        if node.form is Form.SEQUENCE and part < len(node.items):
            return None, node.items[part]
        return None
    return _entries(node).get(part)


def _entries(node: Node) -> dict[str, tuple[Node, Node]]:
    """Return the keys of a mapping with their values, those that it merges included."""
    if node.entries is None:
        reached = {id(node): node}
        waiting = [node]
        while waiting:
            for other in _merged(waiting.pop()):
                if other.entries is None and id(other) not in reached:
                    reached[id(other)] = other
                    waiting.append(other)
        # What a mapping merges ends before it; only in a broken file may merges go in a circle.
        for each in sorted(reached.values(), key=lambda each: (each.end_line, each.end_column)):
            each.entries = {}
            for key, value in each.pairs() if each.form is Form.MAPPING else ():
                if key.form is Form.SCALAR and not key.is_merge:
                    each.entries.setdefault(key.text, (key, value))
            for other in _merged(each):
                each.entries = {**(other.entries or {}), **each.entries}
    assert node.entries is not None
    return node.entries


def _merged(node: Node) -> Iterator[Node]:
    """Yield what a mapping merges, the strongest first."""
    if node.form is Form.MAPPING:
        for key, value in node.pairs():
            if key.is_merge:
                value = _real(value)
                yield from map(_real, value.items if value.form is Form.SEQUENCE else [value])


def _real(node: Node) -> Node:
    """Return what an alias means."""
    return node.target if node.form is Form.ALIAS and node.target is not None else node


def _face(node: Node) -> Node:
    """Return the part of a list item, or of the file, by which people know it."""
    if node.form is not Form.MAPPING or not node.items:
        return node
    named = _step(node, "name")
    if named is not None and _real(named[1]).form is Form.SCALAR and not _real(named[1]).is_empty:
        return named[1]
    return node.items[0]


def _position(text: str, file: str, node: Node) -> Position:
    column, line = node.column, lines(text)[node.line]
    end = node.end_column if node.end_line == node.line else len(line.rstrip())
    if end <= column:  # nothing is written: the character before is a colon or a dash
        column, end = max(0, min(column, len(line)) - 1), 0
    return Position(file=file, line=node.line + 1, column=column + 1, width=max(1, end - column))
