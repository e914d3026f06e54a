"""Parse YAML again into nodes, to locate errors and to edit values.

It takes eight times as long as reading the data, so it is only for these. An alias stays an alias,
and both of two equal keys are kept. Paths are paths of the data: aliases and merges are followed to
the value itself, which is the position to fix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import yaml

from reconciler.findings import Finding, Place, Position, Related, error
from reconciler.model import DataPath
from reconciler.source.syntax import PARSER


@dataclass(slots=True, eq=False)
class Node:
    """One node of a text; `start` and `end` (exclusive) are the parser's marks, counted from 0.

    `form` is the class of its first event. `text` is the text of a scalar or the name of an alias.
    `style` has the quotes of a scalar or the indicator of a block, and `[` for a collection in
    brackets. `items` has a sequence's items, or a mapping's alternating keys and values. `target`
    is the node that an alias refers to, or None; `is_shared` is true of such a node. `entries` has
    a mapping's keys and values by name, merged ones included, and a sequence's items by index.
    """

    form: type
    start: Any
    end: Any
    text: str = ""
    style: str = ""
    items: list[Node] = field(default_factory=list)
    target: Node | None = None
    is_shared: bool = False
    entries: dict[str | int, _Step] = field(default_factory=dict)

    def pairs(self) -> list[tuple[Node, Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=True))

    @property
    def is_plain(self) -> bool:
        """Return whether this is text without quotes."""
        return self.form is yaml.ScalarEvent and not self.style

    @property
    def is_merge(self) -> bool:
        """Return whether this key is the merge key `<<`."""
        return self.text == "<<" and self.is_plain


_Step: TypeAlias = "tuple[Node | None, Node]"
"""A value, and its key if it is in a mapping."""


@lru_cache(maxsize=2)  # findings of one file are located consecutively
def nodes(text: str) -> list[Node]:
    """Return the nodes of `text` in the order of their ends, the root last.

    The list is empty if the text is not one valid document.
    """
    parser: Any = PARSER(text)
    ended: list[Node] = []
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    try:
        event: Any = parser.get_event()
        while not isinstance(event, yaml.StreamEndEvent):
            if isinstance(event, yaml.CollectionEndEvent):
                node = stack.pop()
                node.end = event.end_mark
                # Complete: merged mappings end before the one that merges them.
                node.entries = _entries(node)
                ended.append(node)
            elif isinstance(event, yaml.NodeEvent):
                if ended and not stack:  # a second document
                    return []
                node = _node(event, anchors)
                if stack:
                    stack[-1].items.append(node)
                if isinstance(event, yaml.CollectionStartEvent):
                    stack.append(node)
                else:
                    ended.append(node)
            event = parser.get_event()
    except yaml.YAMLError:
        return []
    return ended


def _node(event: Any, anchors: dict[str, Node]) -> Node:
    """Return the node that an event starts; one with an anchor is added to `anchors`."""
    node = Node(type(event), event.start_mark, event.end_mark)
    if isinstance(event, yaml.AliasEvent):
        node.text, node.target = str(event.anchor), anchors.get(str(event.anchor))
        if node.target is not None:
            node.target.is_shared = True
    elif event.anchor is not None:
        anchors[event.anchor] = node
    if isinstance(event, yaml.ScalarEvent):
        node.text, node.style = event.value, event.style or ""
    elif isinstance(event, yaml.CollectionStartEvent) and event.flow_style:
        node.style = "["
    return node


def _entries(node: Node) -> dict[str | int, _Step]:
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


def _resolved(node: Node) -> Node:
    """Return the node that an alias refers to, or the node itself."""
    return node.target or node


def _follow(text: str, path: DataPath) -> tuple[Node | None, Node, bool]:
    """Return key and value of the last step of `path` that exists, and whether all steps do."""
    name, node = None, nodes(text)[-1]
    for part in path:
        step = _resolved(node).entries.get(part)
        if step is None:
            return name, node, False
        name, node = step
    return name, node, True


def locate(text: str, place: Place) -> Position:
    """Return the position of a place in the text of its file.

    A missing value has the position of its nearest existing ancestor: the key, or for a list item
    its first key. An empty value has the position of its key.
    """
    name, node, exists = _follow(text, place.path)
    if place.key or not exists or (node.is_plain and not node.text):
        if name is None and node.form is yaml.MappingStartEvent and node.items:
            name = node.items[0]
        node = name or node
    return position_of(place.file, node.start, node.end, text)


def is_null(text: str, path: DataPath) -> bool:
    """Return whether the value at `path` is written as the literal `null`."""
    _, node, exists = _follow(text, path)
    # In quotes it is text; an empty value is probably a mistake.
    return exists and node.is_plain and node.text == "null"


def position_of(file: str, start: Any, end: Any, text: str = "") -> Position:
    """Return the position of what is between two marks; with `text` up to the end of a line."""
    column, width = start.column, end.column - start.column
    if end.line > start.line:
        rest = text[start.index : text.find("\n", start.index)]
        width = len(rest.rstrip()) if text else 1
    if width <= 0:  # an empty value: the character before is a colon or a dash
        column = max(0, column - 1)
    return Position(file=file, line=start.line + 1, column=column + 1, width=max(1, width))


def duplicate_keys(text: str, file: str) -> Iterator[Finding]:
    """Yield the findings for the duplicate keys of a file."""
    same_webhook = range(0)
    for node in nodes(text):
        first: dict[str, Node] = {}
        pairs = node.pairs() if node.form is yaml.MappingStartEvent else []
        for key, _ in pairs:
            if key.form is not yaml.ScalarEvent or key.is_merge:
                continue
            before = first.setdefault(key.text, key)
            if before is key or before.start.line in same_webhook:
                continue
            hint = "merge the two, or remove one"
            if key.text == "name" and key.start.line > before.start.line:
                # The other keys follow from the `name` without a dash.
                same_webhook = range(before.start.line, key.start.line)
                hint = "write `- name:` if a webhook starts here; otherwise remove one of the two"
            where = position_of(file, key.start, key.end, text)
            other = position_of(file, before.start, before.end, text)
            related = (Related(message="first written here", position=other),)
            yield error("duplicate-key", "duplicate key in a mapping", hint, where, related)
