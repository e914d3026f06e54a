"""The emulator behind sockets of our own, which count connections and requests in flight."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from reconciler.api.connections import KEEP_ALIVE
from tests.emulated.emulator import Emulator, Request
from tests.waiting import PATIENCE

_TAKES = 0.004  # seconds for an answer, so that one request too many would be met
Of = Callable[[str], bool]


def _none(asked: str) -> bool:
    return False


class CountingServer:
    """Serves until closed. `most` is the most requests that were in flight at a time.

    Requests that `of` is true of, given method and address, are answered as soon as `meeting` of
    them were there at a time: how many there are does not depend on who is quick. `idle` is how
    many connections ended after lying idle for so long that a client does not use them again.
    """

    def __init__(self, emulator: Emulator, *, of: Of = _none, meeting: int = 0) -> None:
        self._emulator = emulator
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = self.idle = self.most = self._in_flight = 0
        self._of, self._meeting = of, meeting
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def requests(self) -> list[str]:
        """Return what was asked for: method and path, without queries."""
        return [f"{each.method} {each.path}" for each in self._emulator.store.log()]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        served = time.monotonic()
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split(" ")
                headers: dict[str, str] = {}
                while (header := stream.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                with self._counted(f"{method} {target}"):
                    answer = self._answer(method, target, headers, body)
                served = time.monotonic()
                connection.sendall(answer)
        with self._changed:
            self.idle += time.monotonic() - served >= KEEP_ALIVE

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        path, _, query = target.partition("?")
        answer = self._emulator.handle(
            Request(method=method, path=path, query=query, headers=headers, body=body)
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        return f"HTTP/1.1 {answer.status} Some\r\n{head}\r\n".encode() + answer.body

    @contextlib.contextmanager
    def _counted(self, asked: str) -> Iterator[None]:
        with self._changed:
            self._in_flight += 1
            self.most = max(self.most, self._in_flight)
            self._changed.notify_all()
            if self._of(asked) and not self._changed.wait_for(self._met, PATIENCE):
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
    """Serve for the length of a block."""
    server = CountingServer(emulator, of=of, meeting=meeting)
    try:
        yield server
    finally:
        server.close()
