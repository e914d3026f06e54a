"""Event names and globs over them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from reconciler.model import EVENT_TYPES

MAX_EVENT_GLOB: Final = 128
"""The maximum length of a glob over events, in characters."""

_SUBJECTS: Final = tuple(dict.fromkeys(f"{event.rpartition('_')[0]}_*" for event in EVENT_TYPES))
_VERBS: Final = tuple(dict.fromkeys(f"*_{event.rpartition('_')[2]}" for event in EVENT_TYPES))
GLOBS: Final = (*_SUBJECTS, *_VERBS)
"""The globs for all events of a subject, and of a verb."""


@lru_cache(maxsize=256)  # webhooks share few different globs
def expand(pattern: str) -> frozenset[str]:
    """Return the known events that match `pattern`."""
    return frozenset(event for event in EVENT_TYPES if fnmatchcase(event, pattern))


def compress(events: Iterable[str]) -> tuple[str, ...]:
    """Abbreviate `events`: use a glob for all events of a subject or a verb.

    Expanding the result returns `events`, each from one member; unknown events are not changed.
    """
    left, every = set(events), frozenset(EVENT_TYPES)
    unknown = sorted(left - every)
    if left >= every:
        return ("*", *unknown)
    known = left & every
    shortest = min(_members(known, GLOBS), _members(known, (*_VERBS, *_SUBJECTS)), key=len)
    return (*shortest, *unknown)


def _members(left: set[str], globs: Iterable[str]) -> list[str]:
    """Return globs, in this order of preference, that do not overlap, and the other events."""
    used = []
    for glob in globs:
        if expand(glob) <= left:
            used.append(glob)
            left = left - expand(glob)
    return [*(event for event in EVENT_TYPES if event in left), *used]
