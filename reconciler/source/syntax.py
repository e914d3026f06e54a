"""Syntax errors in our own words.

The parsers' messages quote the file, secrets included, and differ between libyaml and the pure
one. Their wording only selects one of the explanations here; what is said is always ours.
"""

from __future__ import annotations

import re
from typing import Final

import yaml

from reconciler.findings import Finding, Position, Severity
from reconciler.source.yaml import FAULTS, PARSER

_QUOTE_IT: Final = "put the text in quotes"
_CAUSES: Final[tuple[tuple[str, bool, str, str | None], ...]] = (
    # what the parser says, whether its context is the better place, our message, our advice
    (
        r"cannot start any token",
        False,
        "an unquoted value cannot start with this character",
        _QUOTE_IT,
    ),
    (
        r"unexpected end of stream|document (indicator|separator)",
        True,
        "the quotation that starts here never ends",
        "add the closing quote",
    ),
    (
        r"mapping values are not allowed",
        False,
        "a colon makes a key here, where none can stand",
        "put the text in quotes if the colon belongs to it; else check the line's indentation",
    ),
    (
        r"sequence entries are not allowed",
        False,
        "a list cannot start here",
        "start it on a line of its own, or write `[one, two]`",
    ),
    (
        r"mapping keys are not allowed",
        False,
        "a key cannot start here",
        "put the text in quotes, or the key on a line of its own",
    ),
    (
        r"could not find expected ':'",
        True,
        "a key without a colon",
        "write `key: value`; put a text of several lines in quotes",
    ),
    (
        r"unknown escape|hexadecimal|hexdecimal|invalid Unicode",
        False,
        "double quotes know no such escape",
        r"write `\\` for a backslash, or use single quotes",
    ),
    (
        r"indentation (indicator|or chomping)|chomping or indentation|comment or (a )?line break",
        False,
        *FAULTS["yaml-syntax"],
    ),
    (
        r"alphabetic or numeric",
        True,
        "`&` and `*` start an anchor or an alias and need a name",
        'put event globs in quotes: `"*"`',
    ),
    (
        r"node content",
        False,
        "a value is missing here",
        'write `""` for empty text',
    ),
    (
        r"expected '?<document start>'?",
        False,
        "this line does not belong to what stands above",
        "give all top-level keys the same indentation",
    ),
)
_DEEP: Final = re.compile("nesting depth")
_TAG: Final = re.compile(r"\btag\b")
_UNCLOSED: Final = re.compile(r"expected ',' or '([\]}])'|unexpected ':'")
_MISFIT: Final = re.compile(r"expected key|expected '-'|expected <block end>")
_COMMENT: Final = "a `#` after a space starts a comment, up to the end of the line: quote the text"
_OPENERS: Final = {"]": "[", "}": "{"}


def explain(error: yaml.YAMLError, text: str, file: str) -> Finding:
    """Turn a parser's error into a finding, without a word of the parser or of the file."""
    problem = str(getattr(error, "problem", None) or "")
    context = str(getattr(error, "context", None) or "")
    at = _mark(getattr(error, "problem_mark", None), text) or (0, 0)
    before = _mark(getattr(error, "context_mark", None), text) or at
    rule, place = "yaml-syntax", at
    message = "this is not YAML"
    hint: str | None = "look at quotes, brackets, colons and indentation here and just above"
    if _DEEP.search(problem):
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
    else:
        for pattern, use_context, ours, advice in _CAUSES:
            if re.search(pattern, problem):
                place, message, hint = before if use_context else at, ours, advice
                break
        if "node content" in problem and " #" in _line(text, place[0]):
            # A comment that swallowed the end of a flow mapping; here nothing else has a #.
            place, hint = (place[0], _line(text, place[0]).index(" #") + 1), _COMMENT
        if "unknown escape" in problem:
            place = _backslash(at, text)
    line, column = place
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=Position(file=file, line=line + 1, column=column + 1),
        hint=hint,
    )


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
    if _line(text, line)[:column].strip():
        return (
            "this stands after the end of a value",
            "put the whole value in quotes; inside single quotes, '' stands for one '",
        )
    return (
        "this line is not indented like the ones it belongs to",
        "give the keys of one mapping, and the items of one list, the same indentation",
    )


def _backslash(at: tuple[int, int], text: str) -> tuple[int, int]:
    """Return the place of the escape's backslash: one parser points at it, the other behind."""
    line, column = at
    if column and _line(text, line)[column : column + 1] != "\\":
        return line, column - 1
    return at
