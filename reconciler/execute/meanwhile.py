"""What others did, while the run was under way, to what it counts on.

A run looks after names: one webhook each, as declared. Others may have changed a webhook that
needed no write, have given one more webhook a name of the plan, or have created anew what the plan
deletes. Nothing here mends that; it keeps the run from saying that all is as declared, and the next
plan shows it. What a listing shows is asked for once more by id, as a list may be behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from reconciler.execute.context import Context
from reconciler.model import LiveWebhook, Path, Webhook
from reconciler.planning.changes import Create, Delete, SecretChange, Update
from reconciler.planning.compare import compare
from reconciler.planning.plan import Matched
from reconciler.report import Applied

Strangers = Mapping[str, Sequence[LiveWebhook]]
"""By name, the webhooks that bear a name of the plan and are not those the plan knows by it."""

_ById = Mapping[str, LiveWebhook]


def strangers(context: Context, listing: Sequence[LiveWebhook]) -> Strangers:
    """Find who bears a name of a change, or of a webhook that the plan leaves as it is."""
    plan = context.plan
    ours = {each.name for each in plan.changes}
    ours |= {each.webhook.name for each in plan.matched}
    known = {(each.id, each.webhook.name) for each in plan.matched}
    known |= {(each.before.id, each.name) for each in plan.updates}
    known |= {(each.before.id, each.before.name) for each in plan.updates}
    known |= {(each.before.id, each.before.name) for each in plan.deletes}
    known |= {(each.id, each.name) for kept in plan.kept for each in kept.webhooks}
    known |= {
        (each.id, each.change.name)
        for _, each in context.ledger.settled()
        if isinstance(each, Applied) and isinstance(each.change, Create) and each.id is not None
    }
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
    """Say which webhooks are not as the plan leaves them and no outcome tells, None if all are."""
    by_id = {each.id: each for each in listing}
    said = (
        _revealed(context, listing, by_id),
        _changed(context, by_id, there),
        _another_secret(context, by_id),
        _returned(context, there),
    )
    return "; ".join(each for each in said if each is not None) or None


def _revealed(context: Context, listing: Sequence[LiveWebhook], by_id: _ById) -> str | None:
    """Say what could not be compared before, and differs now that the server shows it.

    A value that was just sent and reads back is evidence that its field can be read, so that an
    older value of the same field turns out to be another one. The next plan mends it.
    """
    hidden = frozenset(context.plan.unreadable)
    evidence = context.evidence_in(listing)
    fields = sorted(
        {
            f"{each.path[-1]} of {matched.webhook.name!r}"
            for matched in context.plan.matched
            if (found := by_id.get(matched.id)) is not None
            for each in compare(matched.webhook, found, context.secrets, evidence).fields
            if (matched.webhook.name, each.path[-1]) in hidden
        }
    )
    if not fields:
        return None
    return f"what was sent shows that {', '.join(fields)} differs too: apply again to mend it"


def _confirmed(
    context: Context, by_id: _ById, id: str, differs: Callable[[LiveWebhook | None], bool]
) -> bool:
    """Say whether a webhook differs in the listing, and still does when it is asked for by id."""
    return differs(by_id.get(id)) and differs(context.api.get(id))


def _secrets(context: Context, webhook: Webhook, found: LiveWebhook | None) -> set[Path]:
    """Return the secret fields in which a webhook differs from what is declared."""
    if found is None:
        return set()
    fields = compare(webhook, found, context.secrets, context.evidence).fields
    return {each.path for each in fields if isinstance(each, SecretChange)}


def _another_secret(context: Context, by_id: _ById) -> str | None:
    """Say in which webhooks somebody else has changed a secret that their update does not send."""

    def differs(change: Update, found: LiveWebhook | None) -> bool:
        """Whether a secret is another one than before the first write."""
        old = _secrets(context, change.after, context.known.get(change.before.id))
        return not _secrets(context, change.after, found) <= old

    names = [
        repr(each.name)
        for each in context.plan.updates
        if "configuration" not in each.sends
        and _confirmed(context, by_id, each.before.id, partial(differs, each))
    ]
    if not names:
        return None
    return f"somebody else has changed a secret of {', '.join(names)}: plan again"


def _changed(context: Context, by_id: _ById, there: Strangers) -> str | None:
    """Say which webhooks somebody else has changed, or has given company under their name."""
    hidden = frozenset(context.plan.unreadable)

    def differs(matched: Matched, found: LiveWebhook | None) -> bool:
        """Whether it is gone, or another in what was to be seen before."""
        if found is None:
            return True
        paths = {
            each.path
            for each in compare(matched.webhook, found, context.secrets, context.evidence).fields
            if (matched.webhook.name, each.path[-1]) not in hidden
        }
        # Whoever made the plan may have had no secrets: then a secret may have differed all along.
        return not paths <= _secrets(context, matched.webhook, context.known.get(matched.id))

    names = [
        repr(each.webhook.name)
        for each in context.plan.matched
        if _confirmed(context, by_id, each.id, partial(differs, each))
        or living(context, each.webhook.name, there.get(each.webhook.name, ()))
    ]
    if not names:
        return None
    named = ", ".join(sorted(set(names)))
    return f"somebody else is at work on {named}, which needed no change: plan again"


def _returned(context: Context, there: Strangers) -> str | None:
    """Say which webhooks that the plan deletes somebody else has brought into being anew."""
    plan = context.plan
    stay = {each.name for each in plan.changes if not isinstance(each, Delete)}
    stay |= {each.webhook.name for each in plan.matched}
    names = sorted(
        {
            repr(each.name)
            for each in plan.deletes
            if each.name not in stay and living(context, each.name, there.get(each.name, ()))
        }
    )
    if not names:
        return None
    return f"somebody else has created {', '.join(names)} anew, which is to be deleted: plan again"
