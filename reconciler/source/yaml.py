"""Parse strict YAML into plain data and findings, in one pass over the parser's events.

`yaml.safe_load` is not strict enough for a file in which a mistake can delete webhooks: it keeps
the last of two equal keys, reads `on` as true and 0777 as 511, and expands aliases without limit.
`parse` refuses everything that two readers could interpret differently, and never raises.

Scalars follow the words of YAML 1.2 and the numbers of JSON; everything else is text. So `on`,
`yes`, `0777`, `12:30` and dates are text, as users expect for names and channels. Aliases and `<<`
work as in docker compose: the first of several merged mappings wins, explicit keys override all.

No node tree is built, which would take eight times as long, and few positions are kept:
`position.py` parses the text again to locate an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import getitem
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import yaml

from reconciler.findings import Finding, Place, Position, error
from reconciler.model import DataPath
from reconciler.source.schema import holds
from reconciler.source.syntax import FAULTS, MAX_DEPTH, PARSER, explain
from reconciler.source.text import decode

_MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

_WORDS: Final[Mapping[str, Any]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The scalars that are not text; the empty one is an empty value."""

_NUMERIC: Final = frozenset("-0123456789")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
LISTED: Final = ("webhooks", "ignore", "protect")
"""Lists of the root whose items get positions."""
UNITED: Final = frozenset({"ignore", "protect", "previously"})
"""Lists that an overlay adds to instead of replacing them."""


class Layers(NamedTuple):
    """The files that an overlay is merged from, and the entries that its webhooks are merged from.

    `files` are the documents as written, by name, the highest precedence first: the overlay itself.
    `webhooks` has the entries of each merged webhook, as file and index, in the same order.
    """

    files: Mapping[str, Document]
    webhooks: tuple[tuple[tuple[str, int], ...], ...] = ()


class Document(NamedTuple):
    """One parsed file.

    `text` is the file without byte order mark, with `\\n` as line breaks, including the last line;
    empty if it is not text. `data` contains only dict (with text keys), list, str, bool, int, float
    and None. Aliases share objects, so treat it as read-only. It is empty if the file is not
    `usable`. `items` has the position of each item of the root's `webhooks`, `ignore` and
    `protect`. `findings` has all errors, unordered. The first of two equal keys counts. An
    overlay has the data of its `layers`, merged.
    """

    file: str
    text: str
    data: dict[str, Any]
    usable: bool = True
    items: Mapping[str, list[Position]] = MappingProxyType({})
    findings: tuple[Finding, ...] = ()
    layers: Layers | None = None

    def __repr__(self) -> str:
        return f"Document({self.file!r})"  # the content may have secrets

    @property
    def parents(self) -> tuple[Document, ...]:
        """The files that an overlay extends, as written, the highest precedence first."""
        return tuple(self.layers.files.values())[1:] if self.layers is not None else ()

    def written_at(self, path: DataPath) -> Place:
        """Return the file, perhaps a parent, and the path where the value at `path` is written."""
        return next(self.sources(path), Place(self.file, ()))

    def sources(self, path: DataPath) -> Iterator[Place]:
        """Yield where a value is written, followed by the values in parents that it overrides.

        For a missing value, these are the places of the mapping that it belongs to.
        """
        length = len(path)
        while not holds(self.data, path[:length]):
            length -= 1
        known, missing = path[:length], path[length:]
        for document, layer_path in self._in_layers(known):
            if holds(document.data, layer_path):
                yield Place(document.file, (*layer_path, *missing))

    def _in_layers(self, path: DataPath) -> Iterator[tuple[Document, DataPath]]:
        """Yield the path in each layer that may write the value at `path` of the merged data."""
        layers = self.layers
        match path:
            case _ if layers is None:
                yield self, path
            case (str(key), int()) | ("webhooks", int(), str(key), int()) if key in UNITED:
                yield from self._united_item(path)
            case ("webhooks", int(number), *rest):
                for file, index in layers.webhooks[number]:
                    yield layers.files[file], ("webhooks", index, *rest)
            case _:
                yield from ((document, path) for document in layers.files.values())

    def _united_item(self, path: DataPath) -> Iterator[tuple[Document, DataPath]]:
        """Yield the path of an item in the lowest layer that has it in its list."""
        item = value_at(self.data, path)
        for document, list_path in reversed([*self._in_layers(path[:-1])]):
            listed = holds(document.data, list_path) and value_at(document.data, list_path)
            if isinstance(listed, list) and item in listed:
                yield document, (*list_path, listed.index(item))
                return

    @property
    def webhooks(self) -> list[Any]:
        """The items of `webhooks`, in any form; empty without a list."""
        listed = self.data.get("webhooks")
        return listed if isinstance(listed, list) else []


def value_at(data: Any, path: DataPath) -> Any:
    """Return the value at a path of data."""
    return reduce(getitem, path, data)


def parse(raw: bytes, file: str, *, parser: Any = PARSER) -> Document:
    """Parse one file. Never raises."""
    text, problem = decode(raw, file)
    if problem is not None:
        return Document(file=file, text=text, data={}, usable=False, findings=(problem,))
    reader = _Reader(text, file, parser)
    data: dict[str, Any] = {}
    try:
        data = reader.document()
    except _Stopped:
        pass
    except yaml.MarkedYAMLError as cause:
        reader.findings.append(explain(cause, text, file))
    usable = not reader.findings
    data = data if usable else {}
    listed = [key for key in LISTED if isinstance(data.get(key), list)]
    if reader.duplicates:
        from reconciler.source.position import duplicate_keys  # only for an error

        reader.findings += duplicate_keys(text, file)
    return Document(
        file=file,
        text=text,
        data=data,
        usable=usable,
        items={key: reader.positions[id(data[key])] for key in listed},
        findings=tuple(reader.findings),
    )


class _Stopped(Exception):  # noqa: N818 - the error is the finding
    """Parsing cannot continue; the finding with the reason is recorded."""


class _Reader:
    """Reads one text that `ambiguity` accepts; use it once.

    `document` may raise `_Stopped`, or the parser's `yaml.YAMLError`. Afterwards `findings` has the
    errors; if there are any, do not use the data. `positions` has the positions of the items of
    lists that may be `LISTED`, by their ids, and `duplicates` is true if a key is written twice.
    """

    def __init__(self, text: str, file: str, parser: Any) -> None:
        self.positions: dict[int, list[Position]] = {}
        self.findings: list[Finding] = []
        self.duplicates = False
        self._file = file
        self._next: Callable[[], Any] = parser(text).get_event
        self._keys: dict[str, str] = {}  # plain keys known to be text; equal ones share one object
        self._strings: dict[str, str] = {}
        self._anchors: dict[str, Any] = {}
        # The limit for the expansion of aliases: enough for any real file. 300 bytes of nested
        # aliases can expand to a billion nodes, and traversing them would never end.
        self._room = 100_000 + 4 * len(text)
        # By id; the value is stored with its measures, so that its id is not reused.
        self._sizes: dict[int, tuple[int, int, Any]] = {}

    def document(self) -> dict[str, Any]:
        """Return the data of the text, which must be a single document."""
        self._next()  # the stream's start
        start = self._next()
        data: Any = None
        if not isinstance(start, yaml.StreamEndEvent):
            start = self._next()
            data = self._value(start, 1)
            self._next()  # the document's end, or a syntax error, which explains more
        if data is None:
            raise self._stop("empty-document", Position(file=self._file, line=1))
        if not isinstance(data, dict):
            raise self._stop("root-not-mapping", self._position(start))
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._stop("several-documents", self._position(end))
        return data

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        self._check_collection(start, depth)
        # Local names and a lookup in place of a call: this loop sees every key of the file.
        next_event, keys = self._next, self._keys
        while (event := next_event()).__class__ is not yaml.MappingEndEvent:
            is_plain = event.__class__ is yaml.ScalarEvent and not event.style
            key = keys.get(event.value) if is_plain else None
            if key is None or event.tag is not None or event.anchor is not None:
                if is_plain and event.value == "<<":
                    merged += self._merge(event, depth, is_second=bool(merged))
                    continue
                key = self._key(event, depth)
            value = self._value(next_event(), depth + 1, listed=key in LISTED)
            if key in data:
                self.duplicates = True
            else:
                data[key] = value
        for other in merged:
            for key, value in other.items():
                data.setdefault(key, value)
        if start.anchor is not None:
            self._anchors[start.anchor] = data
        return data

    def _sequence(self, start: Any, depth: int, *, listed: bool) -> list[Any]:
        data: list[Any] = []
        positions: list[Position] | None = None
        if listed or start.anchor is not None:  # an alias of it may be a list of the root
            positions = self.positions[id(data)] = []
        self._check_collection(start, depth)
        next_event = self._next
        while (event := next_event()).__class__ is not yaml.SequenceEndEvent:
            if positions is not None:
                positions.append(self._position(event))
            data.append(self._value(event, depth + 1))
        if start.anchor is not None:
            self._anchors[start.anchor] = data
        return data

    def _value(self, event: Any, depth: int, *, listed: bool = False) -> Any:
        """Read the value that starts with `event`; `listed` lists keep the positions of items."""
        if event.__class__ is yaml.ScalarEvent:
            return self._scalar(event)
        if event.__class__ is yaml.MappingStartEvent:
            return self._mapping(event, depth)
        if event.__class__ is yaml.SequenceStartEvent:
            return self._sequence(event, depth, listed=listed)
        return self._alias(event, depth)

    def _scalar(self, event: Any) -> Any:
        value: Any = event.value
        if not event.style:
            if value[:1] not in _NUMERIC:
                value = _WORDS.get(value, value)
            elif _NUMBER.fullmatch(value):
                value = self._number(event)
        if event.tag is not None:
            self._record_error("tag", self._position(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return self._strings.setdefault(value, value) if value.__class__ is str else value

    def _number(self, event: Any) -> int | float:
        value = float(event.value)
        if abs(value) > _MAX_INTEGER:
            self._record_error("number-too-large", self._position(event))
            return 0
        # JSON Schema counts 1.0 as an integer, so the program must read it as one.
        return int(value) if value.is_integer() else value

    def _key(self, event: Any, depth: int) -> str:
        """Read a key that was not seen before; empty if it is not text."""
        key = self._value(event, depth + 1)
        if key.__class__ is str and event.__class__ is yaml.ScalarEvent:
            known = self._strings if event.style else self._keys
            return known.setdefault(key, key)
        self._record_error("key-not-text", self._position(event))
        return ""

    def _check_collection(self, start: Any, depth: int) -> None:
        """Check the rare properties of a collection: excessive depth, a tag, an anchor."""
        if depth > MAX_DEPTH:
            raise self._stop("too-deep", self._position(start))
        if start.tag is not None:
            self._record_error("tag", self._position(start))
        if start.anchor is not None:  # undefined inside its own value
            self._anchors.pop(start.anchor, None)

    def _alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self._anchors:
            raise self._stop("unknown-alias", self._position(event))
        value = self._anchors[event.anchor]
        size, height = self._measure(value)
        self._room -= size
        if self._room < 0 or depth - 1 + height > MAX_DEPTH:
            raise self._stop("alias-expansion", self._position(event))
        return value

    def _merge(self, key: Any, depth: int, *, is_second: bool) -> list[dict[str, Any]]:
        """Read the value of a `<<` and return the mappings to merge, highest priority first."""
        if key.tag is not None:
            self._record_error("tag", self._position(key))
        event = self._next()
        value = self._value(event, depth + 1)
        mappings = value if isinstance(value, list) else [value]
        if is_second or not all(isinstance(mapping, dict) for mapping in mappings):
            self._record_error("merge", self._position(event))
            return []
        return mappings

    def _position(self, event: Any) -> Position:
        start, end = event.start_mark, event.end_mark
        column, width = start.column, 1
        if end.line == start.line:
            width = max(1, end.column - column)
            if end.column == column:  # an empty value: the text before it
                column = max(0, column - 1)
        return Position(file=self._file, line=start.line + 1, column=column + 1, width=width)

    def _record_error(self, rule: str, position: Position) -> None:
        """Record an error, which makes the data unusable."""
        self.findings.append(error(rule, *FAULTS[rule], position))

    def _stop(self, rule: str, position: Position) -> _Stopped:
        self._record_error(rule, position)
        return _Stopped()

    def _measure(self, value: Any) -> tuple[int, int]:
        """Return the number of nodes of `value` with aliases expanded, and its depth."""
        if not isinstance(value, (dict, list)):
            return 1, 0
        if id(value) not in self._sizes:
            children = value.values() if isinstance(value, dict) else value
            sizes, heights = zip((0, 0), *map(self._measure, children), strict=True)
            self._sizes[id(value)] = 1 + sum(sizes), 1 + max(heights), value
        return self._sizes[id(value)][:2]
