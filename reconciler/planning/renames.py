"""Renames in place, and what stands in their way.

A name must be free, or become free by an earlier rename of the same plan, before it can be taken:
deletes come last, so a name that a webhook to be deleted still holds is not free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

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


def check_renames(
    pairs: Sequence[tuple[Webhook, LiveWebhook]],
    doomed: set[str],
    by_name: Mapping[str, Sequence[LiveWebhook]],
) -> Iterator[Finding]:
    """Return an error for each rename onto a name that is held, and for each circle."""
    renames = {found.id: webhook for webhook, found in pairs if found.name != webhook.name}
    waits_for: dict[str, str] = {}
    for webhook, found in pairs:
        if found.id not in renames:
            continue
        for holder in by_name.get(webhook.name, ()):
            if holder.id in renames:
                waits_for[found.id] = holder.id
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
        step, seen = start, set[str]()
        while step in waits_for and step not in seen:
            seen.add(step)
            step = waits_for[step]
        if step == start:
            yield _error(
                "rename-cycle",
                renames[start],
                f"{renames[start].name!r} is part of a circle of renames",
                "go by way of a third name, in two applies",
            )


def in_order(updates: Sequence[Update]) -> tuple[Update, ...]:
    """Put the links of each chain of renames in sequence: a name is freed before it is taken."""
    holder = {each.before.name: each for each in updates if each.before.name != each.after.name}
    done: dict[str, Update] = {}
    for update in updates:
        chain = [update]
        while chain[-1].before.name != chain[-1].after.name:
            before = holder.get(chain[-1].after.name)
            if before is None or before.before.id in done or before in chain:
                break
            chain.append(before)
        for link in reversed(chain):
            done.setdefault(link.before.id, link)
    return tuple(done.values())


def _error(rule: str, webhook: Webhook, message: str, hint: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=webhook.position,
        hint=hint,
    )
