"""An emulator in the same process, with transport faults.

Faults become the errors that the HTTP library would raise on a real connection; waits use the
Clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from reconciler.api.connections import InProcess as Base
from reconciler.emulator.messages import Request
from reconciler.ports import Clock
from tests.emulated.faults import Response, Wire


class InProcess(Base):
    """Passes requests to `handle`, and returns its responses with their faults."""

    def __init__(self, handle: Callable[[Request], Response], *, clock: Clock) -> None:
        super().__init__(handle, request=Request)
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass one request. Raises the errors of httpx for a response with a fault."""
        response: Any = self.respond(request)
        fault: Any = getattr(response, "fault", None)
        wire = Wire.SEND if fault is None else fault.wire
        match wire:
            case Wire.SEND:
                return _response(response, response.body)
            case Wire.REFUSE:
                raise httpx.ConnectError("refused", request=request)
            case Wire.DROP:
                raise httpx.RemoteProtocolError("no response", request=request)
            case Wire.HANG | Wire.DELAY:
                patience: float = request.extensions.get("timeout", {}).get("read") or math.inf
                seconds = math.inf if wire is Wire.HANG else fault.seconds
                self._clock.sleep(min(seconds, patience))
                if seconds >= patience:
                    raise httpx.ReadTimeout("no response", request=request)
                return _response(response, response.body)
            case _:
                return _response(response, _broken(response.body, wire, request))


def _broken(body: bytes, wire: Wire, request: httpx.Request) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    if wire == Wire.RESET:
        raise httpx.ReadError("reset", request=request)
    raise httpx.RemoteProtocolError("cut off", request=request)


def _response(response: Response, body: bytes | Iterator[bytes]) -> httpx.Response:
    content = iter((body,)) if isinstance(body, bytes) else body
    return httpx.Response(response.status, headers=list(response.headers), content=content)
