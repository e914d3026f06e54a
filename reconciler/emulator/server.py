"""Serve the emulator over HTTP, for clients in other processes.

Creating a `Server` binds the port, so requests sent before `run` wait instead of failing. A request
whose Host is neither this server's address nor `localhost` is rejected, because it may be a DNS
rebinding attack from a web page. It prints and logs nothing. It needs Starlette and uvicorn, the
extra `emulator`; the rest of the emulator does not.
"""

from __future__ import annotations

import re
import socket

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from starlette.types import Receive, Scope, Send

from reconciler.emulator.emulator import Emulator
from reconciler.emulator.messages import Request, Response, bytes_response

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")


class Server(uvicorn.Server):
    """An HTTP server for one emulator. `url` is its address, without a final slash."""

    def __init__(self, emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port, 0 for a free one. Raises OSError if that fails."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        # asyncio sets this only for sockets with an explicit protocol. Without it a body is sent 40
        # ms after its headers, when the client acknowledges them. Accepted connections inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://{_bracketed(host)}:{self._socket.getsockname()[1]}"
        self._emulator = emulator
        self._hosts = {"localhost", "127.0.0.1", "[::1]", _bracketed(host.lower())}
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="h11",
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
        """Serve until `should_exit` is set, or in the main thread until SIGINT or SIGTERM.

        The signal is raised again after closing, so SIGINT ends in KeyboardInterrupt.
        """
        super().run(sockets or [self._socket])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request to the emulator, and send its response."""
        web = WebRequest(scope, receive)
        if self._is_own(web.headers.get("host", ""), scope):
            request = Request(
                method=web.method,
                path=scope["raw_path"].decode("latin-1"),
                query=scope["query_string"].decode("latin-1"),
                headers=dict(web.headers),
                body=await web.body(),
            )
            # In a thread, because the emulator waits for its lock and the disk.
            response = await run_in_threadpool(self._emulator.handle, request)
        else:
            text = f"This server is {self.url}\n".encode()
            response = bytes_response(421, text, "text/plain; charset=utf-8")
        await self.send(response, scope, receive, send)

    async def send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a response."""
        web = WebResponse(response.body, response.status)
        web.raw_headers = [
            (name.encode(), text.encode("latin-1")) for name, text in response.headers
        ]
        await web(scope, receive, send)

    def _is_own(self, named: str, scope: Scope) -> bool:
        """Return whether a Host header names this server, on any port (which may be mapped)."""
        found = _HOST.fullmatch(named.lower())
        # A server on all addresses learns its own from the connection.
        return found is not None and found[1] in {*self._hosts, _bracketed(scope["server"][0])}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
