"""Parse strict YAML into plain data and findings.

`yaml.safe_load` is not strict enough for a file in which a mistake can delete webhooks: it keeps
the last of two equal keys, reads `on` as true and 0777 as 511, and expands aliases without limit.
`parse` refuses everything that two readers could interpret differently, and never raises.

Scalars follow the words of YAML 1.2 and the numbers of JSON; everything else is text. So `on`,
`yes`, `0777`, `12:30` and dates are text, as users expect for names and channels. Aliases and `<<`
work as in docker compose: the first of several merged mappings wins, explicit keys override all.

Data is read in one pass over the parser's events, which keeps few positions: valid files need none.
`nodes.py` locates the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import yaml

from reconciler.findings import Finding, Position
from reconciler.source.document import LISTED, Document
from reconciler.source.nodes import duplicate_keys, position_of
from reconciler.source.syntax import MAX_DEPTH, PARSER, decode, explain, fault, position_at

_WORDS: Final[Mapping[str, Any]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The scalars that are not text; the empty one is an empty value."""

_TYPOGRAPHIC_QUOTES: Final = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab")
_NUMERIC: Final = frozenset("-0123456789")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def parse(raw: bytes, file: str, *, parser: Any = PARSER) -> Document:
    """Parse one file. Never raises."""
    # Organizations share their parents, and earlier revisions most files: each is parsed once. A
    # large file has few others beside it, and would take much memory in a process that never ends.
    if len(raw) <= 128 * 1024:
        return _parse_once(raw, file, parser)
    return _parse(raw, file, parser)


def _parse(raw: bytes, file: str, parser: Any) -> Document:
    text, problem = decode(raw, file)
    if problem is None and "\t" in text:
        problem = _misplaced_tab(text, file)
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
    if reader.duplicates:
        reader.findings += duplicate_keys(text, file)
    return Document(
        file=file,
        text=text,
        data=data,
        usable=usable,
        items={
            key: reader.positions[id(data[key])]
            for key in LISTED
            if isinstance(data.get(key), list)
        },
        findings=tuple(reader.findings),
    )


_parse_once = lru_cache(maxsize=128)(_parse)


def _misplaced_tab(text: str, file: str) -> Finding | None:
    """Return the error for the first tab outside of comments and of text in quotes or blocks."""
    last = text.rindex("\t")
    index = last + 1  # none
    try:
        # libyaml accepts some tabs between tokens, the pure parser none.
        for token in yaml.scan(text, yaml.SafeLoader):
            start, end = token.start_mark.index, token.end_mark.index
            if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
                # At the start of a line, it accepts one, and libyaml not always.
                leading = re.compile(r"(?m)^ *(\t)").search(text, start, end)
                if leading is not None:
                    index = leading.start(1)
                    break
            if start > last:
                break
    except yaml.MarkedYAMLError as cause:
        if cause.problem_mark is not None:
            index = cause.problem_mark.index
    if text[index : index + 1] != "\t":
        return None  # other errors are explained where the text is read
    return fault("tab", position_at(text, file, index))


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
            raise self._error("empty-document")
        if not isinstance(data, dict):
            if isinstance(start, yaml.ScalarEvent) and not start.style:
                self._next()  # the stream's end, or a syntax error: a first key without a colon
            raise self._error("root-not-mapping", start)
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._error("several-documents", end)
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
                positions.append(position_of(self._file, event.start_mark, event.end_mark))
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
            if value[:1] in _TYPOGRAPHIC_QUOTES:
                raise self._error("typographic-quote", event)
            if value[:1] not in _NUMERIC:
                value = _WORDS.get(value, value)
            elif _NUMBER.fullmatch(value):
                value = self._number(event)
        if event.tag is not None:
            self._error("tag", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return self._strings.setdefault(value, value) if value.__class__ is str else value

    def _number(self, event: Any) -> int | float:
        value = float(event.value)
        # Larger integers are not exact in every JSON reader.
        if abs(value) > 2**53 - 1:
            self._error("number-too-large", event)
            return 0
        # JSON Schema counts 1.0 as an integer, so the program must read it as one.
        return int(value) if value.is_integer() else value

    def _key(self, event: Any, depth: int) -> str:
        """Read a key that was not seen before; empty if it is not text."""
        key = self._value(event, depth + 1)
        if key.__class__ is str and event.__class__ is yaml.ScalarEvent:
            known = self._strings if event.style else self._keys
            return known.setdefault(key, key)
        self._error("key-not-text", event)
        return ""

    def _check_collection(self, start: Any, depth: int) -> None:
        """Check the rare properties of a collection: excessive depth, a tag, an anchor."""
        if depth > MAX_DEPTH:
            raise self._error("too-deep", start)
        if start.tag is not None:
            self._error("tag", start)
        if start.anchor is not None:  # undefined inside its own value
            self._anchors.pop(start.anchor, None)

    def _alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self._anchors:
            raise self._error("unknown-alias", event)
        value = self._anchors[event.anchor]
        size, height = self._measure(value)
        self._room -= size
        if self._room < 0 or depth - 1 + height > MAX_DEPTH:
            raise self._error("alias-expansion", event)
        return value

    def _merge(self, key: Any, depth: int, *, is_second: bool) -> list[dict[str, Any]]:
        """Read the value of a `<<` and return the mappings to merge, highest priority first."""
        if key.tag is not None:
            self._error("tag", key)
        event = self._next()
        value = self._value(event, depth + 1)
        mappings = value if isinstance(value, list) else [value]
        if is_second or not all(isinstance(mapping, dict) for mapping in mappings):
            self._error("merge", event)
            return []
        return mappings

    def _error(self, rule: str, event: Any = None) -> _Stopped:
        """Record an error at an event, else at the first line; it makes the data unusable."""
        position = Position(self._file, 1)
        if event is not None:
            position = position_of(self._file, event.start_mark, event.end_mark)
        self.findings.append(fault(rule, position))
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
