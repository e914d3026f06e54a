"""One connection for each thread, all with one TLS context.

A client of the HTTP library that is shared by threads can hand one of them a connection that
another has just closed; so each thread has its own, made at its first request. With an adapter,
requests go into that instead of the network: no thread is started, no certificate read and no
proxy used.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from reconciler.api import tls
from reconciler.api.origin import Origin, OriginAuth
from reconciler.api.troubles import PROXY_HINT
from reconciler.api.watchdog import Line, Watchdog
from reconciler.errors import UnreachableError, UsageError
from reconciler.ports import Clock

if TYPE_CHECKING:
    from reconciler.api.proxies import Proxy

# Longer than this, and the server may be closing the connection while we write to it.
_KEPT_ALIVE: Final = 2.0

Adapter: TypeAlias = httpx.BaseTransport
"""What takes the network's place: for whoever needs the type and does not speak HTTP itself."""


class Connections:
    """The clients of one transport. Use it from any number of threads, and close it."""

    def __init__(
        self,
        *,
        origin: Origin,
        auth: OriginAuth | None,
        headers: Mapping[str, str],
        clock: Clock,
        environment: Mapping[str, str],
        adapter: Adapter | None,
    ) -> None:
        self._auth = auth
        self._headers = dict(headers)
        self._environment = environment
        self._adapter = adapter
        self._watchdog = Watchdog(clock) if adapter is None else None
        # Without TLS there is no proxy either: it would see the credential.
        self._secure = adapter is None and origin.scheme == "https"
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._mine = threading.local()
        self._clients: list[httpx.Client] = []

    def mine(self) -> tuple[httpx.Client, Line]:
        """Return this thread's client.

        Raises UsageError for a useless proxy or certificate, UnreachableError after `close`.
        """
        mine = self._mine
        if not hasattr(mine, "client"):
            with self._lock:
                if self._closed:
                    raise UnreachableError("the connections are closed; the request was not sent")
                mine.client, mine.line = self._open(), Line()
                self._clients.append(mine.client)
        return mine.client, mine.line

    def proxy(self, host: str) -> Proxy | None:
        """Return the proxy through which requests go to `host`, None if they go straight."""
        if not self._secure:
            return None
        from reconciler.api.proxies import proxy_for  # asked for when something has failed

        return proxy_for(host, os.environ)  # where the HTTP library reads it

    def watching(self, line: Line, end: Callable[[], float]) -> AbstractContextManager[None]:
        """End the request on `line` if this block is not left by the monotonic moment `end()`."""
        return nullcontext() if self._watchdog is None else self._watchdog.watching(line, end)

    def look(self) -> None:
        """Have the watchdog look again: some moment was moved."""
        if self._watchdog is not None:
            self._watchdog.look()

    def close(self) -> None:
        """Close them all, also under the hands of threads that are still at work."""
        if self._watchdog is not None:
            self._watchdog.close()
        with self._lock:
            clients, self._clients = self._clients, []
            self._closed = True
            self._mine = threading.local()
        for client in clients:
            client.close()

    def _open(self) -> httpx.Client:
        if self._tls is None:
            self._tls = tls.context(self._environment) if self._secure else tls.bare()
        try:
            return httpx.Client(
                auth=self._auth,
                headers=self._headers,
                verify=self._tls,
                trust_env=self._secure,
                follow_redirects=False,
                event_hooks={"response": [_keep_location]},
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEPT_ALIVE
                ),
                transport=self._adapter,
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            pass
        # Raised out here: the library's error quotes the proxy's address, maybe with a password.
        raise UsageError("the proxy URL in the environment is not valid", hint=PROXY_HINT)


def headers_of(response: httpx.Response) -> dict[str, str]:
    """Return a response's headers, names in lower case, without cookies."""
    found = {name.lower(): value for name, value in response.headers.items()}
    found.pop("set-cookie", None)
    if "location" in response.extensions:
        found["location"] = response.extensions["location"]
    return found


def _keep_location(response: httpx.Response) -> None:
    # The library would look into the address, complain of it, and quote it.
    location = response.headers.pop("location", None)
    if location is not None:
        response.extensions["location"] = location
