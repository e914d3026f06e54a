"""Deliveries to a pager: a third webhook type, for tests only."""

from __future__ import annotations

from typing import Final

from reconciler.kinds.base import Field, Kind

KIND: Final = Kind(
    type="pager",
    title="Pager",
    description="Pages whoever is on call, through a routing key.",
    fields=(
        Field(
            name="routing_key",
            description="Which service is paged, as a reference: `{env: PAGER_ROUTING_KEY}`.",
            example="PAGER_ROUTING_KEY",
            required=True,
            secret=True,
        ),
        Field(
            name="service",
            description="The name of the service.",
            example="night-shift",
            required=True,
        ),
        Field(
            name="username",
            description="Who pages, shorter than the usernames of other types.",
            example="ops",
            max_length=8,
            schema_pattern="^[a-z]+$",
            noun="a short name",
            hint="use up to 8 lower-case letters",
        ),
        Field(
            name="hook",
            description="The address of the pager.",
            secret=True,
            is_url=True,
            schema_pattern=r"^https://pager\.example(/\S*)?$",
            noun="an address of the pager",
            hint="use https://pager.example",
        ),
    ),
    destination_field="service",
)
