"""From bytes to text that every YAML parser reads alike.

What is refused here is refused because two readers of the same file would see different things:
an editor and a parser, a reviewer and a parser, or libyaml and the pure parser. Everything that
passes is UTF-8, has `\\n` as its only line break, and holds no control character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from reconciler.findings import Finding, Position, Severity
from reconciler.source.faults import fault
from reconciler.source.files import MAX_FILE_BYTES

RULES: Final[Mapping[str, str]] = {
    "file-too-large": "A file has at most 64 MiB; split larger ones and give several `-f`.",
    "encoding": "Files are UTF-8, with or without a byte order mark.",
    "control-character": "No control characters, byte order marks or halves of surrogate pairs.",
    "line-break": "Lines end with LF or CR LF; nothing else may break a line.",
    "tab": "No tabs outside of comments: indent with spaces, write `\\t` in double quotes.",
    "directive": "No `%` directives besides `%YAML 1.2`.",
}

_BOM: Final = b"\xef\xbb\xbf"
_HARMLESS_ASCII: Final = bytes([*range(0x20, 0x7F), 0x0A, 0x0D, 0x09])
# Compiled when a file asks for it: in most, every character is plain ASCII.
_ODD: Final = (
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAKS: Final = frozenset("\x85\u2028\u2029")
_ESCAPE: Final = re.compile(
    r"\\(?:u|U0000)[dD][89a-fA-F][0-9a-fA-F]{2}|\\U(?!0010|000[0-9a-fA-F])[0-9a-fA-F]{8}"
)
# A tab is in a comment for sure only where nothing before the `#` can be a quotation.
_HARMLESS_TAB: Final = re.compile(r"""[^"'\t#]*(?:(?<=\s)|^)#""")
_DEEP: Final = ("[" * 100, "{" * 100)
_DIRECTIVE: Final = re.compile(r"^%(?!YAML 1\.2 *(?: #.*)?$)", re.MULTILINE)


def decode(raw: bytes, file: str) -> str | Finding:
    """Return the text of a file, ending in a line break, or the first thing wrong with it."""
    if len(raw) > MAX_FILE_BYTES:
        return _finding(
            "file-too-large",
            f"the file is larger than {MAX_FILE_BYTES // (1024 * 1024)} MiB",
            Position(file=file, line=1),
            hint="split it and give each part with -f",
        )
    # Without a mark too: the first character of a file of ours is ASCII, the other half a NUL.
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw[:2].count(0) == 1:
        return _finding(
            "encoding",
            "the file is UTF-16, not UTF-8",
            Position(file=file, line=1),
            hint="save it as UTF-8",
        )
    body = raw.removeprefix(_BOM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(body, error.start, file)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    plain = text.isascii()
    if not plain or body.translate(None, _HARMLESS_ASCII) or "\r" in text:
        found = _odd_character(text, file)
        if found is not None:
            return found
    for check in _CHECKS:
        found = check(text, file)
        if found is not None:
            return found
    return text


def place(text: str, file: str, index: int, width: int = 1) -> Position:
    """Return the position of the character at `index` of `text`."""
    start = text.rfind("\n", 0, index) + 1
    return Position(
        file=file, line=text.count("\n", 0, index) + 1, column=index - start + 1, width=width
    )


def _finding(rule: str, message: str, position: Position, *, hint: str) -> Finding:
    return Finding(
        rule=rule, severity=Severity.ERROR, message=message, position=position, hint=hint
    )


def _not_utf8(body: bytes, start: int, file: str) -> Finding:
    before = body[:start]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode("utf-8", "replace")) + 1
    position = Position(file=file, line=before.count(b"\n") + 1, column=column)
    return _finding("encoding", "the file is not UTF-8", position, hint="save it as UTF-8")


def _odd_character(text: str, file: str) -> Finding | None:
    index = text.find("\r")
    match = re.search(_ODD, text)
    if index < 0 or (match is not None and match.start() < index):
        if match is None:
            return None
        index = match.start()
    character = text[index]
    name = f"U+{ord(character):04X}"
    if character == "\r" or character in _BREAKS:
        return _finding(
            "line-break",
            f"{name} breaks a line where no editor shows one",
            place(text, file, index),
            hint="end lines with LF or CR LF",
        )
    return _finding(
        "control-character",
        f"the character {name} cannot stand in the file",
        place(text, file, index),
        hint="delete it",
    )


def _escape(text: str, file: str) -> Finding | None:
    match = _ESCAPE.search(text) if "\\" in text else None
    if match is None:
        return None
    return _finding(
        "control-character",
        "this escape is no character of its own",
        place(text, file, match.start(), len(match[0])),
        hint="write the character itself instead of a pair of \\u escapes",
    )


def _tab(text: str, file: str) -> Finding | None:
    index = text.find("\t")
    while index >= 0:
        start = text.rfind("\n", 0, index) + 1
        end = text.index("\n", index)
        if _HARMLESS_TAB.match(text, start, index) is None:
            return _finding(
                "tab",
                "a tab stands where YAML readers disagree about it",
                place(text, file, index),
                hint='indent with spaces; in double quotes write "\\t"',
            )
        index = text.find("\t", end)
    return None


def _directive(text: str, file: str) -> Finding | None:
    if not (text.startswith("%") or "\n%" in text):
        return None
    match = _DIRECTIVE.search(text)
    if match is None:
        return None
    return _finding(
        "directive",
        "a line that starts with % is a YAML directive, and none is needed here",
        place(text, file, match.start()),
        hint="delete the line; quote the text if it belongs to a value",
    )


def _deep(text: str, file: str) -> Finding | None:
    # libyaml looks far ahead and gives up before the first of these brackets can be counted.
    for run in _DEEP:
        index = text.find(run)
        if index >= 0:
            where = place(text, file, index)
            return fault("too-deep", where)
    return None


_CHECKS: Final[tuple[Callable[[str, str], Finding | None], ...]] = (
    _escape,
    _tab,
    _directive,
    _deep,
)
