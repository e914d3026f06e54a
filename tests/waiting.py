"""Waiting for events instead of sleeping.

The timeout here ends a test that hangs. It is far longer than any test takes on a busy machine, so
it affects no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

TIMEOUT: Final = 600.0
"""Seconds."""


def wait_until(fact: Callable[[], object], what: str) -> None:
    """Wait until `fact` holds by polling; `what` names it if it never does."""
    end = time.monotonic() + TIMEOUT
    while not fact():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.005)
