"""Decide which operations of a round are not written.

A script may undo each write of a reconciler, or rename webhooks: then the reconciler must neither
write for ever, nor create a second webhook that sends every message twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Final, NamedTuple

from reconciler.kinds import FIELDS, KINDS
from reconciler.model import (
    Desired,
    LiveWebhook,
    Secret,
    SecretRef,
    Unknown,
    Webhook,
    declared_secret,
)
from reconciler.planning.plan import (
    Create,
    Delete,
    Operation,
    Plan,
    Reason,
    Update,
    destination,
)
from reconciler.planning.readback import hides_destination
from reconciler.render.quote import quote
from reconciler.report import NOT_CONVERGED, Failed, Report, Skipped
from reconciler.workflow.run import Planned

_HOUR: Final = 3600.0
_MAX_WRITES: Final = 3
"""The maximum number of writes of one declaration of a webhook within an hour."""

Key = tuple[str, Hashable]
"""The id of an organization, and a declaration or the name of a deleted webhook."""


class _History(NamedTuple):
    """When a declaration was written within the last hour, and until when it is suspended."""

    writes: tuple[float, ...] = ()
    until: float = 0.0
    reason: str = ""


class Suspensions:
    """The webhooks that this process does not write for an hour. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._histories: dict[Key, _History] = {}

    def reasons(self, plan: Plan, now: float) -> dict[int, str]:
        """Return why operations are suspended, by index."""
        reasons: dict[int, str] = {}
        for index, operation in enumerate(plan.operations):
            history = self._histories.get(_key(plan.organization.id, operation), _History())
            if now < history.until:
                minutes = max(1, round((history.until - now) / 60))
                reasons[index] = f"suspended for {minutes} min: {history.reason}"
        return reasons

    def record(self, report: Report, now: float) -> None:
        """Count the writes of an apply, and suspend what does not converge."""
        for outcome in report.outcomes:
            if isinstance(outcome, Skipped):
                continue
            key = _key(report.plan.organization.id, outcome.operation)
            writes = (*self._histories.get(key, _History()).writes, now)
            writes = tuple(time for time in writes if now - time < _HOUR)
            history = _History(writes)
            if isinstance(outcome, Failed) and outcome.code == NOT_CONVERGED:
                reason = "CloudTruth stored other values than were sent"
                history = _History(writes, now + _HOUR, reason)
            elif len(writes) >= _MAX_WRITES:
                reason = f"written {_MAX_WRITES} times within an hour, and different again"
                history = _History(writes, now + _HOUR, reason)
            self._histories[key] = history
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Remove what has no effect any more, so that memory does not grow."""
        for key, history in list(self._histories.items()):
            if now >= history.until and now - history.writes[-1] >= _HOUR:
                del self._histories[key]


def _key(organization: str, operation: Operation) -> Key:
    """Return what identifies a write: the declaration, or the name that is deleted.

    A webhook that a script creates again has another id each time, so deletes count by name.
    """
    if isinstance(operation, Delete):
        return organization, operation.name
    webhook = operation.after
    fields = tuple(sorted((name, str(value)) for name, value in webhook.configuration.items()))
    return organization, (webhook.name, webhook.id, webhook.type, webhook.event_types, fields)


def withheld_creates(planned: Planned, before: Desired | None) -> dict[int, str]:
    """Return why creates are withheld, by index, with the deletes that belong to them.

    A create is withheld if an undeclared live webhook has its type and destination: it is probably
    the same webhook under another name. A name that the configuration `before` declared was removed
    by a commit, and is deleted as planned.
    """
    plan, live, gathered = planned.plan, planned.live, planned.gathered
    assert plan is not None
    assert live is not None
    assert gathered is not None
    desired, reasons = gathered.checked.desired, dict[int, str]()
    removed = {webhook.name for webhook in before.webhooks} if before is not None else set()
    undeclared = [
        webhook
        for webhook in live.webhooks
        if webhook.id not in _claimed(plan) and webhook.name not in _declared(desired) | removed
    ]
    for index, operation in enumerate(plan.operations):
        if not isinstance(operation, Create):
            continue
        for webhook in undeclared:
            if _same_destination(operation.after, webhook, gathered.secrets):
                name = quote(webhook.name)
                reasons[index] = (
                    f"{name} is not declared and has the same type and destination; if a script "
                    f"renamed it, name it {quote(operation.name)} again, else declare it"
                )
                reasons |= _deletes_of(plan, webhook)
    return reasons


def with_dependents(plan: Plan, reasons: Mapping[int, str]) -> dict[int, str]:
    """Return the reasons with those of the operations that must wait for withheld ones.

    A webhook whose duplicate is not deleted is not updated: otherwise both would differ, and no
    later run could choose one of them.
    """
    waiting = {
        operation.kept_id
        for index, operation in enumerate(plan.operations)
        if index in reasons and isinstance(operation, Delete) and operation.kept_id is not None
    }
    result = dict(reasons)
    for index, operation in enumerate(plan.operations):
        if isinstance(operation, Update) and operation.before.id in waiting:
            result.setdefault(index, "its duplicate is not deleted")
    return result


def _deletes_of(plan: Plan, webhook: LiveWebhook) -> Iterator[tuple[int, str]]:
    """Yield the delete of the webhook because of which a create is withheld."""
    for index, operation in enumerate(plan.operations):
        if isinstance(operation, Delete) and operation.before.id == webhook.id:
            yield index, "it may be a declared webhook that a script renamed"


def _claimed(plan: Plan) -> set[str]:
    """Return the ids of the live webhooks that belong to a declaration."""
    claimed = {*plan.matched, *(update.before.id for update in plan.updates)}
    return claimed | {
        delete.before.id for delete in plan.deletes if delete.reason is not Reason.NOT_DECLARED
    }


def _declared(desired: Desired) -> set[str]:
    """Return the names that files declare, also for webhooks that must not exist."""
    declared = {webhook.name for webhook in desired.webhooks}
    declared.update(webhook.name for webhook in desired.absent)
    return declared.union(*(webhook.previously for webhook in desired.webhooks))


def _same_destination(
    webhook: Webhook, live: LiveWebhook, secrets: Mapping[SecretRef, Secret]
) -> bool:
    """Return whether both send to one place, so far as the server shows it.

    A masked URL shows only its host. Otherwise the complete values decide.
    """
    shown = destination(live)
    if webhook.type != live.type or shown in (live.type, ""):
        return False
    if shown != destination(webhook, secrets):
        return False
    field = FIELDS[webhook.type][KINDS[webhook.type].destination_field]
    wanted = declared_secret(webhook.configuration[field.name], secrets)
    if not field.secret or wanted is None or hides_destination(live):
        return True
    assert not isinstance(live.configuration, Unknown)
    return wanted == live.configuration.get(field.name)
