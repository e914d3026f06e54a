"""Convert the bytes of a response to a `Reply` or a `FailedAttempt`.

A body never takes more memory than its cap, and is not compressed. Only an expected status and body
become a `Reply`. JSON is parsed strictly. Errors about redirects contain both origins, and no other
part of the address. Text from the server is limited in length, without secrets, and separate from
the error's message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from reconciler.api.attempt import BadResponseError, Call, FailedAttempt, Failure, Reply
from reconciler.api.origin import WRONG_SERVER_HINT, Origin
from reconciler.errors import (
    RUN_AGAIN,
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
)
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Secret

_MAX_FIELDS: Final = 50
_MAX_DEPTH: Final = 8
_WHOLE: Final = frozenset({"__all__", "non_field_errors", "detail", "message"})
_SECRET_FIELDS: Final = frozenset().union(*(kind.secret_fields for kind in KINDS.values()))
_SHOWN_FIELDS: Final = frozenset[str]().union(*FIELDS.values()) - _SECRET_FIELDS
_NOT_SHOWN: Final = "rejected (CloudTruth's text may quote the value, so it is not shown)"
# Those of Django REST Framework's messages. A list, because a password may be a word, too.
_HARMLESS_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "a absolute address allowed an and are array at bad be bearer blank boolean bot cannot "
        "characters choice empty ensure enter expired field has http https in incorrect invalid "
        "is json key least length less long malformed may missing more must no not null of only "
        "or password provide provided required revoked short slack string than that the this to "
        "together token too type unknown unsupported url username valid value with wrong",
    )
)
_JSON: Final = re.compile(r"application/(?:json|[\w.+-]+\+json)", re.ASCII | re.IGNORECASE)

_Fields = tuple[tuple[tuple[str, ...], str], ...]


def read_body(
    chunks: Iterable[bytes], headers: Mapping[str, str], cap: int, check: Callable[[], None]
) -> bytearray:
    """Read a body. `check` is called after each chunk and raises when time is up.

    Raises BadResponseError for a body over `cap` bytes, or with compression, which no request asks
    for.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise BadResponseError("a response with an unsupported Content-Encoding")
    too_large = f"a response of more than {cap // 1024} KiB"
    if _announces_more(headers.get("content-length", ""), cap):
        raise BadResponseError(too_large)
    body = bytearray()  # grows in place: joining parts would take twice the memory in each thread
    for chunk in chunks:
        check()
        if len(body) + len(chunk) > cap:
            raise BadResponseError(too_large)
        body += chunk
    return body


def _announces_more(length: str, cap: int) -> bool:
    # So many digits exceed any cap, and `int` raises for thousands of them.
    if len(length) > 15:
        return True
    return length.isdigit() and int(length) > cap


def classify(
    call: Call,
    status: int,
    headers: Mapping[str, str],
    body: bytearray | FailedAttempt,
    *,
    origin: Origin,
    label: str,
    now: datetime,
) -> Reply | FailedAttempt:
    """Classify a response. `body` is a FailedAttempt if it could not be read.

    `label` is the name of the credential that was sent; `now` is the time of the response.
    """
    if 200 <= status < 300:
        return _success(call, status, headers, body, origin.address)
    failure = _failure_for(status)
    if failure is Failure.MOVED:
        message = f"{origin} redirects to {_target(headers)} (HTTP {status})"
        moved = ProtocolError(
            f"{message}; redirects are never followed", hint="check the server URL", status=status
        )
        return FailedAttempt(failure, moved)
    document = None
    if not isinstance(body, FailedAttempt) and _is_json(headers.get("content-type", "")):
        with suppress(_NotJsonError):
            document = _decode(body)
    error = _error(status, failure, document, origin.address, label, call.redact)
    wait = _wait(headers, now)
    if status == 403:
        return _forbidden(headers, error, wait, origin.address)
    return FailedAttempt(failure, error, wait)


def _forbidden(
    headers: Mapping[str, str], error: ApiError, wait: float | None, server: str
) -> FailedAttempt:
    """Return the failure of a 403, which may also mean a rate limit."""
    is_out = _is_out_of_requests(headers)
    # GitHub also rejects requests over its rate limits with 403.
    if "rate limit" in (error.detail or "") or (is_out and wait is not None):
        if wait is None:
            wait = 60.0  # as GitHub's documentation asks without a time in the headers
        return FailedAttempt(Failure.THROTTLED, _rate_limited(403, server, error.detail), wait)
    if is_out:
        # Without a time to wait for, it is a rejection: a proxy may send this header always.
        error.message += "; its header X-RateLimit-Remaining is 0"
        error.hint = f"{error.hint}; if this is a rate limit, run again later"
    return FailedAttempt(Failure.REJECTED, error, wait)


def _is_out_of_requests(headers: Mapping[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining") == "0"


def _wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the server asks to wait, None if it does not."""
    reset = headers.get("x-ratelimit-reset", "")
    is_exhausted = "retry-after" not in headers and _is_out_of_requests(headers)
    if is_exhausted and re.fullmatch(r"[0-9]{1,12}", reset):
        return max(0.0, int(reset) - now.timestamp())
    return _retry_after(headers.get("retry-after"), headers.get("date"), now)


def _rate_limited(status: int, server: str, detail: str | None) -> RateLimitedError:
    message = f"{server}: rate limit exceeded (HTTP {status})"
    return RateLimitedError(message, hint="run again later", status=status, detail=detail)


# The request was rejected, or the status by definition precedes any processing.
_REJECTIONS: Final = frozenset(
    (*range(400, 407), *range(409, 418), 421, 422, 424, 425, 426, 428, 431, 451)
)


def _failure_for(status: int) -> Failure:
    """Return the class of a response that is not a success.

    Every other status is ambiguous: that of a proxy, or a 408, does not show what happened.
    """
    if status == 429:
        return Failure.THROTTLED
    if status in _REJECTIONS:
        return Failure.REJECTED
    if 300 <= status < 400:
        return Failure.MOVED
    return Failure.AMBIGUOUS


def _success(
    call: Call,
    status: int,
    headers: Mapping[str, str],
    body: bytearray | FailedAttempt,
    server: str,
) -> Reply | FailedAttempt:
    returned = f"{server} returned HTTP {status}"
    if call.expect not in (None, status):
        return _unexpected(status, f"{returned} instead of {call.expect}")
    if status == 204:
        return Reply(headers=headers, data=None)
    if isinstance(body, FailedAttempt):
        return body
    kind = headers.get("content-type", "")
    if not _is_json(kind):
        media_type = re.match(r"(?a)[\w.+/-]{1,60}", kind)
        shown = media_type.group() if media_type else "no content type"
        return _unexpected(status, f"{returned} without JSON ({shown}, {len(body)} bytes)")
    try:
        document = _decode(body)
    except _NotJsonError as error:
        return _unexpected(status, f"{returned} with invalid JSON: {error}")
    if not call.accept(document):
        return _unexpected(status, f"{returned} without the expected object")
    return Reply(headers=headers, data=document)


def _unexpected(status: int, message: str) -> FailedAttempt:
    error = ProtocolError(message, hint=WRONG_SERVER_HINT, status=status)
    return FailedAttempt(Failure.AMBIGUOUS, error)


def _target(headers: Mapping[str, str]) -> str:
    """Return the target of a redirect, only as an origin."""
    location = headers.get("location", "")
    # A query may contain a URL, although the redirect itself is relative.
    if "//" not in location.partition("?")[0]:
        return "another path on the same server"
    offered = Secret(location).origin() or ""
    is_plain = re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,255}", offered)
    return offered if is_plain else "another server"


def _error(
    status: int,
    failure: Failure,
    document: Any,
    server: str,
    label: str,
    redact: Callable[[str], str],
) -> ApiError:
    """Return the error for a response. `document` is its JSON, None if it has none."""
    detail, fields = _error_messages(document, redact)
    is_json = document is not None
    kind: type[ApiError]
    if failure is Failure.THROTTLED:
        return _rate_limited(status, server, detail)
    if status in (401, 403):
        kind, message, hint = _denied(status, server, label, detail or "")
    elif status in (404, 410):
        kind, message, hint = _missing(status, server, label, is_json=is_json)
    elif status == 409:
        kind = ConflictError
        message = f"{server} reports a conflict with another change (HTTP 409)"
        hint = f"another process may be changing the same object; {RUN_AGAIN}"
    elif failure is Failure.REJECTED:
        kind, message = InvalidRequestError, f"{server} rejected the request (HTTP {status})"
        hint = "fix the listed fields, then run again (with a saved plan: plan again first)"
    else:
        kind, message = ServerError, f"{server} failed (HTTP {status})"
        hint = "the server has a problem: run again later"
    if kind in (PermissionDeniedError, InvalidRequestError) and not is_json:
        hint = (
            "the response is not from the API: check proxies and firewalls between here and the "
            "server"
        )
    return kind(message, hint=hint, status=status, detail=detail, fields=fields)


def _denied(status: int, server: str, label: str, detail: str) -> tuple[type[ApiError], str, str]:
    """Return class, message and hint of a 401 or 403: about the key, or what it may do."""
    if _is_about_key(status, detail):
        message = f"{server} does not accept the {label}"
        hint = f"check that the {label} is complete, is for this server, and is not revoked"
        return AuthenticationError, message, hint
    message = f"the {label} lacks permission to do this on {server} (HTTP {status})"
    hint = "use a key with a higher role, such as ADMIN in CloudTruth"
    return PermissionDeniedError, message, hint


def _missing(
    status: int, server: str, label: str, *, is_json: bool
) -> tuple[type[ApiError], str, str]:
    """Return class, message and hint of a 404 or 410: the object is missing, or the API."""
    if is_json:
        message = f"{server} has no such object (HTTP {status})"
        hint = f"it was deleted, or the {label} cannot see it; {RUN_AGAIN}"
        return NotFoundError, message, hint
    message = f"{server} returned HTTP {status} without JSON: it does not have this API"
    return ProtocolError, message, "check the server URL"


def _is_about_key(status: int, detail: str) -> bool:
    """Return whether a 401 or 403 rejects the key, not what it may do: servers confuse the two."""
    if re.search(r"(?i)permission|role", detail):
        return False
    is_about_credentials = re.search(r"(?i)credential|authenticat|api.?key|\btoken\b", detail)
    return status == 401 or is_about_credentials is not None


def _error_messages(document: Any, redact: Callable[[str], str]) -> tuple[str | None, _Fields]:
    """Return the server's errors about the object and about fields.

    Handles every form of Django REST Framework's errors, and the `message` of other APIs.
    """
    detail: str | None = None
    fields: list[tuple[tuple[str, ...], str]] = []
    for path, text in _texts_by_path(document, (), 0):
        path, text = _without_hidden_values(path, text)
        message = _truncated(redact(text))
        if path in (("detail",), ("message",)) and detail is None:
            detail = message
            continue
        # A server may use a value that was sent as a key, too.
        shown = tuple(
            _truncated(redact(key), 100) for key in path if key not in _WHOLE or len(path) > 1
        )
        if (shown, message) not in fields:
            fields.append((shown, message))
        if len(fields) == _MAX_FIELDS:
            break
    return detail, tuple(fields)


def _without_hidden_values(path: tuple[str, ...], text: str) -> tuple[tuple[str, ...], str]:
    """Return path and text of an error about a field without a value that only the server knows.

    About a field that may be secret, only known words are returned, and no keys below it.
    """
    is_configuration = False
    for depth, key in enumerate(path, 1):
        is_unknown = is_configuration and key not in _SHOWN_FIELDS | _WHOLE
        if key in _SECRET_FIELDS or is_unknown:
            words = re.findall(r"[a-z]+", text.lower())
            is_plain = re.fullmatch(r"[A-Za-z ,.;:'\"()]*", text)
            shown = text if is_plain and _HARMLESS_WORDS.issuperset(words) else _NOT_SHOWN
            return path[:depth], shown
        is_configuration = key == "configuration"
    return path, text


def _texts_by_path(
    value: Any, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif depth == _MAX_DEPTH:
        return
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_by_path(inner, (*path, key), depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            # A list of strings is about the field, a list of objects about its members.
            below = path if isinstance(inner, str) else (*path, str(index))
            yield from _texts_by_path(inner, below, depth + 1)


def _truncated(text: str, limit: int = 500) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _NotJsonError(ValueError):
    """A document that is not strict JSON; the message gives the reason, without library text."""


def _is_json(content_type: str) -> bool:
    """Return whether a `Content-Type` announces JSON."""
    return _JSON.fullmatch(content_type.partition(";")[0].strip()) is not None


def _decode(data: bytes | bytearray) -> Any:
    """Parse JSON strictly. Raises ValueError; the message does not quote the document.

    The document must be valid UTF-8, without NaN, Infinity, numbers outside a double's range,
    duplicate keys, or nesting too deep for the interpreter.
    """
    problem = "it is truncated or malformed"
    try:
        return _DECODE(data.decode("utf-8"))
    except _NotJsonError as error:
        problem = str(error)
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError:
        pass
    # Raised here, so that the errors above, which contain the document, are not its context.
    raise _NotJsonError(problem)


def encode(value: object) -> bytes:
    """Return `value` as JSON in ASCII, which can encode any text."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotJsonError("it has a duplicate key")
    return members


def _float(text: str) -> float:
    number = float(text)
    # Python reads 1e999 as infinity, which no JSON can repeat.
    if math.isinf(number):
        raise _NotJsonError("it has a number out of range")
    return number


def _constant(text: str) -> float:
    raise _NotJsonError("it has NaN or Infinity")


_DECODE: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
).decode


def _retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header; None if it is missing or invalid.

    A date is relative to the response's `Date`, because the clocks may differ by hours; `now` is
    used only without `Date`.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,15}", value):
        return float(value)
    until = http_date(value)
    if until is None:
        return None
    since = http_date(date) if date is not None else None
    seconds = (until - (since or now)).total_seconds()
    if seconds < 0:
        return None
    return seconds


def http_date(text: str) -> datetime | None:
    """Parse an HTTP date; None if it is invalid."""
    try:
        moment = parsedate_to_datetime(text)
        # A zone of -0000 has no offset; HTTP dates are in UTC.
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
