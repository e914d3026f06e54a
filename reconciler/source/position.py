"""Find the positions of findings in a file.

The parser keeps few positions, because valid files need none. To locate a finding, the text is
parsed again into nodes, which is slow. An alias stays an alias, and both duplicate keys are kept.
Paths are paths of the data: aliases and merges are followed to the value itself, which is the
position to fix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import yaml

from reconciler.findings import Finding, Position, Related, error
from reconciler.model import DataPath
from reconciler.source.text import ambiguity
from reconciler.source.yaml import PARSER


@dataclass(slots=True, eq=False)
class Node:
    """One node. Lines and columns count from 0; the end is exclusive.

    `form` is the class of its first event. `text` is a scalar's text, `plain` is true if it is not
    quoted. `items` has a sequence's items, or a mapping's alternating keys and values. `target` is
    the node that an alias refers to, or None. `entries` has a mapping's keys and values by name,
    merged ones included; `_root` fills it in.
    """

    form: type
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    plain: bool = False
    items: list[Node] = field(default_factory=list)
    target: Node | None = None
    entries: dict[str, _Step] = field(default_factory=dict)

    def pairs(self) -> list[tuple[Node, Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=True))

    @property
    def is_merge(self) -> bool:
        """Return whether this key is the merge key `<<`."""
        return self.plain and self.text == "<<"

    @property
    def is_empty(self) -> bool:
        """Return whether this node is empty."""
        return self.plain and not self.text


_Step: TypeAlias = "tuple[Node | None, Node]"
"""A value, and its key if it is in a mapping."""


@lru_cache(maxsize=2)  # findings of one file are located consecutively
def nodes(text: str) -> list[Node]:
    """Return the nodes of `text` in the order of their ends, the root last.

    The list is empty if the text is not one valid document.
    """
    found: list[Node] = []
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    if ambiguity(text, "") is not None:
        return []
    parser: Any = PARSER(text)
    event: Any
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            start, end = event.start_mark, event.end_mark
            if isinstance(event, yaml.CollectionEndEvent):
                node = stack.pop()
                node.end_line, node.end_column = end.line, end.column
                found.append(node)
            if not isinstance(event, yaml.NodeEvent):
                continue
            if found and not stack:  # a second document
                return []
            node = Node(type(event), start.line, start.column, end.line, end.column)
            if stack:
                stack[-1].items.append(node)
            if node.form is yaml.AliasEvent:
                node.target = anchors.get(str(event.anchor))
            elif event.anchor is not None:
                anchors[event.anchor] = node
            if isinstance(event, yaml.ScalarEvent):
                node.text, node.plain = event.value, not event.style
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(node)
            else:
                found.append(node)
    except yaml.YAMLError:
        return []
    return found


@lru_cache(maxsize=2)
def lines(text: str) -> list[str]:
    """Return the lines of `text` without line breaks."""
    return text.split("\n")


def locate(text: str, file: str, path: DataPath, *, key: bool = False) -> Position:
    """Return the position of the value at `path`, or with `key` that of its key.

    A missing value has the position of its nearest existing ancestor: the key, or for a list item
    its first key. An empty value has the position of its key.
    """
    name, node, exists = _follow(text, path)
    if exists and not key and not node.is_empty:
        return _position(text, file, node)
    if name is None and node.form is yaml.MappingStartEvent and node.items:
        name = node.items[0]
    return _position(text, file, name or node)


def is_null(text: str, path: DataPath) -> bool:
    """Return whether the value at `path` is written as the literal `null`."""
    _, node, exists = _follow(text, path)
    return exists and node.plain and node.text == "null"


def duplicate_keys(text: str, file: str) -> Iterator[Finding]:
    """Yield the findings for the duplicate keys of a file."""
    same_webhook = range(0)
    for node in nodes(text):
        first: dict[str, Node] = {}
        for key, _ in node.pairs() if node.form is yaml.MappingStartEvent else ():
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


def _follow(text: str, path: DataPath) -> tuple[Node | None, Node, bool]:
    """Return key and value of the last step of `path` that exists, and whether all steps do."""
    name, node = None, _root(text)
    for part in path:
        holder, step = _resolved(node), None
        if isinstance(part, str):
            step = holder.entries.get(part)
        elif holder.form is yaml.SequenceStartEvent and part < len(holder.items):
            step = None, holder.items[part]
        if step is None:
            return name, node, False
        name, node = step
    return name, node, True


@lru_cache(maxsize=2)
def _root(text: str) -> Node:
    """Return the root of a valid `text` after setting the `entries` of all mappings."""
    found = nodes(text)
    # Merged mappings end before the one that merges them.
    for node in found:
        merged: dict[str, _Step] = {}
        for key, value in node.pairs() if node.form is yaml.MappingStartEvent else ():
            if key.is_merge:
                value = _resolved(value)
                parts = value.items if value.form is yaml.SequenceStartEvent else [value]
                for other in map(_resolved, parts):
                    merged = {**other.entries, **merged}
            elif key.form is yaml.ScalarEvent:
                node.entries.setdefault(key.text, (key, value))
        node.entries = {**merged, **node.entries}
    return found[-1]


def _resolved(node: Node) -> Node:
    """Return the node that an alias refers to, or the node itself."""
    return node.target or node


def _position(text: str, file: str, node: Node) -> Position:
    column, line = node.column, lines(text)[node.line]
    end = node.end_column if node.end_line == node.line else len(line.rstrip())
    if end <= column:  # an empty value: the character before is a colon or a dash
        column, end = max(0, min(column, len(line)) - 1), 0
    return Position(file=file, line=node.line + 1, column=column + 1, width=max(1, end - column))
