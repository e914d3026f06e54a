"""The planner: `plan(desired, live, secrets)`, a pure function and the heart of the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, has_errors, sort_key
from reconciler.kinds import KINDS
from reconciler.model import Desired, Live, LiveWebhook, Secret, SecretRef, Unknown, Webhook
from reconciler.planning.base import attribute, relaxed
from reconciler.planning.changes import (
    Change,
    Create,
    Delete,
    FieldChange,
    Kept,
    Reason,
    SecretCause,
    SecretChange,
    Unmanaged,
    Update,
)
from reconciler.planning.compare import compare, destination, snapshot, with_lost
from reconciler.planning.digest import Shown, is_resend, operations, plan_digest
from reconciler.planning.guards import Grounds
from reconciler.planning.hints import mistaken, rename_hints
from reconciler.planning.pairing import Pairing
from reconciler.planning.plan import Matched, Plan, SecretUse
from reconciler.planning.readback import gather, is_mistaken
from reconciler.planning.renames import awaiting
from reconciler.planning.resend import Requests, Resend, Resends
from reconciler.planning.selection import idle
from reconciler.planning.table import pair


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What the command line says beside the files.

    `only` are globs over live or declared names. `prune` of False plans no delete of what is
    merely not declared. `allow_deletes` is a counted permission. `resend` names references or
    webhooks whose secrets are sent again; `reviewed` is what a review sends again. `base` is the
    declaration before this one. `shown` holds scheme and host of the references that a reviewer
    can look up in the commit.
    """

    only: tuple[str, ...] = ()
    prune: bool = True
    allow_deletes: int | None = None
    resend_all: bool = False
    resend: tuple[str, ...] = ()
    reviewed: tuple[Resend, ...] = ()
    base: Desired | None = None
    shown: Shown = field(default_factory=dict)


_PLAIN = PlanOptions()


def plan(
    desired: Desired,
    live: Live,
    secrets: Mapping[SecretRef, Secret],
    options: PlanOptions = _PLAIN,
) -> Plan:
    """Say what would make `live` equal to `desired`.

    `secrets` holds the values that are at hand; with fewer of them fewer secret changes are seen,
    and nothing else differs. Raises ConfigurationError, with a finding for each place, where
    declarations cannot be carried out against what is live.
    """
    requests = Requests(everything=options.resend_all, named=frozenset(options.resend))
    table = pair(desired, live.webhooks, only=options.only, prune=options.prune)
    resends = Resends(requests, options.reviewed, options.base, desired, secrets)
    comparing = _compare(table, live.webhooks, secrets, resends, options.shown)
    findings = [
        *table.findings,
        *resends.unmatched(),
        *idle(options.only, desired, live),
    ]
    if has_errors(tuple(findings)):
        raise ConfigurationError(
            "the declarations do not fit what is live",
            findings=sorted(findings, key=sort_key),
        )
    paired = {found.id for _, found in table.pairs}
    borne = {each.name for each in live.webhooks if each.id not in paired}
    changes = _changes(table, comparing.updates, borne)
    notes = sorted((*findings, *comparing.notes, *rename_hints(changes)), key=sort_key)
    loosened: tuple[Finding, ...] = ()
    if options.base is not None:
        loosened = relaxed(options.base, desired)
        before = _base_changes(options.base, options, live, secrets)
        changes = attribute(changes, before, options.shown)
    reviewable = tuple(operations(change, options.shown) for change in changes)
    made = Plan(
        origin=live.origin,
        organization=live.organization,
        changes=changes,
        matched=tuple(
            Matched(id=found.id, webhook=awaiting(webhook, borne))
            for webhook, found in comparing.matched
        ),
        kept=_kept(table),
        unmanaged=tuple(
            sorted(
                (
                    Unmanaged(webhook=snapshot(found), reason=reason)
                    for found, reason in table.unmanaged
                ),
                key=lambda each: (each.name, each.webhook.id),
            )
        ),
        ignored=table.ignored,
        files=len(desired.policy.scopes),
        in_scope=table.in_scope,
        live=len(live.webhooks),
        grounds=Grounds(
            declared=table.declared, found=table.found, max_deletes=desired.policy.max_deletes
        ),
        notes=tuple(notes),
        relaxed=loosened,
        unreadable=tuple(comparing.unreadable),
        secrets=_uses(changes),
        operations=reviewable,
        digest=plan_digest(live.origin, live.organization.id, chain.from_iterable(reviewable)),
    )
    return replace(made, blocked=made.held_back(options.allow_deletes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparing:
    """What comes of comparing each pair, gathered over all of them."""

    updates: list[Update]
    matched: list[tuple[Webhook, LiveWebhook]]
    unreadable: list[tuple[str, str]]
    notes: list[Finding]


def _compare(
    table: Pairing,
    live: Sequence[LiveWebhook],
    secrets: Mapping[SecretRef, Secret],
    resends: Resends,
    shown: Shown,
) -> _Comparing:
    evidence = gather(table.pairs, live, secrets)
    out = _Comparing(updates=[], matched=[], unreadable=[], notes=[])
    compared = [
        (webhook, found, compare(webhook, found, secrets, evidence))
        for webhook, found in table.pairs  # as they lie in memory, which is faster than by name
    ]
    for webhook, found, comparison in sorted(compared, key=lambda each: (each[0].name, each[1].id)):
        more = resends.fields(webhook, found, comparison)
        out.unreadable.extend((webhook.name, name) for name in comparison.unreadable)
        replaced = {each.path for each in more}
        kept = (each for each in comparison.fields if each.path not in replaced)
        fields = with_lost(webhook, found, (*kept, *more))
        if shown:
            fields = tuple(_told(each, shown) for each in fields)
        if fields:
            out.updates.append(
                Update(
                    before=snapshot(found, webhook),
                    after=webhook,
                    fields=fields,
                    reason=_reason(webhook, found, comparison.fields, table.adopted),
                )
            )
        else:
            out.matched.append((webhook, found))
        sent = {each.path[-1] for each in fields}
        out.notes.extend(
            mistaken(webhook, name) for name in _mistaken(found, comparison.unreadable, sent)
        )
        if resends.has_base and not any(each.path[0] == "configuration" for each in fields):
            out.notes.extend(resends.unseen(webhook, found, evidence))
    return out


def _mistaken(found: LiveWebhook, unreadable: tuple[str, ...], sent: Set[object]) -> list[str]:
    """Return the secret fields of a live webhook that hold other text and are not sent anyway."""
    kind, shown = KINDS[found.type], found.configuration
    if isinstance(shown, Unknown):
        return []
    fields = [kind.field(name) for name in unreadable if name not in sent]
    return [
        each.name for each in fields if each is not None and is_mistaken(each, shown.get(each.name))
    ]


def _told(change: FieldChange, shown: Shown) -> FieldChange:
    """Say of a secret whose destination changes that the commit shows it, where it does."""
    if not isinstance(change, SecretChange) or not change.moved or change.after not in shown:
        return change
    cause = change.cause if is_resend(change) else SecretCause.DESTINATION
    return replace(change, moved=False, cause=cause)


def _reason(
    webhook: Webhook, found: LiveWebhook, fields: tuple[FieldChange, ...], adopted: Set[str]
) -> Reason:
    if found.id in adopted:
        return Reason.ADOPTED
    if webhook.name != found.name:
        return Reason.RENAMED
    return Reason.DIFFERS if fields else Reason.RESEND


def _changes(table: Pairing, updates: list[Update], borne: Set[str]) -> tuple[Change, ...]:
    updates = [replace(each, after=awaiting(each.after, borne)) for each in updates]
    creates = sorted(
        (Create(after=awaiting(webhook, borne)) for webhook in table.new),
        key=lambda each: each.name,
    )
    deletes = sorted(
        (
            Delete(
                before=snapshot(each.live),
                reason=each.reason,
                position=each.position,
                keeps=each.keeps,
                hidden=each.hidden,
            )
            for each in table.doomed
        ),
        key=lambda each: (each.name, each.before.id),
    )
    copies = [each for each in deletes if each.reason is Reason.DUPLICATE]
    others = [each for each in deletes if each.reason is not Reason.DUPLICATE]
    return (*copies, *updates, *creates, *others)


def _kept(table: Pairing) -> tuple[Kept, ...]:
    kept = [
        Kept(
            webhooks=tuple(snapshot(found) for found in each.live),
            reason=each.reason,
            position=each.position,
            detail=each.detail,
            unapplied=each.unapplied,
        )
        for each in table.spared
    ]
    return tuple(sorted(kept, key=lambda each: (each.name, each.webhooks[0].id)))


def _base_changes(
    base: Desired, options: PlanOptions, live: Live, secrets: Mapping[SecretRef, Secret]
) -> tuple[Change, ...]:
    """Plan the declaration before; one that does not fit what is live explains nothing."""
    try:
        return plan(
            base,
            live,
            {**secrets, **base.literals},
            replace(options, base=None, resend=(), resend_all=False, reviewed=()),
        ).changes
    except ConfigurationError:
        return ()


def _uses(changes: tuple[Change, ...]) -> tuple[SecretUse, ...]:
    """List the secrets that the changes send, each with where it goes.

    No value has a say, so that a plan says the same with and without the secrets at hand.
    """
    uses: list[SecretUse] = []
    for change in changes:
        if isinstance(change, Delete) or (
            isinstance(change, Update) and "configuration" not in change.sends
        ):
            continue
        where = destination(change.after)
        uses.extend(
            SecretUse(reference=value, webhook=change.name, field=name, destination=where)
            for name, value in sorted(change.after.configuration.items())
            if isinstance(value, SecretRef)
        )
    return tuple(uses)
