"""The results of `plan`, `drift` and `status`, for one organization and for a run over several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from reconciler.errors import BlockedError, ExitCode, NotReviewedError, ReconcilerError
from reconciler.findings import Position
from reconciler.model import Live, Organization
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    DeliveryState,
    Kept,
    Plan,
    Reason,
    SecretUse,
    Snapshot,
    digest_of,
    is_drift,
    webhook_key,
)
from reconciler.planning.readback import snapshot

_T = TypeVar("_T")


class OrganizationResult(NamedTuple, Generic[_T]):
    """The result for one organization of a run: a value, or the problem because of which it failed.

    With neither, the run ended before it started with this organization. `name` is the real name
    once the key has told it, until then the one that the files declare. `files` are its paths.
    """

    name: str
    files: tuple[str, ...] = ()
    value: _T | None = None
    problem: ReconcilerError | None = None


def values(results: Iterable[OrganizationResult[_T]]) -> tuple[_T, ...]:
    """Return the results of the organizations that have one."""
    return tuple(result.value for result in results if result.value is not None)


# Plans


class Totals(NamedTuple):
    """Numbers of organizations, and of the operations that their plans show."""

    organizations: int
    to_change: int
    blocked: int
    failed: int
    unchanged: int
    create: int
    update: int
    delete: int

    @property
    def operations(self) -> int:
        """Return the number of operations."""
        return self.create + self.update + self.delete

    @property
    def is_unchanged(self) -> bool:
        """Return whether the plans of all organizations are known, and change nothing."""
        return self.unchanged == self.organizations


class RunPlan(NamedTuple):
    """The plan of each organization, in the order of the files.

    `whole` is the digest of the run if this is the part of it that is applied.
    """

    organizations: tuple[OrganizationResult[Plan], ...]
    whole: str | None = None

    @classmethod
    def of(cls, plan: Plan) -> RunPlan:
        """Return the run of one organization."""
        return cls((OrganizationResult(plan.organization.name, value=plan),))

    @property
    def is_single(self) -> bool:
        """Return whether the run has one organization, which could be planned."""
        return len(self.organizations) == len(self.plans) == 1

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Return the plans of the organizations that could be planned."""
        return values(self.organizations)

    @property
    def has_operations(self) -> bool:
        """Return whether a plan changes anything."""
        return any(plan.operations for plan in self.plans)

    @property
    def problems(self) -> tuple[OrganizationResult[Plan], ...]:
        """Return the organizations that could not be planned."""
        return tuple(result for result in self.organizations if result.problem is not None)

    @property
    def digest(self) -> str:
        """Return the digest of all operations; empty without operations.

        It does not depend on organizations without operations: for a single one with operations it
        is the digest of that plan.
        """
        if self.whole is not None:
            return self.whole
        return run_digest((plan.origin, plan.organization.id, plan.digest) for plan in self.plans)

    @property
    def totals(self) -> Totals:
        """Return the numbers of organizations and operations."""
        plans = self.plans
        applicable = [plan for plan in plans if not plan.blocked]
        changed = [plan for plan in applicable if plan.operations]
        # An apply has no plan of an organization that a guard blocks, but this problem.
        stopped = sum(isinstance(result.problem, BlockedError) for result in self.problems)
        # Nothing of these is applied, so the result calls them failed, too.
        unreviewed = sum(map(_is_unreviewed, applicable))
        return Totals(
            organizations=len(self.organizations),
            to_change=len(changed),
            blocked=len(plans) - len(applicable) + stopped,
            failed=len(self.problems) - stopped + unreviewed,
            unchanged=len(applicable) - len(changed) - unreviewed,
            create=sum(len(plan.creates) for plan in plans),
            update=sum(len(plan.updates) for plan in plans),
            delete=sum(len(plan.deletes) for plan in plans),
        )

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the first organization that failed or is blocked."""
        for organization in self.organizations:
            if organization.problem is not None:
                return organization.problem.exit_code
            if organization.value is not None and organization.value.blocked:
                return ExitCode.BLOCKED
        return ExitCode.OK

    @property
    def detailed_exit_code(self) -> ExitCode:
        """Return the exit code of `--detailed-exitcode`."""
        # A secret that may differ is sent by no plan, so nothing else would show a rotation.
        differs = any(plan.operations or plan.unapplied or plan.not_equal for plan in self.plans)
        if differs and self.exit_code is ExitCode.OK:
            return ExitCode.CHANGES
        return self.exit_code


def _is_unreviewed(plan: Plan) -> bool:
    return not plan.operations and any(note.rule == NotReviewedError.code for note in plan.notes)


def run_digest(plans: Iterable[tuple[str, str, str]]) -> str:
    """Return the digest of plans, each with origin, organization and digest."""
    # What needs no change needs no approval, and may be read or left out by a later run.
    changed = sorted(plan for plan in plans if plan[2])
    match changed:
        case []:
            return ""
        case [(_, _, digest)]:
            return digest
    return f"sha256:{digest_of(changed)}"


# Drift


class Drifted(NamedTuple):
    """A webhook that changed live."""

    operations: tuple[int, ...]
    """The indexes of the operations that revert it: one, or the create and the delete of a webhook
    that was renamed live."""
    files: tuple[str, ...] = ()
    """The files whose edits accept it."""
    refusal: str = ""
    """The reason why no edits accept it."""
    commit: str = ""
    """A commit that changed the webhook, too, and may not be applied yet."""
    comment: str = ""
    """The comment of the edit."""


class Difference(NamedTuple):
    """An operation that is not drift, or that may not be."""

    operation: int
    """Its index in the plan."""
    state: Attribution | None
    """Whether it is waiting. Without a previous configuration it is None."""
    commit: str = ""
    """The commit that may have introduced it, if it is possibly waiting."""
    is_overdue: bool = False
    """Whether it may just as well be drift. If its review is merged, whether its webhook has waited
    for more than a day, since its first merge that was not applied."""


class OrganizationDrift(NamedTuple):
    """The drift of an organization."""

    plan: Plan
    drifted: tuple[Drifted, ...] = ()
    unapplied: tuple[Kept, ...] = ()
    """Declarations that cannot be applied because of a live webhook."""
    differences: tuple[Difference, ...] = ()
    not_equal: tuple[SecretUse, ...] = ()
    """Secrets that are shown, but that may be encrypted."""

    @property
    def not_applied(self) -> list[Difference]:
        """Return those that only the files of this run plan."""
        return self._in_state(None, Attribution.THIS_CHANGE)

    @property
    def waiting(self) -> list[Difference]:
        """Return those that a commit may have introduced, so that it may not be applied yet."""
        return self._in_state(Attribution.POSSIBLY_WAITING)

    @property
    def merged(self) -> list[Difference]:
        """Return those about webhooks with a merged review that is not applied yet."""
        return self._in_state(Attribution.WAITING)

    @property
    def overdue(self) -> int:
        """Return the number of those that should have been applied, or that may be drift."""
        return sum(difference.is_overdue for difference in self.differences)

    def _in_state(self, *states: Attribution | None) -> list[Difference]:
        return [difference for difference in self.differences if difference.state in states]


class FileDiff(NamedTuple):
    """The edits of a file, as a patch that `git apply` accepts."""

    file: str
    diff: str


class DriftReport(NamedTuple):
    """The drift of a run, and the edits that accept it."""

    organizations: tuple[OrganizationResult[OrganizationDrift], ...]
    diffs: tuple[FileDiff, ...] = ()
    base: tuple[str, ...] = ()
    """The options with which the suggested commands know the previous configuration."""
    unknown: str = ""
    """Without a previous configuration, the reason why drift and edits cannot be told apart. All
    operations are then `not_applied`."""
    accepted: bool = False
    """Whether the files have been edited."""
    reverted_together: bool = False
    """Whether other commands than one for each webhook revert the drift."""

    @property
    def is_single(self) -> bool:
        """Return whether the run has one organization."""
        return len(self.organizations) == 1

    def is_accepted(self, webhook: Drifted) -> bool:
        """Return whether the files have been edited to accept a webhook."""
        return self.accepted and bool(webhook.files)

    @property
    def drifts(self) -> tuple[OrganizationDrift, ...]:
        """Return the drift of each organization that could be planned."""
        return values(self.organizations)

    @property
    def webhooks(self) -> Iterator[Drifted]:
        """Yield the webhooks that changed live and that can be reverted."""
        for drift in self.drifts:
            yield from drift.drifted

    @property
    def has_waiting_changes(self) -> bool:
        """Return whether file changes are known that may not be applied yet."""
        if self.unknown:
            return False
        return any(drift.differences for drift in self.drifts)

    @property
    def needs_attention(self) -> bool:
        """Return whether to exit with 2: live webhooks differ, or a secret may.

        A rotation that was not sent looks like a secret that is stored encrypted.
        """
        return self.differs or any(drift.not_equal for drift in self.drifts)

    @property
    def differs(self) -> bool:
        """Return whether live webhooks differ, except for file changes.

        Without a previous configuration, any difference counts. Overdue changes count, too: a
        scheduled check must not pass for weeks because they could still be applied.
        """
        if self.unknown:
            return any(drift.plan.operations or drift.unapplied for drift in self.drifts)
        if any(drift.unapplied or drift.overdue for drift in self.drifts):
            return True
        # What the edited files accept no longer differs from them.
        return any(not self.is_accepted(webhook) for webhook in self.webhooks)


# Status


class ManagementStatus(StrEnum):
    """The management status of a webhook."""

    IN_SYNC = "in sync"
    MISSING = "missing"  # declared, not live
    DIFFERS = "differs"  # declared, to be updated
    ABSENT = "declared absent"  # to be deleted
    DUPLICATE = "duplicate"  # a duplicate of a declared webhook
    UNDECLARED = "not declared"  # in scope, to be deleted
    PROTECTED = "protected"  # not declared, never deleted
    UNAPPLIED = "not applied"  # declared, but the type, an event or the name does not permit it
    UNKNOWN = "not supported"  # not declared, with such a type or event
    UNMANAGED = "unmanaged"  # outside all scopes
    IGNORED = "ignored"
    UNCHECKED = "no file"  # no configuration to compare with


DRIFTED: Final = (
    ManagementStatus.MISSING,
    ManagementStatus.DIFFERS,
    ManagementStatus.ABSENT,
    ManagementStatus.DUPLICATE,
    ManagementStatus.UNDECLARED,
    ManagementStatus.UNAPPLIED,
)
"""The statuses that count as drift."""


class WebhookStatus(NamedTuple):
    """The status of one webhook, which has no id if it is missing.

    `position` is the line that declares it, protects it or declares it absent.
    """

    webhook: Snapshot
    management: ManagementStatus
    position: Position | None = None

    @property
    def is_failing(self) -> bool:
        """Return whether the last delivery failed."""
        return self.webhook.delivery is DeliveryState.FAILING


class LiveStatus(NamedTuple):
    """The live webhooks of an organization, compared with the files of `plan`, if any.

    `live_count` is the number of all live webhooks, also those that `--only` does not select.
    """

    organization: Organization
    webhooks: Sequence[WebhookStatus]
    live_count: int
    plan: Plan | None = None

    @property
    def failing(self) -> list[WebhookStatus]:
        """Return the webhooks whose last delivery failed."""
        return [status for status in self.webhooks if status.is_failing]

    @property
    def selected_count(self) -> int:
        """Return the number of live webhooks that `--only` selects."""
        return sum(status.management is not ManagementStatus.MISSING for status in self.webhooks)

    @property
    def drift(self) -> dict[ManagementStatus, int]:
        """Return the number of webhooks in each of the `DRIFTED` statuses, without zeros.

        If the plan knows the previous configuration, file changes do not count.
        """
        counts = Counter(status.management for status in self.webhooks)
        counts.subtract(status.management for status in self._waiting)
        return {management: counts[management] for management in DRIFTED if counts[management]}

    @property
    def not_applied(self) -> int:
        """Return the number of webhooks that a file change explains, or may explain."""
        return len(self._waiting)

    @property
    def _waiting(self) -> list[WebhookStatus]:
        operations = () if self.plan is None else self.plan.operations
        keys = {
            webhook_key(operation)
            for operation in operations
            if operation.attribution is not None and not is_drift(operation)
        }
        # A missing webhook is created, and identified by its name.
        return [
            status for status in self.webhooks if (status.webhook.id or status.webhook.name) in keys
        ]


_STATUSES: Final = {
    Reason.ABSENT: ManagementStatus.ABSENT,
    Reason.DUPLICATE: ManagementStatus.DUPLICATE,
    Reason.NOT_DECLARED: ManagementStatus.UNDECLARED,
    Reason.PROTECTED: ManagementStatus.PROTECTED,
    Reason.AMBIGUOUS: ManagementStatus.DUPLICATE,
    Reason.NAME_PINNED: ManagementStatus.DUPLICATE,
    Reason.UNKNOWN_TYPE: ManagementStatus.UNKNOWN,
    Reason.UNKNOWN_EVENT: ManagementStatus.UNKNOWN,
    Reason.NAME_TAKEN: ManagementStatus.UNAPPLIED,
    Reason.LIVE_OUT_OF_SCOPE: ManagementStatus.UNAPPLIED,
    Reason.LATER: ManagementStatus.MISSING,
    Reason.PRUNE_OFF: ManagementStatus.UNMANAGED,
    Reason.OUT_OF_SCOPE: ManagementStatus.UNMANAGED,
}
"""The statuses of webhooks that are deleted or kept."""


def live_status(live: Live, plan: Plan | None, only: Sequence[str] = ()) -> LiveStatus:
    """Return a status for each live webhook and each that is missing, by name, then id.

    Without a plan all are unchecked. With the globs `only`, those whose live or declared name
    matches one of them.
    """
    globs = Globs(only or ("*",))
    # A plan does not list the webhooks that it ignores.
    other = ManagementStatus.UNCHECKED if plan is None else ManagementStatus.IGNORED
    statuses: dict[str, _Status] = {}
    shown: list[WebhookStatus] = []
    if plan is not None:
        statuses = _live_statuses(plan)
        for webhook, position in _missing(plan):
            if globs.match(webhook.name):
                webhook = replace(webhook, id="")  # a declared id that is not live
                shown.append(WebhookStatus(webhook, ManagementStatus.MISSING, position))
    for live_webhook in live.webhooks:
        name = live_webhook.name
        management, position, declared = statuses.get(live_webhook.id, (other, None, name))
        if globs.match(name) or globs.match(declared):
            shown.append(WebhookStatus(snapshot(live_webhook), management, position))
    shown.sort(key=lambda status: (status.webhook.name, status.webhook.id))
    return LiveStatus(live.organization, shown, len(live.webhooks), plan)


_Status: TypeAlias = tuple[ManagementStatus, Position | None, str]
"""The status of a live webhook, the line that causes it, and the declared name."""


def _live_statuses(plan: Plan) -> dict[str, _Status]:
    """Return the status of each live webhook in a plan by id."""
    statuses: dict[str, _Status] = {}
    for id_, webhook in plan.matched.items():
        statuses[id_] = (ManagementStatus.IN_SYNC, webhook.position, webhook.name)
    for update in plan.updates:
        after = update.after
        statuses[update.before.id] = (ManagementStatus.DIFFERS, after.position, after.name)
    for delete in plan.deletes:
        statuses[delete.before.id] = (_STATUSES[delete.reason], delete.position, delete.name)
    for kept in (*plan.kept, *plan.unmanaged):
        management = _STATUSES[kept.reason]
        if management is ManagementStatus.UNKNOWN and kept.unapplied:
            management = ManagementStatus.UNAPPLIED
        if management is not ManagementStatus.MISSING:
            for live_webhook in kept.webhooks:
                statuses[live_webhook.id] = (management, kept.position, kept.declared_name)
    return statuses


def _missing(plan: Plan) -> Iterator[tuple[Snapshot, Position | None]]:
    """Yield the webhooks that are declared but not live."""
    for create in plan.creates:
        yield snapshot(create.after), create.after.position
    for kept in plan.kept:
        if _STATUSES[kept.reason] is ManagementStatus.MISSING:
            for webhook in kept.webhooks:
                yield webhook, kept.position
