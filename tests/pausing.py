"""A server that pauses at a chosen write, so that tests do not depend on timing."""

from __future__ import annotations

import subprocess
import threading

from reconciler.emulator.store import LogEntry
from tests.waiting import TIMEOUT

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
