"""An emulator in the same process whose answers can fail on the way.

Faults become the errors that the HTTP library would raise on a real connection; waits use the
Clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from reconciler.api.connections import InProcess as Base
from reconciler.emulator.messages import Request
from reconciler.ports import Clock
from tests.emulated.faults import Answer, Wire


class InProcess(Base):
    """Carries requests to `handle`, and its answers with their faults back."""

    def __init__(self, handle: Callable[[Request], Answer], *, clock: Clock) -> None:
        super().__init__(handle, request=Request)
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request. Raises the errors of httpx for an answer with a fault."""
        answer: Any = self.respond(request)
        fault = getattr(answer, "fault", None)
        patience = _patience(request.extensions)
        wire = Wire.SEND if fault is None else fault.wire
        match wire:
            case Wire.SEND:
                return _response(answer, answer.body)
            case Wire.REFUSE:
                raise httpx.ConnectError("refused", request=request)
            case Wire.DROP:
                raise httpx.RemoteProtocolError("no answer", request=request)
            case Wire.HANG | Wire.DELAY:
                self._clock.sleep(min(fault.seconds, patience))
                if fault.seconds >= patience:
                    raise httpx.ReadTimeout("no answer", request=request)
                if wire == Wire.HANG:
                    raise httpx.RemoteProtocolError("no answer", request=request)
                return _response(answer, answer.body)
            case Wire.TRICKLE:
                body = self._dripping(answer.body, fault.seconds, patience, request)
                return _response(answer, body)
            case _:
                return _response(answer, _broken(fault.kept(answer.body), wire, request))

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
    if wire == Wire.RESET:
        raise httpx.ReadError("reset", request=request)
    raise httpx.RemoteProtocolError("cut off", request=request)


def _patience(extensions: Mapping[str, Any]) -> float:
    patience: float = extensions.get("timeout", {}).get("read") or float("inf")
    return patience


def _response(answer: Answer, body: bytes | Iterator[bytes]) -> httpx.Response:
    content = iter((body,)) if isinstance(body, bytes) else body
    return httpx.Response(answer.status, headers=list(answer.headers), content=content)
