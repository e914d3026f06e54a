"""How each change of a plan fits the listing that was read just before the first write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.execute.order import renames
from reconciler.model import LiveWebhook, Secret, SecretRef
from reconciler.planning.changes import Delete
from reconciler.planning.plan import Plan
from reconciler.planning.standing import Fit, Standing, standings


def fits(
    plan: Plan, listing: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> list[Standing]:
    """Return the standing of each of the plan's changes, in their order.

    A rename no longer fits either when its new name has been taken by a webhook that keeps it, and
    nothing fits that a rename would do instead.
    """
    names = {
        each.before.id: (each.before.name, each.name) for each in plan.updates if renames(each)
    }
    holders = {each.name: each.id for each in listing if each.name not in names.get(each.id, ())}
    instead = _renamed_instead(plan, listing)
    answers = list(standings(plan, listing, secrets))
    for index, change in enumerate(plan.changes):
        if isinstance(change, Delete) or answers[index].fit is not Fit.HOLDS:
            continue
        if renames(change) and change.name in holders:
            answers[index] = Standing(
                fit=Fit.CHANGED,
                why="a webhook of its new name has appeared meanwhile",
                id=holders[change.name],
            )
        elif change.name in instead:
            answers[index] = Standing(
                fit=Fit.CHANGED, why="a webhook that is to be renamed to it has appeared meanwhile"
            )
    return answers


def missed(plan: Plan, listing: Sequence[LiveWebhook]) -> list[str]:
    """Return the ids of webhooks that the plan updates or deletes and the listing does not show.

    They are gone, or have slipped between two pages: only asking by id can tell.
    """
    there = {each.id for each in listing}
    wanted = [each.before.id for each in plan.updates]
    wanted += [each.before.id for each in plan.deletes]
    wanted += [each.keeps for each in plan.deletes if each.keeps is not None]
    return sorted({each for each in wanted if each not in there})


def _renamed_instead(plan: Plan, listing: Sequence[LiveWebhook]) -> set[str]:
    """Return the declared names to which webhooks are to be renamed that the plan has not seen.

    Such a webhook was created since, or slipped between two pages of the listing that the plan was
    made from. What bears its new name goes on to the next link of a chain, if there is one.
    """
    known = {each.before.id for each in plan.updates} | {each.id for each in plan.matched}
    entries = [each.after for each in plan.changes if not isinstance(each, Delete)]
    entries += [each.webhook for each in plan.matched]
    moving = {each.name for each in listing if each.id not in known}
    found: set[str] = set()
    while more := {
        each.name for each in entries if each.name not in found and moving & {*each.previously}
    }:
        found |= more
        moving = more
    return found
