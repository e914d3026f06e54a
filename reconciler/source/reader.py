"""One pass over the events of one text, straight to data.

No node tree is made (that costs eight times as much) and no positions are kept but one line for
each webhook: whoever has to point at something walks the text again (`nodes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import yaml

from reconciler.findings import Finding, Position
from reconciler.source.events import Parser
from reconciler.source.expansion import Expansion
from reconciler.source.faults import MAX_DEPTH, fault
from reconciler.source.scalars import NUMERIC, TOO_LARGE, WORDS, number

_OPEN: Final = object()
_MISSING: Final = object()
_WORD: Final = re.compile(r"\S+")
_HEADER_COMMENT: Final = re.compile(r"[|>][-+0-9]*#")


class Stopped(Exception):  # noqa: N818 - the error is the finding
    """Nothing further can be read sensibly; the finding that says why is noted."""


class Reader:
    """Reads one text, which `characters.decode` has passed, once.

    `document` may raise `Stopped`, or the parser's `yaml.YAMLError`. Afterwards `findings` has
    what is wrong, `usable` says whether the data is worth looking at all the same, `lines` has
    the first line (from 1) of each webhook, and `duplicates` says that some key is written twice.
    """

    def __init__(self, text: str, file: str, parser: Parser) -> None:
        self.lines: list[int] = []
        self.findings: list[Finding] = []
        self.usable = True
        self.duplicates = False
        self._text = text
        self._file = file
        self._parser = parser(text)
        self._next: Callable[[], Any] = self._parser.get_event
        self._keys: dict[str, str] = {}  # plain keys known to be text; equal ones become one
        self._strings: dict[str, str] = {}
        self._anchors: dict[str, Any] = {}
        self._expansion = Expansion(len(text))

    def close(self) -> None:
        """Let the parser go."""
        self._parser.dispose()

    def document(self) -> dict[str, Any]:
        """Return the data of the one document that the text must be."""
        self._next()  # the stream's start
        start = self._next()
        root = start if isinstance(start, yaml.StreamEndEvent) else self._next()
        if root is start or (
            isinstance(root, yaml.ScalarEvent)
            and not root.style
            and root.tag is None
            and WORDS.get(root.value, root) is None
        ):
            self._note("empty-document", Position(file=self._file, line=1))
            raise Stopped
        if not isinstance(root, yaml.MappingStartEvent):
            raise self._stop("root-not-mapping", root)
        data = self._mapping(root, 1)
        self._next()  # the document's end
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._stop("several-documents", end)
        return data

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[dict[str, Any]] | None = None
        if start.tag is not None or start.anchor is not None or depth > MAX_DEPTH:
            self._open(start, depth)
        following, keys = self._next, self._keys
        while (event := following()).__class__ is not yaml.MappingEndEvent:
            key = None
            if event.__class__ is yaml.ScalarEvent and not event.style:
                key = keys.get(event.value)
            if key is None or event.tag is not None or event.anchor is not None:
                if event.__class__ is yaml.ScalarEvent and event.value == "<<" and not event.style:
                    merged = self._merge(event, depth, merged)
                    continue
                key = self._key(event, depth)
            event = following()
            if depth == 1 and key == "webhooks":
                value = self._webhooks(event, key in data)
            elif event.__class__ is yaml.ScalarEvent:
                value = self._scalar(event)
            else:
                value = self._collection(event, depth + 1)
            if key is None:
                continue
            if key in data:
                self.duplicates = True
            else:
                data[key] = value
        for other in merged or ():
            for key, value in other.items():
                data.setdefault(key, value)
        if merged and depth == 1 and not self.lines and "webhooks" in data:
            self.lines = self._lines_elsewhere()
        if start.anchor is not None:
            self._anchors[start.anchor] = data
        return data

    def _sequence(self, start: Any, depth: int, lines: list[int] | None = None) -> list[Any]:
        data: list[Any] = []
        if start.tag is not None or start.anchor is not None or depth > MAX_DEPTH:
            self._open(start, depth)
        following, strings = self._next, self._strings
        while (event := following()).__class__ is not yaml.SequenceEndEvent:
            if lines is not None:
                lines.append(event.start_mark.line + 1)
            if event.__class__ is yaml.ScalarEvent:
                value = self._scalar(event)
                data.append(strings.setdefault(value, value) if value.__class__ is str else value)
            else:
                data.append(self._collection(event, depth + 1))
        if start.anchor is not None:
            self._anchors[start.anchor] = data
        return data

    def _webhooks(self, event: Any, again: bool) -> Any:
        """Read the value of the root's `webhooks`, noting where each item starts."""
        if event.__class__ is yaml.ScalarEvent:
            return self._scalar(event)
        if event.__class__ is yaml.SequenceStartEvent:
            return self._sequence(event, 2, None if again else self.lines)
        value = self._collection(event, 2)
        if isinstance(value, list) and not again:
            self.lines = self._lines_elsewhere()
        return value

    def _lines_elsewhere(self) -> list[int]:
        """Return where each webhook starts if an alias or a merge brings their list."""
        from reconciler.source.locate import item_lines

        return item_lines(self._text, ("webhooks",))

    def _collection(self, event: Any, depth: int) -> Any:
        """Read the mapping, list or alias that starts with `event`."""
        if event.__class__ is yaml.MappingStartEvent:
            return self._mapping(event, depth)
        if event.__class__ is yaml.SequenceStartEvent:
            return self._sequence(event, depth)
        return self._alias(event, depth)

    def _scalar(self, event: Any) -> Any:
        value: Any = event.value
        style = event.style
        if not style:
            if value[:1] not in NUMERIC:
                value = WORDS.get(value, value)
            elif (value := number(value)) is TOO_LARGE:
                self._report("number-too-large", event)
        elif style in "|>":
            self._check_header(event)
        if event.tag is not None:
            self._tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _check_header(self, event: Any) -> None:
        """Refuse a comment glued to the | or >: libyaml takes it, the pure parser does not."""
        match = _HEADER_COMMENT.match(self._text, event.start_mark.index)
        if match is not None:
            start = event.start_mark
            column = start.column + match.end() - start.index
            self._note("yaml-syntax", Position(file=self._file, line=start.line + 1, column=column))

    def _key(self, event: Any, depth: int) -> str | None:
        """Read a key that is not yet known; None if it is no text."""
        if event.__class__ is yaml.ScalarEvent:
            key = self._scalar(event)
            if key.__class__ is str:
                known = self._strings if event.style else self._keys
                return known.setdefault(key, key)
        else:
            self._collection(event, depth + 1)
        self.findings.append(fault("key-not-text", self._position(event)))
        return None

    def _open(self, start: Any, depth: int) -> None:
        """Check what few collections have: too many parents, a tag, an anchor."""
        if depth > MAX_DEPTH:
            raise self._stop("too-deep", start)
        if start.tag is not None:
            self._tag(start)
        if start.anchor is not None:
            self._anchors[start.anchor] = _OPEN

    def _alias(self, event: Any, depth: int) -> Any:
        value = self._anchors.get(event.anchor, _MISSING)
        if value is _MISSING:
            raise self._stop("unknown-alias", event)
        if value is _OPEN:
            raise self._stop("alias-cycle", event)
        if not self._expansion.spend(value):
            raise self._stop("alias-expansion", event)
        if depth - 1 + self._expansion.height(value) > MAX_DEPTH:
            raise self._stop("too-deep", event)
        return value

    def _merge(
        self, key: Any, depth: int, before: list[dict[str, Any]] | None
    ) -> list[dict[str, Any]]:
        """Read the value of a `<<` and return the mappings to merge, the strongest first."""
        if key.tag is not None:
            self._tag(key)
        event = self._next()
        scalar = event.__class__ is yaml.ScalarEvent
        value = self._scalar(event) if scalar else self._collection(event, depth + 1)
        if before is not None:
            self._report("merge", key)
            return before
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(each, dict) for each in mappings):
            return mappings
        self._report("merge", event)
        return []

    def _tag(self, event: Any) -> None:
        word = _WORD.match(self._text, event.start_mark.index)
        width = len(word[0]) if word is not None else 1
        self._note("tag", replace(self._position(event), width=width))

    def _position(self, event: Any) -> Position:
        start, end = event.start_mark, event.end_mark
        column, width = start.column, 1
        if end.line == start.line:
            width = max(1, end.column - column)
            if end.column == column:  # nothing is written: what stands before it
                column = max(0, column - 1)
        return Position(file=self._file, line=start.line + 1, column=column + 1, width=width)

    def _note(self, rule: str, position: Position) -> None:
        """Note an error that leaves the data unusable."""
        self.usable = False
        self.findings.append(fault(rule, position))

    def _report(self, rule: str, event: Any) -> None:
        self._note(rule, self._position(event))

    def _stop(self, rule: str, event: Any) -> Stopped:
        self._report(rule, event)
        return Stopped()
