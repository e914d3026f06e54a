"""Findings: a problem, its position and the next step, in one form for every rule.

Each check builds its finding with `error`, `warning` or `note`. Files, planning, guards and CI
report in the same form, so a user sees all errors at once, sorted by position. A finding is a
value: nothing here reads a file or prints. Words of users in a message are hidden if they may be
secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final, NamedTuple

MAX_EXCERPT_PREFIX: Final = 200
"""The maximum number of characters in an excerpt before the column of its position.

A longer prefix is replaced by `...` and its last characters.
"""


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Position(NamedTuple):
    """A position in a configuration file.

    `line` and `column` are in characters and start at 1; `width` is the number of marked characters
    in the line (at least 1).
    """

    file: str
    line: int
    column: int = 1
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Place(NamedTuple):
    """The value at `path` in the data of a file or, if `key` is true, the mapping key before it."""

    file: str
    path: tuple[str | int, ...]
    key: bool = False

    def at(self, *path: str | int) -> Place:
        """Return the place of a value inside of this one."""
        return Place(self.file, (*self.path, *path))


class Related(NamedTuple):
    """A second place that explains a finding, such as the first occurrence of a key."""

    message: str
    position: Position | None = None
    place: Place | None = None


class Finding(NamedTuple):
    """An error, a warning or a note.

    `rule` is a rule id from docs/rules.md. A finding about a file has a `place`;
    `source/position.py` replaces it with `position` and `excerpt`, the source line with secrets
    masked, or the part of a long line around the column (see `MAX_EXCERPT_PREFIX`).
    """

    rule: str
    severity: Severity
    message: str
    position: Position | None = None
    hint: str | None = None
    excerpt: str | None = None
    related: tuple[Related, ...] = ()
    place: Place | None = None


def _finding(
    severity: Severity,
    rule: str,
    message: str,
    hint: str | None = None,
    at: Place | Position | None = None,
    related: tuple[Related, ...] = (),
) -> Finding:
    # A check knows the place of a value in the data; only a parser knows positions.
    return Finding(
        rule=rule,
        severity=severity,
        message=message,
        hint=hint,
        position=at if isinstance(at, Position) else None,
        place=at if isinstance(at, Place) else None,
        related=related,
    )


error: Final = partial(_finding, Severity.ERROR)
"""Return a finding that stops the run."""

warning: Final = partial(_finding, Severity.WARNING)
"""Return a finding that does not stop the run, unless the run is strict."""

note: Final = partial(_finding, Severity.NOTE)
"""Return a finding that only informs."""


def related(message: str, place: Place) -> tuple[Related, ...]:
    """Return the one other place that explains a finding."""
    return (Related(message=message, place=place),)


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted, each once: several overlays may inherit the same mistake."""
    first: dict[Finding, Finding] = {}
    for finding in findings:
        # The related places name the overlay, so they differ although the mistake is the same.
        first.setdefault(finding._replace(related=()), finding)
    return sorted(first.values(), key=sort_key)


def shorten(items: Sequence[str], most: int) -> str:
    """Return the first `most` items as a list, and the number of the others."""
    text = ", ".join(items[:most])
    if len(items) > most:
        text += f" and {len(items) - most} more"
    return text


def findings_by_organization(
    organizations: Iterable[tuple[str, Sequence[Finding]]], most: int
) -> tuple[Finding, ...]:
    """Return findings once, each with at most `most` of its organizations in the message."""
    names_by_finding: dict[Finding, list[str]] = {}
    for name, findings in organizations:
        for finding in findings:
            names_by_finding.setdefault(finding, []).append(name)
    return tuple(
        finding._replace(message=f"{finding.message} (in {shorten(names, most)})")
        for finding, names in names_by_finding.items()
    )


def sort_key(finding: Finding) -> tuple[str, int, int, str, str]:
    """Return the key by which findings are sorted: file, line, column; those without one first."""
    position = finding.position
    # Those without a position are about the whole run, so they explain others.
    if position is None:
        return ("", 0, 0, finding.rule, finding.message)
    return (position.file, position.line, position.column, finding.rule, finding.message)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether any of `findings` is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)


# Words in messages


def plural(number: int, noun: str) -> str:
    """Return `1 webhook`, `2 webhooks`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}s"


def without_commands(text: str) -> str:
    """Return quoted JSON or YAML without `##[` and the like, which CI runners execute in a log."""
    # GitHub's `##[`, Azure's `##vso[` and the like.
    return re.sub(r"(##\w*)\[", r"\1\\u005b", text)


MASK: Final = "***"
LOOKS_SECRET: Final = re.compile(
    # A URL with more than a host. Normalized as a path, it has only one slash after the colon.
    r"(?:xox[a-z]|xapp)[-.][A-Za-z0-9._-]*"  # a Slack token, complete or not
    r"|(?i:https?:/++|\b[a-z][a-z0-9+.-]{1,20}+://)[^\s\"']*[@/?#][^\s\"']*"
)
"""Text that is always hidden when part of a file is shown."""

_WORD: Final = (
    r"(?!.{41})(?:[a-z0-9_*-]+|[A-Za-z_*?!\[\]]+(?:[.:/-][A-Za-z_*?!\[\]]+)*"
    r"|[A-Z]?[a-z]+ [A-Z]?[a-z]+)"
)
"""An event, a type or a state in any spelling, such as `value.updated` or `ValueUpdated`.

Digits are allowed only in lower-case text, because a mixture may be a secret.
"""


def masked(text: str) -> str:
    """Return user text for a message: likely secrets hidden, long text truncated."""
    safe = LOOKS_SECRET.sub(MASK, text)
    return safe if len(safe) <= 120 else f"{safe[:117]}..."


def in_quotes(name: object) -> str:
    """Return a user's name for a message, hidden if it may be a secret."""
    return repr(masked(name)) if isinstance(name, str) else "this"


def quoted(noun: str, word: str) -> str:
    """Return `noun` followed by the user's word, unless that may be a secret."""
    return f"{noun} `{word}`" if is_word(word) else noun


def is_word(text: str) -> bool:
    """Return whether a text looks like an event, a type or a state."""
    return re.fullmatch(_WORD, text) is not None and LOOKS_SECRET.search(text) is None


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar word of `known`, if any."""
    return _near(word.lower(), tuple(known))


@lru_cache(maxsize=4096)  # many webhooks may have the same mistake
def _near(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # only for an error

    return next(iter(get_close_matches(word, known, n=1)), None)


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """Return a hint with the most similar word of `known`, if any."""
    similar = near(word, known) if isinstance(word, str) else None
    return None if similar is None else f"did you mean `{similar}`?"
