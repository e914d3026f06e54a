"""A server that stops at a certain write, so that what a test then does is never too late."""

from __future__ import annotations

import subprocess
import threading

from reconciler.emulator.store import LogEntry
from tests.waiting import PATIENCE

_WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Hold:
    """The listener of an emulator. It hears of a write when that is done and not yet answered.

    `after` names a write to come; `reached` is set when it is there, and from then on the server
    does nothing at all until `release`.
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
        """Hold on at the write that is so many after the last one."""
        self.clear()
        self._at = self.writes + writes

    def clear(self) -> None:
        """Make ready to hold on."""
        self.reached.clear()
        self._released.clear()

    def stop(self) -> None:
        """Hold on until `release`."""
        self.reached.set()
        assert self._released.wait(PATIENCE)

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until the server holds on, or until the process that was to make it so has ended."""
        while not self.reached.wait(0.05) and process.poll() is None:
            pass

    def release(self) -> None:
        """Go on, and hold on no more."""
        self._at = 0
        self._released.set()
