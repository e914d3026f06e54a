"""The emulator behind raw sockets that count connections and requests in flight."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from reconciler.api.connections import KEEP_ALIVE
from tests.api.wire_server import WireServer
from tests.emulated.emulator import Emulator, Request
from tests.waiting import TIMEOUT

_TAKES = 0.004  # seconds per answer, so that an extra request would overlap
Of = Callable[[str], bool]


def _none(requested: str) -> bool:
    return False


class CountingServer(WireServer):
    """Serves until closed. `most` is the highest number of requests in flight.

    Requests for which `of` is true, given method and path, are answered as soon as `meeting` of
    them have arrived: their number does not depend on speed. `idle` is the number of connections
    that ended after being idle for so long that a client does not use them again.
    """

    def __init__(self, emulator: Emulator, *, of: Of = _none, meeting: int = 0) -> None:
        self._emulator = emulator
        self.idle = self.most = self._in_flight = 0
        self._of, self._meeting = of, meeting
        self._changed = threading.Condition()
        super().__init__()

    def requested(self) -> list[str]:
        """Return method and path of every request, without queries."""
        return [f"{each.method} {each.path}" for each in self._emulator.store.log()]

    def close(self) -> None:
        super().close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def ended(self, idle: float) -> None:
        self.idle += idle >= KEEP_ALIVE

    def respond(self, connection: socket.socket, request: bytes) -> object:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        fields = (each.partition(":") for each in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        with self._counted(f"{method} {target}"):
            answer = self._emulator.handle(
                Request(method=method, path=path, query=query, headers=headers, body=body)
            )
        shown = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        data = f"HTTP/1.1 {answer.status} Some\r\n{shown}\r\n".encode() + answer.body
        connection.sendall(data)
        return None

    @contextlib.contextmanager
    def _counted(self, requested: str) -> Iterator[None]:
        with self._changed:
            self._in_flight += 1
            self.most = max(self.most, self._in_flight)
            self._changed.notify_all()
            if self._of(requested) and not self._changed.wait_for(self._met, TIMEOUT):
                self._meeting = 0
        time.sleep(_TAKES)
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1

    def _met(self) -> bool:
        return self.most >= self._meeting


@contextlib.contextmanager
def counting(emulator: Emulator, *, of: Of = _none, meeting: int = 0) -> Iterator[CountingServer]:
    """Serve during a block."""
    server = CountingServer(emulator, of=of, meeting=meeting)
    try:
        yield server
    finally:
        server.close()
