"""Serve the emulator over HTTP, for clients in other processes.

Creating a `Server` binds the port, so requests sent before `run` wait instead of failing. A request
whose Host is neither this server's address nor `localhost` is rejected, because it may be a DNS
rebinding attack from a web page. It prints and logs nothing. It needs Starlette and uvicorn, the
extra `emulator`; the rest of the emulator does not.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as WebRequest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from reconciler.emulator.emulator import Emulator
from reconciler.emulator.messages import Request, Response

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::[0-9]*)?")


class Server:
    """An HTTP server for one emulator."""

    def __init__(self, emulator: Emulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port, 0 for a free one. Raises OSError if that fails."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        # asyncio sets this only for sockets with an explicit protocol. Without it a body is sent 40
        # ms after its headers, when the client acknowledges them. Accepted connections inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound = self._socket.getsockname()[1]
        self.url = f"http://{_bracketed(host)}:{bound}"
        """Where it listens: scheme, host and port, without a final slash."""
        config = uvicorn.Config(
            Application(emulator, host=host, url=self.url),
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
        self.server = uvicorn.Server(config)
        """The underlying uvicorn server."""

    def run(self, ready: Callable[[str], None] | None = None) -> None:
        """Serve until `stop` is called, or in the main thread until SIGINT or SIGTERM.

        `ready` receives the base URL. The signal is raised again after closing, so SIGINT ends in
        KeyboardInterrupt.
        """
        try:
            if ready is not None:
                ready(self.url)
            self.server.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Release the port without serving."""
        self._socket.close()

    def stop(self) -> None:
        """Stop a running server. Can be called from any thread."""
        self.server.should_exit = True


class Application:
    """The ASGI application of one emulator."""

    def __init__(self, emulator: Emulator, *, host: str, url: str) -> None:
        """Accept requests for `host`, a name or an address, at `url`."""
        self._emulator = emulator
        self._hosts = {"localhost", "127.0.0.1", "[::1]", _bracketed(host.lower())}
        self._misdirected = PlainTextResponse(f"This server is {url}\n", status_code=421)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request to the emulator, and send its response."""
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
        # In a thread, because the emulator waits for its lock and the disk.
        response = await run_in_threadpool(self._emulator.handle, request)
        await self.send(response, scope, receive, send)

    async def send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a response."""
        headers = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in response.headers
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _is_own(self, named: str, scope: Scope) -> bool:
        """Return whether a Host header names this server, on any port (which may be mapped)."""
        found = _HOST.fullmatch(named.lower())
        # A server on all addresses learns its own from the connection.
        return found is not None and found[1] in {*self._hosts, _bracketed(scope["server"][0])}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
