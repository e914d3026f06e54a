"""Drift: what was changed live, apart from what the files change.

An operation is drift if the previous configuration plans it, too (`attribution_of`). What the files
change, completely or in part, and what waits to be applied must never be undone.

A declared webhook that is not live may have been renamed live (`live_renames`): a create would make
a second one, and a delete could lose its hidden secrets.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from reconciler.findings import Finding, note
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Desired, Live, LiveWebhook, Value, Webhook
from reconciler.planning.compare import compare, visible
from reconciler.planning.names import Globs, previously
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    FieldRemoved,
    Operation,
    Plan,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    webhook_key,
)
from reconciler.planning.readback import Evidence, snapshot


def with_attributions(
    operations: Iterable[Operation],
    renamed: Mapping[str, Snapshot],
    earlier_plan: Plan,
) -> tuple[Operation, ...]:
    """Label each operation: it is drift if the plan of the previous configuration has it, too."""
    earlier = by_webhook(earlier_plan)
    labeled: list[Operation] = []
    label_by_id: dict[str, Attribution] = {}
    for operation in operations:
        label = attribution_of(operation, earlier, renamed)
        # A rename is one change. Its create precedes its delete.
        if isinstance(operation, Create):
            if operation.name in renamed and label is not Attribution.THIS_CHANGE:
                label_by_id[renamed[operation.name].id] = label
        else:
            label = label_by_id.get(operation.before.id, label)
        labeled.append(replace(operation, attribution=label))
    return tuple(labeled)


def by_webhook(plan: Plan) -> dict[str, Operation]:
    """Return the operations by `webhook_key`, and for a renamed live webhook its create."""
    operations = {webhook_key(operation): operation for operation in plan.operations}
    for create in plan.creates:
        if create.name in plan.renamed:
            operations[plan.renamed[create.name].id] = create
    return operations


def attribution_of(
    operation: Operation, earlier: Mapping[str, Operation], renamed: Mapping[str, Snapshot]
) -> Attribution:
    """Return why a webhook differs, given what an earlier configuration plans, `by_webhook`.

    A field that both set to the same value was changed live. One that only this operation sets
    equals the earlier configuration, so the files changed it.
    """
    earlier_operation = earlier.get(webhook_key(operation))
    # The files may have renamed the entry of a webhook that was renamed live.
    if earlier_operation is None and operation.name in renamed:
        earlier_operation = earlier.get(renamed[operation.name].id)
    match operation, earlier_operation:
        case Update(), Update():
            return _attribution_of_update(operation, earlier_operation)
        case Create(after=declared), Create(after=earlier_declared):
            # A former name changes nothing that is created.
            if replace(declared, previously=earlier_declared.previously) == earlier_declared:
                return Attribution.DRIFT
            return Attribution.PARTLY_DRIFT
        # The files no longer declare what was changed live, or no longer with its id.
        case (Delete(), Update() | Create()) | (Create(), Update()):
            return Attribution.PARTLY_DRIFT
        case Delete(), Delete():
            return Attribution.DRIFT
    return Attribution.THIS_CHANGE  # a webhook that was added live is now declared


def _attribution_of_update(operation: Update, earlier: Update) -> Attribution:
    """Return why a webhook differs that an earlier configuration updates, too."""
    now, then = dict(_differences(operation)), dict(_differences(earlier))
    # Without a difference, both send only what a merged review resends.
    resent = now.keys() & {change.path for change in operation.fields if change.not_shown}
    waiting = [path for path in resent if path in then and now[path] == then[path]]
    for path in waiting:
        del now[path], then[path]
    # The new value is that of the earlier version, too, so its difference proves nothing.
    for change in operation.fields:
        if isinstance(change, SecretChange) and change.cause is SecretCause.VERSION_CHANGED:
            then.pop(change.path, None)
    if waiting and now.items() <= then.items():
        return Attribution.WAITING
    if now.keys().isdisjoint(then):
        return Attribution.THIS_CHANGE
    return Attribution.DRIFT if now.items() <= then.items() else Attribution.PARTLY_DRIFT


def _differences(update: Update) -> Iterator[tuple[tuple[str, ...], Value | None]]:
    """Yield the fields that an update changes, by path, with what it makes of them.

    A hidden secret that is only sent along is none.
    """
    fields = FIELDS[update.after.type]
    for change in update.fields:
        match change:
            case SetChange(path=path, added=added, removed=removed):
                # Each member is one difference, because others may change live.
                for member in (*added, *removed):
                    yield (*path, member), None
            case FieldRemoved(path=(_, name) as path):
                # A configuration that is sent removes fields that this version does not know, and
                # another type those of the old one, even where it sets one of the same name.
                if name in fields and name not in update.after.configuration:
                    yield path, None
            case ValueChange(path=("configuration", name) as path, after=str(after)):
                yield path, fields[name].normalize(after)
            case ValueChange(path=path, after=after) | SecretChange(path=path, after=after):
                yield path, after


# Renames


def live_renames(
    creates: Sequence[Create],
    undeclared: Sequence[Snapshot],
    others: Iterable[LiveWebhook],
    ignore: Globs,
    evidence: Evidence,
    earlier: Plan | None,
) -> dict[str, Snapshot]:
    """Return the live webhooks that may be created ones under another name, for `Plan.renamed`.

    A plan deletes the `undeclared` ones. No operation changes the `others`: they may have been
    renamed live to a name outside the scope, to a protected or ignored one, or to that of another
    declaration. `earlier` is the plan of the previous configuration.
    """
    if not creates:
        return {}  # most plans
    kept = {webhook.id: webhook for webhook in others}
    managed: list[Snapshot] = []
    ignored: list[Snapshot] = []
    for webhook in map(snapshot, kept.values()):
        if ignore.match(webhook.name):
            ignored.append(webhook)
        else:
            managed.append(webhook)
    renamed: dict[str, Snapshot] = {}
    # First: an edit of the files hides that a declared and a renamed webhook were alike.
    if earlier is not None:
        renamed = still_renamed(creates, earlier, (*undeclared, *managed, *ignored))
    # Ignored ones last: usually, such a webhook is that of another team.
    for candidates in (undeclared, managed, ignored):
        for new, old in _alike(creates, candidates, renamed):
            if old.id not in kept or _differ_by_name_only(new, kept[old.id], evidence):
                renamed[new.name] = old
    return renamed


def still_renamed(
    creates: Iterable[Create], earlier: Plan, undeclared: Iterable[Snapshot]
) -> dict[str, Snapshot]:
    """Return the renames of an earlier plan that concern the creates and webhooks of another one.

    See `Plan.renamed`.
    """
    ids = {webhook.id for webhook in undeclared}
    renamed: dict[str, Snapshot] = {}
    for create in creates:
        for name in (create.name, *create.after.previously):
            webhook = earlier.renamed.get(name)
            if webhook is not None and webhook.id in ids:
                renamed[create.name] = webhook
    return renamed


def _alike(
    creates: Iterable[Create], candidates: Iterable[Snapshot], renamed: Mapping[str, Snapshot]
) -> list[tuple[Webhook, Snapshot]]:
    """Return each created and live webhook with the same type, events and visible configuration.

    Only if exactly one of each has them, without those that are known to be renamed.
    """
    known = {webhook.id for webhook in renamed.values()}
    live: defaultdict[Hashable, list[Snapshot]] = defaultdict(list)
    for candidate in candidates:
        if candidate.id not in known:
            live[_look(candidate)].append(candidate)
    new: defaultdict[Hashable, list[Webhook]] = defaultdict(list)
    for create in creates:
        if create.name not in renamed:
            new[_look(create.after)].append(create.after)
    # With several candidates, a hint would be a guess.
    return [
        (webhooks[0], live[look][0])
        for look, webhooks in new.items()
        if len(webhooks) == len(live[look]) == 1
    ]


def _look(webhook: Webhook | Snapshot) -> Hashable:
    return webhook.type, webhook.event_types, tuple(sorted(visible(webhook).items()))


def _differ_by_name_only(webhook: Webhook, live: LiveWebhook, evidence: Evidence) -> bool:
    """Return whether a live webhook is a declared one, as far as known, but for its name."""
    comparison = compare(webhook, live, evidence)
    # If the destination is hidden, it may be another one.
    if KINDS[webhook.type].destination_field in comparison.unread:
        return False
    return all(change.path == ("name",) for change in comparison.fields)


def unidentified(desired: Desired, live: Live, touched: Set[str]) -> Iterator[LiveWebhook]:
    """Yield the live webhooks that no declaration identifies, without those `touched`.

    Also those that `--only` does not select, because it may select only one of two names, those
    that share the name of a declared one, and ignored ones.
    """
    names = desired.selectable_names
    ids = {*touched, *(absent.id for absent in desired.absent)}
    ids.update(webhook.id for webhook in desired.webhooks)
    count_by_name = Counter(webhook.name for webhook in live.webhooks)
    for webhook in live.webhooks:
        if webhook.id in ids or webhook.type not in KINDS:
            continue
        # Which of several with a declared name is the declared one is not known.
        is_declared = webhook.name in names and count_by_name[webhook.name] == 1
        if not is_declared:
            yield webhook


def rename_hints(
    creates: Iterable[Create],
    renamed: Mapping[str, Snapshot],
    touched: Set[str],
    desired: Desired,
    ignore: Globs,
) -> Iterator[Finding]:
    """Yield a hint for each create whose webhook may be live under another name.

    `touched` are the ids of the webhooks that the plan pairs with a declaration or deletes.
    """
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
