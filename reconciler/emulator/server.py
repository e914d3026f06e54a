"""The emulator over HTTP, and its faults on a real wire.

For: clients that cannot be given a handler in process: an installed command, another language.
Promises: the port is bound when a `Server` is made, so requests sent right away wait instead of
failing; a request for any host but this server's address and `localhost` is refused, as it may come
from a web page whose name was pointed here; a dropped connection, a hang and a truncated body are
real ones.
Refuses: to print or to log. It needs Starlette and uvicorn, the extra `emulator`; the handler does
not. A refused connection cannot be imitated once the port is bound: it is reset instead.
"""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
from asyncio import Transport
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as WebRequest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.emulator.faults import Fault, Wire
from reconciler.emulator.handler import Emulator
from reconciler.emulator.messages import Answer, Request

Peer = tuple[str, int]

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")


def serve(
    emulator: Emulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` gets the base URL. Port 0 takes a free one.

    Raises OSError if the port cannot be bound, and passes the signal on when all is closed, so
    that SIGINT ends in KeyboardInterrupt.
    """
    Server(emulator, host=host, port=port).run(ready)


class Server:
    """An HTTP server for one emulator."""

    def __init__(self, emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port; OSError if that fails."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        bound = self._socket.getsockname()[1]
        self.url = f"http://{_bracketed(host)}:{bound}"
        """Where it listens: scheme, host and port, without a final slash."""
        transports: dict[Peer, Transport] = {}

        class Protocol(H11Protocol):
            """Remembers each connection's transport, the only way to break it."""

            def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

        config = uvicorn.Config(
            _Application(emulator, transports, host=host, url=self.url),
            http=Protocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)

    def run(self, ready: Callable[[str], None] | None = None) -> None:
        """Serve until `stop` is called, or in the main thread until a signal."""
        try:
            if ready is not None:
                ready(self.url)
            self._server.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back without having served."""
        self._socket.close()

    def stop(self) -> None:
        """Ask a running server to end; from any thread."""
        self._server.should_exit = True


class _Application:
    def __init__(
        self, emulator: Emulator, transports: dict[Peer, Transport], *, host: str, url: str
    ) -> None:
        self._emulator = emulator
        self._transports = transports
        self._hosts = {"localhost", "127.0.0.1", "[::1]", _bracketed(host.lower())}
        self._misdirected = PlainTextResponse(f"This server is {url}\n", status_code=421)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        web = WebRequest(scope, receive)
        if not self._is_own(web.headers.get("host", ""), scope):
            await self._misdirected(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for name, value in web.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        request = Request(
            method=web.method,
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=await web.body(),
        )
        # The handler waits for its lock and for the disk: not on the event loop.
        answer = await run_in_threadpool(self._emulator.handle, request)
        transport = self._transports[cast(Peer, scope["client"])]
        await _send(answer, transport, receive, send)

    def _is_own(self, named: str, scope: Scope) -> bool:
        """Return whether a Host header names this server; the port may be a published one."""
        found = _HOST.fullmatch(named.lower())
        # The address of this connection is known only now if the server listens on all of them.
        return found is not None and found[1] in {*self._hosts, _bracketed(scope["server"][0])}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _send(answer: Answer, transport: Transport, receive: Receive, send: Send) -> None:
    fault = answer.fault
    match fault.wire if fault is not None else Wire.SEND:
        case Wire.SEND:
            await send(_head(answer))
            await send(_part(answer.body, last=True))
        case Wire.REFUSE:
            await _break(transport, reset=True)
        case Wire.DROP:
            await _break(transport)
        case Wire.HANG:
            if await _wait(fault, receive):
                await _break(transport)
        case Wire.DELAY:
            if await _wait(fault, receive):
                await send(_head(answer))
                await send(_part(answer.body, last=True))
        case Wire.DRIP:
            await send(_head(answer))
            for i in range(len(answer.body)):
                await send(_part(answer.body[i : i + 1], last=False))
                if not await _wait(fault, receive):
                    return
            await send(_part(b"", last=True))
        case Wire.TRUNCATE | Wire.RESET as wire:
            assert fault is not None
            await send(_head(answer))
            await send(_part(fault.kept(answer.body), last=False))
            # Let the part arrive: a reset may overtake what the client has not read yet.
            await asyncio.sleep(0.05)
            await _break(transport, reset=wire is Wire.RESET)


def _head(answer: Answer) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def _part(body: bytes, *, last: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": not last}


async def _wait(fault: Fault | None, receive: Receive) -> bool:
    """Wait for the fault's seconds; tell whether the client is still there."""
    seconds = fault.seconds if fault is not None else 0.0
    with suppress(TimeoutError):
        async with asyncio.timeout(None if math.isinf(seconds) else seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
            return False
    return True


async def _break(transport: Transport, *, reset: bool = False) -> None:
    if reset and (connection := transport.get_extra_info("socket")) is not None:
        # Lingering for no time makes closing a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort() if reset else transport.close()
    # uvicorn has to notice before it is told that the application has finished.
    await asyncio.sleep(0.01)
