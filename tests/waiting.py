"""How long tests wait: for an event, not for a time.

The one number here ends a test that hangs. It is far beyond what anything takes, however busy the
machine is, so that no result depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 600.0
"""Seconds."""


def until(fact: Callable[[], object], what: str) -> None:
    """Wait until `fact` holds, where nothing tells when; `what` names it if it never does."""
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.005)
