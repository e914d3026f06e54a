"""The way to a server, step by step: its name, a connection, a certificate that is trusted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Final, Protocol

_TIMEOUT: Final = 10.0

_FLAWS: Final = {
    9: "it is not valid yet: is this machine's clock right?",
    10: "it has expired, or this machine's clock is wrong",
    18: "it is signed by nobody but itself",
    19: "its authority is not trusted here",
    20: "its authority is not trusted here",
    21: "its authority is not trusted here",
    62: "it is for another name",
    64: "it is for another address",
}
"""What OpenSSL's verification codes mean."""


class Probe(Protocol):
    """Looks at the way to a server."""

    def addresses(self, host: str, port: int) -> int:
        """Return how many addresses `host` has. Raises OSError."""
        ...

    def handshake(self, host: str, port: int) -> str:
        """Make a TLS connection and return its version. Raises OSError, CertificateError."""
        ...


class CertificateError(Exception):
    """The server's certificate is not trusted; the message says why, in our words."""


class SystemProbe:
    """Looks with this machine's own resolver, sockets and certificates.

    `environment` holds the variables that name certificates.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def addresses(self, host: str, port: int) -> int:
        """Resolve a name."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return len({each[4][0] for each in found})

    def handshake(self, host: str, port: int) -> str:
        """Connect and check the certificate. Raises UsageError for useless certificates of ours."""
        from reconciler.api import tls

        context = tls.context(self._environment)
        try:
            with (
                socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                return secured.version() or "TLS"
        except ssl.SSLCertVerificationError as problem:
            flaw = _FLAWS.get(problem.verify_code, "it cannot be verified")
        raise CertificateError(flaw)
