"""Deliveries to somebody's pager: the toy type of the checklist."""

from __future__ import annotations

from typing import Final

from reconciler.kinds.base import Field, Kind

KIND: Final = Kind(
    type="pager",
    title="Pager webhook",
    fields=(
        Field(name="routing_key", required=True, secret=True),
        Field(name="service", required=True),
    ),
    destination="service",
)
