"""Event names and the globs people write for them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from reconciler.model import EVENT_TYPES

MAX_EVENT_GLOB: Final = 128
"""The longest glob over events, in characters."""

GLOBS: Final = (
    *dict.fromkeys(f"{event.rpartition('_')[0]}_*" for event in EVENT_TYPES),
    *dict.fromkeys(f"*_{event.rpartition('_')[2]}" for event in EVENT_TYPES),
)
"""All events of a subject, and all of a verb."""


@lru_cache(maxsize=256)  # the same few are asked for with each webhook
def expand(pattern: str) -> frozenset[str]:
    """Return the known events that `pattern` means; empty if it means none."""
    return frozenset(event for event in EVENT_TYPES if fnmatchcase(event, pattern))


def compress(events: Iterable[str]) -> tuple[str, ...]:
    """Write `events` in short: exact globs where all events of a subject or a verb are meant.

    Expanding the answer gives `events` again; unknown events stay as they are.
    """
    left, every = set(events), frozenset(EVENT_TYPES)
    unknown = sorted(left - every)
    if left >= every:
        return ("*", *unknown)
    globs = [glob for glob in GLOBS if expand(glob) <= left]
    left -= set().union(*map(expand, globs))
    return (*(event for event in EVENT_TYPES if event in left), *globs, *unknown)
