"""The results of commands: outcomes of an apply, checks of `doctor` and `check`, exit codes.

An apply has an outcome for each operation of the plan. A check that could not be run is *unknown*,
which is not a failure. A failure always has a fix. `private` contains names, hosts and paths, and
is shown only on the terminal, never in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import BlockedError, ExitCode
from reconciler.findings import Position
from reconciler.planning.plan import Operation, Plan
from reconciler.planning.run import OrganizationResult, values

NOT_REVIEWED: Final = "not-reviewed"
"""The code of an operation that was skipped because no review includes it."""

STALE: Final = frozenset({"changed", "vanished"})
"""The codes of an operation that was skipped because its webhook is not as planned, or is gone."""

SUSPENDED: Final = "suspended"
"""The code of an operation that is not repeated for some time."""

NOT_CONVERGED: Final = "does-not-converge"
"""The code of an operation whose result is not what was sent."""


class Applied(NamedTuple):
    """The operation was applied. `note` explains how, if not by a confirmed request of this run.

    `already_made` means that it was done without a write of this run.
    """

    operation: Operation
    id: str | None = None
    note: str | None = None
    already_made: bool = False

    def with_note(self, text: str) -> Applied:
        """Return the outcome with one more note."""
        return self._replace(note="; ".join(filter(None, [self.note, text])))


class FieldMessage(NamedTuple):
    """The server's message about one field, and the position that declares it."""

    path: tuple[str, ...]
    message: str
    position: Position | None = None


class Failed(NamedTuple):
    """The operation was not applied, or the server stored other values.

    `code` is an error's code, or `does-not-converge` if the stored values differ from those sent;
    `fields` are then the fields that differ. `exit_code` is that of the error.
    """

    operation: Operation
    code: str
    message: str
    hint: str | None = None
    fields: tuple[FieldMessage, ...] = ()
    exit_code: ExitCode = ExitCode.FAILED


class Skipped(NamedTuple):
    """The operation was not attempted. `code` is stable; `message` is the reason."""

    operation: Operation
    code: str
    message: str


class Unconfirmed(NamedTuple):
    """The run could not determine whether the operation was applied; the next run checks.

    If the server shows nothing of it, as of a hidden secret, no run can check. `exit_code` is
    another one after an internal error.
    """

    operation: Operation
    message: str
    exit_code: ExitCode = ExitCode.PARTIAL


Outcome: TypeAlias = Applied | Failed | Skipped | Unconfirmed

OUTCOMES: Final[Mapping[type[Outcome], str]] = {
    Applied: "applied",
    Failed: "failed",
    Skipped: "skipped",
    Unconfirmed: "unconfirmed",
}
"""The names of the outcomes in documents, logs and metrics."""


class RemovedDuplicate(NamedTuple):
    """A removed duplicate of a create whose response was lost; `kept` is the id that remains."""

    name: str
    removed: str
    kept: str


class Report(NamedTuple):
    """The report of an apply."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    """In the order of `plan.operations`."""
    duplicates_removed: tuple[RemovedDuplicate, ...] = ()
    writes: int = 0
    """The number of requests that may have changed something."""
    verified: bool = False
    """Whether the listing after the last write was read and compared, except for `hidden`."""
    hidden: int = 0
    """The number of values that were sent, or may have been, and that the server does not show."""
    stopped: ExitCode | None = None
    """The exit code of a signal that came during the run."""
    problem: str | None = None
    """A failure of the run itself after writing began, such as a listing that could not be read."""
    needs_plan: bool = False
    """Whether the apply had a digest or an allowed number of deletes: what is left has another one,
    so the same command would be refused."""

    @property
    def applied(self) -> tuple[Applied, ...]:
        """Return the applied operations."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Applied))

    @property
    def needs_review(self) -> bool:
        """Return whether all remaining operations were skipped for lack of a review."""
        return self._remaining_codes == {NOT_REVIEWED}

    @property
    def is_contradicted(self) -> bool:
        """Return whether the stored values of all remaining operations are not those sent."""
        return self._remaining_codes == {NOT_CONVERGED}

    @property
    def _remaining_codes(self) -> set[str]:
        """Return the codes of the operations that were not applied; an unconfirmed one has none."""
        remaining = (outcome for outcome in self.outcomes if not isinstance(outcome, Applied))
        return {getattr(outcome, "code", "") for outcome in remaining}

    @property
    def complete(self) -> bool:
        """Return whether all operations in the plan were applied and nothing else went wrong."""
        # A signal before the last listing leaves open whether the writes are as planned.
        if self.stopped is not None and not self.verified:
            return False
        return len(self.applied) == len(self.outcomes) and self.problem is None

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the process."""
        if self.stopped is not None:
            return self.stopped
        if self.complete and not self.plan.unapplied:
            return ExitCode.OK
        undone = (outcome for outcome in self.outcomes if isinstance(outcome, Failed | Unconfirmed))
        codes = {outcome.exit_code for outcome in undone}
        if ExitCode.BUG in codes:
            return ExitCode.BUG
        # An unconfirmed operation may have been written.
        if self.writes or ExitCode.PARTIAL in codes:
            return ExitCode.PARTIAL
        if self.problem is not None:
            return ExitCode.FAILED
        # Nothing was written, and the same command would change nothing: only a review helps.
        if self.needs_review:
            return ExitCode.STALE
        # As if the listing had met the error: another code than 1 says more.
        return max(codes, default=ExitCode.FAILED)


class State(StrEnum):
    """What an apply did in one organization."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"  # it was as declared
    INCOMPLETE = "incomplete"  # something may be written, and something is left
    BLOCKED = "blocked"  # by a guard: nothing was written
    FAILED = "failed"  # nothing was written
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not started"


class RunReport(NamedTuple):
    """The report of an apply of several organizations, in the order of the files."""

    organizations: tuple[OrganizationResult[Report], ...]
    digest: str = ""
    """The digest of the run's plan."""
    stopped: ExitCode | None = None
    """The exit code of a signal that ended the run early."""
    plan_command: str = ""
    """Plans with the same options again; empty if no command does."""
    finish_command: str = ""
    """Applies what is left if the same command would not: its `--base` names another commit by
    then, or it lacks `--keep-going`."""
    confirmed: tuple[int, ...] = ()
    """The number of changes of each organization that were confirmed, empty if the run ended
    before."""

    @classmethod
    def of(cls, report: Report) -> RunReport:
        """Return the report of a run of one organization."""
        result = OrganizationResult(report.plan.organization.name, value=report)
        return cls((result,), report.plan.digest, report.stopped)

    @property
    def is_single(self) -> bool:
        """Return whether the run has one organization, which has a report."""
        return len(self.organizations) == len(self.reports) == 1

    @property
    def reports(self) -> tuple[Report, ...]:
        """Return the reports of the organizations that were applied, or needed no change."""
        return values(self.organizations)

    @property
    def has_operations(self) -> bool:
        """Return whether the run was to change anything."""
        return any(report.plan.operations for report in self.reports)

    @property
    def is_unchanged(self) -> bool:
        """Return whether all organizations were as declared."""
        return all(state_of(result) is State.UNCHANGED for result in self.organizations)

    @property
    def is_complete(self) -> bool:
        """Return whether all organizations are as declared, also if a signal came then."""
        done = (State.APPLIED, State.UNCHANGED)
        return all(state_of(result) in done for result in self.organizations)

    @property
    def has_unstarted(self) -> bool:
        """Return whether the run ended before it started all organizations."""
        return any(state_of(result) is State.NOT_STARTED for result in self.organizations)

    @property
    def writes(self) -> int:
        """Return the number of requests that may have changed something."""
        return sum(report.writes for report in self.reports)

    @property
    def exit_code(self) -> ExitCode:
        """Return a signal or an internal error first; 7 if something is written and not all.

        Otherwise the exit code of the first organization that failed.
        """
        codes = [exit_code_of(result) for result in self.organizations]
        if self.stopped is not None:
            return self.stopped
        if ExitCode.BUG in codes:
            return ExitCode.BUG
        if not set(codes) - {ExitCode.OK}:
            return ExitCode.OK
        if self.writes or ExitCode.PARTIAL in codes:
            return ExitCode.PARTIAL
        # Without those that succeeded, whose code is 0, or were not started.
        return next(filter(None, codes), ExitCode.FAILED)


def exit_code_of(result: OrganizationResult[Report]) -> ExitCode | None:
    """Return the exit code of one organization, None if it was not started."""
    if result.problem is not None:
        return result.problem.exit_code
    return None if result.value is None else result.value.exit_code


def state_of(result: OrganizationResult[Report]) -> State:
    """Return what an apply did in one organization."""
    report = result.value
    if report is None:
        if result.problem is None:
            return State.NOT_STARTED
        return State.BLOCKED if isinstance(result.problem, BlockedError) else State.FAILED
    # A signal ends the run, but it may come after the last write of an organization.
    if report.stopped is not None and not report.complete:
        return State.INTERRUPTED
    code = report._replace(stopped=None).exit_code
    if code is ExitCode.OK:
        return State.APPLIED if report.outcomes else State.UNCHANGED
    # An error of the code itself is an outcome only if something was written before.
    return State.INCOMPLETE if code in {ExitCode.PARTIAL, ExitCode.BUG} else State.FAILED


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
    """All checks of a command. `command` is its name, `notes` are sentences printed after them.

    `unread` is the exit code of what could not be read.
    """

    command: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    unread: ExitCode = ExitCode.OK

    def count(self, status: Status) -> int:
        """Return the number of checks with a status."""
        return sum(check.status is status for section in self.sections for check in section.checks)

    @property
    def exit_code(self) -> ExitCode:
        """Return that of what could not be read, if any; else 1 if any check failed."""
        return self.unread or (ExitCode.FAILED if self.count(Status.FAIL) else ExitCode.OK)

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
