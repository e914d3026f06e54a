"""Which certificates are trusted: the system's, or what the usual variables name.

Promises: verification is never off; a variable that names nothing usable is a clear error.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""The variables that replace the system's certificates; the first that is set counts."""

_CLOCK: Final = "check this machine's clock; if it is right, the server needs a new certificate"
_HOST: Final = (
    "check the host in the server URL; a proxy or a login page may also answer in its place"
)
_ISSUER: Final = (
    "if a proxy on your network re-signs TLS, set "
    f"{', '.join(VARIABLES[:-1])} or {VARIABLES[-1]} to its CA certificate"
)
# By OpenSSL's verification codes.
_FLAWS: Final = {
    9: ("it is not valid yet", _CLOCK),
    10: ("it has expired", _CLOCK),
    18: ("it is self-signed", _ISSUER),
    62: ("it is for another host", _HOST),
    64: ("it is for another address", _HOST),
}


def certificate_flaw(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Return why a certificate is not trusted, and what to do about it."""
    code = getattr(error, "verify_code", 0)
    return _FLAWS.get(code, ("this machine does not trust its issuer", _ISSUER))


def context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Make the context that all connections of a client share. Raises UsageError."""
    for name in VARIABLES:
        if environment.get(name):
            return _named(name, Path(environment[name]))
    found = ssl.create_default_context()
    if not found.cert_store_stats()["x509_ca"]:
        # A system without a bundle, as some containers and macOS installations are.
        import certifi

        found.load_verify_locations(cafile=certifi.where())
    return found


def bare() -> ssl.SSLContext:
    """Make a context that trusts nobody, for plain connections to this machine: it is cheap."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _named(name: str, path: Path) -> ssl.SSLContext:
    problem = "does not exist"
    if path.exists():
        try:
            if path.is_dir():
                return ssl.create_default_context(capath=str(path))
            return ssl.create_default_context(cafile=str(path))
        except OSError:
            problem = "cannot be read as a bundle of PEM certificates"
    raise UsageError(
        f"{name} is set, but {path} {problem}",
        hint=f"correct {name}, or unset it to trust the system's certificates",
    )
