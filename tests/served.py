"""Services over HTTP, an emulator that pauses at a write, and a port that refuses connections."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulated.emulator import LogEntry
from tests.emulated.server import Server, Service
from tests.waiting import TIMEOUT


@contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve `service` on a free port and yield its URL."""
    server = Server(service)
    # A daemon thread, so that a failing test does not keep the test run from ending.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.should_exit = True
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "the server did not stop"


@contextmanager
def closed_port() -> Iterator[str]:
    """Yield the URL of a port that refuses connections.

    The port is bound but does not listen, so that no other process can use it.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


_WRITES = ("POST", "PUT", "PATCH", "DELETE")


class PauseAtWrite:
    """An emulator's listener, called after a write is committed and before its response.

    `after` selects a later write; `reached` is set when it comes, and the server then waits for
    `release`.
    """

    def __init__(self) -> None:
        self.writes = 0
        self.reached = threading.Event()
        self._released = threading.Event()
        self._at = 0

    def __call__(self, entry: LogEntry) -> None:
        self.writes += entry.method in _WRITES
        if self._at and self.writes >= self._at:
            self._at = 0
            self.stop()

    def after(self, writes: int) -> None:
        """Pause at the write that is this many after the last one."""
        self.clear()
        self._at = self.writes + writes

    def clear(self) -> None:
        """Prepare for the next pause."""
        self.reached.clear()
        self._released.clear()

    def stop(self) -> None:
        """Pause until `release`."""
        self.reached.set()
        assert self._released.wait(TIMEOUT)

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until the server pauses, or until the process that writes to it has ended."""
        while not self.reached.wait(0.05) and process.poll() is None:
            pass

    def release(self) -> None:
        """Continue, and do not pause again."""
        self._at = 0
        self._released.set()
