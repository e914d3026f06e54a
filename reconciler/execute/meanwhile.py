"""What others did, while the run was under way, to what it counts on.

A run looks after names: one webhook each, as declared. Others may have changed a webhook that
needed no write, or have given one more webhook a name of the plan. Nothing here mends that; it
keeps the run from saying that all is as declared, and the next plan shows it. What a listing shows
is asked for once more by id, as a list may be behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.execute.context import Context
from reconciler.model import LiveWebhook
from reconciler.planning.changes import Delete, FieldChange, KeyLost, SecretChange
from reconciler.planning.compare import compare
from reconciler.planning.plan import Matched

Strangers = Mapping[str, Sequence[LiveWebhook]]
"""By name, the webhooks that bear a name of the plan and are not those the plan knows by it."""


def strangers(context: Context, listing: Sequence[LiveWebhook]) -> Strangers:
    """Find who bears a name that the plan creates, updates, renames to or leaves as it is."""
    plan = context.plan
    ours = {each.name for each in plan.changes if not isinstance(each, Delete)}
    ours |= {each.webhook.name for each in plan.matched}
    known = {(each.id, each.webhook.name) for each in plan.matched}
    known |= {(each.before.id, each.name) for each in plan.updates}
    known |= {(each.before.id, each.before.name) for each in plan.updates}
    known |= {(each.before.id, each.before.name) for each in plan.deletes}
    known |= {(each.id, each.name) for kept in plan.kept for each in kept.webhooks}
    found: dict[str, list[LiveWebhook]] = {}
    for each in listing:
        if each.name in ours and (each.id, each.name) not in known:
            found.setdefault(each.name, []).append(each)
    return found


def living(context: Context, name: str, others: Iterable[LiveWebhook]) -> str | None:
    """Return the id of the first of `others` that still bears the name; None if none does."""
    for each in others:
        found = context.api.get(each.id)
        if found is not None and found.name == name:
            return each.id
    return None


def disturbed(context: Context, listing: Sequence[LiveWebhook], there: Strangers) -> str | None:
    """Say what webhooks that needed no change no longer are, None if all is well."""
    by_id = {each.id: each for each in listing}
    readable = context.readable_in(listing)
    hidden = set(context.plan.unreadable)
    revealed: set[str] = set()
    changed: set[str] = set()
    for matched in context.plan.matched:
        name, found = matched.webhook.name, by_id.get(matched.id)
        if found is not None:
            for each in compare(matched.webhook, found, context.secrets, readable).fields:
                if (name, str(each.path[-1])) in hidden:
                    revealed.add(f"{each.path[-1]} of {name!r}")
        if (
            (found is None or any(_plain(context, matched, found)))
            and ((now := context.api.get(matched.id)) is None or any(_plain(context, matched, now)))
        ) or living(context, name, there.get(name, ())):
            changed.add(repr(name))
    said: list[str] = []
    if revealed:
        fields = ", ".join(sorted(revealed))
        said.append(f"what was sent shows that {fields} differs too: apply again to mend it")
    if changed:
        names = ", ".join(sorted(changed))
        said.append(f"somebody else is at work on {names}, which needed no change: plan again")
    return "; ".join(said) or None


def _plain(context: Context, matched: Matched, found: LiveWebhook) -> Iterator[FieldChange]:
    """Yield how a webhook differs in what is no secret and was to be seen before."""
    hidden = {field for name, field in context.plan.unreadable if name == matched.webhook.name}
    for each in compare(matched.webhook, found, context.secrets, context.readable).fields:
        if not isinstance(each, SecretChange | KeyLost) and each.path[-1] not in hidden:
            yield each
