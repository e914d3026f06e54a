"""Drift: what changed live, apart from what the files change.

An operation is drift if the previous configuration plans it, too (`attribution_of`).
What the files change, completely or in part, and what waits to be applied must never be undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from reconciler.findings import Position
from reconciler.kinds import FIELDS
from reconciler.model import Live, Organization, Value
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    DeliveryState,
    FieldRemoved,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    is_drift,
    webhook_key,
)
from reconciler.planning.readback import snapshot


def with_attributions(
    operations: Iterable[Operation],
    renamed: Mapping[str, Snapshot],
    earlier_plan: Plan,
) -> tuple[Operation, ...]:
    """Label each operation: it is drift if the plan of the previous configuration has it, too."""
    earlier = by_webhook(earlier_plan)
    labeled: list[Operation] = []
    label_by_id: dict[str, Attribution] = {}
    for operation in operations:
        label = attribution_of(operation, earlier, renamed)
        # A rename is one change. Its create precedes its delete.
        if isinstance(operation, Create):
            if operation.name in renamed and label is not Attribution.THIS_CHANGE:
                label_by_id[renamed[operation.name].id] = label
        else:
            label = label_by_id.get(operation.before.id, label)
        labeled.append(replace(operation, attribution=label))
    return tuple(labeled)


def by_webhook(plan: Plan) -> dict[str, Operation]:
    """Return the operations by `webhook_key`, and for a renamed live webhook its create."""
    operations = {webhook_key(operation): operation for operation in plan.operations}
    for create in plan.creates:
        if create.name in plan.renamed:
            operations[plan.renamed[create.name].id] = create
    return operations


def attribution_of(
    operation: Operation, earlier: Mapping[str, Operation], renamed: Mapping[str, Snapshot]
) -> Attribution:
    """Return why a webhook differs, given what an earlier configuration plans, `by_webhook`.

    A field that both set to the same value was changed live. One that only this operation sets
    equals the earlier configuration, so the files changed it.
    """
    earlier_operation = earlier.get(webhook_key(operation))
    # The files may have renamed the entry of a webhook that was renamed live.
    if earlier_operation is None and operation.name in renamed:
        earlier_operation = earlier.get(renamed[operation.name].id)
    match operation, earlier_operation:
        case Update(), Update():
            now, then = dict(_differences(operation)), dict(_differences(earlier_operation))
            # The new value is that of the earlier version, too, so its difference proves nothing.
            for change in operation.fields:
                if isinstance(change, SecretChange) and change.cause is SecretCause.VERSION_CHANGED:
                    then.pop(change.path, None)
            if now.keys().isdisjoint(then):
                return Attribution.THIS_CHANGE
            if now.items() <= then.items():
                return Attribution.DRIFT
            return Attribution.PARTLY_DRIFT
        case Create(after=declared), Create(after=earlier_declared):
            # A former name changes nothing that is created.
            if replace(declared, previously=earlier_declared.previously) == earlier_declared:
                return Attribution.DRIFT
            return Attribution.PARTLY_DRIFT
        # The files no longer declare what was changed live, or no longer with its id.
        case (Delete(), Update() | Create()) | (Create(), Update()):
            return Attribution.PARTLY_DRIFT
        case Delete(), Delete():
            return Attribution.DRIFT
    return Attribution.THIS_CHANGE  # a webhook that was added live is now declared


def _differences(update: Update) -> Iterator[tuple[tuple[str, ...], Value | None]]:
    """Yield the fields that an update changes, by path, with what it makes of them.

    A hidden secret that is only sent along is none.
    """
    fields = FIELDS[update.after.type]
    for change in update.fields:
        match change:
            case SetChange(path=path, added=added, removed=removed):
                # Each member is one difference, because others may change live.
                for member in (*added, *removed):
                    yield (*path, member), None
            case FieldRemoved(path=(_, name) as path):
                # A configuration that is sent removes fields that this version does not know.
                if name in fields:
                    yield path, None
            case ValueChange(path=("configuration", name) as path, after=str(after)):
                yield path, fields[name].normalize(after)
            case ValueChange(path=path, after=after) | SecretChange(path=path, after=after):
                yield path, after


def still_renamed(
    creates: Iterable[Create], earlier: Plan, undeclared: Iterable[Snapshot]
) -> dict[str, Snapshot]:
    """Return the renames of an earlier plan that concern the creates and webhooks of another one.

    See `Plan.renamed`.
    """
    ids = {webhook.id for webhook in undeclared}
    renamed: dict[str, Snapshot] = {}
    for create in creates:
        for name in (create.name, *create.after.previously):
            webhook = earlier.renamed.get(name)
            if webhook is not None and webhook.id in ids:
                renamed[create.name] = webhook
    return renamed


def names_of(operation: Operation) -> tuple[str, ...]:
    """Return the names of a webhook before and after an operation."""
    match operation:
        case Update(before=before, after=after):
            return before.name, after.name
        case Create() | Delete():
            return (operation.name,)


class ManagementStatus(StrEnum):
    """The management status of a webhook."""

    IN_SYNC = "in sync"
    MISSING = "missing"  # declared, not live
    DIFFERS = "differs"  # declared, to be updated
    ABSENT = "declared absent"  # to be deleted
    DUPLICATE = "duplicate"  # a duplicate of a declared webhook
    UNDECLARED = "not declared"  # in scope, to be deleted
    PROTECTED = "protected"  # not declared, never deleted
    UNAPPLIED = "not applied"  # declared, with a type or event that this version does not know
    UNKNOWN = "not supported"  # not declared, with such a type or event
    UNMANAGED = "unmanaged"  # outside all scopes
    IGNORED = "ignored"
    UNCHECKED = "no file"  # no configuration to compare with


DRIFTED = (
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


_STATUSES = {
    Reason.ABSENT: ManagementStatus.ABSENT,
    Reason.DUPLICATE: ManagementStatus.DUPLICATE,
    Reason.NOT_DECLARED: ManagementStatus.UNDECLARED,
    Reason.PROTECTED: ManagementStatus.PROTECTED,
    Reason.AMBIGUOUS: ManagementStatus.DUPLICATE,
    Reason.NAME_PINNED: ManagementStatus.DUPLICATE,
    Reason.UNKNOWN_TYPE: ManagementStatus.UNKNOWN,
    Reason.UNKNOWN_EVENT: ManagementStatus.UNKNOWN,
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
    statuses: dict[str, tuple[ManagementStatus, Position | None]] = {}
    declared_names: dict[str, str] = {}
    shown: list[WebhookStatus] = []
    if plan is not None:
        statuses = _live_statuses(plan)
        declared_names = {update.before.id: update.after.name for update in plan.updates}
        for webhook, position in _missing(plan):
            if globs.match(webhook.name):
                webhook = replace(webhook, id="")  # a declared id that is not live
                shown.append(WebhookStatus(webhook, ManagementStatus.MISSING, position))
    for live_webhook in live.webhooks:
        id_, name = live_webhook.id, live_webhook.name
        if globs.match(name) or globs.match(declared_names.get(id_, name)):
            management, position = statuses.get(id_, (other, None))
            shown.append(WebhookStatus(snapshot(live_webhook), management, position))
    shown.sort(key=lambda status: (status.webhook.name, status.webhook.id))
    return LiveStatus(live.organization, shown, len(live.webhooks), plan)


def _live_statuses(plan: Plan) -> dict[str, tuple[ManagementStatus, Position | None]]:
    """Return the status of each live webhook in a plan, and the line that causes it, by id."""
    statuses: dict[str, tuple[ManagementStatus, Position | None]] = {}
    for id_, webhook in plan.matched.items():
        statuses[id_] = (ManagementStatus.IN_SYNC, webhook.position)
    for update in plan.updates:
        statuses[update.before.id] = (ManagementStatus.DIFFERS, update.after.position)
    for delete in plan.deletes:
        statuses[delete.before.id] = (_STATUSES[delete.reason], delete.position)
    for kept in (*plan.kept, *plan.unmanaged):
        management = _STATUSES[kept.reason]
        if management is ManagementStatus.UNKNOWN and kept.unapplied:
            management = ManagementStatus.UNAPPLIED
        if management is not ManagementStatus.MISSING:
            statuses.update((webhook.id, (management, kept.position)) for webhook in kept.webhooks)
    return statuses


def _missing(plan: Plan) -> Iterator[tuple[Snapshot, Position | None]]:
    """Yield the webhooks that are declared but not live."""
    for create in plan.creates:
        yield snapshot(create.after), create.after.position
    for kept in plan.kept:
        if _STATUSES[kept.reason] is ManagementStatus.MISSING:
            for webhook in kept.webhooks:
                yield webhook, kept.position
