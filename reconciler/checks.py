"""The results of `doctor` and `check`: checks in sections.

A check that could not be run is *unknown*, which is not a failure. A failure always has a fix.
`private` contains names, hosts and paths, and is shown only on the terminal, never in JSON.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from reconciler.errors import ExitCode
from reconciler.findings import Position


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class CheckedWebhook(NamedTuple):
    """A declared webhook that a check is about.

    `organization` is None if the run has only one.
    """

    name: str
    position: Position | None = None
    organization: str | None = None


class Check(NamedTuple):
    """One check, of `webhooks` if it is about some of them.

    `name` is a stable identifier. `detail` and `fix` are sentences in which untrusted text is
    already quoted.
    """

    status: Status
    name: str
    detail: str
    private: str | None = None
    fix: str | None = None
    webhooks: tuple[CheckedWebhook, ...] = ()


class Section(NamedTuple):
    """Related checks."""

    name: str
    checks: tuple[Check, ...]


class Checklist(NamedTuple):
    """All checks of a command. `command` is its name, `notes` are sentences printed after them."""

    command: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Return the number of checks with a status."""
        return sum(check.status is status for section in self.sections for check in section.checks)

    @property
    def exit_code(self) -> ExitCode:
        """Return 1 if any check failed, else 0."""
        return ExitCode.FAILED if self.count(Status.FAIL) else ExitCode.OK

    def warnings_as_failures(self) -> Checklist:
        """Return the checklist with warnings changed to failures."""

        def strict(check: Check) -> Check:
            return check._replace(status=Status.FAIL) if check.status is Status.WARN else check

        sections = [
            section._replace(checks=tuple(map(strict, section.checks))) for section in self.sections
        ]
        return self._replace(sections=tuple(sections))


ok: Final = partial(Check, Status.OK)
"""Return a check that passed."""

warn: Final = partial(Check, Status.WARN)
"""Return a check that passed with a warning; it needs a `fix`."""

fail: Final = partial(Check, Status.FAIL)
"""Return a failed check; it needs a `fix`."""

unknown: Final = partial(Check, Status.UNKNOWN)
"""Return a check that could not be run."""
