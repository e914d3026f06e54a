"""A server on a raw socket that can misbehave in any way."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable

Behavior = Callable[[socket.socket], object]
"""Responds to one request on a connection."""


class WireServer:
    """Accepts connections; the n-th request gets the n-th behavior, later requests the last one."""

    def __init__(self, *behaviors: Behavior) -> None:
        self._behaviors = list(behaviors)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.closed = 0
        """The number of connections that have ended on this side."""
        self.requests: list[bytes] = []
        self.times: list[float] = []
        """The monotonic time at which each request was complete."""
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            while request := self._read(connection):
                with self._lock:
                    self.times.append(time.monotonic())
                    self.requests.append(request)
                at = min(len(self.requests), len(self._behaviors)) - 1
                if self._behaviors[at](connection) is CLOSE:
                    break
        with self._lock:
            self.closed += 1

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        # Only closing it would leave `accept` waiting and the port in use.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def serving(*behaviors: Behavior) -> contextlib.closing[WireServer]:
    """Run a server during a block."""
    return contextlib.closing(WireServer(*behaviors))


_GAP = 0.05  # seconds between two bytes
CLOSE = object()
"""The result of a behavior that closes the connection."""


def head(status: int = 200, length: int | None = None, *more: str) -> bytes:
    """Return the head of a response, of JSON by default."""
    lines = [f"HTTP/1.1 {status} Some", *more]
    if not any(line.startswith("Content-Type") for line in more):
        lines.append("Content-Type: application/json")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def replies(body: object, status: int = 200, *more: str) -> Behavior:
    """Respond normally; bytes are sent unchanged, other values as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda connection: connection.sendall(head(status, len(data), *more) + data)


def sends(data: bytes) -> Behavior:
    """Send these bytes and close."""

    def behave(connection: socket.socket) -> object:
        connection.sendall(data)
        return CLOSE

    return behave


def resets(connection: socket.socket) -> object:
    """Reset the connection without a response."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return CLOSE


def trickles(data: bytes) -> Behavior:
    """Send byte by byte."""

    def behave(connection: socket.socket) -> object:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(_GAP)
        return CLOSE

    return behave
