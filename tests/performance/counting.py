"""The emulator behind sockets of our own, which count connections and requests in flight."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from reconciler.emulator.handler import Emulator, Request

_TAKES = 0.004  # seconds for an answer, so that requests meet each other


class CountingServer:
    """Serves until closed. `most` is the most requests that were in flight at a time."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = self.most = self._in_flight = 0
        self._lock = threading.Lock()
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
            thread.join(timeout=10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split(" ")
                headers: dict[str, str] = {}
                while (header := stream.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                with self._counted():
                    answer = self._answer(method, target, headers, body)
                connection.sendall(answer)

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        path, _, query = target.partition("?")
        answer = self._emulator.handle(
            Request(method=method, path=path, query=query, headers=headers, body=body)
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        return f"HTTP/1.1 {answer.status} Some\r\n{head}\r\n".encode() + answer.body

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._in_flight += 1
            self.most = max(self.most, self._in_flight)
        time.sleep(_TAKES)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


@contextlib.contextmanager
def counting(emulator: Emulator) -> Iterator[CountingServer]:
    """Serve for the length of a block."""
    server = CountingServer(emulator)
    try:
        yield server
    finally:
        server.close()
