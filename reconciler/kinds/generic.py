"""Deliveries to any URL, with optional basic or bearer authentication."""

from __future__ import annotations

import re
from typing import Final

from reconciler.kinds.base import Field, Kind

_DESTINATION: Final = re.compile(r"https?://[^\s/?#*]+(?:[/?#][^\s*]*)?")
"""The pattern of a complete URL: absolute, http or https, without masked parts."""

KIND: Final = Kind(
    type="generic",
    title="Generic",
    description="Sends HTTP requests to a URL, with optional basic or bearer authentication.",
    fields=(
        Field(
            name="url",
            title="URL",
            description="The destination of requests (http or https). Keep a URL that contains a "
            "credential in a variable: `{env: NAME}`.",
            example="https://hooks.example.com/cloudtruth",
            required=True,
            secret=True,
            secret_pattern=_DESTINATION,
            noun="an absolute http or https URL",
            is_url=True,
        ),
        Field(
            name="verify",
            title="Verify TLS",
            description="Whether the certificate of an https URL is checked. True by default.",
            is_boolean=True,
            checks_certificate=True,
            default=True,
        ),
        Field(
            name="username",
            description="Username for HTTP basic authentication; needs `password`.",
            example="cloudtruth",
            partner="password",
        ),
        Field(
            name="password",
            description="Password for HTTP basic authentication; needs `username`. A reference "
            "such as `{env: NAME}`.",
            example="WEBHOOK_PASSWORD",
            secret=True,
            partner="username",
        ),
        Field(
            name="token",
            title="Bearer token",
            description="Sent as `Authorization: Bearer …`. A reference such as `{env: NAME}`.",
            example="WEBHOOK_TOKEN",
            secret=True,
        ),
    ),
    destination_field="url",
    example="Pager",
)
