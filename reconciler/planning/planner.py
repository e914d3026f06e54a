"""The planner: the pure function `plan(desired, live, secrets)`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, has_errors, sort_key
from reconciler.kinds import KINDS
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, SecretValues, Webhook
from reconciler.planning.compare import Comparison, compare
from reconciler.planning.drift import live_renames, rename_hints, unidentified, with_attributions
from reconciler.planning.guards import guard_all, relaxed
from reconciler.planning.match import Match
from reconciler.planning.names import host_notes, unmatched, unused
from reconciler.planning.plan import (
    Counts,
    Create,
    Delete,
    DeliveryState,
    FieldChange,
    Kept,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SecretUse,
    Snapshot,
    Update,
    delivery_state,
    live_id,
    stage,
)
from reconciler.planning.readback import (
    Evidence,
    Reading,
    declared_destination,
    gather_evidence,
    live_destination,
    plausible,
    snapshot,
)
from reconciler.planning.resend import (
    Resend,
    Resends,
    Unsent,
    equal_resends,
    malformed_secrets,
    older_versions,
    unequal_secrets,
    unseen_removals,
    unsent_references,
)
from reconciler.planning.review import digests, plan_digest


class PlanOptions(NamedTuple):
    """Options of planning besides the files."""

    only: tuple[str, ...] = ()
    """Globs over live or declared names."""
    prune: bool = True
    """With false, undeclared webhooks are not deleted."""
    allow_deletes: int | None = None
    """The number of deletes to allow."""
    resend: tuple[str, ...] = ()
    """References, or webhooks whose secrets are resent; `*` for all."""
    reviewed: tuple[Resend, ...] = ()
    """The resends of a review."""
    previous: Desired | None = None
    """The previous configuration."""
    base: str | None = None
    """The revision of the previous configuration, if it has one."""
    committed_hosts: Mapping[SecretRef, str] = MappingProxyType({})
    """The scheme and host of references that a reviewer can look up in the commit."""
    apply_options: tuple[str, ...] | None = ()
    """The options with which `apply` computes the same plan, None if no command is suggested."""
    redacted: Callable[[str], str] = str
    """Removes secrets from a text, as the output does."""

    def resend_command(self, *requests: str) -> str:
        """Return the command that also resends `requests`, empty if none is shown."""
        if self.apply_options is None:
            return ""
        resends = chain.from_iterable(("--resend-secret", request) for request in requests)
        command = shlex.join(["webhooks", "apply", *self.apply_options, *resends])
        return command if self.redacted(command) == command else ""


_NO_OPTIONS = PlanOptions()


class _Pairing(NamedTuple):
    """Declared and live webhooks, paired and compared, and what that was computed from."""

    desired: Desired
    live: Live
    secrets: SecretValues
    options: PlanOptions
    table: Match
    resends: Resends
    evidence: Evidence
    pairs: Sequence[Comparison]

    @property
    def paired(self) -> set[str]:
        """Return the ids of the live webhooks that have a declaration."""
        return {pair.live.id for pair in self.pairs}

    @property
    def touched(self) -> set[str]:
        """Return the ids of the live webhooks that have a declaration or are deleted."""
        return self.paired | {delete.before.id for delete in self.table.deletes}


def plan(
    desired: Desired, live: Live, secrets: SecretValues, options: PlanOptions = _NO_OPTIONS
) -> Plan:
    """Return the plan that makes `live` equal to `desired`.

    `secrets` holds the available values. Without a value, changes of that secret are not detected;
    everything else in the plan is the same. Raises ConfigurationError, with a finding for each
    position, if declarations conflict with the live webhooks.
    """
    pairing = _pair(desired, live, secrets, options)
    findings = _conflicts(pairing)
    operations, matched = _operations(pairing)
    shown = tuple(digests(operation, options.committed_hosts) for operation in operations)
    operations, renamed = _explained(pairing, operations)
    table, pairs = pairing.table, pairing.pairs
    hosts = {reference: Secret(host) for reference, host in options.committed_hosts.items()}
    # Values are not used, so a plan lists the same secrets whether or not they are available.
    sent = tuple(_sent_secrets(operations, hosts))
    unsent = [*unsent_references(pairs, sent)]
    not_equal = tuple(_unsent_secrets(unsent, Reading.NOT_EQUAL, hosts))
    planned = Plan(
        origin=live.origin,
        organization=live.organization,
        operations=operations,
        renamed=renamed,
        matched=matched,
        kept=tuple(sorted(table.kept, key=_name_and_id)),
        unmanaged=tuple(sorted(table.unmanaged, key=_name_and_id)),
        counts=_counts(desired, live, table),
        relaxed=tuple(relaxed(options.previous, desired)),
        not_shown=tuple(_not_shown(pairs)),
        not_compared=tuple(_unsent_secrets(unsent, Reading.UNAVAILABLE, hosts)),
        not_equal=not_equal,
        offered=_offered(not_equal, options),
        secrets=sent,
        failing=_failing(table, live.webhooks),
        digests=shown,
        digest=plan_digest(live.origin, live.organization.id, chain.from_iterable(shown)),
    )
    notes = sorted([*findings, *_notes(pairing, planned, unsent)], key=sort_key)
    blocked = guard_all([planned], options.allow_deletes)[0]
    return planned._replace(notes=tuple(notes), blocked=blocked)


def _pair(desired: Desired, live: Live, secrets: SecretValues, options: PlanOptions) -> _Pairing:
    table = Match(desired, live.webhooks, only=options.only, prune=options.prune)
    resends = Resends(desired, options.previous, named=options.resend, reviewed=options.reviewed)
    evidence = gather_evidence(table.pairs, live.webhooks, secrets)
    pairs = _compared(table, evidence, resends)
    return _Pairing(desired, live, secrets, options, table, resends, evidence, pairs)


def _compared(table: Match, evidence: Evidence, resends: Resends) -> list[Comparison]:
    """Compare the declared webhooks with their live ones; by name, then id."""
    pairs = [
        compare(webhook, live, evidence, resends.causes(webhook, live.id, live.name))
        for webhook, live in table.pairs
    ]
    # Sorted after the comparison, because in the order of names the objects are far apart in
    # memory, which is slower.
    return sorted(pairs, key=lambda pair: (pair.webhook.name, pair.live.id))


def _conflicts(pairing: _Pairing) -> list[Finding]:
    """Return the findings of the match. Raises ConfigurationError if one is an error."""
    findings = [
        *pairing.table.findings,
        *pairing.resends.unmatched(pairing.table.is_selected),
        *_unmatched_globs(pairing),
    ]
    # After all checks, so that one run reports all conflicts.
    if has_errors(findings):
        raise ConfigurationError(
            "these files cannot be planned with these options and live webhooks",
            findings=sorted(findings, key=sort_key),
        )
    return findings


def _operations(pairing: _Pairing) -> tuple[tuple[Operation, ...], dict[str, Webhook]]:
    """Return the operations in their order, and by id the declarations that live ones equal."""
    table, paired = pairing.table, pairing.paired
    # A webhook outside the pairs keeps a former name, so nothing is renamed from it.
    unpaired = {webhook.name for webhook in pairing.live.webhooks if webhook.id not in paired}
    updates, matched = _updates(pairing, unpaired)
    creates = [Create(after=_with_free_former_names(webhook, unpaired)) for webhook in table.new]
    operations: tuple[Operation, ...] = (*table.deletes, *updates, *creates)
    return tuple(sorted(operations, key=_order)), matched


def _order(operation: Operation) -> tuple[int, str, str]:
    return stage(operation), operation.name, live_id(operation) or ""


def _explained(
    pairing: _Pairing, operations: tuple[Operation, ...]
) -> tuple[tuple[Operation, ...], Mapping[str, Snapshot]]:
    """Return the operations with their attribution, and the webhooks that were renamed live."""
    earlier = None
    if operations:  # in sync, there is nothing to explain
        earlier = _earlier_plan(pairing.live, pairing.secrets, pairing.options)
    renamed = live_renames(
        [operation for operation in operations if isinstance(operation, Create)],
        [delete.before for delete in pairing.table.deletes if delete.reason is Reason.NOT_DECLARED],
        unidentified(pairing.desired, pairing.live, pairing.touched),
        pairing.table.ignore,
        pairing.evidence,
        earlier,
    )
    if earlier is not None:
        operations = with_attributions(operations, renamed, earlier)
    return operations, renamed


def _notes(pairing: _Pairing, planned: Plan, unsent: Sequence[Unsent]) -> Iterator[Finding]:
    """Yield what a reader should know besides the operations."""
    desired, table, options = pairing.desired, pairing.table, pairing.options
    resends, pairs, evidence = pairing.resends, pairing.pairs, pairing.evidence
    sending = {update.before.id for update in planned.updates if update.sends_configuration}
    renamed = planned.renamed
    yield from rename_hints(planned.creates, renamed, pairing.touched, desired, table.ignore)
    yield from host_notes(options.previous, desired, pairing.secrets)
    yield from resends.unsent(planned.operations, table.is_selected)
    yield from resends.dropped_secrets(pairs, sending, evidence)
    yield from unseen_removals(pairs, sending, evidence)
    yield from malformed_secrets(pairs, options.resend_command)
    yield from unequal_secrets(pairs, planned.not_equal, options.resend_command)
    yield from equal_resends(pairs, pairing.secrets)
    yield from older_versions(desired, unsent)
    yield from resends.not_declared_before(unsent, options.resend_command)


def _counts(desired: Desired, live: Live, table: Match) -> Counts:
    return Counts(
        live=len(live.webhooks),
        in_scope=table.in_scope_count,
        ignored=table.ignored_count,
        files=len(desired.policy.scopes),
        any_declared=table.any_declared,
        any_declared_live=table.any_declared_live,
        max_deletes=desired.policy.max_deletes,
    )


def _unmatched_globs(pairing: _Pairing) -> Iterator[Finding]:
    """Warn about globs of `--only`, else note patterns of the policy, that match no webhook.

    `--only` matches live, declared and former names, a policy live and declared ones.
    """
    desired, only = pairing.desired, pairing.options.only
    policy = desired.policy
    if not (only or policy.protect or policy.ignore):
        return  # most plans
    live_names = {webhook.name for webhook in pairing.live.webhooks}
    if only:
        names = live_names | desired.selectable_names
        yield from unmatched(only, names, "declared or live webhook")
    else:
        deletes = pairing.table.deletes
        undeclared = any(delete.reason is Reason.NOT_DECLARED for delete in deletes)
        yield from unused(policy, live_names | desired.names, deletes=undeclared)


def _updates(pairing: _Pairing, unpaired: Set[str]) -> tuple[list[Update], dict[str, Webhook]]:
    """Return the updates of live webhooks, and by id the declarations that others equal."""
    updates: list[Update] = []
    matched: dict[str, Webhook] = {}
    hosts = pairing.options.committed_hosts
    for pair in pairing.pairs:
        after = _with_free_former_names(pair.webhook, unpaired)
        fields = tuple(_with_shown_host(change, hosts) for change in pair.with_side_effects())
        if fields:
            before = snapshot(pair.live, pair.webhook)
            reason = _reason(pair, pairing.table.adopted)
            updates.append(Update(before=before, after=after, fields=fields, reason=reason))
        else:
            matched[pair.live.id] = after
    return updates, matched


def _with_free_former_names(webhook: Webhook, unpaired: Set[str]) -> Webhook:
    """Return the webhook without the names in `previously` that an unpaired live webhook has.

    `unpaired` are the names of live webhooks that the plan does not rename.
    """
    if unpaired.isdisjoint(webhook.previously):
        return webhook
    free = tuple(name for name in webhook.previously if name not in unpaired)
    return replace(webhook, previously=free)


def _with_shown_host(change: FieldChange, committed_hosts: Mapping[SecretRef, str]) -> FieldChange:
    """Mark a secret as reviewable if the commit shows its changed destination."""
    if not isinstance(change, SecretChange) or not change.moved:
        return change
    if change.after not in committed_hosts:
        return change
    cause = SecretCause.DESTINATION
    if change.not_shown:
        cause = change.cause
    return change._replace(moved=False, cause=cause)


def _reason(pair: Comparison, adopted: Set[str]) -> Reason:
    # Before the rename: a webhook that is adopted usually gets another name, too.
    if pair.live.id in adopted:
        return Reason.ADOPTED
    if pair.webhook.name != pair.live.name:
        return Reason.RENAMED
    if all(change.not_shown for change in pair.fields):
        return Reason.RESEND
    return Reason.DIFFERS


def _earlier_plan(live: Live, secrets: SecretValues, options: PlanOptions) -> Plan | None:
    """Return the plan of the previous configuration, None without one.

    A previous configuration that conflicts with the live webhooks plans nothing.
    """
    previous = options.previous
    if previous is None:
        return None
    # Values in the files of that revision are as they were, others as they are now.
    earlier = {**secrets, **previous.literals, **previous.committed}
    with suppress(ConfigurationError):
        return plan(previous, live, earlier, options._replace(previous=None, resend=()))
    return Plan(live.origin, live.organization)


def _sent_secrets(operations: Iterable[Operation], hosts: SecretValues) -> Iterator[SecretUse]:
    """Yield the secrets that creates and updates send."""
    for operation in operations:
        if isinstance(operation, Delete) or not operation.sends_configuration:
            continue
        webhook = operation.after
        names = sorted(webhook.configuration)
        yield from _secret_uses(webhook, live_id(operation), names, hosts)


def _unsent_secrets(
    unsent: Iterable[Unsent], reading: Reading, hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secrets with a reading that no operation sends."""
    for pair, name, _ in unsent:
        if pair.unread[name] is not reading:
            continue  # few webhooks have any, and a destination takes time
        for use in _secret_uses(pair.webhook, pair.live.id, [name], hosts):
            # A URL that is not known here delivers to the live host.
            where = use.destination if use.is_resolved else live_destination(pair.live)
            yield use._replace(destination=where)


def _secret_uses(
    webhook: Webhook, id_: str | None, fields: Iterable[str], hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secret references of the given fields; `hosts` are those that the commit shows."""
    where = declared_destination(webhook, hosts)
    address = KINDS[webhook.type].destination_field
    for name in fields:
        value = webhook.configuration[name]
        if isinstance(value, SecretRef):
            is_resolved = name != address or value in hosts
            yield SecretUse(value, webhook.name, name, where, is_resolved, id_)


def _offered(not_equal: Iterable[SecretUse], options: PlanOptions) -> frozenset[SecretRef]:
    """Return the references that `unequal_secrets` suggests to send."""
    # Without a command, it suggests to edit the file.
    return frozenset(
        reference
        for reference in {use.reference for use in not_equal}
        if options.resend_command(reference.argument)
    )


def _not_shown(pairs: Iterable[Comparison]) -> Iterator[tuple[str, str, str]]:
    """Yield the declared fields that cannot be compared, as (webhook, field, id)."""
    for pair in pairs:
        for name, reading in pair.unread.items():
            is_shown = reading not in (Reading.UNKNOWN, Reading.NOT_EQUAL)
            # Of a masked URL, only the host could be compared.
            if not is_shown or not plausible(pair.live.value(name)):
                yield pair.webhook.name, name, pair.live.id


def _name_and_id(kept: Kept) -> tuple[str, str]:
    return kept.name, kept.webhooks[0].id


def _failing(table: Match, live: Iterable[LiveWebhook]) -> tuple[Snapshot, ...]:
    """Return the managed webhooks whose deliveries fail, by name, then id."""
    managed = {webhook.id for _, webhook in table.pairs}
    managed.update(delete.before.id for delete in table.deletes)
    for kept in table.kept:
        managed.update(webhook.id for webhook in kept.webhooks)
    # The files do not answer for webhooks that they ignore or do not mention.
    failing = [
        snapshot(webhook)
        for webhook in live
        if webhook.id in managed
        and delivery_state(webhook.last_run, webhook.last_error) is DeliveryState.FAILING
    ]
    return tuple(sorted(failing, key=lambda webhook: (webhook.name, webhook.id)))
