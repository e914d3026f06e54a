"""One pass over the events of one text, straight to data.

No node tree is made (that costs eight times as much) and no positions are kept but one line for
each webhook: whoever has to point at something walks the text again (`nodes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

from reconciler.findings import Finding, Position, Severity
from reconciler.source import characters
from reconciler.source.events import Parser
from reconciler.source.expansion import Expansion
from reconciler.source.scalars import NUMERIC, TOO_LARGE, WORDS, number

MAX_DEPTH: Final = 32
_OPEN: Final = object()
_MISSING: Final = object()
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
            raise self._stop(
                "empty-document",
                None,
                "the file is empty",
                "to declare that there are no webhooks, write `webhooks: []`",
            )
        if not isinstance(root, yaml.MappingStartEvent):
            raise self._stop(
                "root-not-mapping",
                root,
                "the file must be a mapping, with keys such as `webhooks:`",
            )
        data = self._mapping(root, 1)
        self._next()  # the document's end
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._stop(
                "several-documents",
                end,
                "a second document starts here",
                "put it into a file of its own",
            )
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
                self._report(
                    "number-too-large",
                    event,
                    "this number is too large to be kept exact",
                    "put it in quotes if it is text",
                )
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
        if match is None:
            return
        self.usable = False
        where = characters.place(self._text, self._file, match.end() - 1)
        self.findings.append(
            Finding(
                rule="yaml-syntax",
                severity=Severity.ERROR,
                message="nothing of this kind may follow the | or > of a text block",
                position=where,
                hint="start the text on the next line",
            )
        )

    def _key(self, event: Any, depth: int) -> str | None:
        """Read a key that is not yet known; None if it is no text."""
        if event.__class__ is yaml.ScalarEvent:
            key = self._scalar(event)
            if key.__class__ is str:
                known = self._strings if event.style else self._keys
                return known.setdefault(key, key)
        else:
            self._collection(event, depth + 1)
        self.findings.append(
            self._finding("key-not-text", event, "a key must be text", "put it in quotes")
        )
        return None

    def _open(self, start: Any, depth: int) -> None:
        """Check what few collections have: too many parents, a tag, an anchor."""
        if depth > MAX_DEPTH:
            raise self._stop("too-deep", start, f"nested more than {MAX_DEPTH} levels deep")
        if start.tag is not None:
            self._tag(start)
        if start.anchor is not None:
            self._anchors[start.anchor] = _OPEN

    def _alias(self, event: Any, depth: int) -> Any:
        value = self._anchors.get(event.anchor, _MISSING)
        if value is _MISSING:
            raise self._stop(
                "unknown-alias",
                event,
                "no anchor of this name stands above",
                'put the text in quotes if it is no alias, as in "*_deleted"',
            )
        if value is _OPEN:
            raise self._stop("alias-cycle", event, "this alias would make a value contain itself")
        if not self._expansion.spend(value):
            raise self._stop("alias-expansion", event, "aliases make the file grow without measure")
        if depth - 1 + self._expansion.height(value) > MAX_DEPTH:
            raise self._stop("too-deep", event, f"aliases nest more than {MAX_DEPTH} levels deep")
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
            self._report(
                "merge",
                key,
                "a mapping has one << at most",
                "merge several with a list: `<<: [*one, *two]`",
            )
            return before
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(each, dict) for each in mappings):
            return mappings
        self._report("merge", event, "<< takes a mapping or a list of mappings")
        return []

    def _tag(self, event: Any) -> None:
        self._report(
            "tag",
            event,
            "a tag (`!`) stands here, and files have none",
            "put the text in quotes if the ! belongs to it; a secret is written {env: NAME}",
        )

    def _finding(self, rule: str, event: Any, message: str, hint: str | None) -> Finding:
        line, column, width = 0, 0, 1
        if event is not None:
            start, end = event.start_mark, event.end_mark
            line, column = start.line, start.column
            width = max(1, end.column - column) if end.line == line else 1
            if end.column == column and end.line == line:  # nothing is written: what comes before
                column = max(0, column - 1)
        position = Position(file=self._file, line=line + 1, column=column + 1, width=width)
        return Finding(
            rule=rule, severity=Severity.ERROR, message=message, position=position, hint=hint
        )

    def _report(self, rule: str, event: Any, message: str, hint: str | None = None) -> None:
        """Note an error that leaves the data unusable."""
        self.usable = False
        self.findings.append(self._finding(rule, event, message, hint))

    def _stop(self, rule: str, event: Any, message: str, hint: str | None = None) -> Stopped:
        self._report(rule, event, message, hint)
        return Stopped()
