"""What becomes of the drift issue: there is at most one, and it is open exactly while there is
drift.
"""

from __future__ import annotations

from typing import TypeAlias

from reconciler.ci.marker import Marker, decode
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An open issue that this workflow wrote."""

    number: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """There is drift and no issue yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The issue says something else than what is the case."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The drift is gone."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Nothing changed: no issue and no drift, or the issue says it already."""


Step: TypeAlias = Open | Edit | Close | Leave


def decide(issue: Issue | None, *, found: Marker, drift: bool) -> Step:
    """Say what to do, where `found` is the marker that an issue of today would carry.

    Only digest and place decide whether an issue is up to date: editing it for another run number
    would notify people of nothing.
    """
    if issue is None:
        return Open() if drift else Leave()
    if not drift:
        return Close(number=issue.number)
    written = decode(issue.body)
    same = (
        written is not None
        and written.digest == found.digest
        and written.organization == found.organization
    )
    return Leave() if same else Edit(number=issue.number)
