"""The management status of each webhook, live or missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from reconciler.findings import Position
from reconciler.model import Live
from reconciler.planning.delivery import Delivery, DeliveryState, delivery
from reconciler.planning.names import Globs
from reconciler.planning.plan import Attribution, Plan, Reason, Snapshot, snapshot, webhook_key


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
"""The states that count as drift."""


class WebhookStatus(NamedTuple):
    """The status of one webhook, with its deliveries if it is live.

    `position` is the line that declares it, protects it or declares it absent.
    """

    webhook: Snapshot
    state: ManagementStatus
    position: Position | None = None
    delivery: Delivery | None = None

    @property
    def id(self) -> str | None:
        """Return the id of a live webhook. The snapshot of a missing one may have a declared id."""
        return None if self.delivery is None else self.delivery.id

    @property
    def is_failing(self) -> bool:
        """Return whether the last delivery failed."""
        return self.delivery is not None and self.delivery.state is DeliveryState.FAILING


_STATES = {
    Reason.ABSENT: ManagementStatus.ABSENT,
    Reason.DUPLICATE: ManagementStatus.DUPLICATE,
    Reason.NOT_DECLARED: ManagementStatus.UNDECLARED,
    Reason.PROTECTED: ManagementStatus.PROTECTED,
    Reason.AMBIGUOUS: ManagementStatus.DUPLICATE,
    Reason.UNKNOWN_TYPE: ManagementStatus.UNKNOWN,
    Reason.UNKNOWN_EVENT: ManagementStatus.UNKNOWN,
    Reason.LATER: ManagementStatus.MISSING,
    Reason.PRUNE_OFF: ManagementStatus.UNMANAGED,
    Reason.OUT_OF_SCOPE: ManagementStatus.UNMANAGED,
}
"""The states of webhooks that are deleted or kept."""


def statuses(live: Live, plan: Plan | None, only: Sequence[str] = ()) -> tuple[WebhookStatus, ...]:
    """Return a status for each live webhook and each that is missing, by name, then id.

    Without a plan all are unchecked. With the globs `only`, those whose live or declared name
    matches one of them.
    """
    globs = Globs(only or ("*",))
    # A plan does not list the webhooks that it ignores.
    other = ManagementStatus.UNCHECKED if plan is None else ManagementStatus.IGNORED
    states: dict[str, tuple[ManagementStatus, Position | None]] = {}
    declared_names: dict[str, str] = {}
    shown: list[WebhookStatus] = []
    if plan is not None:
        states = _live_states(plan)
        declared_names = {update.before.id: update.after.name for update in plan.updates}
        for webhook, position in _missing(plan):
            if globs.match(webhook.name):
                shown.append(WebhookStatus(webhook, ManagementStatus.MISSING, position))
    for live_webhook in live.webhooks:
        id_, name = live_webhook.id, live_webhook.name
        if globs.match(name) or globs.match(declared_names.get(id_, name)):
            state, position = states.get(id_, (other, None))
            deliveries = delivery(live_webhook)
            shown.append(WebhookStatus(snapshot(live_webhook), state, position, deliveries))
    return tuple(sorted(shown, key=lambda status: (status.webhook.name, status.id or "")))


def _live_states(plan: Plan) -> dict[str, tuple[ManagementStatus, Position | None]]:
    """Return the status of each live webhook in a plan, and the line that causes it, by id."""
    states: dict[str, tuple[ManagementStatus, Position | None]] = {}
    for id_, webhook in plan.matched.items():
        states[id_] = (ManagementStatus.IN_SYNC, webhook.position)
    for update in plan.updates:
        states[update.before.id] = (ManagementStatus.DIFFERS, update.after.position)
    for delete in plan.deletes:
        states[delete.before.id] = (_STATES[delete.reason], delete.position)
    for kept in (*plan.kept, *plan.unmanaged):
        state = _STATES[kept.reason]
        if state is ManagementStatus.UNKNOWN and kept.unapplied:
            state = ManagementStatus.UNAPPLIED
        if state is not ManagementStatus.MISSING:
            states.update((webhook.id, (state, kept.position)) for webhook in kept.webhooks)
    return states


def _missing(plan: Plan) -> Iterator[tuple[Snapshot, Position | None]]:
    """Yield the webhooks that are declared but not live.

    They may have an id, too: a declared one, which is no longer live.
    """
    for create in plan.creates:
        yield snapshot(create.after), create.after.position
    for kept in plan.kept:
        if _STATES[kept.reason] is ManagementStatus.MISSING:
            for webhook in kept.webhooks:
                yield webhook, kept.position


def drift(
    statuses: Iterable[WebhookStatus], plan: Plan | None = None
) -> dict[ManagementStatus, int]:
    """Return the number of webhooks in each of the `DRIFTED` states, without zeros.

    If the plan knows the previous configuration, changes of the files do not count.
    """
    edited = set() if plan is None else _edited(plan)
    counted = [
        status.state for status in statuses if (status.id or status.webhook.name) not in edited
    ]
    return {state: counted.count(state) for state in DRIFTED if state in counted}


def not_applied(statuses: Iterable[WebhookStatus], plan: Plan) -> int:
    """Return the number of webhooks that only a change of the files makes differ."""
    edited = _edited(plan)
    return sum((status.id or status.webhook.name) in edited for status in statuses)


def _edited(plan: Plan) -> set[str]:
    return {
        webhook_key(operation)
        for operation in plan.operations
        if operation.attribution is Attribution.THIS_CHANGE
    }
