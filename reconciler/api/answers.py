"""From the bytes of an answer to a `Reply` or a `Trouble`.

Promises: a body is never larger in memory than its cap, packed or unpacked; only a status and a
body that the caller expects make a `Reply`; a redirect is reported with both origins and nothing
else of its address.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from reconciler.api.calls import Call, Reply
from reconciler.api.failures import Failure, failure_of
from reconciler.api.origin import Origin
from reconciler.api.pace import retry_after
from reconciler.api.refusals import refusal
from reconciler.api.strict_json import NotJsonError, decode, is_json
from reconciler.api.troubles import BadAnswerError, Trouble
from reconciler.errors import ProtocolError, RateLimitedError
from reconciler.model import Secret

_PLAIN: Final = re.compile(r"[\w.+/-]{1,60}", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}")


def read(
    chunks: Iterable[bytes], headers: Mapping[str, str], cap: int, check: Callable[[], None]
) -> bytes:
    """Read a body. `check` is called after each chunk and raises when time is up.

    Raises BadAnswerError for one that is larger than `cap`, or packed otherwise than by gzip.
    """
    packing = headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise BadAnswerError("a response with an unsupported Content-Encoding")
    announced = headers.get("content-length", "")
    if len(announced) > 15 or (announced.isdigit() and int(announced) > cap):
        raise BadAnswerError(_too_large(cap))
    # A server that packs without being asked is read all the same, but never past the cap.
    unpack = zlib.decompressobj(wbits=31) if packing == "gzip" else None
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        check()
        if unpack is not None:
            try:
                chunk = unpack.decompress(chunk, cap - size + 1)
            except zlib.error:
                raise BadAnswerError("a broken gzip response") from None
        size += len(chunk)
        if size > cap:
            raise BadAnswerError(_too_large(cap))
        parts.append(chunk)
    if unpack is not None and parts and not unpack.eof:
        raise BadAnswerError("a broken gzip response")
    return b"".join(parts)


def _too_large(cap: int) -> str:
    return f"a response of more than {cap // 1024} KiB"


def judge(
    call: Call,
    status: int,
    headers: Mapping[str, str],
    body: bytes | Trouble,
    *,
    origin: Origin,
    label: str,
    now: datetime,
) -> Reply | Trouble:
    """Say what an answer is. `body` is a Trouble if it could not be read."""
    if 200 <= status < 300:
        return _success(call, status, headers, body, origin.address)
    failure = failure_of(status)
    if failure is Failure.MOVED:
        return Trouble(
            failure=failure,
            error=ProtocolError,
            message=f"{origin} redirects to {_elsewhere(headers)} (HTTP {status}); "
            "redirects are never followed",
            hint="check the server URL",
            status=status,
        )
    pause = retry_after(headers.get("retry-after"), headers.get("date"), now)
    said = refusal(
        status, _document(headers, body), server=origin.address, label=label, hidden=call.hidden
    )
    throttled = failure is Failure.THROTTLED
    return Trouble(
        failure=failure,
        error=RateLimitedError if throttled else said.error,
        message=f"{origin.address} limits the request rate (HTTP 429)"
        if throttled
        else said.message,
        hint="run again later" if throttled else said.hint,
        status=status,
        detail=said.detail,
        fields=said.fields,
        retry_after=pause,
    )


def _success(
    call: Call, status: int, headers: Mapping[str, str], body: bytes | Trouble, server: str
) -> Reply | Trouble:
    if call.expect not in (None, status):
        return _not_expected(status, f"{server} returned HTTP {status} instead of {call.expect}")
    if status == 204:
        return Reply(status=status, headers=headers, data=None)
    if isinstance(body, Trouble):
        return body
    kind = headers.get("content-type", "")
    if not is_json(kind):
        shown = _PLAIN.match(kind)
        what = f"{shown.group() if shown else 'no content type'}, {len(body)} bytes"
        return _not_expected(status, f"{server} returned HTTP {status} without JSON ({what})")
    try:
        document = decode(body)
    except NotJsonError as error:
        return _not_expected(status, f"{server} returned HTTP {status} with invalid JSON: {error}")
    if not call.accept(document):
        return _not_expected(status, f"{server} returned HTTP {status} without the expected object")
    return Reply(status=status, headers=headers, data=document)


def _not_expected(status: int, message: str) -> Trouble:
    return Trouble(
        failure=Failure.AMBIGUOUS,
        error=ProtocolError,
        message=message,
        hint="check the server URL: another program, a proxy or a login page may answer there",
        status=status,
    )


def _document(headers: Mapping[str, str], body: bytes | Trouble) -> Any:
    """Return the JSON of an error answer, None if it has none."""
    if isinstance(body, Trouble) or not is_json(headers.get("content-type", "")):
        return None
    try:
        return decode(body)
    except NotJsonError:
        return None


def _elsewhere(headers: Mapping[str, str]) -> str:
    """Say where a redirect leads, as far as it may be told."""
    location = headers.get("location", "")
    if "//" not in location.partition("?")[0]:
        return "another path on the same server"
    offered = Secret(location).origin() or ""
    return offered if _ORIGIN.fullmatch(offered) else "another server"
