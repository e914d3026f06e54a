"""Deliveries to any URL, with basic or bearer authentication if wanted."""

from __future__ import annotations

import re
from typing import Final

from reconciler.kinds.base import Field, Kind

URL_SHAPE: Final = re.compile(r"https?://[^\s/?#*]+(?:[/?#][^\s*]*)?")
"""What a complete address looks like: absolute, http or https, nothing starred out."""

KIND: Final = Kind(
    type="generic",
    title="Generic webhook",
    fields=(
        Field(
            name="url",
            required=True,
            secret=True,
            shape=URL_SHAPE,
            noun="an absolute http or https URL",
            address=True,
        ),
        Field(name="verify", flag=True, default=True),
        Field(name="username", partner="password"),
        Field(name="password", secret=True, partner="username"),
        Field(name="token", secret=True),
    ),
    destination="url",
)
