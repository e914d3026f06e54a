"""Deliveries to a Slack channel through a bot token."""

from __future__ import annotations

import re
from typing import Final

from reconciler.kinds.base import Field, Kind


def channel(value: str) -> str:
    """Return a channel without one leading `#`: Slack takes both, and so do we."""
    return value.removeprefix("#")


def channel_text(value: str) -> str:
    """Write a channel with its `#`, unless it is an id or another form that has none."""
    return value if value[:1] in "#@" or value[:1].isupper() else f"#{value}"


TOKEN_SHAPE: Final = re.compile(r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-[A-Za-z0-9-]{8,}")
"""What a complete Slack token looks like."""

KIND: Final = Kind(
    type="slack",
    title="Slack webhook",
    fields=(
        Field(name="token", required=True, secret=True, shape=TOKEN_SHAPE),
        Field(name="channel", required=True, normal=channel, written=channel_text),
        Field(name="username", required=True),
    ),
    destination="channel",
)
