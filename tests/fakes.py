"""Shared parts of fake services: responses, and transports to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import httpx


@dataclass(frozen=True)
class Response:
    """A status (0 breaks the connection), a JSON value or raw bytes, and further headers."""

    status: int
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        if isinstance(self.value, bytes):
            return self.value
        return b"" if self.value is None else json.dumps(self.value).encode()


class Fake(Protocol):
    """A service in memory, served under `base` on its host."""

    base: str

    def handle(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Response:
        """Process one request; `headers` have lower-case names."""


def in_process(fake: Fake) -> httpx.MockTransport:
    """Return a transport to a fake without a network."""

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        response = fake.handle(request.method, str(request.url), headers, request.read())
        return httpx.Response(
            response.status,
            headers={"content-type": "application/json", **response.headers},
            # Streamed, as over a network.
            stream=httpx.ByteStream(response.body()),
        )

    return httpx.MockTransport(handle)


@contextmanager
def serve(fake: Fake) -> Iterator[str]:
    """Serve a fake on this machine and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # one packet per response; a second one would wait for the first's receipt

        def _respond(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = fake.handle(self.command, self.path, headers, self.rfile.read(length))
            if not response.status:  # break the connection
                self.close_connection = True
                return
            body = response.body()
            self.send_response(response.status)
            if "Content-Type" not in response.headers:
                self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{fake.base}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
