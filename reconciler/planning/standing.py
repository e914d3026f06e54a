"""Whether a plan's changes still fit what is live, some time after it was made.

A change *holds* when its before is still what is live, is *done* when its after is, and has
*changed* when live is neither. Applying only what holds is what keeps a reviewed plan exact and a
slow confirmation harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

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
from reconciler.planning.compare import Comparison, compare, snapshot
from reconciler.planning.pairing import likeness
from reconciler.planning.plan import Plan
from reconciler.planning.readback import Evidence, Reading, gather


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
    evidence = evidence_in(plan, live, secrets)
    known = _known(plan)

    def unseen(*names: str) -> list[LiveWebhook]:
        """Return the webhooks of these names that the plan does not know by them."""
        found = [each for name in names for each in by_name.get(name, ())]
        return [each for each in found if (each.id, each.name) not in known]

    answers: list[Standing] = []
    for change in plan.changes:
        match change:
            case Create():
                answers.append(_create(change, unseen(change.name), secrets, evidence))
            case Update():
                answer = _update(change, by_id.get(change.before.id), secrets, evidence)
                names = {change.name} if change.name != change.before.name else set()
                if change.after.id is None:
                    names |= {change.name, change.before.name}
                answers.append(_another(unseen(*sorted(names))) or answer)
            case Delete():
                answer = _delete(change, by_id)
                copy = change.reason is Reason.DUPLICATE and answer.fit is Fit.HOLDS
                answers.append((_another(unseen(change.name)) if copy else None) or answer)
    return tuple(answers)


def _known(plan: Plan) -> set[tuple[str, str]]:
    """Return id and name of each webhook that the plan speaks of, before and after it.

    Under another name than these a webhook was renamed since the plan was made.
    """
    known = {(each.before.id, each.before.name) for each in plan.updates}
    known |= {(each.before.id, each.name) for each in plan.updates}
    known |= {(each.before.id, each.name) for each in plan.deletes}
    known |= {(each.id, each.webhook.name) for each in plan.matched}
    return known | {(each.id, each.name) for kept in plan.kept for each in kept.webhooks}


def _another(others: Sequence[LiveWebhook]) -> Standing | None:
    """Return that a change matched by name is stale: which webhook is meant must be planned."""
    if not others:
        return None
    return Standing(
        fit=Fit.CHANGED, why="another webhook of this name has appeared", id=others[0].id
    )


def evidence_in(
    plan: Plan, live: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> Evidence:
    """Gather what a listing proves about secrets, by way of what the plan declares."""
    by_id = {each.id: each for each in live}
    declared = [(each.before.id, each.after) for each in plan.updates]
    declared += [(each.id, each.webhook) for each in plan.matched]
    created = {each.name: each.after for each in plan.creates}
    pairs = [(webhook, by_id[key]) for key, webhook in declared if key in by_id]
    pairs += [(created[each.name], each) for each in live if each.name in created]
    return gather(pairs, live, secrets)


def unmet(
    change: Create | Update,
    live: LiveWebhook,
    secrets: Mapping[SecretRef, Secret],
    evidence: Evidence,
) -> tuple[FieldChange, ...]:
    """Return how `live` differs from what `change` is to bring about, as far as can be told."""
    return _own(change, compare(change.after, live, secrets, evidence).fields)


def _own(change: Create | Update, compared: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    """Leave out secrets that a change does not send.

    A plan that was made without them at hand knows nothing of their values. What else differs
    counts, sent or not: it was reviewed as what is there afterwards.
    """
    if isinstance(change, Create) or "configuration" in change.sends:
        return compared
    return tuple(each for each in compared if not isinstance(each, SecretChange))


def _create(
    change: Create,
    copies: Sequence[LiveWebhook],
    secrets: Mapping[SecretRef, Secret],
    evidence: Evidence,
) -> Standing:
    if not copies:
        return _HOLDS
    if len(copies) == 1 and not compare(change.after, copies[0], secrets, evidence).fields:
        return Standing(fit=Fit.DONE, why="it is live already", id=copies[0].id)
    return Standing(
        fit=Fit.CHANGED, why="a webhook of this name has appeared meanwhile", id=copies[0].id
    )


def _update(
    change: Update,
    found: LiveWebhook | None,
    secrets: Mapping[SecretRef, Secret],
    evidence: Evidence,
) -> Standing:
    if found is None:
        return Standing(fit=Fit.CHANGED, why="it has vanished meanwhile")
    now = compare(change.after, found, secrets, evidence)
    reached = not _own(change, now.fields)
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
        hidden
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
        if likeness(keeper, found) is Reading.DIFFERENT:
            return Standing(
                fit=Fit.CHANGED, why="it differs from the webhook that was to stay", id=found.id
            )
    return _HOLDS
