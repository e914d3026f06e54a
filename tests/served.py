"""An emulated CloudTruth behind real HTTP, for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulated.emulator import Emulator
from tests.emulated.server import Server
from tests.waiting import PATIENCE


@contextmanager
def served(emulator: Emulator) -> Iterator[str]:
    """Serve `emulator` on a free port and yield its address."""
    server = Server(emulator)
    # A daemon, so that a test that fails in between does not keep the whole suite from ending.
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not end"
