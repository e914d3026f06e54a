"""The tree of a YAML text with the place of every node: slow, tolerant, and only for findings.

Reading (`document.py`) keeps no positions, because good files need none. When something has to be
pointed at, the text is walked again and this tree made of it, as far as the text goes: an alias
stays an alias, duplicate keys stay both, and a syntax error ends the tree early.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import yaml

from reconciler.source.events import PARSER


class Form(Enum):
    """What a node is."""

    SCALAR = 1
    SEQUENCE = 2
    MAPPING = 3
    ALIAS = 4


class Node:
    """One node. Lines and columns count from 0; the end is exclusive.

    `text` is a scalar's text. `items` are a sequence's items, or a mapping's keys and values in
    turn. `target` is the node an alias means, None if there is none. `entries` are for `locate`.
    """

    __slots__ = (
        "column",
        "end_column",
        "end_line",
        "entries",
        "form",
        "items",
        "line",
        "plain",
        "target",
        "text",
    )

    def __init__(self, form: Form, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        self.form = form
        self.line: int = start.line
        self.column: int = start.column
        self.end_line: int = end.line
        self.end_column: int = end.column
        self.text = ""
        self.plain = False
        self.items: list[Node] = []
        self.target: Node | None = None
        self.entries: dict[str, tuple[Node, Node]] | None = None

    def close(self, event: Any) -> None:
        """Take the end of a collection from the event that ends it."""
        self.end_line, self.end_column = event.end_mark.line, event.end_mark.column

    def pairs(self) -> list[tuple[Node, Node]]:
        """Return a mapping's keys with their values."""
        return list(zip(self.items[::2], self.items[1::2], strict=False))

    @property
    def is_merge(self) -> bool:
        """Say whether this, as a key, is the merge key."""
        return self.plain and self.text == "<<"

    @property
    def is_empty(self) -> bool:
        """Say whether nothing at all is written here."""
        return self.plain and not self.text


class Tree:
    """All that could be read: `root` (None of an empty text), and whether that is everything."""

    __slots__ = ("complete", "root")

    def __init__(self, root: Node | None, *, complete: bool) -> None:
        self.root = root
        self.complete = complete


_COMMENT: Final = re.compile(r"(?:\s*+:)?+\s++(?=#)")
_NEXT_COMMENT: Final = re.compile(r"\s#")
_STARTS: Final = {
    yaml.MappingStartEvent: Form.MAPPING,
    yaml.SequenceStartEvent: Form.SEQUENCE,
}


@lru_cache(maxsize=2)  # many findings of one file are placed one after the other
def tree(text: str) -> Tree:
    """Compose `text`, ending in a line break, as far as it can be read."""
    root: Node | None = None
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    parser: Any = None
    try:
        parser = PARSER(text)
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            node: Node
            if isinstance(event, yaml.ScalarEvent):
                node = Node(Form.SCALAR, event)
                node.text = event.value
                node.plain = not event.style
            elif isinstance(event, yaml.AliasEvent):
                node = Node(Form.ALIAS, event)
                node.target = anchors.get(str(event.anchor))
            elif isinstance(event, yaml.CollectionStartEvent):
                node = Node(_STARTS[type(event)], event)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                done.close(event)
                continue
            else:
                continue
            if not isinstance(event, yaml.AliasEvent) and event.anchor is not None:
                anchors[event.anchor] = node
            if stack:
                stack[-1].items.append(node)
            elif root is None:
                root = node
            else:  # a second document
                return Tree(root, complete=False)
            if node.form in (Form.MAPPING, Form.SEQUENCE):
                stack.append(node)
    except (yaml.YAMLError, ValueError):  # the pure parser meets some escapes with a ValueError
        return Tree(root, complete=False)
    finally:
        if parser is not None:
            parser.dispose()
    return Tree(root, complete=True)


@lru_cache(maxsize=2)
def lines(text: str) -> list[str]:
    """Return the lines of `text` without their ends."""
    return text.split("\n")


def comment(text: str, key: Node | None, value: Node) -> tuple[int, int, str] | None:
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
