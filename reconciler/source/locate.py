"""Where in a file something is written: exact positions for findings.

Paths are those of the data: aliases and merges are followed to the place where the value itself
stands, which is the place to mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.findings import Finding, Place, Position, Related
from reconciler.model import Path
from reconciler.source.excerpt import excerpt, narrow
from reconciler.source.nodes import Form, Node, comment, lines, tree


def locate(text: str, file: str, path: Path, *, key: bool = False) -> Position:
    """Return where the value at `path` is written, or with `key` the key that introduces it.

    What does not exist is anchored at the nearest ancestor that does: its key, or for a list item
    its `name`. A value of which nothing is written is anchored at the comment that stands in its
    place, else at its key.
    """
    return narrow(text, _place(text, file, path, key))


def placed(texts: Mapping[str, str], findings: Iterable[Finding]) -> list[Finding]:
    """Return findings about files, whose texts are given by name, with positions and excerpts."""
    found = list(findings)
    places = {each.place for each in found}
    places |= {related.place for each in found for related in each.related}
    positions: dict[Place | None, Position] = {}
    excerpts: dict[Place | None, str] = {}
    for place in sorted(filter(None, places), key=lambda each: each.file):  # a tree at a time
        text = texts[place.file]
        positions[place] = locate(text, place.file, place.path, key=place.key)
        excerpts[place] = excerpt(text, positions[place])
    return [
        replace(
            each,
            place=None,
            position=positions[each.place],
            excerpt=excerpts[each.place],
            related=tuple(
                Related(message=related.message, position=positions[related.place])
                for related in each.related
            ),
        )
        for each in found
    ]


def comment_after(text: str, path: Path) -> str | None:
    """Return the comment that stands where the (empty) value at `path` should be, if one does."""
    steps = _follow(text, path)
    if len(steps) != len(path) + 1 or not steps[-1][1].is_empty:
        return None
    instead = comment(text, *steps[-1])
    return instead[2] if instead is not None else None


def item_lines(text: str, path: Path) -> list[int]:
    """Return the first line, from 1, of each item of the list at `path`."""
    node = _follow(text, path)[-1][1]
    return [item.line + 1 for item in _real(node).items]


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


def _place(text: str, file: str, path: Path, key: bool) -> Position:
    steps = _follow(text, path)
    found = len(steps) == len(path) + 1
    name, node = steps[-1]
    if found and not key:
        if not node.is_empty:
            return _position(text, file, node)
        instead = comment(text, name, node)
        if instead is not None:
            line, column, words = instead
            return Position(file=file, line=line + 1, column=column + 1, width=len(words))
    return _position(text, file, name if name is not None else _face(node))


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
    column, line = node.column, _line(text, node.line)
    end = node.end_column if node.end_line == node.line else len(line.rstrip())
    if end <= column:  # nothing is written: the character before is a colon or a dash
        column, end = max(0, min(column, len(line)) - 1), 0
    return Position(file=file, line=node.line + 1, column=column + 1, width=max(1, end - column))


def _line(text: str, number: int) -> str:
    """Return line `number`, from 0."""
    return lines(text)[number]
