"""Convert JSON of the API to values and back.

Reading is tolerant: unknown fields are ignored, and only id, name, type and event types are
validated. Every string of a configuration that may be a secret is wrapped here, so that no other
module has a live token in plain text. Secrets are revealed only in the bodies of writes and in the
`Authorization` header. Text from a server contains no Slack token and no secret that was sent or
read, whole or in part, in any encoding that a server may use: see `Redactor`. Secrets that only the
server knows cannot be recognized, so `responses.py` hides texts about secret fields.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, unquote

from reconciler.api.origin import WRONG_SERVER_HINT
from reconciler.errors import ProtocolError
from reconciler.kinds import KINDS
from reconciler.kinds.slack import TOKEN
from reconciler.model import (
    UNKNOWN,
    WEBHOOK_FIELDS,
    DeliveryError,
    LiveValue,
    LiveWebhook,
    Organization,
    Secret,
    Unknown,
)
from reconciler.ports import Draft

_ID: Final = re.compile(r"(?!\.{1,2}\Z)[\x21-\x7e]{1,255}")
_PLAIN_FIELDS: Final = {
    kind.type: frozenset(field.name for field in kind.fields if not field.secret)
    for kind in KINDS.values()
}
_MAX_DEPTH: Final = 32
_MAX_TEXT: Final = 2000


def usable_id(row: Any) -> str | None:
    """Return the id of an object, None without an object or a usable id."""
    if not isinstance(row, dict):
        return None
    value = row.get("id")
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    return None


def live_webhook(row: Any) -> LiveWebhook:
    """Parse a webhook. Raises ProtocolError; the message names the webhook's id."""
    id_ = usable_id(row)
    if id_ is None:
        raise _invalid("a webhook without a usable id")
    name, kind, events = row.get("name"), row.get("type"), row.get("event_types")
    # Without these three no webhook can be matched with its declaration: a wrong guess would
    # create a second one.
    if not (isinstance(name, str) and isinstance(kind, str)):
        field = "type" if isinstance(name, str) else "name"
        raise _invalid(f"webhook {id_} with a `{field}` that is not a string")
    if not _is_string_list(events):
        raise _invalid(f"webhook {id_} with `event_types` that are not a list of strings")
    configuration = _configuration(row.get("configuration"), kind, id_)
    return LiveWebhook(
        id=id_,
        name=name,
        type=sys.intern(kind),
        event_types=_events(tuple(events)),
        configuration=configuration,
        organization=bare_id(row.get("organization")),
        last_run=_last_run(row.get("last_run")),
        last_error=_delivery_error(row.get("last_error"), configuration),
    )


def written_webhook(row: Any, draft: Draft) -> LiveWebhook:
    """Parse the response to a write. Only its id is required; other fields default to `draft`."""
    # Some servers return less than they store; the next read shows the rest.
    filled = {**row}
    if not isinstance(row.get("name"), str):
        filled["name"] = draft.name
    if not isinstance(row.get("type"), str):
        filled["type"] = draft.type
    if not _is_string_list(row.get("event_types")):
        filled["event_types"] = list(draft.event_types)
    return live_webhook(filled)


def organization(row: Any) -> Organization:
    """Parse an organization. Raises ProtocolError if it has no usable id."""
    id_ = usable_id(row)
    if id_ is None:
        raise _invalid("an organization without a usable id")
    name = text_of(row, "name")
    return Organization(
        id=id_,
        name=id_ if name is None else name,
        role=text_of(row, "role"),
        # Only an explicit flag: without the field, a write shows whether it is allowed.
        maintenance=row.get("maintenance") is True,
    )


def text_of(row: Mapping[str, Any], key: str) -> str | None:
    """Return a field of an object, None unless it is text."""
    value = row.get(key)
    return value if isinstance(value, str) else None


def bare_id(value: Any) -> str | None:
    """Return the id from an id or from a URL that ends with an id."""
    if not isinstance(value, str):
        return None
    if "/" in value:
        value = value.rstrip("/").rpartition("/")[2]
    return sys.intern(value) or None  # one object for all webhooks with the same value


def full_body(draft: Draft, organization_id: str) -> dict[str, Any]:
    """Return the body of a POST or PUT: every field. Reveals secrets."""
    return {**changed_body(draft, frozenset(WEBHOOK_FIELDS)), "organization": organization_id}


def changed_body(draft: Draft, fields: frozenset[str]) -> dict[str, Any]:
    """Return the body of a PATCH with the fields in `fields`. Reveals secrets.

    A type is sent with its configuration, because one depends on the other.
    """
    plain = {"name": draft.name, "type": draft.type, "event_types": sorted(draft.event_types)}
    # A PATCH with other fields would undo what others changed since the plan.
    body: dict[str, Any] = {key: value for key, value in plain.items() if key in fields}
    if fields & {"configuration", "type"}:
        assert draft.configuration is not None, "a configuration whose secrets are not set"
        body["configuration"] = {
            key: value.reveal() if isinstance(value, Secret) else value
            for key, value in draft.configuration.items()
        }
    return body


def secret_values(draft: Draft) -> tuple[str, ...]:
    """Return the secret values in a body of `draft`, to remove them from errors."""
    return tuple(_revealed(draft.configuration))


def _configuration(value: Any, kind: str, id_: str) -> Mapping[str, LiveValue] | Unknown:
    if not isinstance(value, dict) or not value:
        return UNKNOWN
    plain_fields = _PLAIN_FIELDS.get(kind, frozenset())
    what = f"webhook {id_} with a configuration"
    configuration: dict[str, LiveValue] = {}
    for key, inner in value.items():
        # Only fields that are known not to be secret stay plain.
        if key in plain_fields and not isinstance(inner, (dict, list)):
            configuration[key] = _shared(inner)
        else:
            configuration[key] = wrapped(inner, what)
    return configuration


def _shared(value: Any) -> Any:
    """Return the same object for equal text, because most webhooks have the same few values."""
    if type(value) is str:
        return sys.intern(value)
    return value


@lru_cache(maxsize=1024)
def _events(names: tuple[str, ...]) -> frozenset[str]:
    """Return a set of names, cached because most webhooks use the same few sets."""
    return frozenset(names)


def wrapped(value: Any, what: str, depth: int = 0) -> LiveValue:
    """Wrap every string of `what`, because an unknown field may be a secret."""
    if isinstance(value, str):
        return Secret(_shared(value))
    if not isinstance(value, (dict, list)):
        scalar: LiveValue = value
        return scalar
    # Before the interpreter's own limit, whose error would not name it.
    if depth == _MAX_DEPTH:
        raise _invalid(f"{what} of over {_MAX_DEPTH} levels")
    if isinstance(value, list):
        return [wrapped(inner, what, depth + 1) for inner in value]
    return {key: wrapped(inner, what, depth + 1) for key, inner in value.items()}


def _last_run(value: Any) -> str | None:
    """Return the time as the server writes it; a number is a run, too."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return _shared(value) or None
    return None


def _delivery_error(
    value: Any, configuration: Mapping[str, LiveValue] | Unknown
) -> DeliveryError | None:
    parts = value if isinstance(value, dict) else {"text": value or None}
    if all(part is None for part in parts.values()):
        return None
    return DeliveryError(
        *(_redacted(parts.get(key), configuration) for key in DeliveryError._fields)
    )


def _redacted(value: Any, configuration: Mapping[str, LiveValue] | Unknown) -> str | None:
    """Return the server's text about a delivery without the destination that it may quote."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    secrets = tuple(_revealed(configuration))
    # Cut to the maximum last, because a partial secret at the end would not be recognized. The
    # first cut only bounds the work.
    text = str(value)[: 2 * _MAX_TEXT]
    return _without_secrets(text, secrets)[:_MAX_TEXT]


def _revealed(value: Any) -> Iterator[str]:
    """Yield every secret inside a configuration."""
    inside = value
    if isinstance(value, Mapping):
        inside = value.values()
    elif not isinstance(value, list):
        inside = (value,)
    for inner in inside:
        if isinstance(inner, Secret):
            yield inner.reveal()
        elif isinstance(inner, (dict, list)):
            yield from _revealed(inner)


def _basic_credentials(configuration: object) -> Iterator[str]:
    """Yield the user and the password as the header of basic authentication has them."""
    if not isinstance(configuration, Mapping):
        return
    for password in _revealed([configuration.get("password")]):
        pair = f"{configuration.get('username')}:{password}"
        # JSON may have half of a character.
        yield b64encode(pair.encode("utf-8", "surrogatepass")).decode()


def _invalid(what: str) -> ProtocolError:
    return ProtocolError(f"the server returned {what}", hint=WRONG_SERVER_HINT)


def _is_string_list(value: Any) -> bool:
    return isinstance(value, list) and all(type(text) is str for text in value)


# Secrets in texts

_WINDOW: Final = 8
_URL: Final = re.compile(r"(?i:https?)://(?:([^/?#@]*)@)?[^/?#]*(.*)", re.DOTALL)
_WORDS: Final = re.compile(r"[A-Z]?[a-z/_.:@ -]*")
"""Text that a message may contain by chance, although it is a part of a secret."""
_HIDDEN: Final = "\0"
_WORD: Final = r"""[^\s"'`<>()\[\]{},;:=\\]+"""
"""A word of a message, with characters that a secret may contain: a JWT has points, base64 `/`."""


class Redactor:
    """Removes from a server's texts every secret that the process has sent or read so far.

    A secret of another webhook is removed if it has eight characters or more. A part of it that is
    only words remains, as in `/webhooks/` of a URL. Use it from any number of threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new: set[str] = set()
        self._known: set[str] = set()
        self._phrases: dict[str, set[str]] = {}
        self._windows: set[str] = set()
        self._own: dict[str, set[str]] = {}

    def add(self, configuration: object, id: str | None) -> None:
        """Remove the secrets of a configuration from now on. `id` is that of a live webhook."""
        for value in (*_revealed(configuration), *_basic_credentials(configuration)):
            is_short = len(value) < _WINDOW
            if id and (is_short or _WORDS.fullmatch(value)):
                self._own.setdefault(id, set()).add(value)
            # Most webhooks have the same few secrets, and each listing shows them again.
            if not is_short and value not in self._known:
                self._new.add(value)

    def own(self, id: str | None) -> tuple[str, ...]:
        """Return the secrets that only errors about this webhook must not contain."""
        return tuple(self._own.get(id or "", ()))

    def redact(self, text: str, values: Sequence[str] = ()) -> str:
        """Return `text` without secrets; those in `values` are removed however short."""
        with self._lock:
            self._index()
            # A server may return megabytes, of which 500 characters are shown.
            text = text[: 2 * _MAX_TEXT]
            return _without_secrets(text, values, self._phrases, self._windows)

    def _index(self) -> None:
        """Prepare the search for new values. Only now, because most runs show no such text."""
        while self._new:
            value = self._new.pop()
            self._known.add(value)
            for form in set(_forms(value[:_MAX_TEXT])):
                if _WORDS.fullmatch(form):
                    self._phrases.setdefault(form[:_WINDOW], set()).add(form)
                self._windows.update(_parts(form))


def _without_secrets(
    text: str,
    values: Sequence[str] = (),
    phrases: Mapping[str, Collection[str]] = MappingProxyType({}),
    windows: Collection[str] = frozenset(),
) -> str:
    """Return text from a server, with secrets masked, each with the rest of the word around it.

    `windows` are parts of other secrets than `values`: what is only words remains, except whole
    `phrases`, by their first characters. URLs keep only their scheme and host.
    """

    def shown(url: re.Match[str]) -> str:
        return f"{Secret(url.group()).origin() or ''}/***"

    text = re.sub(r"(?i:https?)://\S+", shown, text)
    # Whole and in parts, both in the same text: what one secret hides may be a part of another
    # one, whose rest would no longer be recognized.
    forms = set(chain.from_iterable(map(_forms, values)))
    parts = set(chain.from_iterable(map(_parts, forms)))

    def runs(text: str) -> Iterator[slice]:
        yield from _runs(text, parts)
        yield from (run for run in _runs(text, windows) if not _WORDS.fullmatch(text[run]))

    in_text: set[str] = set()
    # Thousands of webhooks may have such phrases: only those that may be in the text are searched.
    for part in _parts(text):
        in_text.update(phrases.get(part, ()))
    characters = list(_with_hidden(text, (*forms, *in_text)))
    hidden = [*runs(text)]
    # A secret may be broken into lines, each shorter than a part.
    kept = [index for index, char in enumerate(text) if not char.isspace()]
    for run in runs("".join(text[index] for index in kept)):
        hidden.append(slice(kept[run.start], kept[run.stop - 1] + 1))
    for word in re.finditer(r"\S{11,}", text):  # as long as eight bytes in base64
        decodings = set(_decoded(word.group())) - {word.group()}
        if any(list(runs(decoded)) for decoded in decodings):
            hidden.append(slice(*word.span()))
    for run in hidden:
        characters[run] = _HIDDEN * (run.stop - run.start)
    return re.sub(_WORD, _masked, "".join(characters))


def _with_hidden(text: str, secrets: Sequence[str]) -> str:
    """Return a text of the same length, with `secrets` and every Slack token hidden."""
    # The longest first: a shorter one may be a part of it, and would leave the rest.
    for secret in sorted(secrets, key=len, reverse=True):
        # A few letters are a part of other words by chance.
        if secret.isalpha() and len(secret) < _WINDOW:
            text = re.sub(rf"\b{secret}\b", _HIDDEN * len(secret), text)
        else:
            text = text.replace(secret, _HIDDEN * len(secret))
    return TOKEN.sub(lambda token: _HIDDEN * len(token.group()), text)


def _masked(word: re.Match[str]) -> str:
    """Return the mask for a word with a hidden part: the rest may be that of an unknown secret."""
    text = word.group()
    if _HIDDEN not in text:
        return text
    return "***" + text[len(text.rstrip(".!?")) :]


def _forms(value: str) -> Iterator[str]:
    """Yield a value, plain and as encoded in JSON, Python, HTML and URLs.

    Of a URL, yield the user and what follows the host, unless they are short: many URLs have the
    same host, which may be shown.
    """
    from html import escape  # only for an error

    url = _URL.fullmatch(value)
    texts = [value] if value else []
    if url is not None:
        parts = url.groups("")
        texts = [part for part in (*parts, *map(unquote, parts)) if len(part) >= _WINDOW]
    for text in texts:
        yield text
        yield "".join(text.split())  # a message may have other spaces, or line breaks
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        yield escape(text)
        yield quote(text, safe="", errors="replace")


def _decoded(word: str) -> Iterator[str]:
    """Yield what a word of a message may mean: as URLs, Python or HTML escape it, hex or base64."""
    yield unquote(unquote(word))
    yield re.sub(r"\\+(?:x|u00)([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), word)
    yield re.sub(r"&#(\d{2,4});", lambda code: chr(int(code[1])), word)
    for digits in re.findall(r"(?:[0-9a-fA-F]{2}){8,}", word):
        yield bytes.fromhex(digits).decode(errors="replace")
    for encoded in re.findall(r"[A-Za-z0-9+/]{11,}", word.replace("-", "+").replace("_", "/")):
        # The value may be inside of a longer one, whose characters are in groups of four.
        for start in range(4):
            groups = encoded[start : start + (len(encoded) - start) // 4 * 4]
            yield b64decode(groups).decode(errors="replace")


def _parts(text: str) -> Iterator[str]:
    """Yield every run of eight characters, because a server may truncate a value."""
    for start in range(len(text) - _WINDOW + 1):
        yield text[start : start + _WINDOW]


def _runs(text: str, parts: Collection[str]) -> Iterator[slice]:
    """Yield every run of characters that consists of `parts`."""
    position = 0
    while position < len(text):
        start = position
        while text[position : position + _WINDOW] in parts:
            position += 1
        if position == start:
            position += 1
            continue
        position += _WINDOW - 1
        yield slice(start, position)
