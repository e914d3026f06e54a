"""Event names and globs over them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from reconciler.model import EVENT_TYPES

MAX_EVENT_GLOB: Final = 128
"""The maximum length of a glob over events, in characters."""

GLOBS: Final = (
    *dict.fromkeys(f"{event.rpartition('_')[0]}_*" for event in EVENT_TYPES),
    *dict.fromkeys(f"*_{event.rpartition('_')[2]}" for event in EVENT_TYPES),
)
"""The globs for all events of a subject, and of a verb."""


@lru_cache(maxsize=256)  # webhooks share few different globs
def expand(pattern: str) -> frozenset[str]:
    """Return the known events that match `pattern`."""
    return frozenset(event for event in EVENT_TYPES if fnmatchcase(event, pattern))


def compress(events: Iterable[str]) -> tuple[str, ...]:
    """Abbreviate `events`: use a glob for all events of a subject or a verb.

    Expanding the result returns `events`; unknown events are not changed.
    """
    left, every = set(events), frozenset(EVENT_TYPES)
    unknown = sorted(left - every)
    if left >= every:
        return ("*", *unknown)
    globs = [glob for glob in GLOBS if expand(glob) <= left]
    left -= set().union(*map(expand, globs))
    return (*(event for event in EVENT_TYPES if event in left), *globs, *unknown)
