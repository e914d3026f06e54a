"""A server in the same process, behind the same HTTP library.

For `--local` and for simulations: requests go to a function, and the faults in its responses become
the errors that the library would raise on a real wire, with waiting done by the Clock. The server
is only described here, by its shape; this package knows no server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import httpx

from reconciler.ports import Clock


class Fault(Protocol):
    """What goes wrong with a response on the wire."""

    @property
    def wire(self) -> str:
        """One of the names below."""
        ...

    @property
    def seconds(self) -> float:
        """How long a hang, a delay, or the gap between two dripping bytes lasts."""
        ...

    def kept(self, body: bytes) -> bytes:
        """Return the part of a body that gets through."""
        ...


class Response(Protocol):
    """One HTTP response of the server."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers, `content-length` of the whole body among them."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...

    @property
    def fault(self) -> Fault | None:
        """What goes wrong while it is sent."""
        ...


SEND: Final = "send"
REFUSE: Final = "refuse"
DROP: Final = "drop"
HANG: Final = "hang"
DELAY: Final = "delay"
DRIP: Final = "drip"
TRUNCATE: Final = "truncate"
RESET: Final = "reset"


class InProcess(httpx.BaseTransport):
    """Carries requests to `handle`.

    `request` makes the value that `handle` takes, from method, path, query, headers (names in
    lower case) and body.
    """

    def __init__(
        self, handle: Callable[[Any], Response], *, request: Callable[..., Any], clock: Clock
    ) -> None:
        self._handle = handle
        self._request = request
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request. Raises the errors of httpx for a response with a fault."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        response = self._handle(
            self._request(
                method=request.method,
                path=path,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            )
        )
        fault = response.fault
        patience = _patience(request.extensions)
        wire = SEND if fault is None else str(fault.wire)
        if fault is None or wire == SEND:
            return _response(response, response.body)
        if wire == REFUSE:
            raise httpx.ConnectError("refused", request=request)
        if wire == DROP:
            raise httpx.RemoteProtocolError("no answer", request=request)
        if wire in (HANG, DELAY):
            self._clock.sleep(min(fault.seconds, patience))
            if fault.seconds >= patience:
                raise httpx.ReadTimeout("no answer", request=request)
            if wire == HANG:
                raise httpx.RemoteProtocolError("no answer", request=request)
            return _response(response, response.body)
        if wire == DRIP:
            return _response(
                response, self._dripping(response.body, fault.seconds, patience, request)
            )
        return _response(response, _broken(fault.kept(response.body), wire, request))

    def _dripping(
        self, body: bytes, gap: float, patience: float, request: httpx.Request
    ) -> Iterator[bytes]:
        for at in range(len(body)):
            yield body[at : at + 1]
            self._clock.sleep(min(gap, patience))
            if gap >= patience:
                raise httpx.ReadTimeout("too slow", request=request)


def _broken(kept: bytes, wire: str, request: httpx.Request) -> Iterator[bytes]:
    yield kept
    if wire == RESET:
        raise httpx.ReadError("reset", request=request)
    raise httpx.RemoteProtocolError("cut off", request=request)


def _patience(extensions: Mapping[str, Any]) -> float:
    patience: float = extensions.get("timeout", {}).get("read") or float("inf")
    return patience


def _response(response: Response, body: bytes | Iterator[bytes]) -> httpx.Response:
    content = iter((body,)) if isinstance(body, bytes) else body
    return httpx.Response(response.status, headers=list(response.headers), content=content)
