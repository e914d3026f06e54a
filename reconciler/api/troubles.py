"""A failed attempt as a value, and every exception of the libraries below turned into one.

Promises: no text of a library, a header or a body gets into a message; and because a `Trouble` is
returned, not raised, no error of ours drags a library's exception along as its context.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import httpx

from reconciler.api.failures import Failure
from reconciler.api.pace import RETRY_COST, TIMEOUT_COST
from reconciler.api.refusals import Fields
from reconciler.api.tls import certificate_flaw
from reconciler.errors import ApiError, ProtocolError, ServerError, UnreachableError
from reconciler.values import dataclass

if TYPE_CHECKING:
    from reconciler.api.proxies import Proxy

_CHECK_NETWORK: Final = "check the server URL, the network and the proxy, or run `webhooks doctor`"
_FOREIGN: Final = "check the server URL: another program or a proxy may answer there"
LONGER: Final = "allow more time with --deadline"
PROXY_HINT: Final = "check the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why an attempt gave nothing. `error` is what to raise when the failure is reported."""

    failure: Failure
    error: type[ApiError]
    message: str
    hint: str | None = None
    status: int | None = None
    detail: str | None = None
    fields: Fields = ()
    retry_after: float | None = None
    timeout: bool = False

    @property
    def cost(self) -> int:
        """What a retry after this takes from the budget."""
        return TIMEOUT_COST if self.timeout else RETRY_COST


class BadAnswerError(Exception):
    """An answer that breaks a rule of ours; the message is ours too."""


class TooSlowError(Exception):
    """An answer that was still coming when its time was up."""


def translate(
    error: Exception,
    *,
    server: str,
    proxy: Proxy | None,
    expired: bool,
    timeout: float,
    run_over: bool,
) -> Trouble:
    """Return what an exception of the HTTP library, or of reading a response, means.

    `server` is the server's address for messages and `proxy` what requests to it go through;
    `expired` is true if the watchdog ended the request. `timeout` is the limit of one request, in
    seconds; `run_over` is true if the end of the run came first.
    """
    if isinstance(error, _NEVER_SENT):
        return _not_sent(error, server, proxy)
    if expired or isinstance(error, (httpx.TimeoutException, TooSlowError)):
        message = f"{server} did not respond completely within {timeout:g} s"
        hint = "allow more time with --timeout"
        if run_over:
            message = f"the run's time was up before {server} responded completely"
            hint = LONGER
        return Trouble(
            failure=Failure.AMBIGUOUS, error=ServerError, message=message, hint=hint, timeout=True
        )
    if isinstance(error, BadAnswerError):
        return Trouble(
            failure=Failure.AMBIGUOUS,
            error=ProtocolError,
            message=f"{server} sent {error}",
            hint=_FOREIGN,
        )
    return Trouble(
        failure=Failure.AMBIGUOUS,
        error=ServerError,
        message=f"the connection to {server} broke before the response was complete",
        hint=f"run again; if it happens again, {_CHECK_NETWORK}",
    )


_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


def _not_sent(error: Exception, server: str, proxy: Proxy | None) -> Trouble:
    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        flaw, hint = certificate_flaw(tls)
        return Trouble(
            failure=Failure.UNTRUSTED,
            error=UnreachableError,
            message=f"the certificate of {server} is not trusted: {flaw}",
            hint=hint,
        )
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
    nameless = any(isinstance(cause, socket.gaierror) for cause in causes)
    first = server  # what we connect to
    if proxy is not None and (refused or nameless):
        first = f"the proxy {proxy.address or ''}".rstrip() + f" ({proxy.variable})"
    message, hint = f"{first} cannot be reached", _CHECK_NETWORK
    if isinstance(error, httpx.ProxyError):
        message, hint = f"the proxy refuses to connect to {server}", PROXY_HINT
    elif isinstance(error, httpx.TimeoutException):
        message += ": no connection in time"
    elif nameless:
        message += ": its host name was not found"
        hint = "check the host in the server URL, and DNS"
    elif refused:
        message += ": connection refused"
        hint = "check the host and the port in the server URL, and that the server is running"
    elif getattr(tls, "reason", None) in _NO_TLS:
        message += ": it does not use TLS on this port"
        hint = "check the port in the server URL; http:// is allowed only for this machine"
    elif tls is not None:
        message += ": the TLS handshake failed"
        hint = "check the port in the server URL, and whether a firewall intercepts TLS"
    return Trouble(
        failure=Failure.NOT_SENT,
        error=UnreachableError,
        message=message,
        hint=hint if first == server else PROXY_HINT,
        timeout=isinstance(error, httpx.TimeoutException),
    )


# What OpenSSL reports when the other side answers a TLS handshake with plain text.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk the chain of exceptions; the libraries build it without loops."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
