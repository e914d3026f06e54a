"""Words that objections and hints share: what a key, an event or a reference may be.

No value of a field that may be secret is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from reconciler.model import EVENT_TYPES

NO_WEBHOOKS: Final = "to declare that there are no webhooks, write `webhooks: []`"
IN_DEFAULTS: Final = "write it here, or for all webhooks of the file under `defaults`"
REFERENCE: Final = "`{env: NAME}` or `{file: PATH}`"
_SUBJECTS, _VERBS = (
    list(dict.fromkeys(event.rpartition("_")[end] for event in EVENT_TYPES)) for end in (0, 2)
)
EVENTS: Final = (
    f"the events are {', '.join(_SUBJECTS[:-1])} or {_SUBJECTS[-1]}, with "
    f"_{', _'.join(_VERBS[:-1])} or _{_VERBS[-1]}, as in `value_created`"
)
"""What can be said of all events in one line."""


def near(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that was probably meant."""
    found = get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def ticked(words: Iterable[str]) -> str:
    """Return words of the file's format as a list for a message."""
    *most, last = [f"`{word}`" for word in words]
    return f"{', '.join(most)} and {last}" if most else last
