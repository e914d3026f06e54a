"""The webhook types and the events that this version knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from reconciler.kinds import generic, slack
from reconciler.kinds.base import Field as Field, Kind as Kind

KINDS: Final[Mapping[str, Kind]] = {
    kind.type: kind
    for kind in (
        slack.KIND,
        generic.KIND,
    )
}
"""Every known type. A new type is a module in this folder and a line here."""
FIELDS: Final[Mapping[str, Mapping[str, Field]]] = {
    kind.type: {field.name: field for field in kind.fields} for kind in KINDS.values()
}
"""The fields of each type by name."""

_SUBJECTS: Final = ("parameter", "template", "project", "environment", "value")
_VERBS: Final = ("created", "updated", "deleted")

EVENT_TYPES: Final = tuple(f"{subject}_{verb}" for subject in _SUBJECTS for verb in _VERBS)
"""The events CloudTruth can send, as its API names them."""

EVENTS: Final = (
    f"an event is {', '.join(_SUBJECTS[:-1])} or {_SUBJECTS[-1]} plus "
    f"_{', _'.join(_VERBS[:-1])} or _{_VERBS[-1]}, such as `value_created`"
)
"""A list of all events in one line, for hints."""

GLOBS: Final = (*(f"{subject}_*" for subject in _SUBJECTS), *(f"*_{verb}" for verb in _VERBS))
"""The globs for all events of a subject, and of a verb."""


@lru_cache(maxsize=256)  # most webhooks use the same few globs
def expand(pattern: str) -> frozenset[str]:
    """Return the known events that match `pattern`."""
    return frozenset(event for event in EVENT_TYPES if fnmatchcase(event, pattern))


def compress(events: Iterable[str]) -> tuple[str, ...]:
    """Abbreviate `events`: use a glob for all events of a subject or a verb.

    Expanding the result returns `events`. Unknown events are not changed.
    """
    left, every = set(events), frozenset(EVENT_TYPES)
    unknown = sorted(left - every)
    if left >= every:
        return ("*", *unknown)
    globs = [glob for glob in GLOBS if expand(glob) <= left]
    return (*ordered(left.difference(*map(expand, globs))), *globs, *unknown)


def ordered(events: Collection[str]) -> list[str]:
    """Return the known events of `events`, in the order of `EVENT_TYPES`."""
    return [event for event in EVENT_TYPES if event in events]
