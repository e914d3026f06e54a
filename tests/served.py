"""Serve an emulated CloudTruth over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulated.emulator import Emulator
from tests.emulated.server import Server
from tests.waiting import TIMEOUT


@contextmanager
def served(emulator: Emulator) -> Iterator[str]:
    """Serve `emulator` on a free port and yield its URL."""
    server = Server(emulator)
    # A daemon thread, so that a failing test does not keep the test run from ending.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "the server does not end"
