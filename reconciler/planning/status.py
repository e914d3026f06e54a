"""Every live webhook with what the declarations have to say of it."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings import Position
from reconciler.model import DeliveryError, Live, LiveWebhook
from reconciler.planning.changes import Delete, Reason, Snapshot
from reconciler.planning.compare import snapshot
from reconciler.planning.plan import Plan
from reconciler.values import dataclass


class Footing(StrEnum):
    """On what footing a live webhook stands."""

    DECLARED = "declared"  # live as declared
    DIFFERS = "differs"  # declared, and to be updated
    ABSENT = "declared absent"  # to be deleted
    TWIN = "twin"  # one of several of a declared name
    UNDECLARED = "not declared"  # in scope, to be deleted
    PROTECTED = "protected"  # not declared, never deleted
    UNKNOWN = "not understood"  # of a type or with an event this version does not know
    UNMANAGED = "unmanaged"  # nothing speaks of it
    IGNORED = "ignored"
    UNCHECKED = "no file"  # there is no declaration to hold it against


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One live webhook. `position` is where it is declared, protected or declared absent."""

    webhook: Snapshot
    footing: Footing
    position: Position | None = None
    error: DeliveryError | None = None

    @property
    def failing(self) -> bool:
        """Say whether the server remembers a delivery that failed."""
        return self.error is not None


_KEPT = {
    Reason.PROTECTED: Footing.PROTECTED,
    Reason.TWINS: Footing.TWIN,
    Reason.UNKNOWN_TYPE: Footing.UNKNOWN,
    Reason.UNKNOWN_EVENT: Footing.UNKNOWN,
}
_DELETED = {
    Reason.ABSENT: Footing.ABSENT,
    Reason.DUPLICATE: Footing.TWIN,
    Reason.NOT_DECLARED: Footing.UNDECLARED,
}


def statuses(live: Live, plan: Plan | None) -> tuple[Status, ...]:
    """Return a status for each live webhook, by name. Without a plan none has a footing."""
    footings: dict[str, tuple[Footing, Position | None]] = {}
    if plan is not None:
        for each in plan.matched:
            footings[each.id] = (Footing.DECLARED, each.webhook.position)
        for update in plan.updates:
            footings[update.before.id] = (Footing.DIFFERS, update.after.position)
        for change in plan.changes:
            if isinstance(change, Delete):
                footings[change.before.id] = (_DELETED[change.reason], change.position)
        for kept in plan.kept:
            for shot in kept.webhooks:
                footings[shot.id] = (_KEPT[kept.reason], kept.position)
        for unmanaged in plan.unmanaged:
            footings[unmanaged.webhook.id] = (Footing.UNMANAGED, None)
    other = (Footing.UNCHECKED if plan is None else Footing.IGNORED, None)
    return tuple(
        _status(found, *footings.get(found.id, other))
        for found in sorted(live.webhooks, key=lambda each: (each.name, each.id))
    )


def _status(found: LiveWebhook, footing: Footing, position: Position | None) -> Status:
    return Status(
        webhook=snapshot(found), footing=footing, position=position, error=found.last_error
    )
