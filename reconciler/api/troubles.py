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

from reconciler.api import tls
from reconciler.api.failures import Failure
from reconciler.api.pace import RETRY_COST, TIMEOUT_COST
from reconciler.api.refusals import Fields
from reconciler.errors import ApiError, ProtocolError, ServerError, UnreachableError
from reconciler.values import dataclass

if TYPE_CHECKING:
    from reconciler.api.proxies import Proxy

_LOOK: Final = "check server URL, network and proxy, as `webhooks doctor` does"
_NAME: Final = "check the server URL, the network and the name service"
_FOREIGN: Final = "check the server URL: another program or a proxy may answer there"
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
    error: Exception, *, host: str, proxy: Proxy | None, expired: bool, timeout: float
) -> Trouble:
    """Say what an exception out of the HTTP library, or out of reading an answer, means.

    `proxy` is what stands between us and `host`; `expired` tells that the watchdog ended the
    request; `timeout` is its time, in seconds.
    """
    if isinstance(error, _NEVER_SENT):
        return _not_sent(error, host, proxy)
    if expired or isinstance(error, (httpx.TimeoutException, TooSlowError)):
        return Trouble(
            failure=Failure.AMBIGUOUS,
            error=ServerError,
            message=f"{host} gave no whole answer within {timeout:g} s",
            hint="a longer --timeout may help",
            timeout=True,
        )
    if isinstance(error, BadAnswerError):
        return Trouble(
            failure=Failure.AMBIGUOUS,
            error=ProtocolError,
            message=f"{host} sent {error}",
            hint=_FOREIGN,
        )
    return Trouble(
        failure=Failure.AMBIGUOUS,
        error=ServerError,
        message=f"the connection to {host} broke before the answer was whole",
        hint=f"run again; if it stays so, {_LOOK}",
    )


_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


def _not_sent(error: Exception, host: str, proxy: Proxy | None) -> Trouble:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Trouble(
            failure=Failure.UNTRUSTED,
            error=UnreachableError,
            message=f"the certificate of {host} is not trusted",
            hint=tls.HINT,
        )
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
    nameless = any(isinstance(cause, socket.gaierror) for cause in causes)
    first = host  # what we connect to
    if proxy is not None and (refused or nameless):
        first = f"{proxy.address or 'the proxy'} (by {proxy.variable})"
    message, hint = f"{first} cannot be reached", _LOOK
    if isinstance(error, httpx.ProxyError):
        message, hint = f"the proxy does not let us through to {host}", PROXY_HINT
    elif isinstance(error, httpx.TimeoutException):
        message = f"{first} cannot be reached: no connection in time"
    elif nameless:
        message, hint = f"{first} cannot be reached: no such name", _NAME
    elif refused:
        message = f"{first} cannot be reached: it refuses connections"
    elif any(isinstance(cause, ssl.SSLError) for cause in causes):
        message, hint = f"{first} cannot be reached: no TLS connection", tls.HINT
    if first != host:
        hint = PROXY_HINT
    return Trouble(
        failure=Failure.NOT_SENT,
        error=UnreachableError,
        message=message,
        hint=hint,
        timeout=isinstance(error, httpx.TimeoutException),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk the chain of exceptions; the libraries build it without loops."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
