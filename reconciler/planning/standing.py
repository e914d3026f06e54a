"""Whether a plan's changes still fit what is live, some time after it was made.

A change *holds* when its before is still what is live, is *done* when its after is, and has
*changed* when live is neither. Applying only what holds is what keeps a reviewed plan exact and a
slow confirmation harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from reconciler.kinds import KINDS
from reconciler.model import LiveWebhook, Secret, SecretRef, Unknown
from reconciler.planning.changes import (
    Create,
    Delete,
    FieldChange,
    KeyLost,
    Reason,
    SecretChange,
    SetChange,
    Update,
)
from reconciler.planning.compare import Comparison, compare, shows, snapshot
from reconciler.planning.plan import Plan
from reconciler.planning.readback import Readable, readable_fields
from reconciler.values import dataclass


class Fit(Enum):
    """How a change fits what is live."""

    HOLDS = "holds"
    DONE = "done"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The fit of one change, a sentence why, and the id of the live webhook if there is one."""

    fit: Fit
    why: str = ""
    id: str | None = None


_HOLDS = Standing(fit=Fit.HOLDS)


def standings(
    plan: Plan, live: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> tuple[Standing, ...]:
    """Return the standing of each of `plan.changes`, in their order."""
    by_id = {each.id: each for each in live}
    by_name: dict[str, list[LiveWebhook]] = {}
    for each in live:
        by_name.setdefault(each.name, []).append(each)
    readable = readable_in(plan, live, secrets)
    # Only under the name that the plan knows: under another, a webhook was renamed meanwhile.
    known = {(each.before.id, each.before.name) for each in plan.updates}
    known |= {(each.id, each.name) for kept in plan.kept for each in kept.webhooks}
    answers: list[Standing] = []
    for change in plan.changes:
        match change:
            case Create():
                holders = by_name.get(change.name, ())
                copies = [each for each in holders if (each.id, each.name) not in known]
                answers.append(_create(change, copies, secrets, readable))
            case Update():
                answers.append(_update(change, by_id.get(change.before.id), secrets, readable))
            case Delete():
                answers.append(_delete(change, by_id))
    return tuple(answers)


def readable_in(
    plan: Plan, live: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> Readable:
    """Gather from a listing which fields the server shows, by way of what the plan declares."""
    by_id = {each.id: each for each in live}
    declared = [(each.before.id, each.after) for each in plan.updates]
    declared += [(each.id, each.webhook) for each in plan.matched]
    created = {each.name: each.after for each in plan.creates}
    pairs = [(webhook, by_id[key]) for key, webhook in declared if key in by_id]
    pairs += [(created[each.name], each) for each in live if each.name in created]
    return readable_fields(pairs, live, secrets)


def unmet(
    change: Create | Update,
    live: LiveWebhook,
    secrets: Mapping[SecretRef, Secret],
    readable: Readable,
) -> tuple[FieldChange, ...]:
    """Return how `live` differs from what `change` is to bring about, as far as can be told."""
    found = _own(change, compare(change.after, live, secrets, readable).fields)
    told = {each.path for each in found}
    return (*found, *(each for each in _still_there(change, live) if each.path not in told))


def _own(change: Create | Update, compared: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    """Leave out secrets that a change does not send.

    A plan that was made without them at hand knows nothing of their values. What else differs
    counts, sent or not: it was reviewed as what is there afterwards.
    """
    if isinstance(change, Create) or "configuration" in change.sends:
        return compared
    return tuple(each for each in compared if not isinstance(each, SecretChange))


def _still_there(change: Create | Update, live: LiveWebhook) -> tuple[KeyLost, ...]:
    """Return the fields that are to go and have not gone.

    A webhook of another type takes nothing along: its old token would be sent to a new address.
    """
    if isinstance(change, Create) or live.type != change.after.type:
        return ()
    kind = KINDS[live.type]
    wanted = change.after.configuration
    if change.before.type != live.type:
        foreign = [each.name for each in kind.fields if each.secret and each.name not in wanted]
        return tuple(KeyLost(path=("configuration", name)) for name in foreign if shows(live, name))
    return tuple(
        each
        for each in change.fields
        if isinstance(each, KeyLost) and each.dropped and shows(live, str(each.path[-1]))
    )


def _create(
    change: Create,
    copies: Sequence[LiveWebhook],
    secrets: Mapping[SecretRef, Secret],
    readable: Readable,
) -> Standing:
    if not copies:
        return _HOLDS
    if len(copies) == 1 and not compare(change.after, copies[0], secrets, readable).fields:
        return Standing(fit=Fit.DONE, why="it is live already", id=copies[0].id)
    return Standing(
        fit=Fit.CHANGED, why="a webhook of this name has appeared meanwhile", id=copies[0].id
    )


def _update(
    change: Update,
    found: LiveWebhook | None,
    secrets: Mapping[SecretRef, Secret],
    readable: Readable,
) -> Standing:
    if found is None:
        return Standing(fit=Fit.CHANGED, why="it has vanished meanwhile")
    now = compare(change.after, found, secrets, readable)
    reached = not _own(change, now.fields) and not _still_there(change, found)
    if reached and not _waits(change, found, now):
        return Standing(fit=Fit.DONE, why="it is live already", id=found.id)
    if snapshot(found, change.after) == change.before:
        return _HOLDS
    if reached:
        return Standing(fit=Fit.DONE, why="it is live already", id=found.id)
    return Standing(
        fit=Fit.CHANGED, why="somebody has changed it since the plan was made", id=found.id
    )


def _waits(change: Update, found: LiveWebhook, now: Comparison) -> bool:
    """Say whether a value is to be sent, or to go, of which nobody can tell if it is live."""
    hidden = isinstance(found.configuration, Unknown)
    return any(
        each.dropped and hidden
        if isinstance(each, KeyLost)
        else not isinstance(each, SetChange) and str(each.path[-1]) in now.undecided
        for each in change.fields
    )


def _delete(change: Delete, by_id: Mapping[str, LiveWebhook]) -> Standing:
    found = by_id.get(change.before.id)
    if found is None:
        return Standing(fit=Fit.DONE, why="it is gone already", id=change.before.id)
    if snapshot(found) != change.before:
        return Standing(
            fit=Fit.CHANGED, why="somebody has changed it since the plan was made", id=found.id
        )
    if change.reason is Reason.DUPLICATE:
        keeper = by_id.get(change.keeps or "")
        if keeper is None or keeper.name != found.name:
            return Standing(fit=Fit.CHANGED, why="the copy that was to stay is gone", id=found.id)
    return _HOLDS
