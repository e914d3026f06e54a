"""Removing the copies that a lost answer, or a second apply at the same time, has left.

Only copies of a name that this run has sent, that were not there before it, and that are as they
were sent may go; the copy with the smallest id of all stays. Every run follows the same rule, so
however many run at once, nobody removes the copy that all of them keep, and at no moment is there
none. No plan names these deletes; beside them a run takes back only what a server has filed under
another name than it was sent (create_once.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.errors import AmbiguousWriteError
from reconciler.execute.context import Context
from reconciler.model import LiveWebhook
from reconciler.planning.compare import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """A copy that is to go, and the one of the same name that stays."""

    copy: LiveWebhook
    keeper: LiveWebhook


def surplus(context: Context, listing: Sequence[LiveWebhook]) -> list[Surplus]:
    """Find the copies to remove: at most all but one of each name that was sent."""
    sent = {change.name: change for change in context.ledger.sent}
    pinned = {each.before.id for each in context.plan.updates}
    pinned |= {each.id for each in context.plan.matched}
    by_name: dict[str, list[LiveWebhook]] = {}
    for each in listing:
        if each.name in sent and each.id not in pinned:
            by_name.setdefault(each.name, []).append(each)
    found: list[Surplus] = []
    for name, copies in sorted(by_name.items()):
        if len(copies) > 1:
            keeper = min(copies, key=lambda each: each.id)
            for each in context.equal(sent[name], copies):
                if each.id != keeper.id:
                    found.append(Surplus(copy=each, keeper=keeper))
    return found


def remove(context: Context, each: Surplus) -> bool:
    """Delete a copy if its keeper is there; say whether this run has removed it, or may have.

    Both are read just before: a copy that somebody has changed since the listing is no copy any
    more. Raises ApiError if it surely stays.
    """
    if context.ledger.closed:
        return False
    copy, keeper = context.api.get(each.copy.id), context.api.get(each.keeper.id)
    if copy is None or keeper is None or keeper.name != each.keeper.name:
        return False
    if snapshot(copy) != snapshot(each.copy):
        return False
    try:
        removed = context.api.delete(each.copy.id)
    except AmbiguousWriteError:
        removed = True  # or may have: the next listing tells
    if removed:
        context.ledger.wrote()
    return removed
