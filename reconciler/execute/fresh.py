"""How each change of a plan fits the listing that was read just before the first write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.execute.order import renames
from reconciler.model import LiveWebhook, Secret, SecretRef
from reconciler.planning.changes import Update
from reconciler.planning.plan import Plan
from reconciler.planning.standing import Fit, Standing, standings


def fits(
    plan: Plan, listing: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> list[Standing]:
    """Return the standing of each of the plan's changes, in their order.

    A rename no longer fits either when its new name has been taken by a webhook that keeps it.
    """
    names = {
        each.before.id: (each.before.name, each.name) for each in plan.updates if renames(each)
    }
    holders = {each.name: each.id for each in listing if each.name not in names.get(each.id, ())}
    answers = list(standings(plan, listing, secrets))
    for index, change in enumerate(plan.changes):
        if not isinstance(change, Update) or not renames(change):
            continue
        holder = holders.get(change.name)
        if holder is not None and answers[index].fit is Fit.HOLDS:
            answers[index] = Standing(
                fit=Fit.CHANGED, why="a webhook of its new name has appeared meanwhile", id=holder
            )
    return answers
