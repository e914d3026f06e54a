"""Error answers -> our errors, with what the server says of single fields.

Understands every shape in which Django REST Framework reports errors, and the `message` of others.
Promises: what the server says is bounded in length, holds no secret (`quoted` says which), and
stays apart from our own message, so that whoever prints it can quote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from reconciler.api.quoted import told
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
)
from reconciler.values import dataclass

LONGEST: Final = 500
"""Characters kept of one sentence of the server."""

_MOST_FIELDS: Final = 50
_DEEPEST: Final = 8
_WHOLE: Final = frozenset({"__all__", "non_field_errors", "detail", "message"})
_OF_CREDENTIALS: Final = re.compile(r"credential|authenticat|api.?key|\btoken\b", re.IGNORECASE)
_OF_PERMISSION: Final = re.compile(r"permission|role", re.IGNORECASE)

Fields = tuple[tuple[tuple[str, ...], str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error answer means: the error to raise and what to say in it."""

    error: type[ApiError]
    message: str
    hint: str | None = None
    detail: str | None = None
    fields: Fields = ()


def refusal(
    status: int, document: Any, *, server: str, label: str, hidden: Sequence[str] = ()
) -> Refusal:
    """Read an error answer. `document` is its JSON, None if it has none.

    `label` is the credential's name; `hidden` are the secret values that were sent.
    """
    detail, fields = _words(document, hidden)
    error, message, hint = _meaning(status, detail, document is not None, server, label)
    return Refusal(error=error, message=message, hint=hint, detail=detail, fields=fields)


def _meaning(
    status: int, detail: str | None, is_json: bool, server: str, label: str
) -> tuple[type[ApiError], str, str | None]:
    said = detail or ""
    if status in (401, 403):
        of_permission = _OF_PERMISSION.search(said) is not None
        if not of_permission and (status == 401 or _OF_CREDENTIALS.search(said)):
            return (
                AuthenticationError,
                f"{server} does not accept the {label}",
                f"check that the {label} is complete, is for this server, and is not revoked",
            )
        return (
            PermissionDeniedError,
            f"the {label} lacks permission to do this on {server} (HTTP {status})",
            "it may need a higher role, such as ADMIN in CloudTruth" if is_json else _FOREIGN,
        )
    if status in (404, 410):
        if is_json:
            return (
                NotFoundError,
                f"{server} has no such object (HTTP {status})",
                f"it was deleted, or the {label} cannot see it; run the same command again",
            )
        return (
            ProtocolError,
            f"{server} returned HTTP {status} without JSON: it does not have this API",
            "check the server URL",
        )
    if status == 409:
        return (
            ConflictError,
            f"{server} reports a conflict with another change (HTTP 409)",
            "another process may be changing the same object; run the same command again",
        )
    if 400 <= status < 500 and status != 408:
        return (
            InvalidRequestError,
            f"{server} refuses the request (HTTP {status})",
            "fix what the response names, then run the same command again" if is_json else _FOREIGN,
        )
    return (
        ServerError,
        f"{server} failed (HTTP {status})",
        "the server has a problem: run again later",
    )


_FOREIGN: Final = (
    "the response is not from the API: check proxies and firewalls between here and the server"
)


def _words(document: Any, hidden: Sequence[str]) -> tuple[str | None, Fields]:
    """Return the server's sentence about the whole, and those about fields."""
    detail: str | None = None
    fields: list[tuple[tuple[str, ...], str]] = []
    for path, text in _flat(document, (), 0):
        said = _bounded(told(text, hidden))
        if path in (("detail",), ("message",)) and detail is None:
            detail = said
            continue
        shown = tuple(
            _bounded(told(key, hidden), 100) for key in path if key not in _WHOLE or len(path) > 1
        )
        fields.append((shown, said))
        if len(fields) == _MOST_FIELDS:
            break
    return detail, tuple(fields)


def _flat(value: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif depth < _DEEPEST and isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, (*path, key), depth + 1)
    elif depth < _DEEPEST and isinstance(value, list):
        for index, inner in enumerate(value):
            # A list of texts speaks of the field, a list of objects of its members.
            below = path if isinstance(inner, str) else (*path, str(index))
            yield from _flat(inner, below, depth + 1)


def _bounded(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
