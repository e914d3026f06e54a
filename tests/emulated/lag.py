"""Writes that lists do not show yet.

For: servers whose lists come from a stale replica. Guarantees: each write stays invisible until a
number of listings of its organization have been answered and a number of seconds have passed;
several writes to one webhook become visible in order. Not done: surviving a restart, or delaying
anything except lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.emulator.store import Row


@dataclass(slots=True, kw_only=True)
class Write:
    """A write, and until when lists do not show it; `before` is what they show instead."""

    organization: str
    id: str
    before: Row | None
    visible_from: float
    listings_left: int


class Lag:
    """The writes that are not visible yet, oldest first. Guarded by the emulator's lock."""

    def __init__(self) -> None:
        """Start with everything visible."""
        self._writes: list[Write] = []

    def add(self, write: Write) -> None:
        """Hide one write."""
        self._writes.append(write)

    def begin_listing(self, organization: str, now: float) -> None:
        """Start another listing of the organization: show writes that are due, count for the
        others.

        Only a first page starts a listing: the later pages are as stale as the first.
        """
        if not self._writes:
            return
        kept: list[Write] = []
        for write in self._writes:
            if write.organization == organization:
                if write.listings_left <= 0 and write.visible_from <= now:
                    continue
                write.listings_left -= 1
            kept.append(write)
        self._writes = kept

    def hides(self, organization: str) -> bool:
        """Return whether the current listing of the organization is stale."""
        return any(write.organization == organization for write in self._writes)

    def overlay(self, organization: str, rows: Sequence[Row]) -> list[Row]:
        """Return the rows as the list still shows them, in order of creation."""
        seen = {row.id: row for row in rows}
        hidden: set[str] = set()
        for write in self._writes:
            if write.organization != organization or write.id in hidden:
                continue
            hidden.add(write.id)
            if write.before is None:
                seen.pop(write.id, None)
            else:
                seen[write.id] = write.before
        return sorted(seen.values(), key=lambda row: row.seq)
