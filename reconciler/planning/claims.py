"""Which live webhooks are spoken for, while the table of `table.py` is gone through."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model import LiveWebhook


class Claims:
    """The live webhooks by id and by name, and who of them may still be led to by a name.

    Sets of ids, filled by the table: `taken` are settled, `reserved` are pinned by an entry's id
    whether or not that entry is looked at, `ignored` match the policy's `ignore`.
    """

    def __init__(self, live: Iterable[LiveWebhook]) -> None:
        self.all = sorted(live, key=lambda each: (each.name, each.id))
        self.by_id = {each.id: each for each in self.all}
        self.by_name: dict[str, list[LiveWebhook]] = {}
        for each in self.all:
            self.by_name.setdefault(each.name, []).append(each)
        self.taken: set[str] = set()
        self.reserved: set[str] = set()
        self.ignored: set[str] = set()

    def free(self, name: str) -> list[LiveWebhook]:
        """Return the live webhooks that a name may lead to, by id."""
        return [
            each
            for each in self.by_name.get(name, ())
            if each.id not in self.taken
            and each.id not in self.reserved
            and each.id not in self.ignored
        ]
