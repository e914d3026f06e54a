"""Explain YAML syntax errors with our messages.

The parsers' messages quote the file, including secrets, and differ between libyaml and the pure
Python parser. They only select one of the messages here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TypeAlias

import yaml

from reconciler.findings import Finding, Position, error
from reconciler.source.position import lines
from reconciler.source.yaml import FAULTS, PARSER

_Place: TypeAlias = tuple[int, int]
"""Line and column, from 0."""

_Cause: TypeAlias = tuple[_Place, str, str | None]
"""The position of an error, the message and the hint."""

_QUOTE_IT: Final = "put the text in quotes"
_AT_THE_MARK: Final[Mapping[str, tuple[str, str | None]]] = {
    r"cannot start any token": ("an unquoted value cannot start with this character", _QUOTE_IT),
    r"mapping values are not allowed": (
        "unexpected colon: a key is not allowed here",
        "put the text in quotes if the colon is part of it; otherwise check the indentation",
    ),
    r"sequence entries are not allowed": (
        "a list cannot start here",
        "start it on a new line, or write `[one, two]`",
    ),
    r"mapping keys are not allowed": (
        "a key cannot start here",
        "put the text in quotes, or the key on a new line",
    ),
    r"unknown escape|hexadecimal|hexdecimal|invalid Unicode": (
        "unknown escape in double quotes",
        r"write `\\` for a backslash, or use single quotes",
    ),
    r"indentation (indicator|or chomping)|chomping or indentation|comment or (a )?line break": (
        FAULTS["yaml-syntax"]
    ),
    r"node content": ("a value is missing here", 'write `""` for empty text'),
    r"expected '?<document start>'?": (
        "this line is not part of the mapping above",
        "use the same indentation for all top-level keys",
    ),
    "": (
        "this is not valid YAML",
        "check quotes, brackets, colons and indentation here and just above",
    ),
}
"""Messages and hints by the parser's message, for errors where the parser stops."""

_AT_THE_CONTEXT: Final = {
    r"unexpected end of stream|document (indicator|separator)": (
        "missing closing quote for the text that starts here",
        "add the closing quote",
    ),
    r"could not find expected ':'": (
        "a key without a colon",
        "write `key: value`; put multi-line text in quotes",
    ),
    r"alphabetic or numeric": (
        "`&` and `*` start an anchor or an alias and need a name",
        'put event globs in quotes: `"*"`',
    ),
}
"""The same for errors at the start of the parser's context."""

_TAG: Final = re.compile(r"\btag\b")
_UNCLOSED: Final = re.compile(r"expected ',' or '([\]}])'|unexpected ':'")
_OPENING: Final = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING: Final = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_COMMENT: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|(?<!\s)#|[^"'#])*+(?=#)""")
"""The text before the first comment of a line."""
_QUOTE_HASH: Final = 'quote it: `"#..."`'
_MISFIT: Final = re.compile(r"expected key|expected '-'|expected <block end>")


def explain(cause: yaml.YAMLError, text: str, file: str) -> Finding:
    """Return the finding for a parser error, without text of the parser or of the file."""
    problem = str(getattr(cause, "problem", None) or "")
    context = str(getattr(cause, "context", None) or "")
    rows = lines(text)
    at = _mark(getattr(cause, "problem_mark", None), rows) or (0, 0)
    before = _mark(getattr(cause, "context_mark", None), rows) or at
    rule = "yaml-syntax"
    if "nesting depth" in problem:
        rule, place, (message, hint) = "too-deep", at, FAULTS["too-deep"]
    elif _TAG.search(context):
        rule, place, (message, hint) = "tag", before, FAULTS["tag"]
    else:
        place, message, hint = (
            _foreign(at, before, rows)
            or _misread(at, text, rows)
            or _unclosed(problem, at, before, rows)
            or _misfit(problem, at, rows)
            or _no_key(problem, at, rows)
            or _known(problem, at, before, rows)
        )
    where = Position(file=file, line=place[0] + 1, column=place[1] + 1)
    return error(rule, message, hint, where)


def _known(problem: str, at: _Place, before: _Place, rows: list[str]) -> _Cause:
    """Return the table entry for a problem."""
    for pattern, found in _AT_THE_CONTEXT.items():
        if re.search(pattern, problem):
            return before, *found
    line, column = at
    if "unknown escape" in problem and column and rows[line][column : column + 1] != "\\":
        at = line, column - 1  # one parser points at the backslash, the other after it
    return at, *next(ours for each, ours in _AT_THE_MARK.items() if re.search(each, problem))


def _mark(mark: yaml.Mark | None, rows: list[str]) -> _Place | None:
    """Return line and column, from 0; a position after the last line is the last character."""
    if mark is None:
        return None
    if mark.line > len(rows) - 2:
        line = max((number for number, row in enumerate(rows) if row.strip()), default=0)
        return line, max(0, len(rows[line].rstrip()) - 1)
    return mark.line, min(mark.column, max(0, len(rows[mark.line]) - 1))


def _foreign(at: _Place, before: _Place, rows: list[str]) -> _Cause | None:
    """Return syntax of other languages on the lines of the error or just above, if any."""
    for number in (before[0], at[0] - 1, at[0]):
        for pattern, message, hint in _FOREIGN if number >= 0 else ():
            if found := pattern.search(rows[number]):
                return (number, found.start()), message, hint
    return None


def _misread(at: _Place, text: str, rows: list[str]) -> _Cause | None:
    """Return what the parser takes for something else before the error, if anything: the rest of
    the file for a quoted text without its end, or the end of a bracket for a comment.
    """
    quoted: _Place | None = None
    opened: list[yaml.Mark] = []
    with suppress(yaml.YAMLError, ValueError):
        for token in yaml.scan(text, PARSER):
            start, end = token.start_mark, token.end_mark
            if (start.line, start.column) >= at:
                break
            if isinstance(token, _OPENING):
                opened.append(start)
            elif isinstance(token, _CLOSING) and opened:
                opened.pop()
            elif isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                # A text without its end reaches to the opening quote of the next one.
                quoted = (start.line, start.column) if start.line < end.line == at[0] else quoted
    if quoted is None:
        return _hidden_end(opened, rows)
    message = f"the quoted text that starts here ends on line {at[0] + 1}"
    return quoted, message, "add the closing quote where the text ends"


def _hidden_end(opened: list[yaml.Mark], rows: list[str]) -> _Cause | None:
    """Return the comment that hides the end of one of the `opened` brackets, if any."""
    for mark in opened:
        line = rows[mark.line]
        before = _COMMENT.match(line, mark.column)
        if before is None:
            continue
        is_value = before[0].rstrip().endswith((":", "["))
        if is_value or any(closer in line[before.end() :] for closer in "]}"):
            place = mark.line, before.end()
            return place, "`#` starts a comment, which hides the rest of the line", _QUOTE_HASH
    return None


def _unclosed(problem: str, at: _Place, before: _Place, rows: list[str]) -> _Cause | None:
    match = _UNCLOSED.search(problem)
    if match is None:
        return None
    closer, opening = match[1], rows[before[0]][before[1] :]
    if "${" in opening:
        return at, "`${...}` is not expanded in this file", "write `{env: NAME}` for a secret"
    if closer is None:
        return at, "unexpected colon", _QUOTE_IT
    hint = "separate the entries with commas, close the bracket, or quote the text"
    here = rows[at[0]][at[1] : at[1] + 1]
    opener = {"]": "[", "}": "{"}[closer]
    if here in ("]", "}"):
        hint = f"close the `{opener}` of line {before[0] + 1} before this, or delete this"
        return at, f"expected `{closer}` here, not `{here}`", hint
    if here == "=":
        return at, "unexpected `=`", "write `key: value`, or put the text in quotes"
    if at[0] != before[0] and here not in ("{", "[", '"'):
        return before, f"this `{opener}` is never closed", hint
    return at, f"a comma or `{closer}` is missing before this", hint


def _misfit(problem: str, at: _Place, rows: list[str]) -> _Cause | None:
    if _MISFIT.search(problem) is None:
        return None
    line = rows[at[0]]
    if _GLUED_DASH.match(line):
        return at, "a list item needs a space after its dash", "add a space after the dash"
    if line[: at[1]].strip():
        message = "unexpected text after the end of a value"
        return (
            at,
            message,
            "put the whole value in quotes; inside single quotes, write '' for one '",
        )
    if line.lstrip().startswith("- ") and _indented(at[0], rows) is None:
        hint = "add the key of the list above it, such as `webhooks:`, or check the indentation"
        return at, "a list item is not allowed here", hint
    other = "the indentation of this line does not match the lines around it"
    return at, _indented(at[0], rows) or other, _SAME


def _no_key(problem: str, at: _Place, rows: list[str]) -> _Cause | None:
    """Return a known cause for a colon that does not form a key, or None."""
    if re.search("mapping values|could not find", problem) is None:
        return None
    for number in (at[0], max(0, at[0] - 1)):
        if glued := _GLUED_COLON.match(rows[number]):
            message = "a key needs a space after its colon"
            return (number, glued.end() - 1), message, "add a space after the colon"
    line = rows[at[0]]
    found = _indented(at[0], rows) if _WORD.fullmatch(line[: at[1]]) else None
    return ((at[0], len(line) - len(line.lstrip())), found, _SAME) if found else None


def _indented(number: int, rows: list[str]) -> str | None:
    """Compare the indentation of a line with the nearest level that is open there."""
    line = rows[number]
    mine, columns, limit = len(line) - len(line.lstrip()), set[int](), float("inf")
    for above in reversed(rows[:number]):
        start = _START.match(above)
        if start is not None and start.end() < limit:
            columns |= {start.end(1), start.end()}
            limit = start.end(1)
    if not columns or mine in columns:
        return None
    others = min(columns, key=lambda each: (abs(each - mine), -each))
    return (
        f"this line starts in column {mine + 1}, but the lines around it start in column "
        f"{others + 1}"
    )


_FOREIGN: Final = (
    (
        re.compile(r"^ *[^\S \t\n]"),
        "this line is indented with a character that only looks like a space",
        "indent with spaces",
    ),
    (
        re.compile(r"^(?:<{7}|={7}|>{7})(?= |$)"),
        "this is a marker of a merge conflict",
        "resolve the conflict, and delete its markers",
    ),
    (
        re.compile(r"(?:^|(?<=[\s,]))//(?=\s)"),
        "`//` does not start a comment",
        "start the comment with `#`",
    ),
)
_SAME: Final = "use the same indentation for all keys of a mapping and all items of a list"
_GLUED_DASH: Final = re.compile(r" *-\w")
_GLUED_COLON: Final = re.compile(r" *(?:- +)?[a-z_]+:(?=[^\s/:])")
_WORD: Final = re.compile(r" *[\w-]+")
_START: Final = re.compile(r"( *)(?:- +)?(?=[^\s#-])")
