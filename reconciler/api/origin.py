"""The server that a client talks to, the way to it, and the credential sent only to it.

A credential is added only to requests to its own origin, over https or to this machine. A malformed
credential is rejected before it is passed to a library, because libraries quote invalid headers in
errors.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from reconciler.errors import ApiError, CredentialError, UsageError
from reconciler.model import Secret, origin_of

if TYPE_CHECKING:  # settings check the URL of a server without loading the HTTP library
    import httpx

    from reconciler.api.attempt import Observer
    from reconciler.api.connections import Adapter, Shared
    from reconciler.api.wire import Redactor
    from reconciler.ports import Clock

MORE_TIME_HINT: Final = "allow more time with --deadline"
LONGER_REQUEST_HINT: Final = "allow more time with --timeout"
LATER_HINT: Final = f"run again later, or {MORE_TIME_HINT}"
OPTION_HINTS: Final = frozenset((MORE_TIME_HINT, LONGER_REQUEST_HINT, LATER_HINT))
"""The hints that name an option of the command line."""
WRONG_SERVER_HINT: Final = "check the server URL: a proxy or another server may be responding"
PROXY_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The variables that name a proxy; the first one that is not empty is used."""
PROXY_HINT: Final = "check the variables HTTPS_PROXY, ALL_PROXY and NO_PROXY"
DEFAULT_SERVER: Final = "https://api.cloudtruth.io"
DEFAULT_TIMEOUT: Final = 30.0
DEFAULT_DEADLINE: Final = 600.0
_SERVER_URL: Final = "the server URL (--server-url, CLOUDTRUTH_SERVER_URL)"
"""The setting of CloudTruth's URL."""
_BASE: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_PORTS: Final = {"http": 80, "https": 443}


class Pause(NamedTuple):
    """A wait before the next attempt, in seconds, because of `error`."""

    seconds: float
    error: ApiError


class Network(NamedTuple):
    """How requests reach a server."""

    clock: Clock
    timeout: float = DEFAULT_TIMEOUT
    """The limit of one request, in seconds."""
    deadline: float = DEFAULT_DEADLINE
    """The time of this client, in seconds, unless it is `shared`."""
    environment: Mapping[str, str] = MappingProxyType({})
    """The variables that name certificates."""
    observer: Observer | None = None
    """Called after every attempt and before every wait."""
    adapter: Adapter | None = None
    """Receives the requests instead of the network: no thread is started, no certificate is read
    and no proxy is used."""
    shared: Shared | None = None
    """What the clients of one run share."""
    redactor: Redactor | None = None
    """Knows the secrets of the process; without it, the client knows only its own."""

    def __repr__(self) -> str:
        return "Network()"  # the environment may have secrets


class Origin(NamedTuple):
    """Scheme, host and port of a server, and the base path of its API.

    `setting` is the name of the setting that holds the URL, for messages.
    """

    scheme: str
    host: str
    port: int
    base: str = ""
    setting: str = _SERVER_URL

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> str:
        """The server in messages: the host, and the port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port == _PORTS[self.scheme]:
            return host
        return f"{host}:{self.port}"

    @classmethod
    def parse(
        cls, url: str, setting: str = _SERVER_URL, *, example: str = DEFAULT_SERVER
    ) -> Origin:
        """Parse a server's URL.

        It must have the scheme https (http only for this machine), a host, and optionally a port
        and a plain path. Raises UsageError; the message names the setting, and does not quote the
        URL. The hint shows `example`.
        """
        origin = origin_of(url)
        if origin is None:
            raise UsageError(
                f"{setting} is not an absolute https URL", hint=f"use a URL such as {example}"
            )
        parts, host = urlsplit(url), origin.partition("://")[2].strip("[]")
        # Not by the parsed parts: the empty query of `https://host?` would not be noticed.
        if "@" in parts.netloc or "?" in url or "#" in url:
            raise UsageError(
                f"{setting} contains a username, a query or a fragment",
                hint=f"use a URL such as {example}; credentials have their own settings",
            )
        base = parts.path.rstrip("/")
        # Dots in a path would be resolved by the library, to another path than was checked.
        if not _BASE.fullmatch(base) or not {".", ".."}.isdisjoint(base.split("/")):
            raise UsageError(
                f"the path of {setting} contains characters that are not allowed",
                hint=f"use a URL such as {example}",
            )
        if parts.scheme == "http" and not _is_loopback(host):
            raise UsageError(
                f"{setting} is plain http, which would expose the credential on the network",
                hint="use https; only this machine (localhost, 127.0.0.1, [::1]) may use http",
            )
        port = parts.port or _PORTS[parts.scheme]
        return cls(scheme=parts.scheme, host=host, port=port, base=base, setting=setting)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return _is_loopback(self.host)

    def is_origin_of(self, url: httpx.URL) -> bool:
        """Return whether a URL is on this server."""
        port = url.port or _PORTS.get(url.scheme)
        host = url.raw_host.decode()  # `host` would have the letters of an `xn--` name
        return (url.scheme, host, port) == (self.scheme, self.host, self.port)


class Credential(NamedTuple):
    """The value of the `Authorization` header. `label` is its name in messages."""

    scheme: str
    secret: Secret
    label: str

    @classmethod
    def api_key(cls, key: Secret, label: str = "API key") -> Credential:
        """Return the credential of a CloudTruth API key. Raises CredentialError."""
        return cls.of("Api-Key", key, label)

    @classmethod
    def of(cls, scheme: str, secret: Secret, label: str) -> Credential:
        """Return a credential; one newline at the end is removed. Raises CredentialError."""
        text = secret.reveal()
        # Files and variables often end with one; the library would quote such a header in an error.
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise CredentialError(f"the {label} is empty", hint=f"set the {label} again")
        if not re.fullmatch(r"[\x21-\x7e]+", text):
            raise CredentialError(
                f"the {label} contains spaces, line breaks or non-ASCII characters",
                hint="copy it again, without other text around it",
            )
        return cls(scheme=scheme, secret=Secret(text), label=label)


def authorization(
    credential: Credential, origin: Origin
) -> Callable[[httpx.Request], httpx.Request]:
    """Return a function that adds a credential to a request.

    The function raises CredentialError for another origin.
    """

    def add(request: httpx.Request) -> httpx.Request:
        # On the request itself, as it is about to be sent, however it was built.
        if not origin.is_origin_of(request.url):
            raise CredentialError(
                f"the {credential.label} is for {origin} and was not sent elsewhere"
            )
        request.headers["Authorization"] = f"{credential.scheme} {credential.secret.reveal()}"
        return request

    return add


def _is_loopback(host: str) -> bool:
    # RFC 6761 reserves these names for this machine.
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# The proxy


class Proxy(NamedTuple):
    """The variable that names a proxy, and the proxy without user and password.

    `address` is None if the value is not a URL.
    """

    variable: str
    address: str | None


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy of https requests to `host`, None for a direct connection."""
    named = next((name for name in PROXY_VARIABLES if environ.get(name)), None)
    if named is None or _bypassed(host, environ):
        return None
    return Proxy(variable=named, address=_proxy_address(environ[named]))


def _bypassed(host: str, environ: Mapping[str, str]) -> bool:
    """Return whether NO_PROXY excludes `host`."""
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(entry.strip().lower(), host) for entry in listed.split(","))


def _covers(entry: str, host: str) -> bool:
    entry = entry.removesuffix(":443")
    # `.example.com` is only the hosts below it, `example.com` also the host itself.
    if entry.startswith("."):
        return host.endswith(entry)
    return bool(entry) and (entry == "*" or host == entry or host.endswith(f".{entry}"))


def _proxy_address(url: str) -> str | None:
    """Return scheme, host and port of a proxy."""
    try:
        # Proxies are often written without a scheme, and the library assumes http, too.
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    if port is not None:
        shown += f":{port}"
    return f"{parts.scheme}://{shown}"
