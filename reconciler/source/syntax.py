"""Syntax errors in our own words.

The parsers' messages quote the file, secrets included, and differ between libyaml and the pure
one. Their wording only selects one of the explanations here; what is said is always ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import yaml

from reconciler.findings import Finding, Position, error
from reconciler.source.yaml import FAULTS, PARSER

_QUOTE_IT: Final = "put the text in quotes"
_Causes: TypeAlias = Mapping[str, tuple[str, str | None]]
_AT_THE_MARK: Final[_Causes] = {
    r"cannot start any token": ("an unquoted value cannot start with this character", _QUOTE_IT),
    r"mapping values are not allowed": (
        "a colon makes a key here, where none can stand",
        "put the text in quotes if the colon belongs to it; else check the line's indentation",
    ),
    r"sequence entries are not allowed": (
        "a list cannot start here",
        "start it on a line of its own, or write `[one, two]`",
    ),
    r"mapping keys are not allowed": (
        "a key cannot start here",
        "put the text in quotes, or the key on a line of its own",
    ),
    r"unknown escape|hexadecimal|hexdecimal|invalid Unicode": (
        "double quotes know no such escape",
        r"write `\\` for a backslash, or use single quotes",
    ),
    r"indentation (indicator|or chomping)|chomping or indentation|comment or (a )?line break": (
        FAULTS["yaml-syntax"]
    ),
    r"node content": ("a value is missing here", 'write `""` for empty text'),
    r"expected '?<document start>'?": (
        "this line does not belong to what stands above",
        "give all top-level keys the same indentation",
    ),
}
"""What the parser says where it stops, and our message and advice."""

_AT_THE_CONTEXT: Final[_Causes] = {
    r"unexpected end of stream|document (indicator|separator)": (
        "the quotation that starts here never ends",
        "add the closing quote",
    ),
    r"could not find expected ':'": (
        "a key without a colon",
        "write `key: value`; put a text of several lines in quotes",
    ),
    r"alphabetic or numeric": (
        "`&` and `*` start an anchor or an alias and need a name",
        'put event globs in quotes: `"*"`',
    ),
}
"""The same for mistakes that began where the parser's context is."""

_TAG: Final = re.compile(r"\btag\b")
_UNCLOSED: Final = re.compile(r"expected ',' or '([\]}])'|unexpected ':'")
_MISFIT: Final = re.compile(r"expected key|expected '-'|expected <block end>")
_COMMENT: Final = "a `#` after a space starts a comment, up to the end of the line: quote the text"
_OPENERS: Final = {"]": "[", "}": "{"}


def explain(cause: yaml.YAMLError, text: str, file: str) -> Finding:
    """Turn a parser's error into a finding, without a word of the parser or of the file."""
    problem = str(getattr(cause, "problem", None) or "")
    context = str(getattr(cause, "context", None) or "")
    at = _mark(getattr(cause, "problem_mark", None), text) or (0, 0)
    before = _mark(getattr(cause, "context_mark", None), text) or at
    rule, place = "yaml-syntax", at
    message = "this is not YAML"
    hint: str | None = "look at quotes, brackets, colons and indentation here and just above"
    if "nesting depth" in problem:
        rule, (message, hint) = "too-deep", FAULTS["too-deep"]
    elif _TAG.search(context):
        rule, place, (message, hint) = "tag", before, FAULTS["tag"]
    elif quotation := _runaway(at, text):
        place, message = quotation, f"the quotation that starts here ends on line {at[0] + 1}"
        hint = "add the closing quote where the text ends"
    elif match := _UNCLOSED.search(problem):
        place, message, hint = _unclosed(match[1], at, before, text)
    elif _MISFIT.search(problem):
        message, hint = _misfit(at, text)
    elif re.search("mapping values|could not find", problem) and (known := _no_key(at, text)):
        place, message, hint = known
    elif found := _first(_AT_THE_CONTEXT, problem):
        place, (message, hint) = before, found
    elif found := _first(_AT_THE_MARK, problem):
        message, hint = found
        if "node content" in problem:
            for number in (at[0], max(0, at[0] - 1)):
                if " #" in _line(text, number):  # it swallowed the end of a flow mapping
                    place = number, _line(text, number).index(" #") + 1
                    message, hint = "`#` starts a comment here", 'quote it: `"#..."`'
                    break
        elif "unknown escape" in problem:
            place = _backslash(at, text)
    where = Position(file=file, line=place[0] + 1, column=place[1] + 1)
    return error(rule, message, hint, where)


def _first(causes: _Causes, problem: str) -> tuple[str, str | None] | None:
    """Return message and advice for what the parser says."""
    return next((ours for pattern, ours in causes.items() if re.search(pattern, problem)), None)


def _mark(mark: yaml.Mark | None, text: str) -> tuple[int, int] | None:
    """Return line and column, from 0; a place after the last line is the last character's."""
    if mark is None:
        return None
    last = text.count("\n") - 1
    if mark.line > last:
        line = text.rstrip().count("\n")
        return line, max(0, len(_line(text, line).rstrip()) - 1)
    return mark.line, min(mark.column, max(0, len(_line(text, mark.line)) - 1))


def _line(text: str, number: int) -> str:
    return text.split("\n", number + 1)[number]


def _runaway(at: tuple[int, int], text: str) -> tuple[int, int] | None:
    """Return where a quotation begins that went on until the line of the mistake.

    Its closing quote was forgotten, so that it ends at the next one, which was to open another.
    """
    found = None
    try:
        for token in yaml.scan(text, PARSER):
            if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
                start, end = token.start_mark, token.end_mark
                found = (start.line, start.column) if start.line < end.line == at[0] else found
    except (yaml.YAMLError, ValueError):
        pass
    return found


def _unclosed(
    closer: str | None, at: tuple[int, int], before: tuple[int, int], text: str
) -> tuple[tuple[int, int], str, str | None]:
    opening = _line(text, before[0])[before[1] :]
    if "${" in opening:
        return at, "`${...}` is not replaced in this file", "write `{env: NAME}` for a secret"
    if " #" in opening:
        hint = _COMMENT
    else:
        hint = "separate the entries with commas, close the bracket, or quote the text"
    if closer is None:
        return at, "a colon cannot stand here", _QUOTE_IT
    if at[0] != before[0]:
        return before, f"the `{_OPENERS[closer]}` that stands here is never closed", hint
    return at, f"a comma or `{closer}` is missing before this", hint


def _misfit(at: tuple[int, int], text: str) -> tuple[str, str]:
    line, column = at
    if _GLUED_DASH.match(_line(text, line)):
        return "a list item needs a space after its dash", "add a space after the dash"
    if _line(text, line)[:column].strip():
        return (
            "this stands after the end of a value",
            "put the whole value in quotes; inside single quotes, '' stands for one '",
        )
    return _indented(line, text) or ("this line is not indented like the ones it belongs to", _SAME)


def _no_key(at: tuple[int, int], text: str) -> tuple[tuple[int, int], str, str] | None:
    """Return what is wrong where a colon makes no key, None if it is nothing well known."""
    for number in (at[0], max(0, at[0] - 1)):
        if glued := _GLUED_COLON.match(_line(text, number)):
            message = "a key needs a space after its colon"
            return (number, glued.end() - 1), message, "add a space after the colon"
    line = _line(text, at[0])
    found = _indented(at[0], text) if _WORD.fullmatch(line[: at[1]]) else None
    return ((at[0], len(line) - len(line.lstrip())), *found) if found else None


def _indented(number: int, text: str) -> tuple[str, str] | None:
    """Compare the indentation of a line with the nearest one of the levels that are open there."""
    line = _line(text, number)
    mine, columns, limit = len(line) - len(line.lstrip()), set[int](), len(text)
    for above in reversed(text.split("\n", number)[:number]):
        start = _START.match(above)
        if start is not None and start.end() < limit:
            columns |= {start.end(1), start.end()}
            limit = start.end(1)
    if not columns or mine in columns:
        return None
    others = min(columns, key=lambda each: (abs(each - mine), -each))
    return f"this line starts in column {mine + 1}, its neighbours in column {others + 1}", _SAME


_SAME: Final = "give the keys of one mapping, and the items of one list, the same indentation"
_GLUED_DASH: Final = re.compile(r" *-\w")
_GLUED_COLON: Final = re.compile(r" *(?:- +)?[a-z_]+:(?=[^\s/:])")
_WORD: Final = re.compile(r" *[\w-]+")
_START: Final = re.compile(r"( *)(?:- +)?(?=[^\s#-])")


def _backslash(at: tuple[int, int], text: str) -> tuple[int, int]:
    """Return the place of the escape's backslash: one parser points at it, the other behind."""
    line, column = at
    if column and _line(text, line)[column : column + 1] != "\\":
        return line, column - 1
    return at
