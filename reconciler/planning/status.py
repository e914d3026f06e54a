"""The management status of each webhook, live or missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from reconciler.findings import Position
from reconciler.model import DeliveryError, Live
from reconciler.planning.delivery import DeliveryState, delivery_state
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Create,
    Delete,
    Plan,
    Reason,
    Snapshot,
    Update,
    snapshot,
)


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
    """The status of one webhook. `id` is None if it is not live.

    `position` is the line that declares it, protects it or declares it absent. `delivery` is None
    if it is not live. `last_run` is the server's time of the last delivery, `last_error` the last
    error, which may be older.
    """

    id: str | None
    name: str
    type: str
    state: ManagementStatus
    destination: str
    event_types: frozenset[str]
    position: Position | None = None
    delivery: DeliveryState | None = None
    last_run: str | None = None
    last_error: DeliveryError | None = None

    @property
    def is_failing(self) -> bool:
        """Return whether the last delivery failed."""
        return self.delivery is DeliveryState.FAILING


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
    states: dict[str, tuple[ManagementStatus, Position | None]] = {}
    missing: list[tuple[Snapshot, Position | None]] = []
    declared_names: dict[str, str] = {}
    if plan is not None:
        for id_, webhook in plan.matched.items():
            states[id_] = (ManagementStatus.IN_SYNC, webhook.position)
        for operation in plan.operations:
            match operation:
                case Create(after=after):
                    missing.append((snapshot(after), after.position))
                case Update(before=before, after=after):
                    states[before.id] = (ManagementStatus.DIFFERS, after.position)
                    declared_names[before.id] = after.name
                case Delete(before=before):
                    states[before.id] = (_STATES[operation.reason], operation.position)
        for kept in (*plan.kept, *plan.unmanaged):
            state = _STATES[kept.reason]
            if state is ManagementStatus.UNKNOWN and kept.unapplied:
                state = ManagementStatus.UNAPPLIED
            if state is ManagementStatus.MISSING:
                missing += [(webhook, kept.position) for webhook in kept.webhooks]
            else:
                states |= {webhook.id: (state, kept.position) for webhook in kept.webhooks}
    other = (ManagementStatus.UNCHECKED if plan is None else ManagementStatus.IGNORED, None)
    live_by_id = {webhook.id: webhook for webhook in live.webhooks}
    rows = [(webhook, ManagementStatus.MISSING, position) for webhook, position in missing]
    rows += [(snapshot(each), *states.get(each.id, other)) for each in live.webhooks]
    shown: list[WebhookStatus] = []
    for snapshot_, state, position in rows:
        declared_name = declared_names.get(snapshot_.id, snapshot_.name)
        if not globs.match(snapshot_.name) and not globs.match(declared_name):
            continue
        # A missing webhook may have an id, too: the declared one, which is no longer live.
        live_webhook = None if state is ManagementStatus.MISSING else live_by_id[snapshot_.id]
        status = WebhookStatus(
            id=None,
            name=snapshot_.name,
            type=snapshot_.type,
            state=state,
            destination=snapshot_.destination,
            event_types=snapshot_.event_types,
            position=position,
        )
        if live_webhook is not None:
            status = status._replace(
                id=live_webhook.id,
                delivery=delivery_state(live_webhook.last_run, live_webhook.last_error),
                last_run=live_webhook.last_run,
                last_error=live_webhook.last_error,
            )
        shown.append(status)
    return tuple(sorted(shown, key=lambda status: (status.name, status.id or "")))


def drift(statuses: Iterable[WebhookStatus]) -> dict[ManagementStatus, int]:
    """Return the number of webhooks in each of the `DRIFTED` states, without zeros."""
    states = [each.state for each in statuses]
    return {each: states.count(each) for each in DRIFTED if each in states}
