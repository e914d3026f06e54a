"""What a server says, made fit to be told.

Promises: no secret that was sent or read, in whatever form a server may quote it, no longer part
of one, no Slack token of anybody, and of an address only scheme and host.
Refuses: to guess at other secrets. What the server alone knows looks like any other word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

from reconciler.kinds.slack import TOKEN
from reconciler.model import Secret

_WINDOW: Final = 8
_URL: Final = re.compile(r"(?i:https?)://\S+")
_AFTER_ORIGIN: Final = re.compile(r"https?://(?:[^/?#@]*@)?[^/?#]*", re.IGNORECASE)


def told(text: str, hidden: Sequence[str] = ()) -> str:
    """Return `text` of a server without the values of `hidden` and other secrets."""
    text = _URL.sub(lambda found: f"{Secret(found.group()).origin() or ''}/***", text)
    for form in sorted({each for value in hidden for each in _forms(value)}, key=len, reverse=True):
        text = text.replace(form, "***")
    text = TOKEN.sub("***", text)
    for value in hidden:
        # The origin of an address is no secret, and shares its beginning with every other.
        rest = _AFTER_ORIGIN.sub("", value, count=1)
        if len(rest) > _WINDOW:
            text = _without_parts(text, rest)
    return text


def _forms(value: str) -> Iterator[str]:
    """Yield a value as it is and as it stands inside JSON, Python, HTML and addresses."""
    import html  # brings a table of all entities, and is for failures only

    if value:
        yield value
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        yield repr(value)[1:-1]
        yield html.escape(value)
        yield quote(value, safe="", errors="replace")


def _without_parts(text: str, value: str) -> str:
    """Take out every run of eight characters of `value`, since a server may quote it cut short."""
    windows = {value[at : at + _WINDOW] for at in range(len(value) - _WINDOW + 1)}
    kept: list[str] = []
    at = 0
    while at < len(text):
        if text[at : at + _WINDOW] not in windows:
            kept.append(text[at])
            at += 1
            continue
        at += _WINDOW
        while at < len(text) and text[at - _WINDOW + 1 : at + 1] in windows:
            at += 1
        kept.append("***")
    return "".join(kept)
