"""One connection per thread, with trusted certificates and proxy.

If threads share a client of the HTTP library, one can receive a connection that another has just
closed. So each thread creates its own client at its first request; all share one TLS context. With
an adapter, requests go to the adapter instead of the network: no thread is started, no certificate
is read and no proxy is used.

The library limits each read, not the complete request, so a server that sends one byte per second
would never time out. One more thread shuts down the connection of a request whose time is up; the
worker's read then fails immediately. The first request that needs it starts that thread.

Certificates are always verified. An unusable variable is an error. Messages contain no username or
password of a proxy.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx

from reconciler.api.origin import PROXY_HINT, Network, Origin, Proxy, proxy_for
from reconciler.errors import UnreachableError, UsageError
from reconciler.ports import Clock

CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""The variables that replace the system's certificates; the first one set is used."""

# After longer idle time, the server may close the connection while we write to it.
_KEEP_ALIVE: Final = 2.0
_CONNECTION_FAILURES: Final = 3
"""Failures in a row after which a server cannot be reached."""

# `Condition.wait` does not accept infinity.
_IDLE: Final = 3600.0

Adapter: TypeAlias = httpx.BaseTransport
"""A replacement for the network, for modules that do not import the HTTP library."""


class Shared:
    """What the clients of one run share: the deadline, the trusted certificates, dead servers.

    They share neither connections nor cookies, which belong to one key. Use it from any number of
    threads, and close it after the clients.
    """

    def __init__(self, network: Network) -> None:
        self._clock = network.clock
        self.deadline = network.clock.monotonic() + network.deadline
        """The monotonic time at which the run's time is up."""
        self.watchdog = _Watchdog(network.clock) if network.adapter is None else None
        self._environment = network.environment
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._unreachable: set[str] = set()

    def deadline_in(self, seconds: float) -> None:
        """Set the end of the run, in seconds from now, also for requests in flight."""
        self.deadline = self._clock.monotonic() + seconds
        if self.watchdog is not None:
            self.watchdog.recheck()

    def left(self) -> float:
        """Return the remaining seconds; negative when the time is up."""
        return self.deadline - self._clock.monotonic()

    def tls_context(self, *, secure: bool) -> ssl.SSLContext:
        """Return the run's TLS context. Raises UsageError for an invalid certificate."""
        with self._lock:
            if secure not in self._contexts:
                # Plain http needs no certificates, and reading them takes time.
                if secure:
                    context = _tls_context(self._environment)
                else:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                self._contexts[secure] = context
            return self._contexts[secure]

    def is_unreachable(self, server: str) -> bool:
        """Return whether a request gave up connecting, and no connection was made since."""
        return server in self._unreachable

    def connected(self, server: str) -> None:
        """Record that a connection to a server was made."""
        with self._lock:
            self._failures[server] = 0
            self._unreachable.discard(server)

    def not_connected(self, server: str, *, gave_up: bool) -> None:
        """Record a failure to connect; `gave_up` if the request is not repeated."""
        with self._lock:
            self._failures[server] += 1
            if gave_up and self._failures[server] >= _CONNECTION_FAILURES:
                self._unreachable.add(server)

    def close(self) -> None:
        """End the thread that watches the requests."""
        if self.watchdog is not None:
            self.watchdog.close()


class Connections:
    """The HTTP clients of one transport. Use it from any number of threads, and close it."""

    def __init__(
        self,
        *,
        origin: Origin,
        auth: Callable[[httpx.Request], httpx.Request] | None,
        headers: Mapping[str, str],
        adapter: Adapter | None,
        shared: Shared,
    ) -> None:
        self._origin = origin
        self._auth = auth
        self._headers = dict(headers)
        self._adapter = adapter
        self._shared = shared
        # No proxy without TLS, because it would see the credential.
        self._secure = adapter is None and origin.scheme == "https"
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.local()
        self._clients: list[httpx.Client] = []

    def for_this_thread(self) -> tuple[httpx.Client, WatchedSocket]:
        """Return this thread's client, and its socket for the watchdog.

        Raises UsageError for an invalid proxy or certificate, UnreachableError after `close`.
        """
        mine = self._thread
        if not hasattr(mine, "client"):
            with self._lock:
                if self._closed:
                    raise UnreachableError("the connections are closed; the request was not sent")
                mine.client, mine.socket = self._open(), WatchedSocket()
                self._clients.append(mine.client)
        return mine.client, mine.socket

    def proxy(self) -> Proxy | None:
        """Return the proxy of requests, None for a direct connection."""
        # From the environment of the process, as the HTTP library reads it.
        if self._secure:
            return proxy_for(self._origin.host, os.environ)
        return None

    def watching(
        self, watched: WatchedSocket, end: Callable[[], float]
    ) -> AbstractContextManager[None]:
        """Abort the request if the block is still running at the monotonic time `end()`."""
        watchdog = self._shared.watchdog
        if watchdog is None:
            return nullcontext()
        return watchdog.watching(watched, end)

    def close(self, *, for_good: bool = True) -> None:
        """Close all connections, including those of running threads.

        Unless it is `for_good`, the next request opens a new one.
        """
        with self._lock:
            # A thread cannot reach the values of another one, so all of them get a new place below.
            clients, self._clients = self._clients, []
            self._closed = self._closed or for_good
            self._thread = threading.local()
        for client in clients:
            client.close()

    def _open(self) -> httpx.Client:
        tls = self._shared.tls_context(secure=self._secure)
        try:
            return httpx.Client(
                auth=self._auth,
                headers=self._headers,
                verify=tls,
                # Only for the proxy: the context above already decides about certificates.
                trust_env=self._secure,
                follow_redirects=False,
                event_hooks={"response": [_keep_location]},
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE
                ),
                transport=self._adapter,
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            pass
        # Raised outside the handler: the library's error quotes the proxy's URL, which may
        # contain a password.
        raise UsageError("the proxy URL in the environment is not valid", hint=PROXY_HINT)


def _keep_location(response: httpx.Response) -> None:
    # Removed, because the library would parse the URL, and quote it in an error.
    location = response.headers.pop("location", None)
    if location is not None:
        response.extensions["location"] = location


# Requests that take too long


class WatchedSocket:
    """The socket of one worker's connection."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.expired = False
        """Whether the watchdog ended the current or last request."""

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Remember each new connection; the HTTP library calls this for each of its steps."""
        stream = info.get("return_value")
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")) and stream is not None:
            self._socket = stream.get_extra_info("socket")
            if self.expired:  # the deadline had already passed when the connection was made
                self.shut()

    def shut(self) -> None:
        """Shut down the connection while the worker uses it."""
        self.expired = True
        if self._socket is not None:
            # Not `close`: another connection may reuse the descriptor immediately. Not SSLSocket's
            # `shutdown`: it would remove the TLS layer during a read.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Watchdog:
    """Watches the requests in flight. `close` ends its thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._watched: dict[WatchedSocket, Callable[[], float]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wakes_at = 0.0

    @contextmanager
    def watching(self, watched: WatchedSocket, end: Callable[[], float]) -> Iterator[None]:
        """Shut down `watched` if the block is still running at the monotonic time `end()`."""
        with self._changed:
            watched.expired = False
            self._watched[watched] = end
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif end() < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(watched, None)

    def recheck(self) -> None:
        """Reload the deadlines after a change."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._clock.monotonic()
                for late in [watched for watched, end in self._watched.items() if end() <= now]:
                    del self._watched[late]
                    late.shut()
                next_end = min((end() for end in self._watched.values()), default=now + _IDLE)
                self._wakes_at = next_end
                self._changed.wait(max(0.0, next_end - now))


# Certificates


def _tls_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates, or those that a variable names.

    Raises UsageError for an unusable variable.
    """
    for name in CA_VARIABLES:
        if environment.get(name):
            return _context_from(name, Path(environment[name]))
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        # The system has no bundle, as in some containers and on macOS.
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    return context


def _context_from(variable: str, path: Path) -> ssl.SSLContext:
    problem = "does not exist"
    if path.exists():
        try:
            if path.is_dir():
                return ssl.create_default_context(capath=str(path))
            return ssl.create_default_context(cafile=str(path))
        except OSError:
            problem = "cannot be read as a bundle of PEM certificates"
    raise UsageError(
        f"{variable} is set, but {path} {problem}",
        hint=f"correct {variable}, or unset it to trust the system's certificates",
    )


# A server in this process


class InProcess(httpx.BaseTransport):
    """Passes requests to `handle`, a server in the same process.

    `request` creates the argument of `handle` from method, path, query, headers (names in lower
    case) and body. `handle` returns a value with `status`, `headers` (pairs, including
    `content-length`) and `body`.
    """

    def __init__(self, handle: Callable[[Any], Any], *, request: Callable[..., Any]) -> None:
        self._handle = handle
        self._request = request

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass one request to the server."""
        response = self.respond(request)
        # A stream, which can be read only once, as over a connection.
        content = iter((response.body,))
        return httpx.Response(response.status, headers=list(response.headers), content=content)

    def respond(self, request: httpx.Request) -> Any:
        """Return the server's response."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        return self._handle(
            self._request(
                method=request.method,
                path=path,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            )
        )
