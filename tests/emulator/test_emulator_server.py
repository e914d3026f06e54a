"""Over HTTP the emulator receives requests unchanged."""

from __future__ import annotations

import httpx

from tests.emulated.emulator import Emulator
from tests.served import served
from tests.waiting import TIMEOUT


def test_paths_reach_the_handler_unchanged() -> None:
    """Paths are percent-encoded, and the query is separate."""
    emulator = Emulator()
    with served(emulator) as url:
        httpx.get(f"{url}/api/v1/memberships/a%2Fb%7C/?x=%20", timeout=TIMEOUT)
    (entry,) = emulator.log
    assert (entry.path, entry.query) == ("/api/v1/memberships/a%2Fb%7C/", "x=%20")
