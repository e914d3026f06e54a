"""Abort requests that exceed their timeout.

The HTTP library limits each read, not the complete request, so a server that sends one byte per
second never times out. One thread for all workers shuts down the connection of a request whose time
is up; the worker's read then fails immediately. The first request that needs it starts the thread.
It is not used with an adapter.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from reconciler.ports import Clock

# `Condition.wait` does not accept infinity.
_IDLE: Final = 3600.0


class WatchedSocket:
    """The socket of one worker's connection."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.expired = False
        """Whether the watchdog ended the current or last request."""

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Remember each new connection; the HTTP library calls this for each of its steps."""
        stream = info.get("return_value")
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")) and stream is not None:
            self._socket = stream.get_extra_info("socket")
            if self.expired:  # the deadline had already passed when the connection was made
                self.shut()

    def shut(self) -> None:
        """Shut down the connection while the worker uses it."""
        self.expired = True
        if self._socket is not None:
            # Not `close`: another connection may reuse the descriptor immediately. Not SSLSocket's
            # `shutdown`: it would remove the TLS layer during a read.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Watchdog:
    """Watches the requests in flight. `close` ends its thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._watched: dict[WatchedSocket, Callable[[], float]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wakes_at = 0.0

    @contextlib.contextmanager
    def watching(self, watched: WatchedSocket, end: Callable[[], float]) -> Iterator[None]:
        """Shut down `watched` if the block is still running at the monotonic time `end()`."""
        with self._changed:
            watched.expired = False
            self._watched[watched] = end
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif end() < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(watched, None)

    def recheck(self) -> None:
        """Reload the deadlines after a change."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._clock.monotonic()
                for late in [watched for watched, end in self._watched.items() if end() <= now]:
                    del self._watched[late]
                    late.shut()
                next_end = min((end() for end in self._watched.values()), default=now + _IDLE)
                self._wakes_at = next_end
                self._changed.wait(max(0.0, next_end - now))
