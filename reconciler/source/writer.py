"""Write YAML, and edit YAML files at the positions of their values.

An edited file keeps its comments and layout byte for byte. An edit names a value by its path in the
data. It replaces, inserts or removes only the text of that value, or the lines of list items. What
cannot be edited without a guess about the author's intention, such as a value behind an alias, is
refused with the reason.

The result is not checked here: `workflow/accepting.py` plans again before a file is written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import yaml

from reconciler.findings import without_commands
from reconciler.model import DataPath
from reconciler.source.nodes import Node, nodes

_Comment: TypeAlias = Callable[[DataPath], str]
"""Returns the comment for the value at a path, or an empty text."""

# Text that needs no quotes: it starts with a letter, so it is no number, date or indicator.
_BARE: Final = re.compile(r"[^\W\d_]\w*(?:[ ./-]\w+)*|https?://[\w.-]+(?:/[\w./-]*)?")
# Words that some YAML readers read as a boolean or null.
_SPECIAL: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Control, format and unpaired characters, private and unassigned ones, line separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def yaml_text(data: Mapping[str, Any], comment: _Comment = lambda path: "") -> str:
    """Return the data of a file as YAML.

    The comment for a webhook is above it, that for a list of several lines after its key, others
    after the value. A value that contains comments is not written on one line.
    """
    return "".join(f"{line}\n" for line in _mapping(data, comment, ()))


def item_lines(items: Sequence[Any], comment: _Comment = lambda path: "") -> Iterator[str]:
    """Yield the lines of items of `webhooks`, with their dashes in the first column."""
    return _list(items, comment, ("webhooks",))


def _mapping(data: Mapping[str, Any], comment: _Comment, path: DataPath) -> Iterator[str]:
    """Yield the lines of a mapping; a value that fits is on the line of its key."""
    for key, value in data.items():
        inner_path = (*path, key)
        note = _trailing_comment(comment(inner_path))
        is_section = not path and key in ("defaults", "webhooks")
        if is_section:
            yield ""
        if not (is_section and value) and _fits(key, value, comment, inner_path):
            yield f"{key}: {inline(value)}{note}"
            continue
        if isinstance(value, list):
            lines = _list(value, comment, inner_path)
        else:
            lines = _mapping(value, comment, inner_path)
            note = ""
        yield f"{key}:{note}"
        for line in lines:
            yield f"  {line}".rstrip()


def _fits(key: str, value: Any, comment: _Comment, path: DataPath) -> bool:
    """Return whether a value fits on the line of its key; values with comments do not."""
    if not isinstance(value, (dict, list)) or not value:
        return True
    parts = value if isinstance(value, dict) else range(len(value))
    width = len(key) + len(inline(value)) + 2 * len(path)
    return width <= 80 and not any(comment((*path, part)) for part in parts)


def _list(data: Sequence[Any], comment: _Comment, path: DataPath) -> Iterator[str]:
    """Yield the lines of a list, with blank lines between mappings."""
    for number, item in enumerate(data):
        note = comment((*path, number))
        if not isinstance(item, dict):
            yield f"- {inline(item)}{_trailing_comment(note)}"
            continue
        if number:
            yield ""
        if note:
            yield f"# {escaped(note)}"
        indent = "- "
        for line in _mapping(item, comment, (*path, number)):
            yield f"{indent}{line}"
            indent = "  "


def _trailing_comment(comment: str) -> str:
    return f"  # {escaped(comment)}" if comment else ""


def inline(value: Any) -> str:
    """Return a value as YAML on one line, readable in block and flow style."""
    match value:
        # A bool is an int, and YAML's words are in lower case.
        case bool() | int():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(inline, value))}]"
        case dict():
            pairs = (f"{key}: {inline(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return scalar(value)


def scalar(text: str) -> str:
    """Return `text` as a YAML scalar that is read back unchanged, in block and flow style."""
    if _BARE.fullmatch(text) and text.casefold() not in _SPECIAL and text.isprintable():
        return text
    # Double quotes are the only form of YAML with escapes for characters that are not shown.
    quoted = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped(quoted)}"'


def escaped(text: str) -> str:
    """Return text on one line, without characters that are not shown and without commands."""
    return without_commands("".join(map(_escaped_char, text)))


def _escaped_char(char: str) -> str:
    if unicodedata.category(char) in _UNSEEN or (char.isspace() and char != " "):
        code = ord(char)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return char


# Edits

_BLOCK_SCALARS: Final = ("|", ">")
_FLOW: Final = "["


class NotEditableError(Exception):
    """A value cannot be edited in place; the message is the reason."""


class SetValue(NamedTuple):
    """Set the text or flag at `path`. A missing key is added to its mapping, with any data."""

    path: DataPath
    value: Any


class Item(NamedTuple):
    """A new item of a list: text or a mapping, with the comment above it."""

    data: Any
    comment: str = ""


class ChangeItems(NamedTuple):
    """Remove the items of a list at the indexes `removed`, and add others at its end.

    The comment directly above a removed item is removed, too.
    """

    path: DataPath
    removed: frozenset[int] = frozenset()
    added: tuple[Item, ...] = ()


Edit: TypeAlias = SetValue | ChangeItems


class _Replacement(NamedTuple):
    """The text from `start` to `end` (exclusive) becomes `text`."""

    start: int
    end: int
    text: str


def edit_file(raw: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the file with all edits. Their paths are those of the file before any of them.

    Raises NotEditableError if one of them is not possible.
    """
    # A byte order mark is put back: an edit keeps all other bytes.
    body = raw.removeprefix(b"\xef\xbb\xbf")
    source = _source(body.decode("utf-8"))
    replacements: list[_Replacement] = []
    lists: dict[DataPath, ChangeItems] = {}
    for edit in edits:
        if isinstance(edit, SetValue):
            replacements.append(_set_value(source, edit))
            continue
        # Edits of one list are one change, because an emptied list needs brackets.
        others = lists.get(edit.path, ChangeItems(edit.path))
        removed, added = others.removed | edit.removed, (*others.added, *edit.added)
        lists[edit.path] = ChangeItems(edit.path, removed, added)
    for change in lists.values():
        replacements += _change_items(source, change)
    return raw[: len(raw) - len(body)] + source.with_replacements(replacements).encode("utf-8")


def unified_diff(name: str, before: bytes, after: bytes) -> str:
    """Return the difference as a patch that `git apply` accepts."""
    import difflib  # it takes longer to load than most edits

    old, new = (text.decode("utf-8").splitlines(keepends=True) for text in (before, after))
    lines = []
    for line in difflib.unified_diff(old, new, _in_patch(f"a/{name}"), _in_patch(f"b/{name}")):
        lines.append(line)
        if not line.endswith("\n"):
            lines.append("\n\\ No newline at end of file\n")
    return "".join(lines)


def _in_patch(path: str) -> str:
    """Return a path as git writes it: in quotes if it has characters that no output shows."""
    if path.isprintable():
        return path
    encoded = path.encode(errors="surrogateescape")
    octal = re.sub(rb"[^\w ./-]", lambda byte: b"\\%03o" % byte[0][0], encoded)
    return f'"{octal.decode("ascii")}"'


class _Source:
    """The text of a file with its nodes. Offsets count characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.root = nodes(text)[-1]  # the file was loaded before

    def follow(self, path: DataPath) -> tuple[Node, DataPath]:
        """Return the last node of a path that exists, and the rest of the path."""
        node = self.root
        for depth, step in enumerate(path):
            child = _child(node, step)
            if child is None:
                return node, path[depth:]
            if child.is_shared or child.target is not None:
                raise NotEditableError("its declaration is shared through a YAML alias")
            node = child
        return node, ()

    def refuse_anchor(self, node: Node) -> None:
        """Raise NotEditableError if a value has an anchor, where it starts."""
        if self.text[node.start.index : node.start.index + 1] in ("&", "!"):
            raise NotEditableError("its declaration has a YAML anchor or tag")

    def line_start(self, offset: int) -> int:
        """Return where the line of an offset starts."""
        return self.text.rfind("\n", 0, offset) + 1

    def next_line(self, offset: int) -> int:
        """Return where the line after that of an offset starts; the end of a text without one."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end + 1

    def is_blank(self, offset: int) -> bool:
        """Return whether the line that starts at an offset is blank, or after the last one."""
        return not self.text[offset : self.next_line(offset)].strip()

    def insert_lines(self, offset: int, lines: Iterable[str]) -> _Replacement:
        """Return the insertion of lines at the start of a line, or at the end of the text."""
        text = "".join(f"{line}{self.newline}" for line in lines)
        # A file without a line break at its end stays one.
        if offset == len(self.text) and not self.text.endswith("\n"):
            text = self.newline + text.removesuffix(self.newline)
        return _Replacement(offset, offset, text)

    def with_replacements(self, replacements: Iterable[_Replacement]) -> str:
        """Return the text with all replacements."""
        parts, position = list[str](), 0
        # Insertions at one place keep their order: the keys of a last entry, then new entries.
        for start, end, text in sorted(replacements, key=itemgetter(0, 1)):
            if start < position:
                raise NotEditableError("its declaration overlaps with another edit")
            parts += [self.text[position:start], text]
            position = end
        return "".join((*parts, self.text[position:]))


_source = lru_cache(maxsize=64)(_Source)
"""Parsing takes longer than an edit, and proposals for a file are first tried one by one."""


def _child(node: Node, step: str | int) -> Node | None:
    """Return the value of a key, or an item; merged keys are written elsewhere."""
    if node.form is yaml.SequenceStartEvent and isinstance(step, int):
        return node.items[step]
    if node.form is not yaml.MappingStartEvent:
        return None
    is_merging = False
    for key, value in node.pairs():
        if key.text == step:
            return value
        is_merging = is_merging or key.is_merge
    if is_merging:
        raise NotEditableError("its declaration may come from a merge key (`<<`)")
    return None


def _last_content(node: Node) -> int:
    """Return the offset after the last character of a value.

    A block collection ends where the next token starts, after comments and blank lines.
    """
    while node.items and node.style != _FLOW:
        node = node.items[-1]
    if node.style in _BLOCK_SCALARS:
        raise NotEditableError("its declaration is next to a block scalar (`|` or `>`)")
    end: int = node.end.index
    return end


def _set_value(source: _Source, edit: SetValue) -> _Replacement:
    node, missing = source.follow(edit.path)
    text = inline(edit.value)
    if missing:
        return _insert_key(source, node, missing, text)
    if node.form is not yaml.ScalarEvent or node.style in _BLOCK_SCALARS:
        raise NotEditableError("its declaration is not text on one line")
    source.refuse_anchor(node)
    # The author's kind of quotes stays if it can express the value.
    if isinstance(edit.value, str) and node.style == "'" and edit.value.isprintable():
        text = "'{}'".format(edit.value.replace("'", "''"))
    elif isinstance(edit.value, str) and node.style == '"' and not text.startswith('"'):
        text = f'"{text}"'
    return _Replacement(node.start.index, node.end.index, text)


def _insert_key(source: _Source, mapping: Node, path: DataPath, text: str) -> _Replacement:
    """Add a key at the end of the mapping that should have it."""
    if mapping.form is not yaml.MappingStartEvent or not mapping.items or len(path) > 1:
        raise NotEditableError("its declaration is not in a mapping that can be extended")
    addition = f"{path[0]}: {text}"
    last = _last_content(mapping.items[-1])
    if mapping.style == _FLOW:
        return _Replacement(last, last, f", {addition}")
    column = mapping.items[0].start.column
    return source.insert_lines(source.next_line(last), [f"{' ' * column}{addition}"])


# Lists


def _change_items(source: _Source, change: ChangeItems) -> Iterator[_Replacement]:
    node, missing = source.follow(change.path)
    if missing and source.root.style != _FLOW:
        yield source.insert_lines(len(source.text), (f"{missing[0]}:", *_lines(change.added)))
        return
    if node.form is not yaml.SequenceStartEvent:
        raise NotEditableError("its declaration is not a list")
    source.refuse_anchor(node)
    if node.style != _FLOW:
        yield from _change_block_list(source, node, change)
    elif not node.items and source.root.style != _FLOW:
        # An empty list becomes a block list.
        text = "".join(f"{source.newline}{line}" for line in _lines(change.added))
        # Without the space after the key, which would end its line.
        start = len(source.text[: node.start.index].rstrip(" "))
        yield _Replacement(start, node.end.index, text)
    else:
        yield from _change_flow_list(node, change)


def _change_flow_list(node: Node, change: ChangeItems) -> Iterator[_Replacement]:
    """Yield the changes of a list in brackets: each item is removed with one comma."""
    items = node.items
    added = [inline(item.data) for item in change.added]
    kept = [index for index in range(len(items)) if index not in change.removed]
    if any(item.comment for item in change.added):
        raise NotEditableError(
            "its list is in brackets, which has no place for the comment about its token"
        )
    if not kept:
        yield _Replacement(node.start.index + 1, node.end.index - 1, ", ".join(added))
        return
    for index in change.removed:
        # The comma before an item is removed with it; at the start of the list, the one after it.
        if index > kept[0]:
            start, end = items[index - 1].end.index, items[index].end.index
        else:
            start, end = items[index].start.index, items[index + 1].start.index
        yield _Replacement(start, end, "")
    end = items[kept[-1]].end.index
    yield _Replacement(end, end, "".join(f", {text}" for text in added))


def _change_block_list(source: _Source, node: Node, change: ChangeItems) -> Iterator[_Replacement]:
    items, column = node.items, node.start.column
    ranges = [_item_lines(source, item, column) for item in items]
    for index in change.removed:
        yield _without_lines(source, *ranges[index])
    if len(change.removed) == len(items) and not change.added:
        # An empty value would be null: the key needs an empty list.
        parent, _ = source.follow(change.path[:-1])
        key = next(key for key, value in parent.pairs() if value is node)
        colon = source.text.index(":", key.end.index) + 1
        yield _Replacement(colon, colon, " []")
    if not change.added:
        return
    last_start, end = ranges[-1]
    first = items[0]
    lines = _lines(change.added, column)
    if first.form is yaml.MappingStartEvent:
        # The style of the list: the columns after a dash, and blank lines between its items.
        lines = _lines(change.added, column, first.start.column - column)
        # A single item that stays does not show the style: a blank line is that of new files.
        is_single = len(items) == 1 and not change.removed
        if is_single or source.is_blank(source.line_start(last_start - 1)):
            lines = ["", *lines]
    yield source.insert_lines(end, lines)


def _without_lines(source: _Source, start: int, end: int) -> _Replacement:
    """Return the removal of lines; of two blank lines around them one stays."""
    above = source.line_start(max(0, start - 1))
    if source.is_blank(above) and source.is_blank(end):
        start = above
    return _Replacement(start, end, "")


def _item_lines(source: _Source, item: Node, column: int) -> tuple[int, int]:
    """Return the range of the lines of an item, with the comment directly above it.

    `column` is that of the dashes.
    """
    start = source.line_start(item.start.index)
    # The dash may be on an earlier line than the value.
    while source.text[start : start + column + 1] != f"{' ' * column}-":
        if start == 0 or source.text[start : start + column].strip():
            raise NotEditableError("its declaration does not start on a separate line")
        start = source.line_start(start - 1)
    while start > 0:
        above = source.line_start(start - 1)
        if not source.text.startswith(f"{' ' * column}#", above):
            break
        start = above
    return start, source.next_line(_last_content(item))


def _lines(items: Sequence[Item], column: int = 2, step: int = 2) -> list[str]:
    """Return the lines of new items, with dashes at `column` and `step` columns for each level."""

    def comment(path: DataPath) -> str:
        return items[int(path[1])].comment if len(path) == 2 else ""

    lines = []
    for line in item_lines([item.data for item in items], comment):
        content = line.lstrip(" ")
        depth = (len(line) - len(content)) // 2
        if content.startswith("- ") and depth == 0:
            content = f"-{' ' * (step - 1)}{content[2:]}"
        lines.append(f"{' ' * (column + depth * step)}{content}" if content else "")
    return lines
