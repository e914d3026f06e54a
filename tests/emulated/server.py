"""The emulator over HTTP, with faults on real connections.

Dropped connections, hangs and truncated bodies are real. A bound port cannot refuse connections, so
they are reset instead.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import Transport
from contextlib import suppress
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.emulator import server as product
from reconciler.emulator.emulator import Emulator
from reconciler.emulator.messages import Response
from tests.emulated.faults import Wire

Peer = tuple[str, int]


class Server(product.Server):
    """An HTTP server for one emulator whose responses can have faults."""

    def __init__(self, emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(emulator, host=host, port=port)
        self._transports: dict[Peer, Transport] = {}
        transports = self._transports

        class Protocol(H11Protocol):
            """Keeps the transport of each connection, to break it."""

            def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        self.config.http = Protocol

    async def send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        fault: Any = getattr(response, "fault", None)
        transport = self._transports[cast(Peer, scope["client"])]
        match fault.wire if fault is not None else Wire.SEND:
            case Wire.SEND:
                await super().send(response, scope, receive, send)
            case Wire.REFUSE:
                await _break(transport, reset=True)
            case Wire.DROP:
                await _break(transport)
            case Wire.HANG:
                await _still_connected_after(None, receive)
            case Wire.DELAY:
                if await _still_connected_after(fault.seconds, receive):
                    await super().send(response, scope, receive, send)
            case Wire.TRUNCATE | Wire.RESET as wire:
                headers = [(name.encode(), value.encode()) for name, value in response.headers]
                start = {"type": "http.response.start", "status": response.status}
                await send({**start, "headers": headers})
                half = response.body[: len(response.body) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                # Let the part arrive: a reset discards data that the client has not read yet.
                await asyncio.sleep(0.05)
                await _break(transport, reset=wire is Wire.RESET)


async def _still_connected_after(seconds: float | None, receive: Receive) -> bool:
    """Wait `seconds`, without limit for None; return whether the client is still connected."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
            return False
    return True


async def _break(transport: Transport, *, reset: bool = False) -> None:
    if reset and (connection := transport.get_extra_info("socket")) is not None:
        # With a linger time of 0, `close` sends a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort() if reset else transport.close()
    # uvicorn must detect it before the application finishes.
    await asyncio.sleep(0.01)
