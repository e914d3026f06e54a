"""Which proxy stands between us and the server, by the variables that the HTTP library reads.

A proxy's address may hold a user name and a password: neither is ever part of what is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from reconciler.values import dataclass

VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first that is not empty counts; small letters win."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The variable that names a proxy, and the proxy without user and password.

    `address` is None if it is no address at all.
    """

    variable: str
    address: str | None


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that https requests to `host` go through, None if they go straight."""
    named = next((name for name in VARIABLES if environ.get(name)), None)
    if named is None or bypassed(host, environ):
        return None
    return Proxy(variable=named, address=_address(environ[named]))


def bypassed(host: str, environ: Mapping[str, str]) -> bool:
    """Say whether NO_PROXY takes `host` out."""
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(each.strip().lower(), host) for each in listed.split(","))


def _covers(entry: str, host: str) -> bool:
    entry = entry.removesuffix(":443")
    if entry.startswith("."):
        return host.endswith(entry)
    return bool(entry) and (entry == "*" or host == entry or host.endswith(f".{entry}"))


def _address(url: str) -> str | None:
    """Return scheme, host and port of a proxy."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
