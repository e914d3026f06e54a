"""Check whether an operation of a plan still applies to the live webhooks.

An operation is *pending* while the live webhook is as it was for the plan, *done* when it is as
desired, and *stale* otherwise. Only pending operations are applied, so a reviewed plan is applied
exactly, even if it is confirmed late. The check runs before the first write, after a lost response,
and on the listing after the last write.

A value that the server hides proves nothing, so an operation that sends one is never done according
to a listing: only the response to a request of this run proves it. If the rest of an update is as
desired, it is pending: the request reaches exactly the reviewed result, however often it is sent.
A webhook that looks like a create is stale instead: no plan has shown that its hidden values would
be replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from reconciler.kinds import KINDS
from reconciler.model import LiveWebhook, SecretValues, Webhook
from reconciler.planning.compare import Comparison, compare, compare_live, removed_fields
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldChange,
    FieldRemoved,
    Operation,
    Plan,
    Reason,
    SecretChange,
    Update,
)
from reconciler.planning.readback import (
    Reading,
    gather_evidence,
    is_unset,
    live_destination,
    snapshot,
)


class OperationState(Enum):
    """Whether an operation applies to the live webhooks."""

    PENDING = "pending"
    DONE = "done"
    STALE = "stale"


class CheckResult(NamedTuple):
    """The state of one operation, the reason, and the webhook's id if the operation is done.

    `differing` is the difference between the webhook and the result of a create or an update.
    `unread` are the fields of a pending update that are not known to be equal, if nothing else is
    left.
    """

    state: OperationState
    reason: str = ""
    id: str | None = None
    differing: tuple[FieldChange, ...] = ()
    unread: tuple[str, ...] = ()


_PENDING = CheckResult(OperationState.PENDING)
_APPEARED = CheckResult(
    OperationState.STALE, "another webhook with this name was created since the plan"
)


class Listing:
    """The live webhooks at one time, for checking the operations of a plan.

    Their secrets are compared with the values that the plan declares, and with those of `planned`,
    the live webhooks, by id, as they were for the plan or before the first write: the snapshots of
    a plan have no secrets.
    """

    def __init__(
        self,
        plan: Plan,
        webhooks: Sequence[LiveWebhook],
        secrets: SecretValues,
        planned: Mapping[str, LiveWebhook] = MappingProxyType({}),
    ) -> None:
        self._planned = planned
        self._hides_secrets = bool(plan.not_shown)
        self.by_id = {webhook.id: webhook for webhook in webhooks}
        self._by_name: dict[str, list[LiveWebhook]] = {}
        for webhook in webhooks:
            self._by_name.setdefault(webhook.name, []).append(webhook)
        declared = plan.paired
        created = [create.after for create in plan.creates]
        # From all webhooks: a secret that reads back as declared shows that its field is readable.
        self._evidence = gather_evidence(
            self._pairs(declared, created), (*webhooks, *planned.values()), secrets
        )
        # A webhook with a different name was renamed since the plan.
        named = {(id_, webhook.name) for id_, webhook in declared.items()}
        self._known = _names_in_plan(plan) | named
        # Declared names that a webhook outside the plan should be renamed to. Such a webhook was
        # created after the plan, or was missing from the paged listing of the plan.
        unseen = {webhook.name for webhook in webhooks if webhook.id not in declared}
        self._renamed_instead = {
            entry.name
            for entry in (*declared.values(), *created)
            if not unseen.isdisjoint(entry.previously)
        }

    def _pairs(
        self, declared: Mapping[str, Webhook], created: Iterable[Webhook]
    ) -> Iterator[tuple[Webhook, LiveWebhook]]:
        """Yield the declared webhooks with their live ones: by id, new ones by name."""
        for id_, webhook in declared.items():
            for listed in (self.by_id, self._planned):
                if id_ in listed:
                    yield webhook, listed[id_]
        for webhook in created:
            for live in self.named(webhook.name):
                yield webhook, live

    def named(self, name: str) -> Sequence[LiveWebhook]:
        """Return the live webhooks with a name."""
        return self._by_name.get(name, ())

    def not_in_plan(self, *names: str) -> list[LiveWebhook]:
        """Return live webhooks with these names that the plan does not know under that name."""
        named = chain.from_iterable(map(self.named, names))
        return [webhook for webhook in named if (webhook.id, webhook.name) not in self._known]

    def check(self, operation: Operation) -> CheckResult:
        """Return the state of an operation. If two webhooks have its name, it is stale."""
        live, others = self._webhooks_of(operation)
        result = self.check_against(operation, live)
        # With another webhook of the name, no later run could tell the two apart. A delete that is
        # done has no webhook left to confuse.
        if others and (result.state is OperationState.PENDING or not isinstance(operation, Delete)):
            return _APPEARED
        if result.state is not OperationState.PENDING:
            return result
        reason = self._obsolete(operation, live)
        if reason:
            return CheckResult(OperationState.STALE, reason)
        return result

    def _webhooks_of(
        self, operation: Operation
    ) -> tuple[LiveWebhook | None, Sequence[LiveWebhook]]:
        """Return the live webhook of an operation, and others that appeared under its name."""
        match operation:
            case Create():
                appeared = self.not_in_plan(operation.name)
                # A create whose response was lost may be one of them.
                return next(iter(appeared), None), appeared[1:]
            case Update(before=before, after=after):
                names = {before.name, after.name}
                if after.id is not None:
                    names.remove(before.name)  # an id matches, however many have the name
                return self.by_id.get(before.id), self.not_in_plan(*sorted(names))
            case Delete(before=before):
                live = self.by_id.get(before.id)
                # What is not declared is deleted, whatever else has its name.
                if live is not None and operation.reason in (Reason.ABSENT, Reason.DUPLICATE):
                    return live, self.not_in_plan(before.name)
                return live, ()

    def _obsolete(self, operation: Operation, live: LiveWebhook | None) -> str:
        """Return why another webhook makes a pending operation stale, else an empty string."""
        if not isinstance(operation, Delete):
            if operation.name in self._renamed_instead:
                return "a webhook that must be renamed to this name was created since the plan"
            return ""
        if operation.kept_id is None or live is None:
            return ""
        # Deleting the duplicate is safe only as long as the one that stays has its name.
        keeper = self.by_id.get(operation.kept_id)
        if keeper is None or keeper.name != live.name:
            return "the webhook to keep was deleted"
        if compare_live(keeper, live) is Reading.DIFFERENT:
            return "it differs from the webhook to keep"
        return ""

    def check_against(self, operation: Operation, live: LiveWebhook | None) -> CheckResult:
        """Check an operation against its webhook: by id or, for a create, by name."""
        if live is None:
            return _without_webhook(operation)
        if isinstance(operation, Delete):
            return _PENDING if self._is_unchanged(operation, live) else _changed(operation, live)
        comparison = compare(operation.after, live, self._evidence)
        differing = self._counted(operation, live, comparison.fields)
        unread = _unread(operation, comparison)
        if isinstance(operation, Create):
            if differing or unread:
                return _APPEARED._replace(differing=differing)
            return _done(live)
        return self._check_update(operation, live, differing, unread)

    def _counted(
        self, operation: Create | Update, live: LiveWebhook, changes: tuple[FieldChange, ...]
    ) -> tuple[FieldChange, ...]:
        """Return the differences from the result of an operation that count.

        A plan that sends no configuration leaves secrets as they are, so only those count that have
        changed since. Every other difference counts, sent or not, because the reviewed result
        includes it.
        """
        planned = self._planned.get(live.id)
        has_changed = planned is not None and self._has_other_secrets(planned, live)
        if operation.sends_configuration or has_changed:
            return changes
        return tuple(change for change in changes if not isinstance(change, SecretChange))

    def _check_update(
        self,
        operation: Update,
        live: LiveWebhook,
        differing: tuple[FieldChange, ...],
        unread: tuple[str, ...],
    ) -> CheckResult:
        """Check an update; `differing` and `unread` are the fields that may not be as declared."""
        planned, removed = _removals(operation, live)
        is_visible = bool(differing) or not planned.isdisjoint(removed)
        if not is_visible and not unread:
            return _done(live)
        # If only the rest is left, it may be sent, except if that removes what the plan does not
        # name.
        is_unchanged = planned == removed and self._is_unchanged(operation, live)
        if is_unchanged or (not differing and removed <= planned):
            pending = CheckResult(OperationState.PENDING, differing=differing)
            return pending if is_visible else pending._replace(unread=unread)
        return _changed(operation, live)._replace(differing=differing)

    def unread(self, operation: Create | Update, live: LiveWebhook) -> tuple[str, ...]:
        """Return the fields that an operation sends and that are not known to be equal."""
        return _unread(operation, compare(operation.after, live, self._evidence))

    def unplanned(self, operation: Update) -> tuple[str, ...]:
        """Return the fields that sending the configuration would change, if the plan sends none.

        They are secrets that cannot be compared, and undeclared fields, even hidden ones.
        """
        live = self.by_id.get(operation.before.id)
        if live is None or operation.sends_configuration:
            return ()
        declared = operation.after.configuration
        comparison = compare(operation.after, live, self._evidence)
        names = {*comparison.unread, *removed_fields(operation.after, live)}
        names |= {change.path[-1] for change in comparison.fields if len(change.path) > 1}
        if self._hides_secrets:
            names |= KINDS[live.type].secret_fields - declared.keys() - self._evidence.shown
        return tuple(sorted(names))

    def _is_unchanged(self, operation: Update | Delete, live: LiveWebhook) -> bool:
        """Return whether a webhook is as the plan shows it, with the same secrets if known.

        What an update removes is not compared, see `_removals`.
        """
        declared = operation.after if isinstance(operation, Update) else None
        if snapshot(live, declared) != operation.before:
            return False
        planned = self._planned.get(live.id)
        return planned is None or not self._has_other_secrets(planned, live)

    def _has_other_secrets(self, planned: LiveWebhook, live: LiveWebhook) -> bool:
        """Return whether a readable secret differs: masked or encrypted ones may always do so."""
        for field in KINDS[live.type].fields:
            old, new = planned.value(field.name), live.value(field.name)
            if not field.secret or old == new:
                continue
            # Masks of the same value may differ, so only readable values count.
            shown = [value for value in (old, new) if not is_unset(value)]
            if shown and all(self._evidence.reads(live.type, field, value) for value in shown):
                return True
        return False


def _done(live: LiveWebhook) -> CheckResult:
    return CheckResult(OperationState.DONE, "it is already applied", live.id)


def _changed(operation: Update | Delete, live: LiveWebhook) -> CheckResult:
    """Return that a webhook was changed since the plan; a new destination is named."""
    where = live_destination(live)
    reason = "it was changed since the plan"
    if where != operation.before.destination:
        reason += f": it is now {where}"
    return CheckResult(OperationState.STALE, reason)


def _names_in_plan(plan: Plan) -> set[tuple[str, str]]:
    """Return id and name, as they were for the plan, of each webhook that it changes or leaves."""
    before = [operation.before for operation in (*plan.updates, *plan.deletes, *plan.left_out)]
    # One without a declaration may have the name of a webhook that an id declares.
    before += chain.from_iterable(kept.webhooks for kept in (*plan.kept, *plan.unmanaged))
    return {(webhook.id, webhook.name) for webhook in before}


def _without_webhook(operation: Operation) -> CheckResult:
    """Return the state of an operation whose webhook is not live."""
    match operation:
        case Create():
            return _PENDING
        case Update():
            return CheckResult(OperationState.STALE, "it was deleted since the plan")
        case Delete(before=before):
            return CheckResult(OperationState.DONE, "it is already deleted", before.id)


def _unread(operation: Create | Update, comparison: Comparison) -> tuple[str, ...]:
    """Return the fields that an operation sends and that are not known to be equal."""
    return tuple(comparison.unread) if operation.sends_configuration else ()


def _removals(operation: Update, live: LiveWebhook) -> tuple[Set[str], Set[str]]:
    """Return the fields whose removal the plan names, and those that sending it now removes."""
    if not operation.sends_configuration:
        return frozenset(), frozenset()
    planned = {
        change.path[-1]
        for change in operation.fields
        if isinstance(change, FieldRemoved) and not change.not_shown
    }
    return planned, removed_fields(operation.after, live)
