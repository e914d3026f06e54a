"""The results of `doctor` and `slack check`: checks in sections.

A check that could not be made is *unknown*, which is not a failure. A failure always has a fix.
`aside` is for the screen only and never part of a JSON report: names, hosts, paths.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.errors import ExitCode
from reconciler.findings import Position


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    `name` is a stable identifier. `detail` and `fix` are sentences; untrusted text in them is
    quoted by whoever makes them.
    """

    name: str
    status: Status
    detail: str
    aside: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Checks that belong together. `position` is the place in a file they are about."""

    name: str
    checks: tuple[Check, ...]
    position: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """All checks of a command. `command` is its name, `notes` are sentences below them."""

    command: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Return how many checks have this status."""
        return sum(check.status is status for each in self.sections for check in each.checks)

    @property
    def exit_code(self) -> ExitCode:
        """Return 1 if any check failed, else 0."""
        return ExitCode.FAILED if self.count(Status.FAIL) else ExitCode.OK


def ok(name: str, detail: str, *, aside: str | None = None) -> Check:
    """The check passed."""
    return Check(name=name, status=Status.OK, detail=detail, aside=aside)


def warn(name: str, detail: str, *, fix: str, aside: str | None = None) -> Check:
    """It works, but not as expected."""
    return Check(name=name, status=Status.WARN, detail=detail, aside=aside, fix=fix)


def fail(name: str, detail: str, *, fix: str, aside: str | None = None) -> Check:
    """It does not work."""
    return Check(name=name, status=Status.FAIL, detail=detail, aside=aside, fix=fix)


def unknown(name: str, detail: str, *, fix: str | None = None, aside: str | None = None) -> Check:
    """It could not be checked."""
    return Check(name=name, status=Status.UNKNOWN, detail=detail, aside=aside, fix=fix)


def strict(checklist: Checklist) -> Checklist:
    """Return `checklist` with every warning made a failure."""

    def judged(check: Check) -> Check:
        return replace(check, status=Status.FAIL) if check.status is Status.WARN else check

    sections = (
        replace(each, checks=tuple(map(judged, each.checks))) for each in checklist.sections
    )
    return replace(checklist, sections=tuple(sections))
