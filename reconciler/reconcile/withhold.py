"""Decide which operations of a round are not written.

A script may undo each write of a reconciler, or rename webhooks: then the reconciler must neither
write for ever, nor create a second webhook that sends every message twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence, Set
from typing import Final, NamedTuple, TypeAlias

from reconciler.kinds import KINDS
from reconciler.model import (
    Desired,
    Live,
    LiveWebhook,
    Secret,
    SecretValues,
    Webhook,
    declared_secret,
)
from reconciler.planning.compare import compare
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    Operation,
    Plan,
    Reason,
    SetChange,
    Update,
    ValueChange,
)
from reconciler.planning.readback import (
    Evidence,
    declared_destination,
    hides_destination,
    live_destination,
)
from reconciler.render.quote import quote
from reconciler.report import NOT_CONVERGED, SUSPENDED, Applied, Failed, Report
from reconciler.workflow.inputs import Gathered

_HOUR: Final = 3600.0
_MAX_WRITES: Final = 3
"""The maximum number of writes of one declaration of a webhook within an hour, without the first
write of a commit."""

_WITHHELD: Final = "withheld"
"""The code of an operation that needs a person to decide."""

_Reasons: TypeAlias = dict[int, tuple[str, str]]
"""Code and reason of the operations of a plan that are not written, by index."""


class _History(NamedTuple):
    """When a declaration was written within the last hour, and until when it is suspended.

    `values` are those of its secrets.
    """

    values: tuple[Secret | None, ...] = ()
    writes: tuple[float, ...] = ()
    until: float = 0.0
    reason: str = ""


class Suspensions:
    """The webhooks that this process does not write for an hour. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._histories: dict[Hashable, _History] = {}

    def reasons(self, plan: Plan, secrets: SecretValues, now: float) -> _Reasons:
        """Return why operations are suspended, by index."""
        reasons: _Reasons = {}
        for index, operation in enumerate(plan.operations):
            _, history = self._history(plan, operation, secrets)
            if now < history.until:
                minutes = max(1, round((history.until - now) / 60))
                reasons[index] = SUSPENDED, f"suspended for {minutes} min: {history.reason}"
        return reasons

    def record(self, report: Report, secrets: SecretValues, now: float) -> None:
        """Count the writes of an apply, and suspend what does not converge."""
        for outcome in report.outcomes:
            deviates = isinstance(outcome, Failed) and outcome.code == NOT_CONVERGED
            # A rejected write changed nothing, no listing showed an unconfirmed one, and what was
            # done already needed none: none of them is a write that something else undoes.
            is_write = isinstance(outcome, Applied) and not outcome.already_made
            # Nor is one that applies a commit.
            is_new = outcome.operation.attribution is Attribution.THIS_CHANGE
            if not deviates and (is_new or not is_write):
                continue
            key, before = self._history(report.plan, outcome.operation, secrets)
            self._histories[key] = _with_write(before, now, deviates=deviates)
        # Histories without effect go, so that memory does not grow with each declaration.
        self._histories = {
            key: history
            for key, history in self._histories.items()
            if now < max(history.until, history.writes[-1] + _HOUR)
        }

    def _history(
        self, plan: Plan, operation: Operation, secrets: SecretValues
    ) -> tuple[Hashable, _History]:
        """Return the key and the history of a write; one of other secrets is no repetition."""
        values: tuple[Secret | None, ...] = ()
        if not isinstance(operation, Delete):
            values = tuple(secrets.get(reference) for _, reference in operation.after.references)
        key = _key(plan, operation)
        history = self._histories.get(key)
        if history is None or history.values != values:
            history = _History(values)
        return key, history


def _with_write(history: _History, now: float, *, deviates: bool) -> _History:
    """Return the history with a write, and whether what does not converge is now suspended."""
    writes = (*(time for time in history.writes if now - time < _HOUR), now)
    # The next round would send the same value, and the server would change it again.
    if deviates:
        reason = "CloudTruth stored other values than were sent"
        return history._replace(writes=writes, until=now + _HOUR, reason=reason)
    if len(writes) >= _MAX_WRITES:
        reason = f"reverted {_MAX_WRITES} times within an hour: find out what changes it"
        return history._replace(writes=writes, until=now + _HOUR, reason=reason)
    return history._replace(writes=writes)


def _key(plan: Plan, operation: Operation) -> Hashable:
    """Return what identifies a write: the declaration, or the name that is deleted.

    A webhook that a script creates again has another id each time, so deletes count by name.
    """
    organization = plan.organization.id
    if isinstance(operation, Delete):
        return organization, operation.name
    webhook = operation.after
    fields = frozenset(webhook.configuration.items())
    return organization, webhook.name, webhook.id, webhook.type, webhook.event_types, fields


def withheld(
    plan: Plan,
    live: Live,
    gathered: Gathered,
    *,
    earlier: Sequence[Webhook] | None,
    suspended: _Reasons,
) -> _Reasons:
    """Return why operations are withheld or suspended, by index.

    A create is withheld if an undeclared live webhook looks like it: it is probably the same
    webhook under another name. `earlier` are the declarations that were applied before, None if
    they are not known. A create that is not one of them was not renamed by a script. Their names
    that a commit removed are deleted as planned.
    """
    desired, names = gathered.checked.desired, {webhook.name for webhook in earlier or ()}
    undeclared = _undeclared(plan, live, desired, names)
    creates = [
        (index, operation)
        for index, operation in enumerate(plan.operations)
        if isinstance(operation, Create)
    ]
    if earlier is None:
        # Without a sign of a rename, a webhook that is not of these files is of another team.
        undeclared = [webhook for webhook in undeclared if _is_ours(webhook.name, desired)]
    else:
        # What was never declared before, no script has renamed.
        creates = [
            (index, create)
            for index, create in creates
            if not names.isdisjoint((create.name, *create.after.previously))
        ]
    # What a person must decide is not hidden by what only takes time.
    reasons = {**suspended, **_renamed_live(plan, creates, undeclared, gathered.secrets)}
    return reasons | _dependents(plan.operations, reasons)


def _renamed_live(
    plan: Plan,
    creates: Iterable[tuple[int, Create]],
    undeclared: Sequence[LiveWebhook],
    secrets: SecretValues,
) -> _Reasons:
    """Return the reasons of creates, by index, that look like an undeclared live webhook."""
    deletes: dict[str, int] = {}
    for index, operation in enumerate(plan.operations):
        if isinstance(operation, Delete):
            deletes[operation.before.id] = index
    reasons: _Reasons = {}
    for index, create in creates:
        for webhook in undeclared:
            if not _is_alike(create.after, webhook, secrets):
                continue
            why = (
                f"{quote(webhook.name)} is not declared and has the same type, destination and "
                f"events; if a script renamed it, rename it back to {quote(create.name)}, "
                "declare it, or list it in `previously`"
            )
            reasons[index] = _WITHHELD, why
            # Without the create, its delete would leave no webhook that sends there.
            if webhook.id in deletes:
                why = "it may be a declared webhook that a script renamed"
                reasons[deletes[webhook.id]] = _WITHHELD, why
    return reasons


def _dependents(operations: Sequence[Operation], reasons: _Reasons) -> _Reasons:
    """Return the reasons of the operations that must wait for one of `reasons`.

    A webhook whose duplicate is not deleted is not updated: otherwise both would differ, and no
    later run could choose one of them.
    """
    waiting: set[str | None] = set()
    for index in reasons:
        operation = operations[index]
        if isinstance(operation, Delete):
            waiting.add(operation.kept_id)
    return {
        index: (_WITHHELD, "its duplicate is not deleted")
        for index, operation in enumerate(operations)
        if index not in reasons and isinstance(operation, Update) and operation.before.id in waiting
    }


def _undeclared(plan: Plan, live: Live, desired: Desired, earlier: Set[str]) -> list[LiveWebhook]:
    """Return the live webhooks that belong to no declaration, and that no file names or named."""
    # `matched` has only those that equal their declaration.
    claimed = set(plan.paired)
    # A delete for another reason is that of a duplicate, or of a webhook that must not exist.
    for delete in plan.deletes:
        if delete.reason is not Reason.NOT_DECLARED:
            claimed.add(delete.before.id)
    # Also names that are declared to be absent: their deletes are not a rename by a script.
    names = {absent.name for absent in desired.absent} | earlier
    for webhook in desired.webhooks:
        names |= {webhook.name, *webhook.previously}
    return [
        webhook
        for webhook in live.webhooks
        if webhook.id not in claimed and webhook.name not in names
    ]


def _is_ours(name: str, desired: Desired) -> bool:
    """Return whether a name is in the scope of a file, and not ignored."""
    policy = desired.policy
    if Globs(pattern.glob for pattern in policy.ignore).match(name):
        return False
    return any(Globs(scope.globs).match(name) for scope in policy.scopes)


def _is_alike(webhook: Webhook, live: LiveWebhook, secrets: SecretValues) -> bool:
    """Return whether both send the same events to one place, so far as the server shows it.

    A masked URL shows only its host. Otherwise the complete values decide.
    """
    shown = live_destination(live)
    # Without a destination there is nothing to compare: a hidden one withholds no create.
    if webhook.type != live.type or shown in (live.type, ""):
        return False
    if shown != declared_destination(webhook, secrets):
        return False
    # Two webhooks of a channel are usual, with other events or another username.
    for change in compare(webhook, live, Evidence(secrets)).fields:
        if isinstance(change, ValueChange | SetChange) and change.path != ("name",):
            return False
    field = KINDS[webhook.type].destination
    declared = declared_secret(webhook.configuration[field.name], secrets)
    if not field.secret or declared is None or hides_destination(live):
        return True
    return declared == live.value(field.name)
