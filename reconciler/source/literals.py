"""Secrets that are written into a file themselves: how to tell one from plain text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from reconciler.kinds.slack import TOKEN

PLACEHOLDER: Final = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*|[a-z]+(?:_[a-z0-9]+)+)|%\w+%|<[\w .:-]+>|\*+"
    r"|\{\s*(?:env|file)\s*:.*\}|(?:env|file):\s*[\w./-]+"
    r"|.*(?:\$\{[^{}]*\}|\{\{[^{}]*\}\}).*",
    re.DOTALL,
)
"""Text that another program would replace by a value: `$NAME`, `${NAME}`, `<token>`, `env:NAME`."""

_AROUND: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""What copying and pasting adds around a value: blanks, line ends, a byte order mark."""

# Hosts whose addresses are the permission to post there: whoever knows one can use it.
_CAPABILITY_HOSTS: Final = (
    ".hooks.slack.com", ".hooks.slack-gov.com",
    ".discord.com", ".discordapp.com",
    ".webhook.office.com", ".webhook.office365.com",
    ".outlook.office.com", ".outlook.office365.com",
    ".logic.azure.com", ".powerplatform.com",
    ".chat.googleapis.com",
    ".hooks.zapier.com", ".make.com", ".integromat.com", ".maker.ifttt.com", ".pipedream.net",
    ".api.telegram.org", ".webhook.site", ".events.pagerduty.com", ".hooks.mattermost.com",
)  # fmt: skip
_PLAIN: Final = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]+)?(?:/[A-Za-z0-9/_.~%-]*)?")


def bare(text: str) -> str:
    """Return a pasted value without the blanks, line ends and byte order marks around it."""
    return text.strip(_AROUND)


def is_padded(text: str) -> bool:
    """Return whether `bare` removes more than one line end, which editors and `echo` add."""
    return bare(text) != text.removesuffix("\n").removesuffix("\r")


def holds_token(text: str) -> bool:
    """Say whether a Slack token stands in a text."""
    return ("xox" in text or "xapp" in text) and TOKEN.search(text) is not None


def masked(text: str) -> str:
    """Return text of a user for a message: Slack tokens in it hidden, and not too long."""
    safe = TOKEN.sub("***", text)
    return safe if len(safe) <= 120 else f"{safe[:117]}..."


def url_credential(url: str) -> str | None:
    """Return what makes a URL a secret, in words that follow "the URL"; None if nothing does."""
    plain = _PLAIN.fullmatch(url)  # most are, and this is faster
    if plain is not None:
        host = plain[1]
    else:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return "cannot be understood, so it may hold a credential"
        if "@" in parts.netloc:
            return "holds a user or password"
        if parts.query:
            return "has a query, which often holds a key"
    host = host.lower().rstrip(".")
    if f".{host}".endswith(_CAPABILITY_HOSTS):
        return f"of {host} is itself the permission to post there"
    if holds_token(url):
        return "holds a Slack token"
    return None
