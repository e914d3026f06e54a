"""The host of a URL, read the same way for every finding, policy, plan and comment.

Programs disagree about a host that is not standard: some decode its `%2f`, some read its `\\` as
`/`. A URL with such a host has no origin here.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

_AUTHORITY: Final = re.compile(r"(?:[^@\\]*@)?(\[[0-9A-Fa-f:.]+\]|[^@\\:\[\]%]+)(:[0-9]{0,5})?")
"""An optional user, which is never shown, the host, and an optional port."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def origin_of(url: str) -> str | None:
    """Return scheme and host of an http or https URL; None for other text.

    The host is in ASCII: an address, or labels of letters, digits, hyphens and underscores.
    """
    try:
        scheme, authority, *_ = urlsplit(url)
        match = _AUTHORITY.fullmatch(authority)
        if scheme in ("http", "https") and match is not None:
            return f"{scheme}://{_ascii_host(match[1])}"
    except ValueError:
        pass
    return None


def with_ascii_host(url: str) -> str:
    """Return a URL that has an origin, with its host as `origin_of` returns it."""
    origin, parts = origin_of(url), urlsplit(url)
    match = _AUTHORITY.fullmatch(parts.netloc)
    if url.isascii() or origin is None or match is None:
        return url
    host = origin.partition("://")[2]
    authority = f"{parts.netloc[: match.start(1)]}{host}{match[2] or ''}"
    return parts._replace(netloc=authority).geturl()


def differing_parts(one: str, other: str) -> tuple[str, ...]:
    """Return the names of the parts in which two URLs differ, without those that plans show.

    They may be shown, because they do not contain any of the URL. None for a URL without an origin.
    """
    if origin_of(one) is None or origin_of(other) is None:
        return ()
    parts = []
    first, second = urlsplit(one), urlsplit(other)
    for name, values in (
        ("user", (first.netloc.rpartition("@")[0], second.netloc.rpartition("@")[0])),
        ("port", (_port(first.netloc), _port(second.netloc))),
        ("path", (first.path, second.path)),
        ("query", (first.query, second.query)),
        ("fragment", (first.fragment, second.fragment)),
    ):
        if values[0] != values[1]:
            parts.append(name)
    return tuple(parts)


def _port(authority: str) -> str:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return ""
    return match[2] or ""


def is_international(origin: str) -> bool:
    """Return whether a host may look like another one, because it is not written in ASCII."""
    return "//xn--" in origin or ".xn--" in origin


def _ascii_host(host: str) -> str:
    """Return a host in ASCII. Raises ValueError if it is invalid."""
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1])}]"
    # The longest name of DNS has 253 characters, and may end with a dot.
    if len(host) > 254:
        raise ValueError
    if not host.isascii():
        import idna  # most hosts are ASCII, and its tables take several milliseconds

        host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError
    # Some programs read every host that ends in a number as an address.
    if _NUMBER.fullmatch(labels[-1]):
        return str(IPv4Address(host))
    return host
