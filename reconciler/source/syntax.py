"""Refuse text that is not YAML for every reader, and explain what is wrong with our messages.

First, `decode` refuses text that two readers would interpret differently: an editor and a parser, a
reviewer and a parser, or libyaml and the pure parser. Accepted text is UTF-8, has `\\n` as its only
line break, and contains no control character.

Then `explain` and `fault` have the errors of the parser and of its reader. The parsers' messages
quote the file, including secrets, and differ between libyaml and the pure Python parser. They only
select one of the messages here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

import yaml

from reconciler.findings import Finding, Position, error

# Text

_PRINTABLE: Final = bytes([*range(0x20, 0x7F), 0x0A, 0x09])

_Check: TypeAlias = tuple[str, str, Finding]
"""Substring, pattern, finding: only text with the substring is searched for the pattern."""


def _check(rule: str, pattern: str, message: str, hint: str, substring: str = "") -> _Check:
    return substring, pattern, error(rule, message, hint)


_NON_ASCII_CHECKS: Final[tuple[_Check, ...]] = (
    _check(
        "line-break",
        "[\r\x85\u2028\u2029]",
        "{character} is a line break that most editors do not show",
        "end lines with LF or CR LF",
    ),
    _check(
        "control-character",
        "[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
        "the character {character} is not allowed in the file",
        "delete it, and save the file as UTF-8",
    ),
)
"""Rules that only text outside of ASCII can violate; most files are ASCII."""

_CHECKS: Final[tuple[_Check, ...]] = (
    _check(
        "plan-as-configuration",
        r'\A\{\s*"format_version": [^,]+,\s*("kind": "plan")',
        "this is a plan, not a configuration file",
        "pass a saved plan to `webhooks show FILE` or `webhooks apply FILE`",
        '"kind": "plan"',
    ),
    _check(
        "control-character",
        r"\\(?:u|U0000)[dD][89a-fA-F][0-9a-fA-F]{2}|\\U(?!0010|000[0-9a-fA-F])[0-9a-fA-F]{8}",
        "this escape is half of a surrogate pair",
        "write the character itself instead of a pair of \\u escapes",
        "\\",
    ),
    _check(
        "directive",
        r"(?m)^%(?!YAML 1\.2 *(?: #.*)?$)",
        "a line that starts with % is a YAML directive, which is not supported",
        "delete the line; quote the text if it belongs to a value",
        "%",
    ),
)


def decode(raw: bytes, file: str) -> tuple[str, Finding | None]:
    """Return the text of a file, ending in a line break, and its first error.

    The text is empty if it is not UTF-8.
    """
    body = raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as cause:
        before = body[: cause.start].decode("utf-8")
        where = position_at(before, file, len(before))
        return "", error("encoding", "the file is not UTF-8", "save it as UTF-8", where)
    text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    return text, ambiguity(text, file)


def ambiguity(text: str, file: str) -> Finding | None:
    """Return the error for the first part of `text` that readers may interpret differently."""
    is_plain = text.isascii() and not text.encode().translate(None, _PRINTABLE)
    for substring, pattern, finding in _CHECKS if is_plain else _NON_ASCII_CHECKS + _CHECKS:
        match = re.search(pattern, text) if substring in text else None
        if match is not None:
            first, last = match.span(match.lastindex or 0)
            where = position_at(text, file, first, last - first)
            message = finding.message.format(character=f"U+{ord(text[first]):04X}")
            return finding._replace(message=message, position=where)
    return None


def position_at(text: str, file: str, index: int, width: int = 1) -> Position:
    """Return the position of the character at `index` of `text`."""
    start = text.rfind("\n", 0, index) + 1
    return Position(
        file=file, line=text.count("\n", 0, index) + 1, column=index - start + 1, width=width
    )


# Syntax

PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser if PyYAML includes it, else the pure one, which is about 20 times slower."""

MAX_DEPTH: Final = 32
"""The maximum depth of mappings and lists in a file."""

_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "empty-document": ("the file is empty", "if there are no webhooks, write `webhooks: []`"),
    "root-not-mapping": ("the file must be a mapping", "put the webhooks under `webhooks:`"),
    "several-documents": ("a second document starts here", "put it into a separate file"),
    "key-not-text": ("a key must be text", "put it in quotes; `{{ ... }}` is not rendered"),
    "number-too-large": ("this number is too large to be exact", "put it in quotes if it is text"),
    "tab": (
        "a tab outside of comments and text: YAML parsers disagree about it",
        "use spaces; if the tab is part of text, put the text in quotes",
    ),
    "tag": (
        "YAML tags (`!`) are not supported",
        "put the text in quotes if the `!` is part of it; write a secret as `{env: NAME}`",
    ),
    "typographic-quote": (
        "this starts with a typographic quote, which does not quote text in YAML",
        """write " instead; if it is part of the text, put the text in '...'""",
    ),
    "too-deep": (f"nested more than {MAX_DEPTH} levels deep", "use fewer levels"),
    "unknown-alias": ("undefined YAML alias", 'quote it if it is text, as in `"*_deleted"`'),
    "alias-expansion": (
        "the file is too large or too deep after its aliases are expanded",
        "write the values out, or use fewer levels of aliases",
    ),
    "merge": (
        "`<<` takes a mapping or a list of mappings, once in each mapping",
        "merge several with a list: `<<: [*one, *two]`",
    ),
}
"""The message and hint for each rule of the parser."""


def fault(rule: str, position: Position) -> Finding:
    """Return the error for a rule of the parser."""
    return error(rule, *_FAULTS[rule], position)


_Place: TypeAlias = tuple[int, int]
"""Line and column, from 0."""

_Cause: TypeAlias = tuple[_Place, str, str]
"""The position of an error, the message and the hint."""

_AT_THE_MARK: Final[Mapping[str, tuple[str, str]]] = {
    r"cannot start any token": (
        "an unquoted value cannot start with this character",
        "put the text in quotes",
    ),
    r"mapping values are not allowed": (
        "unexpected colon: a key is not allowed here",
        "put the text in quotes if the colon is part of it; otherwise check the indentation",
    ),
    r"sequence entries are not allowed": ("a list cannot start here", "start it on a new line"),
    r"unknown escape|hexadecimal|hexdecimal|invalid Unicode": (
        "unknown escape in double quotes",
        r"write `\\` for a backslash, or use single quotes",
    ),
    r"indentation (indicator|or chomping)|chomping or indentation|comment or (a )?line break": (
        "invalid text after the `|` or `>` of a text block",
        "start the text on the next line",
    ),
    r"node content": ("a value is missing here", 'write `""` for empty text'),
    r"expected '?<document start>'?": (
        "this line is not part of the mapping above",
        "use the same indentation for all top-level keys",
    ),
    # Every other message.
    "": (
        "this is not valid YAML",
        "check quotes, brackets, colons and indentation here and just above",
    ),
}
"""Messages and hints by the parser's message, for errors where the parser stops."""

_NO_COLON: Final = ("a key without a colon", "write `key: value`, or quote text")
_AT_THE_CONTEXT: Final[Mapping[str, tuple[str, str]]] = {
    r"unexpected end of stream|document (indicator|separator)": (
        "missing closing quote for the text that starts here",
        "add the closing quote",
    ),
    r"could not find expected ':'": _NO_COLON,
    r"alphabetic or numeric": (
        "`&` and `*` start an anchor or an alias and need a name",
        'put event globs in quotes: `"*"`',
    ),
}
"""The same for errors at the start of the parser's context."""

_COMMON_MISTAKES: Final[Mapping[str, tuple[str, str]]] = {
    r"^ *(?:(?:- +)?[a-z_]+:)?([^\S \t\n])": (
        "this character only looks like a space",
        "replace it with a space",
    ),
    r"^(?:<{7}|={7}|>{7})(?= |$)": (
        "unresolved merge conflict",
        "resolve the conflict, and delete its markers",
    ),
    # In brackets, a `#` inside of text is no comment; `*+` never goes back to one that it passed.
    r"""[\[{](?:"[^"]*"|'[^']*'|\{[^{}"'#]*\}|(?<!\s)#|[^\[\]{}"'#])*+"""
    r"""(?=#)(?:(?<=[:\[] )|(?=.{1,99}[\]}]))(#)""": (
        "`#` starts a comment, which hides the rest of the line",
        'quote it: `"#..."`',
    ),
    r"^ *(?:(-)(?=\w)|(?:- +)?[a-z_]+(:)(?=[^\s/:]))": (
        "a space is missing after this character",
        "add a space after the dash of a list item and after the colon of a key",
    ),
}
"""Messages and hints by the pattern of lines that do not do what the author intended."""


def explain(cause: yaml.MarkedYAMLError, text: str, file: str) -> Finding:
    """Return the finding for a parser error, without text of the parser or of the file."""
    problem, rows = cause.problem or "", text.split("\n")
    mark = _place(cause.problem_mark, rows)
    before = _place(cause.context_mark or cause.problem_mark, rows)

    def position(place: _Place) -> Position:
        return Position(file=file, line=place[0] + 1, column=place[1] + 1)

    if "nesting depth" in problem:
        return fault("too-deep", position(mark))
    # A tag that no parser can read is refused as every other one.
    if re.search(r"\btag\b", cause.context or ""):
        return fault("tag", position(before))
    # The parser often stops below the line with the mistake, after comments and blank lines.
    above = max(mark[0] - 1, 0)
    while above and re.match(r" *(?:#|$)", rows[above]):
        above -= 1
    # From the most specific cause to the most general one, which always has an answer.
    place, message, hint = (
        _common((before[0], above, mark[0]), rows)
        or _quoted(mark, text)
        or _unclosed(problem, mark, before, rows)
        or _misplaced(problem, mark, rows)
        or _known(problem, mark, before, rows)
    )
    return error("yaml-syntax", message, hint, position(place))


def _place(mark: Any, rows: list[str]) -> _Place:
    """Return line and column, from 0; a position after the last line is the last character."""
    if mark.line < len(rows) - 1:
        return mark.line, min(mark.column, max(0, len(rows[mark.line]) - 1))
    # The parser reports a missing end after the last line, where nothing could be shown.
    line = max((number for number, row in enumerate(rows) if row.strip()), default=0)
    return line, max(0, len(rows[line].rstrip()) - 1)


def _known(problem: str, mark: _Place, before: _Place, rows: list[str]) -> _Cause:
    """Return the table entry for a problem."""
    for pattern, advice in _AT_THE_CONTEXT.items():
        if re.search(pattern, problem):
            return before, *advice
    line, column = mark
    if "unknown escape" in problem and column and rows[line][column : column + 1] != "\\":
        mark = line, column - 1  # one parser points at the backslash, the other after it
    advice = next(ours for part, ours in _AT_THE_MARK.items() if re.search(part, problem))
    return mark, *advice


def _common(numbers: Iterable[int], rows: list[str]) -> _Cause | None:
    """Return the first common mistake in one of the lines, if any."""
    for number in numbers:
        for pattern, advice in _COMMON_MISTAKES.items():
            match = re.search(pattern, rows[number])
            if match is not None:
                return (number, match.start(match.lastindex or 0)), *advice
    return None


def _quoted(mark: _Place, text: str) -> _Cause | None:
    """Return the quoted text that ends on the line of the error but starts above, if any.

    If the closing quote is missing, the text ends at the next opening quote.
    """
    with suppress(yaml.YAMLError):
        for token in yaml.scan(text, PARSER):
            place, end = (token.start_mark.line, token.start_mark.column), token.end_mark.line
            is_quoted = isinstance(token, yaml.ScalarToken) and token.style in ("'", '"')
            if is_quoted and place[0] < end == mark[0] and place < mark:
                message = f"the quoted text that starts here ends on line {end + 1}"
                return place, message, "add the closing quote where the text ends"
    return None


def _unclosed(problem: str, mark: _Place, before: _Place, rows: list[str]) -> _Cause | None:
    """Return what is wrong in the brackets that start at `before`, if the error is in brackets."""
    # Both parsers name the bracket that they expect.
    match = re.search(r"expected ',' or '([\]}])'", problem)
    if match is None:
        return None
    if "${" in rows[before[0]][before[1] :]:
        return mark, "`${...}` is not expanded in this file", "write `{env: NAME}` for a secret"
    hint = "separate the entries with commas, close the bracket, or quote the text"
    # A bracket or quote starts another entry; other text is probably what follows the list.
    if mark[0] != before[0] and rows[mark[0]][mark[1]] not in '{["':
        return before, "this bracket is never closed", hint
    return mark, f"a comma or `{match[1]}` is missing before this", hint


def _misplaced(problem: str, mark: _Place, rows: list[str]) -> _Cause | None:
    """Return why a line does not belong to the mapping or list around it, if that is the error."""
    is_misfit = re.search(r"expected key|expected '-'|expected <block end>", problem)
    line = rows[mark[0]]
    content = line.lstrip()
    indent = len(line) - len(content)
    if is_misfit:
        # The error is behind the first text of its line, so a value ended before the text did.
        if indent < mark[1]:
            hint = "put the whole value in quotes; inside single quotes, write '' for one '"
            return mark, "unexpected text after the end of a value", hint
        if content.startswith("- "):
            hint = "add the key of the list above it, such as `webhooks:`, or check the indentation"
            return mark, "a list item is not allowed here", hint
    is_key = "mapping values" in problem and re.fullmatch(r" *[\w-]*", line[: mark[1]])
    is_misplaced = is_misfit or is_key
    if is_misplaced or "<document start>" in problem:
        start = _first_text(mark[0], indent, rows)
        if start is not None:
            return start, *_NO_COLON
    if is_misplaced:
        message = "the indentation of this line does not match the lines around it"
        hint = "use the same indentation for all keys of a mapping and all items of a list"
        return (mark[0], indent), message, hint
    return None


def _first_text(number: int, indent: int, rows: list[str]) -> _Place | None:
    """Return the start of the plain text above a line, if the text is where a first key belongs.

    Parsers read a first key without a colon as text, and report the line below it.
    """
    first = None
    for above in range(number - 1, -1, -1):
        row = re.sub(r"(?:^|\s)#.*", "", rows[above]).rstrip()
        if not row:
            continue
        # What ends above is a document, or the key of this mapping or list.
        if re.match(r"---", row) or row.endswith(":"):
            break
        if re.search(r":\s", row):
            return None  # it is the value of that key
        first = above, row
        if re.match(r" *- ", row):
            break
    if first is None:
        return None
    above, row = first
    # An item of a list with one word is rather a value.
    text = re.match(r""" *(- +(?=\S+ ))?(?=[^\s"'\[{}&*!|>%@`-])""", row)
    if text is None or text.end() != indent:
        return None
    return above, indent
