"""What a failed request means and what is done about it: one table, and nothing else decides.

A failure belongs to one class, by what it tells about the server having acted. The class and the
use of the request (reading, a write by id, a create) give the action. `READ_BACK` and `RESOLVE`
are not done here: they reach the engine as AmbiguousWriteError, which reads before it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Failure(Enum):
    """What a failure tells about the server having acted."""

    NOT_SENT = "not sent"
    """The request surely never arrived."""
    UNTRUSTED = "untrusted"
    """Whoever answered could not prove to be the server: not sent, and the same next time."""
    THROTTLED = "throttled"
    """The server refused before looking: 429."""
    REJECTED = "rejected"
    """The server refused, and would refuse the same again."""
    AMBIGUOUS = "ambiguous"
    """It may have acted: no answer, a broken one, or one that does not say."""
    MOVED = "moved"
    """It points elsewhere: never followed, the same next time, and no promise of not acting."""


class Use(Enum):
    """What a request is for."""

    READ = "read"
    BY_ID = "by id"
    CREATE = "create"


class Action(Enum):
    """What follows from a failure."""

    REPEAT = "repeat"
    """Send it again after a pause, within the retry budget."""
    WAIT = "wait"
    """Send it again when the server's pause is over; costs no budget."""
    REPORT = "report"
    """Final: raise what the server said."""
    READ_BACK = "read back"
    """Raise AmbiguousWriteError: reading that one object tells whether it happened."""
    RESOLVE = "resolve"
    """Raise AmbiguousWriteError: only a settled listing tells whether something was created."""


TABLE: Final[Mapping[Failure, Mapping[Use, Action]]] = {
    Failure.NOT_SENT: {
        Use.READ: Action.REPEAT,
        Use.BY_ID: Action.REPEAT,
        Use.CREATE: Action.REPEAT,
    },
    Failure.UNTRUSTED: {
        Use.READ: Action.REPORT,
        Use.BY_ID: Action.REPORT,
        Use.CREATE: Action.REPORT,
    },
    Failure.THROTTLED: {
        Use.READ: Action.WAIT,
        Use.BY_ID: Action.WAIT,
        Use.CREATE: Action.WAIT,
    },
    Failure.REJECTED: {
        Use.READ: Action.REPORT,
        Use.BY_ID: Action.REPORT,
        Use.CREATE: Action.REPORT,
    },
    Failure.AMBIGUOUS: {
        Use.READ: Action.REPEAT,
        Use.BY_ID: Action.READ_BACK,
        Use.CREATE: Action.RESOLVE,
    },
    Failure.MOVED: {
        Use.READ: Action.REPORT,
        Use.BY_ID: Action.READ_BACK,
        Use.CREATE: Action.RESOLVE,
    },
}

_USES: Final = {
    "GET": Use.READ,
    "PATCH": Use.BY_ID,
    "PUT": Use.BY_ID,
    "DELETE": Use.BY_ID,
}

_REJECTED: Final = frozenset(
    # refusals of what was sent
    (400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422)
) | frozenset(
    # statuses that by their definition precede any work
    (402, 412, 416, 417, 421, 424, 425, 426, 428, 431, 451)
)


def use_of(method: str) -> Use:
    """Return what a method is for. One that is not known counts as a create: the careful case."""
    return _USES.get(method, Use.CREATE)


def failure_of(status: int) -> Failure:
    """Return the class of an answer that is not a success.

    A status that is not known is ambiguous: a proxy's own numbers do not tell what happened
    behind it.
    """
    if status == 429:
        return Failure.THROTTLED
    if status in _REJECTED:
        return Failure.REJECTED
    return Failure.MOVED if 300 <= status < 400 else Failure.AMBIGUOUS
