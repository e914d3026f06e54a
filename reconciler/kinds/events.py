"""Event names and the globs people write for them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from reconciler.model import EVENT_TYPES

MAX_EVENT_GLOB: Final = 128
"""The longest glob over events, in characters."""

_VERBS: Final = ("created", "updated", "deleted")
_SUBJECTS: Final = tuple(dict.fromkeys(event.rpartition("_")[0] for event in EVENT_TYPES))


@lru_cache(maxsize=256)  # the same few are asked for with each webhook
def expand(pattern: str) -> frozenset[str]:
    """Return the known events that `pattern` means; empty if it means none."""
    return frozenset(event for event in EVENT_TYPES if fnmatchcase(event, pattern))


def compress(events: Iterable[str]) -> tuple[str, ...]:
    """Write `events` in short: exact globs where all events of a subject or a verb are meant.

    Expanding the answer gives `events` again; unknown events stay as they are.
    """
    left = set(events)
    if left >= set(EVENT_TYPES):
        return ("*", *sorted(left - set(EVENT_TYPES)))
    globs: list[str] = []
    covered: set[str] = set()
    for pattern in (*(f"{subject}_*" for subject in _SUBJECTS), *(f"*_{verb}" for verb in _VERBS)):
        members = expand(pattern)
        if members <= left:
            globs.append(pattern)
            covered |= members
    known = [event for event in EVENT_TYPES if event in left and event not in covered]
    return (*known, *globs, *sorted(left - set(EVENT_TYPES)))
