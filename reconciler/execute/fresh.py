"""How each change of a plan fits the listing that was read just before the first write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.model import LiveWebhook, Secret, SecretRef
from reconciler.planning.changes import Delete
from reconciler.planning.plan import Plan
from reconciler.planning.standing import Fit, Standing, standings


def fits(
    plan: Plan, listing: Sequence[LiveWebhook], secrets: Mapping[SecretRef, Secret]
) -> list[Standing]:
    """Return the standing of each of the plan's changes, in their order.

    Nothing fits that a rename would do instead.
    """
    instead = _renamed_instead(plan, listing)
    answers = list(standings(plan, listing, secrets))
    for index, change in enumerate(plan.changes):
        if isinstance(change, Delete) or answers[index].fit is not Fit.HOLDS:
            continue
        if change.name in instead:
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
    made from.
    """
    known = {each.before.id for each in plan.updates} | {each.id for each in plan.matched}
    entries = [each.after for each in plan.changes if not isinstance(each, Delete)]
    entries += [each.webhook for each in plan.matched]
    unseen = {each.name for each in listing if each.id not in known}
    return {each.name for each in entries if not unseen.isdisjoint(each.previously)}
