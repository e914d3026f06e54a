"""How patiently the truth is looked for after a lost answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """How long a write may take to show.

    After a create whose answer was lost: `wait` seconds of patience, then up to `confirmations`
    listings, `spacing` seconds apart, before it is sent once more. `spacing` is also the pause
    before any other write is read back, and between listings at the end of a run.
    """

    wait: float = 2.0
    confirmations: int = 3
    spacing: float = 1.0
