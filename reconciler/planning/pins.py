"""Entries whose pinned `id` is not live: deleted in the web interface, or mistyped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.model import LiveWebhook, Webhook
from reconciler.planning.compare import compare
from reconciler.planning.readback import Evidence


def match_by_name(
    entries: Sequence[Webhook], free: Sequence[LiveWebhook], *, shared: bool
) -> tuple[list[Webhook], list[LiveWebhook]]:
    """Return the entries as if they were declared by name, and live webhooks to keep.

    `entries` are all of one name whose id is gone; `free` the live webhooks of that name that no
    other entry pins; `shared` says whether several entries have the name. These cannot be told
    apart by name: an entry then matches only a webhook that is as declared. If others are left,
    they may be what was pinned, and are kept; if none is, one entry is matched by name, hence
    created. Webhooks of one name are created in one apply each, so that each apply knows its own.
    """
    if not shared:
        return [replace(each, id=None) for each in entries], []
    matched: list[Webhook] = []
    left: list[Webhook] = []
    rest = list(free)
    for entry in sorted(entries, key=lambda each: each.id or ""):
        same = (each for each in rest if not compare(entry, each, {}, Evidence()).fields)
        found = next(same, None)
        if found is None:
            left.append(entry)
        else:
            rest.remove(found)
            matched.append(replace(entry, id=found.id))
    if not left:
        return matched, []
    if not rest:
        matched.append(replace(left[0], id=None))
    return matched, rest
