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
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, SecretValues, Webhook
from reconciler.planning.compare import Comparison, compare, visible, with_side_effects
from reconciler.planning.guards import guard_all, new_notes, relaxed
from reconciler.planning.match import Match
from reconciler.planning.names import Globs, unmatched, unused
from reconciler.planning.plan import (
    Attribution,
    Counts,
    Create,
    Delete,
    DeliveryState,
    FieldChange,
    FieldRemoved,
    FieldResent,
    Kept,
    Operation,
    OperationDigest,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SecretUse,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    stage,
    webhook_key,
)
from reconciler.planning.readback import (
    Evidence,
    Reading,
    destination,
    gather_evidence,
    snapshot,
)
from reconciler.planning.review import Resend, Resends, digests, plan_digest


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
    desired: Desired, live: Live, secrets: SecretValues, options: PlanOptions = _PLAIN
) -> Plan:
    """Return the plan that makes `live` equal to `desired`.

    `secrets` holds the available values. Without a value, changes of that secret are not detected;
    everything else in the plan is the same. Raises ConfigurationError, with a finding for each
    position, if declarations conflict with the live webhooks.
    """
    table = Match(desired, live.webhooks, only=options.only, prune=options.prune)
    resends = Resends(desired, options.previous, named=options.resend, reviewed=options.reviewed)
    evidence = gather_evidence(table.pairs, live.webhooks, secrets)
    pairs = [  # in memory order, which is faster than by name
        compare(webhook, live_webhook, secrets, evidence, resends.causes(webhook))
        for webhook, live_webhook in table.pairs
    ]
    pairs.sort(key=lambda pair: (pair.webhook.name, pair.live.id))
    deletes = sorted(table.deletes, key=lambda delete: (delete.name, delete.before.id))
    findings = [
        *table.findings,
        *resends.unmatched(),
        *_unmatched_globs(options, desired, live, deletes),
    ]
    if has_errors(tuple(findings)):  # after all checks, so that one run reports all conflicts
        raise ConfigurationError(
            "these files cannot be planned with these options and live webhooks",
            findings=sorted(findings, key=sort_key),
        )

    # A webhook outside the pairs keeps a former name, so nothing is renamed from it.
    paired = {pair.live.id for pair in pairs}
    unpaired = {webhook.name for webhook in live.webhooks if webhook.id not in paired}
    updates: list[Update] = []
    matched: dict[str, Webhook] = {}
    for pair in pairs:
        after = _with_free_former_names(pair.webhook, unpaired)
        fields = tuple(
            _with_shown_host(change, options.committed_hosts) for change in with_side_effects(pair)
        )
        if fields:
            before = snapshot(pair.live, pair.webhook)
            reason = _reason(pair, table.adopted)
            updates.append(Update(before=before, after=after, fields=fields, reason=reason))
        else:
            matched[pair.live.id] = after
        findings += _malformed_secrets(pair, options)
        sends_configuration = any(change.path[0] == "configuration" for change in fields)
        if options.previous is not None and not sends_configuration:
            findings += resends.dropped_secret_notes(pair.webhook, pair.live, evidence)
    new = sorted(table.new, key=lambda webhook: webhook.name)
    creates = [Create(after=_with_free_former_names(webhook, unpaired)) for webhook in new]
    operations: tuple[Operation, ...] = (*deletes, *updates, *creates)
    operations = tuple(sorted(operations, key=stage))
    findings += _rename_hints(operations)
    touched = {*paired, *(delete.before.id for delete in deletes)}
    others = _undeclared(desired, live, touched)
    findings += _second_webhooks(creates, others, secrets, evidence)
    relaxations: tuple[Finding, ...] = ()
    if options.previous is not None:
        relaxations = tuple(relaxed(options.previous, desired))
        findings += new_notes(options.previous, desired, secrets)
    reviewable = tuple(digests(operation, options.committed_hosts) for operation in operations)
    if options.previous is not None:
        operations = _attributed(
            operations, reviewable, desired, options.previous, options, live, secrets
        )
    # Values are not used, so a plan lists the same secrets whether or not they are available.
    hosts = {reference: Secret(host) for reference, host in options.committed_hosts.items()}
    uses = tuple(_sent_secrets(operations, hosts))
    unblocked = Plan(
        origin=live.origin,
        organization=live.organization,
        operations=operations,
        matched=matched,
        kept=tuple(sorted(table.kept, key=_name_and_id)),
        unmanaged=tuple(sorted(table.unmanaged, key=_name_and_id)),
        counts=Counts(
            live=len(live.webhooks),
            in_scope=table.in_scope_count,
            ignored=table.ignored_count,
            files=len(desired.policy.scopes),
            any_declared=table.any_declared,
            any_declared_live=table.any_declared_live,
            max_deletes=desired.policy.max_deletes,
        ),
        notes=tuple(sorted(findings, key=sort_key)),
        relaxed=relaxations,
        not_shown=tuple(_not_shown(pairs)),
        not_compared=tuple(_not_compared(pairs, uses, hosts)),
        secrets=uses,
        failing=_failing(table, live.webhooks),
        digests=reviewable,
        digest=plan_digest(live.origin, live.organization.id, chain.from_iterable(reviewable)),
    )
    return unblocked._replace(blocked=guard_all([unblocked], options.allow_deletes)[0])


def _name_and_id(kept: Kept) -> tuple[str, str]:
    return kept.name, kept.webhooks[0].id


def _sent_secrets(operations: Iterable[Operation], hosts: SecretValues) -> Iterator[SecretUse]:
    """Yield the secrets that creates and updates send."""
    for operation in operations:
        if isinstance(operation, Delete) or "configuration" not in operation.sent_fields:
            continue
        webhook = operation.after
        yield from _secret_uses(webhook, sorted(webhook.configuration), hosts)


def _not_shown(pairs: Iterable[Comparison]) -> Iterator[tuple[str, str]]:
    """Yield the declared fields that the server does not show, as (webhook, field)."""
    for pair in pairs:
        for name, reading in pair.unread.items():
            if reading is Reading.UNKNOWN:
                yield pair.webhook.name, name


def _not_compared(
    pairs: Iterable[Comparison], sent: Iterable[SecretUse], hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secrets that are shown and not sent, but whose value is not available here."""
    sent_fields = {(use.webhook, use.field) for use in sent}
    for webhook, _, _, unread in pairs:
        unavailable = [
            name
            for name, reading in unread.items()
            if reading is Reading.UNAVAILABLE and (webhook.name, name) not in sent_fields
        ]
        if unavailable:  # few webhooks have any, and a destination takes time
            yield from _secret_uses(webhook, unavailable, hosts)


def _failing(table: Match, live: Iterable[LiveWebhook]) -> tuple[Snapshot, ...]:
    """Return the managed webhooks whose deliveries fail, by name, then id."""
    errors = [snapshot(webhook) for webhook in live if webhook.last_error is not None]
    managed = {webhook.id for _, webhook in table.pairs}
    managed.update(delete.before.id for delete in table.deletes)
    for kept in table.kept:
        managed.update(webhook.id for webhook in kept.webhooks)
    # The files do not answer for webhooks that they ignore or do not mention.
    failing = [
        webhook
        for webhook in errors
        if webhook.delivery is DeliveryState.FAILING and webhook.id in managed
    ]
    return tuple(sorted(failing, key=lambda webhook: (webhook.name, webhook.id)))


def _unmatched_globs(
    options: PlanOptions, desired: Desired, live: Live, deletes: Sequence[Delete]
) -> Iterator[Finding]:
    """Warn about globs of `--only`, else note patterns of the policy, that match no webhook.

    `--only` matches live, declared and former names, a policy live and declared ones.
    """
    policy = desired.policy
    if not (options.only or policy.protect or policy.ignore):
        return  # most plans
    names = {webhook.name for webhook in desired.webhooks}
    names.update(webhook.name for webhook in live.webhooks)
    names.update(absent.name for absent in desired.absent)
    if options.only:
        former = chain.from_iterable(webhook.previously for webhook in desired.webhooks)
        yield from unmatched(options.only, names.union(former), "declared or live webhook")
    else:
        undeclared = any(delete.reason is Reason.NOT_DECLARED for delete in deletes)
        yield from unused(policy, names, deletes=undeclared)


def _with_shown_host(change: FieldChange, hosts: Mapping[SecretRef, str]) -> FieldChange:
    """Mark a secret as reviewable if the commit shows its changed destination."""
    if not isinstance(change, SecretChange) or not change.moved or change.after not in hosts:
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


def _with_free_former_names(webhook: Webhook, unpaired: Set[str]) -> Webhook:
    """Return the webhook without the names in `previously` that an unpaired live webhook has.

    `unpaired` are the names of live webhooks that the plan does not rename.
    """
    if unpaired.isdisjoint(webhook.previously):
        return webhook
    free = tuple(name for name in webhook.previously if name not in unpaired)
    return replace(webhook, previously=free)


def _malformed_secrets(pair: Comparison, options: PlanOptions) -> Iterator[Finding]:
    """Warn about each visible live secret that cannot be a valid value."""
    webhook = pair.webhook
    for name, reading in pair.unread.items():
        if reading is not Reading.MALFORMED:
            continue
        resend = ["webhooks", "apply", *options.apply_options, "--resend-secret", webhook.name]
        noun = FIELDS[webhook.type][name].noun
        yield warning(
            "live-secret-malformed",
            f"the live {name} of {webhook.name!r} is not {noun}, so deliveries fail",
            f"resend the secret: `{shlex.join(resend)}`",
            webhook.position,
        )


def rename_pairs(operations: Sequence[Operation]) -> Iterator[tuple[int, int]]:
    """Yield the indexes of each create and delete that look like a rename.

    Only if exactly one delete and one create have the same type, events and visible configuration.
    """
    alike: dict[Hashable, list[int]] = {}
    for index, operation in enumerate(operations):  # creates precede these deletes
        match operation:
            case Create(after=webhook) | Delete(reason=Reason.NOT_DECLARED, before=webhook):
                values = tuple(sorted(visible(webhook).items()))
                key = (webhook.type, webhook.event_types, values)
                alike.setdefault(key, []).append(index)
    for group in alike.values():  # with several candidates, a hint would be a guess
        match [operations[index] for index in group]:
            case [Create(), Delete()]:
                yield group[0], group[1]


def _rename_hints(operations: Sequence[Operation]) -> Iterator[Finding]:
    """Yield a hint for each delete and create that look like a rename."""
    for created, deleted in rename_pairs(operations):
        match operations[created], operations[deleted]:
            case Create(after=new), Delete(before=old):
                written = json.dumps(old.name, ensure_ascii=False)  # YAML reads the same text
                yield note(
                    "looks-like-rename",
                    f"deleting {old.name!r} and creating {new.name!r} looks like a rename",
                    f"to rename it, add `previously: [{written}]` to {new.name!r}",
                    new.position,
                )


def _undeclared(desired: Desired, live: Live, touched: Set[str]) -> Iterator[LiveWebhook]:
    """Yield the live webhooks that the files neither declare nor ignore, without those `touched`.

    Also those that `--only` does not select, because it may select only one of two names.
    """
    ignore = Globs(pattern.glob for pattern in desired.policy.ignore)
    names = {absent.name for absent in desired.absent}
    ids = {absent.id for absent in desired.absent}
    for webhook in desired.webhooks:
        names.update((webhook.name, *webhook.previously))
        ids.add(webhook.id)
    for live_webhook in live.webhooks:
        is_declared = live_webhook.name in names or live_webhook.id in ids
        if is_declared or live_webhook.id in touched or live_webhook.type not in KINDS:
            continue
        if not ignore.match(live_webhook.name):
            yield live_webhook


def _second_webhooks(
    creates: Sequence[Create],
    others: Iterable[LiveWebhook],
    secrets: SecretValues,
    evidence: Evidence,
) -> Iterator[Finding]:
    """Yield a hint for each create that equals one of the others, which no operation changes.

    It may have been renamed live to a name outside the scope, or to a protected one.
    """
    if not creates:
        return
    kept = list(others)
    if not kept:
        return
    deletes = [Delete(before=snapshot(old), reason=Reason.NOT_DECLARED) for old in kept]
    for created, deleted in rename_pairs([*creates, *deletes]):
        new, old = creates[created].after, kept[deleted - len(creates)]
        pair = compare(new, old, secrets, evidence)
        is_other = any(change.path != ("name",) for change in pair.fields)
        # If the destination is hidden, it may be another one.
        if is_other or KINDS[new.type].destination_field in pair.unread:
            continue
        written = json.dumps(old.name, ensure_ascii=False)
        yield note(
            "live-under-another-name",
            f"{new.name!r} may be live under another name, {old.name!r}, which would stay: "
            "a create is a second webhook to the same destination",
            f"rename it back, or add `previously: [{written}]` to {new.name!r} (outside the scope "
            "with `adopt: true`)",
            new.position,
        )


def _attributed(
    operations: tuple[Operation, ...],
    reviewable: Sequence[Sequence[OperationDigest]],
    desired: Desired,
    previous: Desired,
    options: PlanOptions,
    live: Live,
    secrets: SecretValues,
) -> tuple[Operation, ...]:
    """Label each operation: it is drift if the previous configuration also plans it.

    A previous configuration that conflicts with the live webhooks is ignored.
    """
    # Values in the files of that revision are as they were, others as they are now.
    earlier = {**secrets, **previous.literals, **previous.committed}
    # Its URLs lead to the hosts that its commit shows.
    hosts = dict(options.committed_hosts)
    for reference in hosts.keys() & previous.committed.keys():
        hosts[reference] = previous.committed[reference].origin() or hosts[reference]
    before = options._replace(previous=None, resend=(), reviewed=(), committed_hosts=hosts)
    if (
        desired._replace(committed=previous.committed) == previous
        and secrets == earlier
        and options == before._replace(previous=previous)
    ):  # a second plan would have the same operations
        return tuple(replace(operation, attribution=Attribution.DRIFT) for operation in operations)
    drifting: set[object] = set()
    earlier_operations: dict[str, Operation] = {}
    with suppress(ConfigurationError):
        drift = plan(previous, live, earlier, before)
        drifting = set(map(_identity, drift.operations, drift.digests))
        earlier_operations = {webhook_key(operation): operation for operation in drift.operations}
    attributed: list[Operation] = []
    for operation, reviewed in zip(operations, reviewable, strict=True):
        attribution = attribute(operation, earlier_operations.get(webhook_key(operation)))
        if _identity(operation, reviewed) in drifting:
            attribution = Attribution.DRIFT
        attributed.append(replace(operation, attribution=attribution))
    return tuple(attributed)


def attribute(operation: Operation, earlier: Operation | None) -> Attribution:
    """Return why a webhook differs, given what an earlier configuration plans for it.

    A field that both set to the same value was changed live. One that only this operation sets
    equals the earlier configuration, so the files changed it.
    """
    match operation, earlier:
        case _, None:
            return Attribution.THIS_CHANGE
        case Update(), Update():
            now, before = _differences(operation), _differences(earlier)
            if not now.keys() & before.keys():
                return Attribution.THIS_CHANGE
            is_drift = all(before.get(path) == change for path, change in now.items())
            return Attribution.DRIFT if is_drift else Attribution.PARTLY_DRIFT
        case Create(), Create():
            is_drift = operation.after == earlier.after
            return Attribution.DRIFT if is_drift else Attribution.PARTLY_DRIFT
        case Delete(), Update():  # the files no longer declare what was changed live
            return Attribution.PARTLY_DRIFT
        case Delete(), Delete():
            return Attribution.DRIFT
    return Attribution.THIS_CHANGE  # a webhook that was added live is now declared


def _differences(update: Update) -> dict[tuple[str, ...], object]:
    """Return the fields that an update changes, by path, with what it makes of them.

    A hidden secret that is only sent along is none.
    """
    kind = KINDS[update.after.type]
    differences: dict[tuple[str, ...], object] = {}
    for change in update.fields:
        match change:
            case FieldResent():
                continue
            case SetChange(path=path, added=added, removed=removed):
                # Each member is one difference, because others may change live.
                differences.update({(*path, member): True for member in added})
                differences.update({(*path, member): False for member in removed})
            case FieldRemoved(path=path):
                # A configuration that is sent removes fields that this version does not know.
                if kind.field(path[-1]) is not None:
                    differences[path] = None
            case ValueChange(path=path, after=after):
                field = kind.field(path[-1]) if path[0] == "configuration" else None
                if field is not None and isinstance(after, str):
                    after = field.normalize(after)
                differences[path] = after
            case SecretChange(path=path, after=after):
                differences[path] = after
    return differences


def _identity(operation: Operation, reviewed: Sequence[OperationDigest]) -> object:
    # A digest does not cover the values of secrets, so it may lack a field that is sent.
    fields = operation.fields if isinstance(operation, Update) else ()
    return webhook_key(operation), reviewed, tuple(change.path for change in fields)


def _secret_uses(
    webhook: Webhook, fields: Iterable[str], hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secret references of the given fields; `hosts` are those that the commit shows."""
    where = destination(webhook, hosts)
    address = KINDS[webhook.type].destination_field
    for name in fields:
        value = webhook.configuration[name]
        if isinstance(value, SecretRef):
            is_resolved = name != address or value in hosts
            yield SecretUse(value, webhook.name, name, where, is_resolved)
