"""The emulator over HTTP, with faults on real connections.

Creating a `Server` binds the port, so requests sent before `run` wait instead of failing. Dropped
connections, hangs and truncated bodies are real. A bound port cannot refuse connections, so they
are reset instead.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import Transport
from contextlib import suppress
from typing import Any, Protocol, cast

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.emulator.messages import Request, Response
from tests.emulated.faults import Wire

Peer = tuple[str, int]


class Service(Protocol):
    """A server in memory: an emulated CloudTruth, or a fake of another service."""

    def handle(self, request: Request) -> Response:
        """Process one request."""


class Server(uvicorn.Server):
    """An HTTP server on 127.0.0.1 for one service, whose responses can have faults.

    `url` is its address, without a final slash.
    """

    def __init__(self, service: Service, *, port: int = 0) -> None:
        """Bind the port, 0 for a free one. Raises OSError if that fails."""
        self._service = service
        self._socket = socket.create_server(("127.0.0.1", port))
        # asyncio sets this only for sockets with an explicit protocol. Without it a body is sent 40
        # ms after its headers, when the client acknowledges them. Accepted connections inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._transports: dict[Peer, Transport] = {}
        transports = self._transports

        class KeepTransport(H11Protocol):
            """Keeps the transport of each connection, to break it."""

            def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        config = uvicorn.Config(
            self._respond,
            interface="asgi3",
            http=KeepTransport,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set."""
        super().run(sockets or [self._socket])

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request to the service, and send its response."""
        web = WebRequest(scope, receive)
        request = Request(
            method=web.method,
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=dict(web.headers),
            body=await web.body(),
        )
        # In a thread, because the emulator waits for its lock.
        response = await run_in_threadpool(self._service.handle, request)
        fault: Any = getattr(response, "fault", None)
        transport = self._transports[cast(Peer, scope["client"])]
        match fault.wire if fault is not None else Wire.SEND:
            case Wire.SEND:
                await _send(response, scope, receive, send)
            case Wire.REFUSE:
                await _break(transport, reset=True)
            case Wire.DROP:
                await _break(transport)
            case Wire.HANG:
                await _still_connected_after(None, receive)
            case Wire.DELAY:
                if await _still_connected_after(fault.seconds, receive):
                    await _send(response, scope, receive, send)
            case Wire.TRUNCATE | Wire.RESET as wire:
                headers = [(name.encode(), value.encode()) for name, value in response.headers]
                start = {"type": "http.response.start", "status": response.status}
                await send({**start, "headers": headers})
                half = response.body[: len(response.body) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                # Let the part arrive: a reset discards data that the client has not read yet.
                await asyncio.sleep(0.05)
                await _break(transport, reset=wire is Wire.RESET)


async def _send(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    web = WebResponse(response.body, response.status)
    web.raw_headers = [(name.encode(), text.encode("latin-1")) for name, text in response.headers]
    await web(scope, receive, send)


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
