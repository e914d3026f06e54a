"""The planner: the pure function `plan(desired, live, secrets)`."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, has_errors, note, plural, sort_key, warning
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, SecretValues, Webhook
from reconciler.planning.compare import Comparison, compare, visible
from reconciler.planning.drift import still_renamed, with_attributions
from reconciler.planning.guards import guard_all, new_notes, relaxed
from reconciler.planning.match import Match
from reconciler.planning.names import Globs, previously, unmatched, unused
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
    live_id,
    stage,
)
from reconciler.planning.readback import (
    Evidence,
    Reading,
    destination,
    gather_evidence,
    plausible,
    snapshot,
)
from reconciler.planning.resend import Resend, Resends
from reconciler.planning.review import digests, plan_digest


class PlanOptions(NamedTuple):
    """Options of planning besides the files.

    `only` are globs over live or declared names. With `prune` false, undeclared webhooks are not
    deleted. `allow_deletes` is the number of deletes to allow. `resend` lists references or
    webhooks whose secrets are resent, `*` for all, `reviewed` the resends of a review. `previous`
    is the previous configuration, `base` its revision if it has one. `committed_hosts` maps
    references to the scheme and host that a reviewer can look up in the commit. `apply_options` are
    the options with which `apply` computes the same plan, None if no command is suggested.
    """

    only: tuple[str, ...] = ()
    prune: bool = True
    allow_deletes: int | None = None
    resend: tuple[str, ...] = ()
    reviewed: tuple[Resend, ...] = ()
    previous: Desired | None = None
    base: str | None = None
    committed_hosts: Mapping[SecretRef, str] = MappingProxyType({})
    apply_options: tuple[str, ...] | None = ()


_NO_OPTIONS = PlanOptions()


def plan(
    desired: Desired, live: Live, secrets: SecretValues, options: PlanOptions = _NO_OPTIONS
) -> Plan:
    """Return the plan that makes `live` equal to `desired`.

    `secrets` holds the available values. Without a value, changes of that secret are not detected;
    everything else in the plan is the same. Raises ConfigurationError, with a finding for each
    position, if declarations conflict with the live webhooks.
    """
    table = Match(desired, live.webhooks, only=options.only, prune=options.prune)
    resends = Resends(desired, options.previous, named=options.resend, reviewed=options.reviewed)
    evidence = gather_evidence(table.pairs, live.webhooks, secrets)
    # Sorted after the comparison, because in the order of names the objects are far apart in
    # memory, which is slower.
    pairs = [
        compare(webhook, shown, secrets, evidence, resends.causes(webhook, shown.id, shown.name))
        for webhook, shown in table.pairs
    ]
    pairs.sort(key=lambda pair: (pair.webhook.name, pair.live.id))
    deletes = sorted(table.deletes, key=lambda delete: (delete.name, delete.before.id))
    findings = [
        *table.findings,
        *resends.unmatched(table.is_selected),
        *_unmatched_globs(options, desired, live, deletes),
    ]
    # After all checks, so that one run reports all conflicts.
    _require_no_errors(findings)

    # A webhook outside the pairs keeps a former name, so nothing is renamed from it.
    paired = {pair.live.id for pair in pairs}
    unpaired = {webhook.name for webhook in live.webhooks if webhook.id not in paired}
    updates, matched = _updates(pairs, unpaired, table.adopted, options.committed_hosts)
    new = sorted(table.new, key=lambda webhook: webhook.name)
    creates = [Create(after=_with_free_former_names(webhook, unpaired)) for webhook in new]
    operations: tuple[Operation, ...] = (*deletes, *updates, *creates)
    operations = tuple(sorted(operations, key=stage))
    earlier = None
    if operations:  # in sync, there is nothing to explain
        earlier = _earlier_plan(live, secrets, options)
    touched = {*paired, *(delete.before.id for delete in deletes)}
    others = _unidentified(desired, live, touched)
    renamed = _renamed(creates, deletes, others, table.ignore, secrets, evidence, earlier)
    operation_digests = tuple(
        digests(operation, options.committed_hosts) for operation in operations
    )
    if earlier is not None:
        operations = with_attributions(operations, renamed, earlier)
    hosts = {reference: Secret(host) for reference, host in options.committed_hosts.items()}
    # Values are not used, so a plan lists the same secrets whether or not they are available.
    uses = tuple(_sent_secrets(operations, hosts))
    not_equal = tuple(_unsent_secrets(pairs, Reading.NOT_EQUAL, uses, hosts))
    # Where nothing is applied by a command, the warnings suggest to edit the file.
    offered = frozenset[SecretRef]()
    if options.apply_options is not None:
        offered = frozenset(use.reference for use in not_equal)
    notes = [
        *findings,
        *_dropped_secrets(pairs, updates, resends, evidence),
        *chain.from_iterable(_malformed_secrets(pair, options) for pair in pairs),
        *_rename_hints(creates, renamed, touched, desired, table.ignore),
        *new_notes(options.previous, desired, secrets),
        *_unequal_secrets(pairs, not_equal, options.apply_options),
        *_equal_resends(pairs, secrets),
        *_older_versions(desired, pairs, uses),
    ]
    unblocked = Plan(
        origin=live.origin,
        organization=live.organization,
        operations=operations,
        renamed=renamed,
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
        notes=tuple(sorted(notes, key=sort_key)),
        relaxed=tuple(relaxed(options.previous, desired)),
        not_shown=tuple(_not_shown(pairs)),
        not_compared=tuple(_unsent_secrets(pairs, Reading.UNAVAILABLE, uses, hosts)),
        not_equal=not_equal,
        offered=offered,
        secrets=uses,
        failing=_failing(table, live.webhooks),
        digests=operation_digests,
        digest=plan_digest(
            live.origin, live.organization.id, chain.from_iterable(operation_digests)
        ),
    )
    return unblocked._replace(blocked=guard_all([unblocked], options.allow_deletes)[0])


def _require_no_errors(findings: Iterable[Finding]) -> None:
    """Raise ConfigurationError if declarations conflict with the live webhooks or the options."""
    if has_errors(findings):
        raise ConfigurationError(
            "these files cannot be planned with these options and live webhooks",
            findings=sorted(findings, key=sort_key),
        )


def _name_and_id(kept: Kept) -> tuple[str, str]:
    return kept.name, kept.webhooks[0].id


def _sent_secrets(operations: Iterable[Operation], hosts: SecretValues) -> Iterator[SecretUse]:
    """Yield the secrets that creates and updates send."""
    for operation in operations:
        if isinstance(operation, Delete) or "configuration" not in operation.sent_fields:
            continue
        webhook = operation.after
        names = sorted(webhook.configuration)
        yield from _secret_uses(webhook, live_id(operation), names, hosts)


def _not_shown(pairs: Iterable[Comparison]) -> Iterator[tuple[str, str, str]]:
    """Yield the declared fields that cannot be compared, as (webhook, field, id)."""
    for pair in pairs:
        for name, reading in pair.unread.items():
            is_shown = reading not in (Reading.UNKNOWN, Reading.NOT_EQUAL)
            # Of a masked URL, only the host could be compared.
            if not is_shown or not plausible(pair.live.value(name)):
                yield pair.webhook.name, name, pair.live.id


def _unsent_secrets(
    pairs: Iterable[Comparison], reading: Reading, sent: Iterable[SecretUse], hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secrets with a reading that no operation sends."""
    sent_fields = {(use.live_id, use.field) for use in sent}
    for pair in pairs:
        names = [
            name
            for name in pair.unread
            if pair.unread[name] is reading and (pair.live.id, name) not in sent_fields
        ]
        if names:  # few webhooks have any, and a destination takes time
            for use in _secret_uses(pair.webhook, pair.live.id, names, hosts):
                # A URL that is not known here delivers to the live host.
                where = use.destination if use.is_resolved else destination(pair.live)
                yield use._replace(destination=where)


def _unequal_secrets(
    pairs: Iterable[Comparison], uses: Sequence[SecretUse], apply_options: Sequence[str] | None
) -> Iterator[Finding]:
    """Warn about each reference whose value the server may show encrypted, or not have.

    It is not sent without a request: if the server encrypts, every apply would send it again.
    """
    if not uses:
        return  # most plans
    positions = {pair.live.id: pair.webhook.position for pair in pairs}
    for (reference, _), users in by_reference(uses).items():
        way = "increment the `version` of its reference to send the value"
        if apply_options is not None:
            way = f"`{_resend_command(apply_options, reference.argument)}` sends the value"
        yield warning(
            "secret-not-equal",
            unequal_message(users),
            f"{way}; if the warning stays, it is stored encrypted",
            positions[users[0].live_id or ""],
        )


def by_reference(uses: Iterable[SecretUse]) -> dict[tuple[SecretRef, str], list[SecretUse]]:
    """Return the uses of each reference in each field."""
    groups: dict[tuple[SecretRef, str], list[SecretUse]] = {}
    for use in uses:
        groups.setdefault((use.reference, use.field), []).append(use)
    return groups


def unequal_message(
    uses: Sequence[SecretUse],
    what: str = "it is another value, or CloudTruth stores it encrypted",
) -> str:
    """Return that a live field is not the value of its reference, but `what`."""
    names = _named([use.webhook for use in uses])
    return f"the live {uses[0].field} of {names} is not the value of {uses[0].reference}: {what}"


def _equal_resends(pairs: Iterable[Comparison], secrets: SecretValues) -> Iterator[Finding]:
    """Yield a note for each reference that is resent although its value is live."""
    groups: defaultdict[SecretRef, list[Webhook]] = defaultdict(list)
    for pair in pairs:
        for change in pair.fields:
            if not isinstance(change, SecretChange) or not isinstance(change.after, SecretRef):
                continue
            value = secrets.get(change.after)
            is_live = value is not None and value == pair.live.value(change.path[-1])
            if change.not_shown and is_live and not change.after.is_literal:
                groups[change.after].append(pair.webhook)
    for reference, users in groups.items():
        names = _named([webhook.name for webhook in users])
        message = f"the value of {reference} is already live in {names}"
        hint = "if it is not the new one, set that before apply; later, also increment `version`"
        yield note("version-not-sent", message, hint, users[0].position)


def _older_versions(
    desired: Desired, pairs: Iterable[Comparison], sent: Iterable[SecretUse]
) -> Iterator[Finding]:
    """Yield a note for each reference that webhooks have with different versions.

    It names those that do not have the newest one, and to which nothing is sent. A note, because a
    rotation may be gradual.
    """
    newest: dict[tuple[str, str], SecretRef] = {}
    for webhook in desired.webhooks:
        for _, reference in webhook.references:
            known = newest.get(reference[:2], reference._replace(version=0))
            if (reference.version or 0) > (known.version or 0):
                newest[reference[:2]] = reference
    if not newest:
        return  # most plans
    sent_fields = {(use.live_id, use.field) for use in sent}
    groups: defaultdict[SecretRef, list[Webhook]] = defaultdict(list)
    for pair in pairs:
        for name, reference in pair.webhook.references:
            latest = newest.get(reference[:2], reference)
            is_sent = (pair.live.id, name) in sent_fields
            if reference != latest and name in pair.unread and not is_sent:
                groups[latest].append(pair.webhook)
    for reference, users in groups.items():
        secret, version = reference.unversioned, reference.version
        names = _named([webhook.name for webhook in users])
        where = f"not in {names}: it is not resent there"
        message = f"{secret} has version {version}, but {where}"
        hint = f"to send the new value there, too, set `version: {version}`"
        yield note("older-version", message, hint, users[0].position)


def _named(webhooks: Sequence[str]) -> str:
    """Return the names of the first webhooks, and the number of others."""
    names = ", ".join(map(repr, webhooks[:3]))
    if len(webhooks) <= 3:
        return names
    return f"{names} and {plural(len(webhooks) - 3, 'more webhook')}"


def _resend_command(apply_options: Sequence[str], request: str) -> str:
    return shlex.join(["webhooks", "apply", *apply_options, "--resend-secret", request])


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
    live_names = {webhook.name for webhook in live.webhooks}
    if options.only:
        names = live_names | desired.selectable_names
        yield from unmatched(options.only, names, "declared or live webhook")
    else:
        undeclared = any(delete.reason is Reason.NOT_DECLARED for delete in deletes)
        yield from unused(policy, live_names | desired.names, deletes=undeclared)


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


def _updates(
    pairs: Iterable[Comparison],
    unpaired: Set[str],
    adopted: Set[str],
    committed_hosts: Mapping[SecretRef, str],
) -> tuple[list[Update], dict[str, Webhook]]:
    """Return the updates of live webhooks, and by id the declarations that others equal."""
    updates: list[Update] = []
    matched: dict[str, Webhook] = {}
    for pair in pairs:
        after = _with_free_former_names(pair.webhook, unpaired)
        fields = tuple(
            _with_shown_host(change, committed_hosts) for change in pair.with_side_effects()
        )
        if fields:
            before = snapshot(pair.live, pair.webhook)
            reason = _reason(pair, adopted)
            updates.append(Update(before=before, after=after, fields=fields, reason=reason))
        else:
            matched[pair.live.id] = after
    return updates, matched


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


def _dropped_secrets(
    pairs: Iterable[Comparison], updates: Iterable[Update], resends: Resends, evidence: Evidence
) -> Iterator[Finding]:
    """Yield a note for each secret that is no longer declared, unless an update removes it."""
    sending = {update.before.id for update in updates if "configuration" in update.sent_fields}
    for pair in pairs:
        if pair.live.id not in sending:
            yield from resends.dropped_secret_notes(pair.webhook, pair.live, evidence)


def _malformed_secrets(pair: Comparison, options: PlanOptions) -> Iterator[Finding]:
    """Warn about each visible live secret that cannot be a valid value."""
    webhook = pair.webhook
    for name, reading in pair.unread.items():
        if reading is Reading.MALFORMED:
            noun = FIELDS[webhook.type][name].noun
            hint = "rename the webhook, then resend the secret"
            if options.apply_options is None:
                hint = "increment the `version` of its reference"
            # An escape in the quotes of a shell is another name.
            elif webhook.name.isprintable():
                command = _resend_command(options.apply_options, webhook.name)
                hint = f"resend the secret: `{command}`"
            yield warning(
                "live-secret-malformed",
                f"the live {name} of {webhook.name!r} is not {noun}, so deliveries fail",
                hint,
                webhook.position,
            )


def _renamed(
    creates: Sequence[Create],
    deletes: Iterable[Delete],
    others: Iterable[LiveWebhook],
    ignore: Globs,
    secrets: SecretValues,
    evidence: Evidence,
    earlier: Plan | None,
) -> dict[str, Snapshot]:
    """Return the live webhooks that may be created ones under another name, for `Plan.renamed`.

    No operation changes the `others`: they may have been renamed live to a name outside the scope,
    to a protected or ignored one, or to that of another declaration. `earlier` is the plan of the
    previous configuration.
    """
    renamed: dict[str, Snapshot] = {}
    if not creates:
        return renamed  # most plans
    deleted = [delete.before for delete in deletes if delete.reason is Reason.NOT_DECLARED]
    by_id = {webhook.id: webhook for webhook in others}
    kept = [snapshot(webhook) for webhook in by_id.values()]
    # First: an edit of the files hides that a declared and a renamed webhook were alike.
    if earlier is not None:
        renamed = still_renamed(creates, earlier, (*deleted, *kept))
    renamed.update((new.name, old) for new, old in _alike(creates, deleted, renamed))
    others_alike = chain(
        _alike(creates, [webhook for webhook in kept if not ignore.match(webhook.name)], renamed),
        # Last: usually, an ignored one is that of another team.
        _alike(creates, [webhook for webhook in kept if ignore.match(webhook.name)], renamed),
    )
    for new, old in others_alike:
        pair = compare(new, by_id[old.id], secrets, evidence)
        is_other = any(change.path != ("name",) for change in pair.fields)
        # If the destination is hidden, it may be another one.
        if not is_other and KINDS[new.type].destination_field not in pair.unread:
            renamed[new.name] = old
    return renamed


def _alike(
    creates: Iterable[Create], candidates: Iterable[Snapshot], renamed: Mapping[str, Snapshot]
) -> Iterator[tuple[Webhook, Snapshot]]:
    """Yield each created and live webhook with the same type, events and visible configuration.

    Only if exactly one of each has them, without those that are known to be renamed.
    """

    def key(webhook: Webhook | Snapshot) -> Hashable:
        return webhook.type, webhook.event_types, tuple(sorted(visible(webhook).items()))

    known = {webhook.id for webhook in renamed.values()}
    live: defaultdict[Hashable, list[Snapshot]] = defaultdict(list)
    for candidate in candidates:
        if candidate.id not in known:
            live[key(candidate)].append(candidate)
    new: defaultdict[Hashable, list[Webhook]] = defaultdict(list)
    for create in creates:
        if create.name not in renamed:
            new[key(create.after)].append(create.after)
    for look, webhooks in new.items():  # with several candidates, a hint would be a guess
        if len(webhooks) == len(live[look]) == 1:
            yield webhooks[0], live[look][0]


def _rename_hints(
    creates: Iterable[Create],
    renamed: Mapping[str, Snapshot],
    touched: Set[str],
    desired: Desired,
    ignore: Globs,
) -> Iterator[Finding]:
    """Yield a hint for each create whose webhook may be live under another name."""
    names = {webhook.name for webhook in desired.webhooks}
    for create in creates:
        old, new = renamed.get(create.name), create.name
        if old is None:
            continue
        add = declare_previously(old.name, new)
        position = create.after.position
        if old.id in touched:
            message = f"deleting {old.name!r} and creating {new!r} looks like a rename"
            yield note("looks-like-rename", message, f"to rename it, {add}", position)
            continue
        hint = f"rename it back, or {add} (outside the scope with `adopt: true`)"
        # No entry may take the name of another one, or an ignored webhook.
        if old.name in names or ignore.match(old.name):
            hint = "rename it back"
        message = (
            f"{new!r} may be live as {old.name!r}; an apply would keep that and create a second "
            "webhook"
        )
        yield note("live-under-another-name", message, hint, position)


def declare_previously(old: str, new: str) -> str:
    """Return the edit after which an apply renames the live webhook `old` to `new`."""
    return f"add {previously(old)} to {new!r}"


def _unidentified(desired: Desired, live: Live, touched: Set[str]) -> Iterator[LiveWebhook]:
    """Yield the live webhooks that no declaration identifies, without those `touched`.

    Also those that `--only` does not select, because it may select only one of two names, those
    that share the name of a declared one, and ignored ones.
    """
    names = desired.selectable_names
    ids = {*touched, *(absent.id for absent in desired.absent)}
    ids.update(webhook.id for webhook in desired.webhooks)
    count_by_name = Counter(webhook.name for webhook in live.webhooks)
    for live_webhook in live.webhooks:
        if live_webhook.id in ids or live_webhook.type not in KINDS:
            continue
        # Which of several with a declared name is the declared one is not known.
        is_declared = live_webhook.name in names and count_by_name[live_webhook.name] == 1
        if not is_declared:
            yield live_webhook


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
        return plan(
            previous, live, earlier, options._replace(previous=None, resend=(), reviewed=())
        )
    return Plan(live.origin, live.organization)


def _secret_uses(
    webhook: Webhook, id_: str | None, fields: Iterable[str], hosts: SecretValues
) -> Iterator[SecretUse]:
    """Yield the secret references of the given fields; `hosts` are those that the commit shows."""
    where = destination(webhook, hosts)
    address = KINDS[webhook.type].destination_field
    for name in fields:
        value = webhook.configuration[name]
        if isinstance(value, SecretRef):
            is_resolved = name != address or value in hosts
            yield SecretUse(value, webhook.name, name, where, is_resolved, id_)
