"""Checks of the connection to the server: proxy, certificates, name, TLS handshake."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.api.attempt import SERVER_URL, certificate_flaw, handshake_flaw
from reconciler.api.connections import (
    CA_VARIABLES,
    PROXY_VARIABLES,
    bypassed,
    proxy_for,
    tls_context,
)
from reconciler.api.origin import Origin
from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.errors import UsageError
from reconciler.render.quote import quote

_TIMEOUT: Final = 10.0
_NOT_READ: Final = ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_CHECK_PORT: Final = (
    f"check {SERVER_URL}, and that a firewall allows https; behind a proxy, set HTTPS_PROXY"
)


def check_network(origin: Origin, environ: Mapping[str, str]) -> tuple[Check, ...]:
    """Check each step of a connection to `origin`: proxy, certificates, name and TLS."""
    if origin.scheme != "https":
        return (ok("proxy", "plain http to this machine: no proxy, no certificates"),)
    checks = [_proxy(origin.host, environ), *_certificates(environ)]
    if proxy_for(origin.host, environ) is not None:
        return (*checks, unknown("tls", "not checked: uses the proxy"))
    return (*checks, _tls(origin, environ))


def _proxy(host: str, environ: Mapping[str, str]) -> Check:
    found = proxy_for(host, environ)
    if found is not None and found.address is None:
        return fail(
            "proxy",
            f"{found.variable} is not the address of a proxy",
            fix=f"set {found.variable} as in http://proxy.example.com:3128, or unset it",
        )
    if found is not None:
        said = f"requests go through the proxy in {found.variable}"
        return ok("proxy", said, aside=found.address)
    if any(environ.get(name) for name in PROXY_VARIABLES) and bypassed(host, environ):
        return ok("proxy", "NO_PROXY excludes this server: direct connection")
    return ok("proxy", "none: direct connection")


def _certificates(environ: Mapping[str, str]) -> list[Check]:
    named = next((name for name in CA_VARIABLES if environ.get(name)), None)
    if named is None:
        text = "is set, but webhooks does not read it"
        ignored = [
            warn("ca", f"{name} {text}", fix=f"set {CA_VARIABLES[0]} to the same file")
            for name in _NOT_READ
            if environ.get(name)
        ]
        return [ok("ca", "trusting the system's certificates"), *ignored]
    path = quote(Path(environ[named]).as_posix())
    try:
        tls_context(environ)
    except UsageError as problem:
        return [fail("ca", f"{named} is invalid", fix=problem.hint or "", aside=path)]
    return [ok("ca", f"trusting the certificates in {named}", aside=path)]


def _tls(origin: Origin, environ: Mapping[str, str]) -> Check:
    try:
        context = tls_context(environ)
        with (
            socket.create_connection((origin.host, origin.port), timeout=_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=origin.host) as secured,
        ):
            return ok("tls", f"{secured.version() or 'TLS'}, the certificate is trusted")
    except (socket.gaierror, UnicodeError):
        return fail(
            "dns",
            "the server's name cannot be resolved",
            fix=f"check {SERVER_URL} and this machine's DNS; behind a proxy, set HTTPS_PROXY",
        )
    except ssl.SSLCertVerificationError as problem:
        flaw, fix = certificate_flaw(problem)
        return fail("tls", f"the server's certificate is not trusted: {flaw}", fix=fix)
    except ssl.SSLError as problem:
        flaw, fix = handshake_flaw(problem)
        return fail("tls", f"the server cannot be reached: {flaw}", fix=fix)
    except UsageError:
        return unknown("tls", "not checked: this machine's certificates are invalid")
    except TimeoutError:
        return fail("tls", f"no connection within {_TIMEOUT:g} s", fix=_CHECK_PORT)
    except OSError:
        return fail("tls", "the connection was refused or closed", fix=_CHECK_PORT)
