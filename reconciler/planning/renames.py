"""Renames in place, and what stands in their way.

A name must be free before it can be taken. Nothing in the same plan frees one: deletes come last,
and renames wait for nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

from reconciler.findings import Finding, Severity
from reconciler.model import LiveWebhook, Webhook


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


def check_names(
    pairs: Sequence[tuple[Webhook, LiveWebhook]],
    new: Sequence[Webhook],
    doomed: set[str],
    by_name: Mapping[str, Sequence[LiveWebhook]],
) -> Iterator[Finding]:
    """Return an error for each name that is wanted while another live webhook has it.

    A create may take the name of a webhook that is deleted afterwards, but not of one that this
    plan renames: were the rename to fail, two webhooks would have the name.
    """
    renamed = {found.id: webhook.name for webhook, found in pairs if found.name != webhook.name}

    def held(webhook: Webhook, verb: str, holder: LiveWebhook) -> Finding:
        if holder.id in renamed:
            why = f"becomes {renamed[holder.id]!r} in this plan"
            hint = f"use two applies: the first with --only {shlex.quote(renamed[holder.id])}"
        else:
            why = "is to be deleted, which happens last" if holder.id in doomed else "stays"
            hint = "free the name in an earlier apply, or choose another"
        message = f"{verb} {webhook.name!r}: another webhook of that name {why}"
        return _error("name-held", webhook, message, hint)

    for webhook, found in pairs:
        if found.id in renamed:
            for holder in by_name.get(webhook.name, ()):
                yield held(webhook, f"{found.name!r} cannot become", holder)
    for webhook in new:
        for holder in by_name.get(webhook.name, ()):
            if holder.id in renamed:
                yield held(webhook, "cannot create", holder)


def awaiting(webhook: Webhook, borne: Set[str]) -> Webhook:
    """Leave of `previously` the names that tell of a webhook to be renamed if one turns up.

    `borne` are the names of live webhooks that the plan has seen and renames to nothing.
    """
    if borne.isdisjoint(webhook.previously):
        return webhook
    return replace(
        webhook, previously=tuple(each for each in webhook.previously if each not in borne)
    )


def _error(rule: str, webhook: Webhook, message: str, hint: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        position=webhook.position,
        hint=hint,
    )
