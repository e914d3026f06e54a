"""Findings: the problem, its position and the next step, in one shape for every rule.

A rule builds its finding with `error`, `warning` or `note`, beside the check. So files, planning,
guards and CI report alike, and everything that a user has to fix arrives at once, sorted by place.
A finding is a value: nothing here reads a file or prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final

EXCERPT_BEFORE: Final = 200
"""An excerpt shows at most so many characters before the column of its position.

Where the column is greater, the excerpt begins with `...` and these characters.
"""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a declaring file.

    `line` and `column` count from 1, in characters; `width` is how many characters of that line
    are meant (at least 1).
    """

    file: str
    line: int
    column: int = 1
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Place:
    """The value at `path` in the data of a file, or with `key` the key that introduces it."""

    file: str
    path: tuple[str | int, ...]
    key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A second place that explains a finding, such as where a key was first written."""

    message: str
    position: Position | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake, or useful information.

    `rule` is a key of `rules.RULES`. A rule about a file gives a `place`; `source/excerpt.py`
    replaces it by `position` and `excerpt`, the source line with every secret in it made
    unreadable; of a long line it is the part around the column (see `EXCERPT_BEFORE`).
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


def strict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return `findings` with every warning made an error."""
    return tuple(
        replace(each, severity=Severity.ERROR) if each.severity is Severity.WARNING else each
        for each in findings
    )


def sort_key(finding: Finding) -> tuple[str, int, int, str, str]:
    """Order findings by file, line and column; those without a place come first."""
    place = finding.position
    if place is None:
        return ("", 0, 0, finding.rule, finding.message)
    return (place.file, place.line, place.column, finding.rule, finding.message)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Return whether anything in `findings` stops the run."""
    return any(finding.severity is Severity.ERROR for finding in findings)


MOST_SHOWN: Final = 100
"""How many findings a text for people shows; JSON has them all."""


def leading(findings: Iterable[Finding], most: int = MOST_SHOWN) -> tuple[list[Finding], int]:
    """Return the first `most` findings by severity, then by place, and how many are left out."""
    severities = tuple(Severity)
    ranked = sorted(findings, key=lambda each: (severities.index(each.severity), *sort_key(each)))
    return ranked[:most], max(0, len(ranked) - most)
