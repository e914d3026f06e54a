"""Renames in place, and what stands in their way.

A name must be free, or become free by an earlier rename of the same plan, before it can be taken:
deletes come last, so a name that a webhook to be deleted still holds is not free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from reconciler.findings import Finding, Severity
from reconciler.model import LiveWebhook, Webhook
from reconciler.planning.changes import Update


def in_sequence(
    webhooks: Sequence[Webhook], free: Callable[[str], Sequence[LiveWebhook]]
) -> tuple[Webhook, ...]:
    """Put entries in the order in which they find their live webhooks.

    In a chain of renames by `previously` an entry whose own earlier name is live leaves the
    webhook that bears its name to the entry that was called so before, which hence goes first.
    `free` returns the live webhooks that a name may lead to.
    """
    claims = {old: each for each in webhooks if each.id is None for old in each.previously}
    if not claims:
        return tuple(webhooks)
    done: dict[int, Webhook] = {}
    for webhook in webhooks:
        if id(webhook) not in done:
            for each in reversed(_chain(webhook, claims, free)):
                done.setdefault(id(each), each)
    return tuple(done.values())


def _chain(
    webhook: Webhook,
    claims: Mapping[str, Webhook],
    free: Callable[[str], Sequence[LiveWebhook]],
) -> list[Webhook]:
    """Follow a name to a name that nobody bears; the entry alone if there is no such way."""
    links, names = [webhook], {webhook.name}
    while webhook.id is None and free(links[-1].name):
        following = claims.get(links[-1].name)
        moves = any(free(old) for old in links[-1].previously)
        if following is None or following.name in names or not moves:
            return [webhook]
        links.append(following)
        names.add(following.name)
    return links


def ambiguous(webhook: Webhook, old: Sequence[str], sources: Sequence[LiveWebhook]) -> Finding:
    """Say that several live webhooks, of one earlier name or of several, could be the one."""
    if len(old) > 1:
        names = ", ".join(repr(name) for name in old)
        return _error(
            "several-previous",
            webhook,
            f"{webhook.name!r} would be renamed from more than one live webhook: {names}",
            "leave only one of them in `previously`",
        )
    ids = ", ".join(each.id for each in sources)
    return _error(
        "several-previous",
        webhook,
        f"{len(sources)} live webhooks are called {old[0]!r}",
        f"pin `id` to the one that is meant: {ids}",
    )


def check_renames(
    pairs: Sequence[tuple[Webhook, LiveWebhook]],
    doomed: set[str],
    by_name: Mapping[str, Sequence[LiveWebhook]],
) -> Iterator[Finding]:
    """Return an error for each rename onto a name that is held, and for each circle."""
    renames = {found.id: webhook for webhook, found in pairs if found.name != webhook.name}
    waits_for: dict[str, list[str]] = {}
    for webhook, found in pairs:
        if found.id not in renames:
            continue
        for holder in by_name.get(webhook.name, ()):
            if holder.id in renames:
                waits_for.setdefault(found.id, []).append(holder.id)
                continue
            why = "is to be deleted, which happens last" if holder.id in doomed else "stays"
            yield _error(
                "name-held",
                webhook,
                f"{found.name!r} cannot become {webhook.name!r}: "
                f"another webhook of that name {why}",
                "free the name in an earlier apply, or choose another",
            )
    for start in sorted(waits_for):
        if start in _before(start, waits_for):
            yield _error(
                "rename-cycle",
                renames[start],
                f"{renames[start].name!r} is part of a circle of renames",
                "go by way of a third name, in two applies",
            )


def _before(start: str, waits_for: Mapping[str, Sequence[str]]) -> set[str]:
    """Return all that a rename waits for, itself too if it is part of a circle."""
    found: set[str] = set()
    left = list(waits_for[start])
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left.extend(waits_for.get(each, ()))
    return found


def awaiting(webhook: Webhook, borne: Set[str]) -> Webhook:
    """Leave of `previously` the names that tell of a webhook to be renamed if one turns up.

    `borne` are the names of live webhooks that the plan has seen and renames to nothing.
    """
    if borne.isdisjoint(webhook.previously):
        return webhook
    return replace(
        webhook, previously=tuple(each for each in webhook.previously if each not in borne)
    )


def in_order(updates: Sequence[Update]) -> tuple[Update, ...]:
    """Put the links of each chain of renames in sequence: a name is freed before it is taken.

    Several webhooks may bear the name, and then all of them leave it first.
    """
    leaving: dict[str, list[Update]] = {}
    for update in updates:
        if update.before.name != update.after.name:
            leaving.setdefault(update.before.name, []).append(update)
    begun: set[str] = set()
    done: dict[str, Update] = {}
    for update in updates:
        chain = [update]
        while chain:
            link = chain[-1]
            begun.add(link.before.id)
            holders = leaving.get(link.after.name, ())
            held = next((each for each in holders if each.before.id not in begun), None)
            if held is not None:
                chain.append(held)
            else:
                done.setdefault(link.before.id, chain.pop())
    return tuple(done.values())


def _error(rule: str, webhook: Webhook, message: str, hint: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=webhook.position,
        hint=hint,
    )
