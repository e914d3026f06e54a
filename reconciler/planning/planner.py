"""The planner: the pure function `plan(desired, live, secrets)`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, has_errors, note, sort_key, warning
from reconciler.kinds import KINDS
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.compare import compare, visible, with_side_effects
from reconciler.planning.delivery import Delivery, DeliveryState, delivery, new_transport_notes
from reconciler.planning.guards import guard, new_hosts, relaxed
from reconciler.planning.match import Match
from reconciler.planning.names import unmatched, unused
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    FieldChange,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SecretUse,
    Update,
    destination,
    snapshot,
)
from reconciler.planning.readback import Reading, gather_evidence
from reconciler.planning.resend import Resend, Resends
from reconciler.planning.review import digests, plan_digest


class PlanOptions(NamedTuple):
    """Options of planning besides the files.

    `only` are globs over live or declared names. With `prune` false, undeclared webhooks are not
    deleted. `allow_deletes` is the number of deletes to allow. `resend` lists references or
    webhooks whose secrets are resent, `*` for all, `reviewed` the resends of a review. `previous`
    is the previous configuration, `base` its revision if it has one. `committed_hosts` maps
    references to the scheme and host that a reviewer can look up in the commit. `apply_options` are
    the options with which `apply` computes the same plan.
    """

    only: tuple[str, ...] = ()
    prune: bool = True
    allow_deletes: int | None = None
    resend: tuple[str, ...] = ()
    reviewed: tuple[Resend, ...] = ()
    previous: Desired | None = None
    base: str | None = None
    committed_hosts: Mapping[SecretRef, str] = MappingProxyType({})
    apply_options: tuple[str, ...] = ()


_PLAIN = PlanOptions()


def plan(
    desired: Desired, live: Live, secrets: Mapping[SecretRef, Secret], options: PlanOptions = _PLAIN
) -> Plan:
    """Return the plan that makes `live` equal to `desired`.

    `secrets` holds the available values. Without a value, changes of that secret are not detected;
    everything else in the plan is the same. Raises ConfigurationError, with a finding for each
    position, if declarations conflict with the live webhooks.
    """
    table = Match(desired, live.webhooks, only=options.only, prune=options.prune)
    resends = Resends(desired, options.previous, named=options.resend, reviewed=options.reviewed)
    evidence = gather_evidence(table.pairs, live.webhooks, secrets)
    compared = [
        (webhook, found, compare(webhook, found, secrets, evidence, resends.causes(webhook)))
        for webhook, found in table.pairs  # in memory order, which is faster than by name
    ]
    compared.sort(key=lambda each: (each[0].name, each[1].id))
    deletes = sorted(table.deletes, key=lambda each: (each.name, each.before.id))
    findings = [
        *table.findings,
        *resends.unmatched(),
        *_unmatched_globs(options, desired, live, deletes),
    ]
    if has_errors(tuple(findings)):
        raise ConfigurationError(
            "these files cannot be planned with these options and live webhooks",
            findings=sorted(findings, key=sort_key),
        )
    paired = {found.id for _, found in table.pairs}
    unpaired = {each.name for each in live.webhooks if each.id not in paired}
    updates: list[Update] = []
    matched: dict[str, Webhook] = {}
    not_shown: list[tuple[str, str]] = []
    for webhook, found, comparison in compared:
        after, fields = _with_free_former_names(webhook, unpaired), comparison.fields
        if fields:
            fields = with_side_effects(webhook, found, fields)
            fields = tuple(_with_shown_host(each, options.committed_hosts) for each in fields)
            reason = _reason(webhook, found, comparison.fields, table.adopted)
            before = snapshot(found, webhook)
            updates.append(Update(before=before, after=after, fields=fields, reason=reason))
        else:
            matched[found.id] = after
        for name, reading in comparison.unread.items():
            if reading is Reading.UNKNOWN:
                not_shown.append((webhook.name, name))
            elif reading is Reading.MALFORMED:
                findings.append(_malformed(webhook, name, options))
        if options.previous and not any(each.path[0] == "configuration" for each in fields):
            findings += resends.dropped_secret_notes(webhook, found, evidence)
    creates = sorted(table.new, key=lambda each: each.name)
    operations: tuple[Operation, ...] = (
        *(each for each in deletes if each.reason is Reason.DUPLICATE),
        *updates,
        *(Create(after=_with_free_former_names(each, unpaired)) for each in creates),
        *(each for each in deletes if each.reason is not Reason.DUPLICATE),
    )
    findings += _rename_hints(operations)
    if options.previous is not None:
        findings += new_hosts(options.previous, desired)
        findings += new_transport_notes(desired, options.previous, secrets)
        operations = _attributed(operations, options.previous, options, live, secrets)
    reviewable = tuple(digests(operation, options.committed_hosts) for operation in operations)
    # Values are not used, so a plan lists the same secrets whether or not they are available.
    hosts = {reference: Secret(host) for reference, host in options.committed_hosts.items()}
    uses = [
        use
        for each in operations
        if not isinstance(each, Delete) and "configuration" in each.sent_fields
        for use in _secret_uses(each.after, sorted(each.after.configuration), hosts)
    ]
    sent = {(use.webhook, use.field) for use in uses}
    made = Plan(
        origin=live.origin,
        organization=live.organization,
        operations=operations,
        matched=matched,
        kept=tuple(sorted(table.kept, key=lambda each: (each.name, each.webhooks[0].id))),
        unmanaged=tuple(sorted(table.unmanaged, key=lambda each: (each.name, each.webhooks[0].id))),
        ignored_count=table.ignored_count,
        file_count=len(desired.policy.scopes),
        in_scope_count=table.in_scope_count,
        live_count=len(live.webhooks),
        any_declared=table.any_declared,
        any_declared_live=table.any_declared_live,
        max_deletes=desired.policy.max_deletes,
        notes=tuple(sorted(findings, key=sort_key)),
        relaxed=tuple(relaxed(options.previous, desired)) if options.previous else (),
        not_shown=tuple(not_shown),
        not_compared=tuple(
            use
            for webhook, _, comparison in compared
            for use in _secret_uses(webhook, comparison.unread, hosts)
            if comparison.unread[use.field] is Reading.UNAVAILABLE
            if (use.webhook, use.field) not in sent
        ),
        secrets=tuple(uses),
        failing=_failing(table, live.webhooks),
        digests=reviewable,
        digest=plan_digest(live.origin, live.organization.id, chain.from_iterable(reviewable)),
    )
    return made._replace(blocked=tuple(guard(made, options.allow_deletes)))


def _failing(table: Match, live: Iterable[LiveWebhook]) -> tuple[Delivery, ...]:
    """Return the managed webhooks whose deliveries fail, by name, then id."""
    failing = [delivery(webhook) for webhook in live if webhook.last_error is not None]
    failing = [webhook for webhook in failing if webhook.state is DeliveryState.FAILING]
    if not failing:
        return ()  # most plans
    managed = {webhook.id for _, webhook in table.pairs}
    managed.update(delete.before.id for delete in table.deletes)
    managed.update(webhook.id for kept in table.kept for webhook in kept.webhooks)
    managed_failing = [webhook for webhook in failing if webhook.id in managed]
    return tuple(sorted(managed_failing, key=lambda webhook: (webhook.name, webhook.id)))


def _unmatched_globs(
    options: PlanOptions, desired: Desired, live: Live, deletes: Sequence[Delete]
) -> Iterator[Finding]:
    """Warn about globs of `--only`, else note patterns of the policy, that match no webhook.

    `--only` matches live, declared and former names, a policy live and declared ones.
    """
    policy = desired.policy
    if not (options.only or policy.protect or policy.ignore):
        return  # most plans
    names = {each.name for each in desired.webhooks} | {each.name for each in desired.absent}
    names |= {each.name for each in live.webhooks}
    if options.only:
        former = (old for each in desired.webhooks for old in each.previously)
        yield from unmatched(options.only, names.union(former), "declared or live webhook")
    else:
        undeclared = any(each.reason is Reason.NOT_DECLARED for each in deletes)
        yield from unused(policy, names, deletes=undeclared)


def _with_shown_host(change: FieldChange, hosts: Mapping[SecretRef, str]) -> FieldChange:
    """Mark a secret as reviewable if the commit shows its changed destination."""
    if not isinstance(change, SecretChange) or not change.moved or change.after not in hosts:
        return change
    cause = change.cause if change.not_shown else SecretCause.DESTINATION
    return replace(change, moved=False, cause=cause)


def _reason(
    webhook: Webhook, found: LiveWebhook, fields: tuple[FieldChange, ...], adopted: Set[str]
) -> Reason:
    if found.id in adopted:
        return Reason.ADOPTED
    if webhook.name != found.name:
        return Reason.RENAMED
    return Reason.RESEND if all(each.not_shown for each in fields) else Reason.DIFFERS


def _with_free_former_names(webhook: Webhook, unpaired: Set[str]) -> Webhook:
    """Return the webhook without the names in `previously` that an unpaired live webhook has.

    `unpaired` are the names of live webhooks that the plan does not rename.
    """
    if unpaired.isdisjoint(webhook.previously):
        return webhook
    return replace(
        webhook, previously=tuple(each for each in webhook.previously if each not in unpaired)
    )


def _malformed(webhook: Webhook, name: str, options: PlanOptions) -> Finding:
    """Return a warning that a visible live secret cannot be a valid value."""
    resend = ["webhooks", "apply", *options.apply_options, "--resend-secret", webhook.name]
    field = KINDS[webhook.type].field(name)
    noun = field.noun if field is not None else "the value"
    return warning(
        "live-secret-malformed",
        f"the live {name} of {webhook.name!r} is not {noun}, so deliveries fail",
        f"resend the secret: `{shlex.join(resend)}`",
        webhook.position,
    )


def _rename_hints(operations: Iterable[Operation]) -> Iterator[Finding]:
    """Yield a hint for each delete and create that look like a rename.

    Only if exactly one delete and one create have the same type, events and visible configuration.
    """
    alike: dict[Hashable, list[Operation]] = {}
    for operation in operations:  # creates precede these deletes
        match operation:
            case Create(after=webhook) | Delete(reason=Reason.NOT_DECLARED, before=webhook):
                values = tuple(sorted(visible(webhook).items()))
                key = (webhook.type, webhook.event_types, values)
                alike.setdefault(key, []).append(operation)
    for group in alike.values():
        match group:
            case [Create(after=new), Delete(before=old)]:
                written = json.dumps(old.name, ensure_ascii=False)  # YAML reads the same text
                yield note(
                    "looks-like-rename",
                    f"deleting {old.name!r} and creating {new.name!r} looks like a rename",
                    f"to rename it, add `previously: [{written}]` to {new.name!r}",
                    new.position,
                )


def _attributed(
    operations: tuple[Operation, ...],
    previous: Desired,
    options: PlanOptions,
    live: Live,
    secrets: Mapping[SecretRef, Secret],
) -> tuple[Operation, ...]:
    """Label each operation: it is drift if the previous configuration also plans it.

    A previous configuration that conflicts with the live webhooks is ignored.
    """
    hosts = dict(options.committed_hosts)
    for reference in hosts.keys() & previous.committed.keys():
        hosts[reference] = previous.committed[reference].origin() or hosts[reference]
    before = options._replace(previous=None, resend=(), reviewed=(), committed_hosts=hosts)
    drifting: set[object] = set()
    with suppress(ConfigurationError):
        earlier = {**secrets, **previous.literals, **previous.committed}
        made = plan(previous, live, earlier, before)
        drifting = {_identity(each, hosts) for each in made.operations}
    labels = {True: Attribution.DRIFT, False: Attribution.THIS_CHANGE}
    return tuple(
        replace(each, attribution=labels[_identity(each, options.committed_hosts) in drifting])
        for each in operations
    )


def _identity(operation: Operation, hosts: Mapping[SecretRef, str]) -> object:
    found = digests(operation, hosts)
    if not found and isinstance(operation, Update):
        return (operation.before.id, tuple(each.path for each in operation.fields))
    return found


def _secret_uses(
    webhook: Webhook, fields: Iterable[str], hosts: Mapping[SecretRef, Secret]
) -> Iterator[SecretUse]:
    """Yield the secret references of the given fields; `hosts` are those that the commit shows."""
    where = destination(webhook, hosts)
    for name in fields:
        value = webhook.configuration[name]
        if isinstance(value, SecretRef):
            yield SecretUse(reference=value, webhook=webhook.name, field=name, destination=where)
