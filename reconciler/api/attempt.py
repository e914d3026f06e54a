"""One attempt at a request: the call, the result, and how to handle a failure.

Every exception of the HTTP library becomes a `FailedAttempt`, without the library's text, headers
or bodies in its message. It is returned, not raised, so that the library's exception is not the
context of the ApiError.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

import httpx

from reconciler.api.connections import CA_VARIABLES
from reconciler.api.origin import (
    LONGER_REQUEST_HINT,
    MORE_TIME_HINT,
    PROXY_HINT,
    WRONG_SERVER_HINT,
    Origin,
    Pause,
    Proxy,
)
from reconciler.errors import (
    ApiError,
    DeadlineError,
    ProtocolError,
    ServerError,
    UnreachableError,
)


class Call(NamedTuple):
    """One request, and the expected response."""

    method: str
    path: str
    params: Mapping[str, str | int] | None
    content: bytes | None
    expect: int | None
    """The only status that means success, None for any 2xx."""
    accept: Callable[[Any], object]
    """Checks the document of the response."""
    cap: int
    """The maximum size of the response's body, in bytes."""
    redact: Callable[[str], str]
    """Removes secrets from the server's messages."""
    writes: bool
    """Whether the request may change data; if not, it may be repeated after any failure."""
    patience: float
    """The maximum time in seconds that it waits for pauses that the server asks for."""

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"  # the content may have secrets


class Reply(NamedTuple):
    """An expected response. Header names are in lower case; cookies are removed."""

    headers: Mapping[str, str]
    data: Any

    def __repr__(self) -> str:
        return "Reply()"  # the data may have secrets


class AttemptRecord(NamedTuple):
    """One attempt, for `--debug`, without headers, body and query.

    `status` is None if there was no response; `size` counts the body's bytes.
    """

    method: str
    path: str
    status: int | None
    seconds: float
    size: int
    attempt: int


Observer: TypeAlias = Callable[[AttemptRecord | Pause], None]
"""Called after every attempt and before every wait, from any thread. Its exceptions are ignored."""


class Action(Enum):
    """How to handle a failed attempt."""

    REPEAT = "repeat"
    """Send it again after a pause of all workers, within the retry budget."""
    WAIT = "wait"
    """Send it again after the server's pause; this does not use the retry budget."""
    REPORT = "report"
    """Final: raise the error."""
    RESOLVE = "resolve"
    """Raise AmbiguousWriteError, so that the caller reads before it writes again."""


class Failure(Enum):
    """Whether the server may have processed a failed attempt.

    Each value is the action for a read and the action for a write.
    """

    NOT_SENT = (Action.REPEAT, Action.REPEAT)
    """The request never arrived."""
    THROTTLED = (Action.WAIT, Action.WAIT)
    """The server rejected the request before processing it: over a rate limit."""
    REJECTED = (Action.REPORT, Action.REPORT)
    """The server rejected the request permanently, or did not prove its identity."""
    AMBIGUOUS = (Action.REPEAT, Action.RESOLVE)
    """The request may have been processed: no response, or a broken or unclear one."""
    MOVED = (Action.REPORT, Action.RESOLVE)
    """A redirect. It is not followed and not retried; the request may have been processed."""

    def action(self, *, writes: bool) -> Action:
        """Return how to handle the failure of a request that writes, or reads."""
        for_read, for_write = self.value
        return for_write if writes else for_read


class FailedAttempt(NamedTuple):
    """A failed attempt. `error` is raised if the failure is final."""

    failure: Failure
    error: ApiError
    retry_after: float | None = None


class BadResponseError(Exception):
    """A response was rejected while it was read. The message contains no library text."""


def failed_attempt(
    error: Exception,
    *,
    origin: Origin,
    proxy: Proxy | None,
    expired: bool,
    timeout: float,
    past_deadline: bool,
) -> FailedAttempt:
    """Return the failure for an exception of the HTTP library or of reading a response.

    `origin` is the server, `proxy` the proxy that its requests use, if any. `expired` is true if
    the watchdog ended the request. `timeout` is the limit of one request, in seconds;
    `past_deadline` is true if the run's deadline came before it.
    """
    if isinstance(error, _NEVER_SENT):
        return _not_sent(error, origin, proxy)
    server = origin.address
    if proxy is not None:  # which may be what does not respond
        server += f" through {_named(proxy)}"
    # The library only sees a closed connection when the watchdog has shut it down.
    slow = expired or isinstance(error, (httpx.TimeoutException, TimeoutError))
    reason: ApiError
    if slow and past_deadline:
        message = f"no time was left for a complete response from {server}"
        reason = DeadlineError(message, hint=MORE_TIME_HINT)
    elif slow:
        message = f"{server} did not send a complete response within {timeout:g} s"
        reason = ServerError(message, hint=LONGER_REQUEST_HINT)
    elif isinstance(error, BadResponseError):
        reason = ProtocolError(f"{server} sent {error}", hint=WRONG_SERVER_HINT)
    else:
        reason = ServerError(
            f"the connection to {server} closed before the response was complete",
            hint=f"run again; if it happens again, {_check_network(origin)}",
        )
    return FailedAttempt(Failure.AMBIGUOUS, reason)


# The request did not leave this machine: a LocalProtocolError is about its headers, which the
# library checks before it sends them.
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


def _check_network(origin: Origin) -> str:
    return f"check {origin.setting}, the network and the proxy, or run `webhooks doctor`"


def _not_sent(error: Exception, origin: Origin, proxy: Proxy | None) -> FailedAttempt:
    server = origin.address
    # The library's error only shows that connecting failed, the system's error below it why.
    cause = _system_error(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        # Final, unlike other failures to connect: the certificate would be the same again.
        flaw, hint = _certificate_flaw(cause)
        message = f"the certificate of {server} is not trusted: {flaw}"
        return FailedAttempt(Failure.REJECTED, UnreachableError(message, hint=hint))
    if isinstance(error, httpx.ProxyError):
        return FailedAttempt(Failure.NOT_SENT, _refusal(error, server, proxy))
    reason, hint = "", _check_network(origin)
    if isinstance(error, httpx.TimeoutException):
        reason = ": connection timed out"
    elif isinstance(cause, socket.gaierror):
        reason = ": its host name was not found"
        hint = f"check the host in {origin.setting}, and DNS"
    elif isinstance(cause, ConnectionRefusedError):
        reason = ": connection refused"
        hint = f"check the host and the port in {origin.setting}, and that the server is running"
    elif isinstance(cause, ssl.SSLError):
        flaw, hint = _handshake_flaw(cause)
        reason = f": {flaw}"
    peer = server
    # Behind a proxy, these errors are about the proxy's own host.
    if proxy is not None and isinstance(cause, ConnectionRefusedError | socket.gaierror):
        peer = _named(proxy)
        hint = PROXY_HINT
    problem = UnreachableError(f"{peer} cannot be reached{reason}", hint=hint)
    return FailedAttempt(Failure.NOT_SENT, problem)


def _named(proxy: Proxy) -> str:
    return f"the proxy {proxy.address or ''}".rstrip() + f" ({proxy.variable})"


def _refusal(error: httpx.ProxyError, server: str, proxy: Proxy | None) -> UnreachableError:
    """Return the error for a proxy that does not connect to the server."""
    message = f"{_named(proxy) if proxy else 'the proxy'} refused to connect to {server}"
    # The library has the status of the proxy's response only in its text, which is not shown.
    status, hint = str(error)[:3], PROXY_HINT
    if status.isdecimal():
        message += f": HTTP {status}"
    if status == "407":
        message += ", its user and password are missing or wrong"
        hint = "set them in the URL of the proxy: http://USER:PASSWORD@HOST:PORT"
    return UnreachableError(message, hint=hint)


def _system_error(error: BaseException | None) -> BaseException | None:
    """Return the first cause of an exception that names why a connection failed."""
    while error is not None:
        if isinstance(error, ssl.SSLError | ConnectionRefusedError | socket.gaierror):
            return error
        error = error.__cause__ or error.__context__
    return None


_CLOCK: Final = "check this machine's clock; if it is right, the server needs a new certificate"
_HOST: Final = "check the host in the server URL; a proxy or login page may be intercepting it"
_ISSUER: Final = (
    "if a proxy on your network re-signs TLS, set "
    f"{', '.join(CA_VARIABLES[:-1])} or {CA_VARIABLES[-1]} to its CA certificate"
)
# By OpenSSL's verification codes.
_FLAWS: Final = {
    9: ("it is not valid yet", _CLOCK),
    10: ("it has expired", _CLOCK),
    18: ("it is self-signed", _ISSUER),
    62: ("it is for another host", _HOST),
    64: ("it is for another address", _HOST),
}


def _handshake_flaw(error: ssl.SSLError) -> tuple[str, str]:
    """Return why a TLS handshake failed, and what to do about it."""
    # OpenSSL's errors for a plain text response.
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        hint = "check the port in the server URL; http:// is allowed only for this machine"
        return "this port does not use TLS", hint
    hint = "check the port in the server URL, and whether a firewall intercepts TLS"
    return "the TLS handshake failed", hint


def _certificate_flaw(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Return why a certificate is not trusted, and what to do about it."""
    # Only errors that OpenSSL itself reports have a code.
    code = getattr(error, "verify_code", 0)
    return _FLAWS.get(code, ("this machine does not trust its issuer", _ISSUER))
