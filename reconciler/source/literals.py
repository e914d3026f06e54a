"""Secrets that are written into a file themselves: how to tell one from plain text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

SLACK_TOKEN: Final = re.compile(r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{8,}")
"""A Slack token anywhere in a text."""

# Hosts whose addresses are the permission to post there: whoever knows one can use it.
_CAPABILITY_HOSTS: Final = re.compile(
    r"""(?:.*\.)?(?:
        hooks\.slack(?:-gov)?\.com
      | discord(?:app)?\.com
      | webhook\.office(?:365)?\.com | outlook\.office(?:365)?\.com
      | logic\.azure\.com | powerplatform\.com
      | chat\.googleapis\.com
      | hooks\.zapier\.com | hook\.[a-z0-9-]+\.make\.com | hook\.integromat\.com
      | maker\.ifttt\.com | api\.telegram\.org
      | webhook\.site | m\.pipedream\.net
      | events\.pagerduty\.com | hooks\.mattermost\.com
    )""",
    re.VERBOSE,
)


def masked(text: str) -> str:
    """Return text of a user for a message: Slack tokens in it hidden, and not too long."""
    safe = SLACK_TOKEN.sub("***", text)
    return safe if len(safe) <= 120 else f"{safe[:117]}..."


def url_credential(url: str) -> str | None:
    """Return what makes a URL a secret, in words that follow "the URL"; None if nothing does."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        user = "@" in parts.netloc
    except ValueError:
        return "cannot be understood, so it may hold a credential"
    if user:
        return "holds a user or password"
    if parts.query:
        return "has a query, which often holds a key"
    if _CAPABILITY_HOSTS.fullmatch(host):
        return f"of {host} is itself the permission to post there"
    if SLACK_TOKEN.search(url):
        return "holds a Slack token"
    return None
