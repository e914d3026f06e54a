"""A comment cut to a limit: details first, then rows from the end, always whole lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.render.words import plural

_BACKTICKS = re.compile(r"`+")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text within its limit. `truncated` says that something was left out."""

    text: str
    truncated: bool


@dataclass(slots=True, kw_only=True)
class Parts:
    """A comment before it is fitted: `head` and `foot` always stay whole."""

    head: list[str]
    table: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)


def fit(parts: Parts, limit: int | None, measure: Callable[[str], int]) -> Fitted:
    """Put the parts together; over `limit`, leave out details, then rows, by whole lines."""
    fence = "`" * max(3, max(map(longest_run, parts.details), default=0) + 1)
    before = ["", "<details><summary>Details</summary>", "", f"{fence}diff"]
    behind = [fence, "", "</details>"]
    after = ["", *parts.after] if parts.after else []
    fixed = [*parts.head, *parts.table, *after, *parts.foot]
    room = None if limit is None else limit - _size(fixed, measure) - 200
    if room is not None and room < 0:
        room += _size(after, measure)
        after = []
    rows, room = _take(parts.rows, room, measure)
    folded: Sequence[str] = ()
    if parts.details and len(rows) == len(parts.rows):
        if room is not None:
            room -= _size([*before, *behind], measure)
        folded, room = _take(parts.details, room, measure)
    lost_rows, lost_details = len(parts.rows) - len(rows), len(parts.details) - len(folded)
    truncated = bool(lost_rows or lost_details or (parts.after and not after))
    lines = [*parts.head, *(parts.table if rows else ()), *rows, *after]
    if folded:
        lines += [*before, *folded, *behind]
    if truncated:
        lines += ["", f"_Cut to fit: {_left_out(lost_rows, lost_details)}._"]
    return Fitted("\n".join([*lines, *parts.foot]) + "\n", truncated)


def longest_run(text: str) -> int:
    """Return the length of the longest run of backticks: a fence or a code span needs one more."""
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0) if "`" in text else 0


def _left_out(rows: int, details: int) -> str:
    if rows:
        return f"{plural(rows, 'row')} and the details are not shown; the full plan has them"
    return f"{plural(details, 'line')} of details are not shown; the full plan has them"


def _take(
    lines: Sequence[str], room: int | None, measure: Callable[[str], int]
) -> tuple[Sequence[str], int | None]:
    """Return as many first lines as there is room for, and the room that is left."""
    if room is None:
        return lines, None
    taken = 0
    for line in lines:
        size = measure(line) + 1
        if size > room:
            break
        room -= size
        taken += 1
    return lines[:taken], room


def _size(lines: Sequence[str], measure: Callable[[str], int]) -> int:
    return sum(measure(line) + 1 for line in lines)
