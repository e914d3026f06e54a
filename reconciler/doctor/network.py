"""The way to the server: proxy, certificates, name, TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.api.proxies import VARIABLES as PROXY_VARIABLES
from reconciler.api.proxies import bypassed, proxy_for
from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.doctor.probe import CertificateError, Probe
from reconciler.errors import UsageError
from reconciler.render.quote import quote

if TYPE_CHECKING:
    from reconciler.api.origin import Origin

_NOT_READ: Final = ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def way(origin: Origin, environ: Mapping[str, str], probe: Probe) -> tuple[Check, ...]:
    """Look at the way to `origin`."""
    if origin.scheme != "https":
        return (ok("proxy", "plain http to this machine, without proxy and certificates"),)
    checks = [_proxy(origin.host, environ), *_certificates(environ)]
    if proxy_for(origin.host, environ) is not None:
        return (*checks, unknown("dns", "the proxy finds the server"))
    name = _name(origin, probe)
    checks.append(name)
    if name.fix is None:
        checks.append(_tls(origin, probe))
    return tuple(checks)


def _proxy(host: str, environ: Mapping[str, str]) -> Check:
    found = proxy_for(host, environ)
    if found is not None and found.address is None:
        return fail(
            "proxy",
            f"{found.variable} names no address of a proxy",
            fix=f"write {found.variable} as in http://proxy.example.com:3128, or unset it",
        )
    if found is not None:
        return ok("proxy", f"requests go through that of {found.variable}", aside=found.address)
    if any(environ.get(name) for name in PROXY_VARIABLES) and bypassed(host, environ):
        return ok("proxy", "NO_PROXY takes this server out: requests go straight")
    return ok("proxy", "none is set: requests go straight")


def _certificates(environ: Mapping[str, str]) -> list[Check]:
    from reconciler.api import tls

    checks = []
    named = next((name for name in tls.VARIABLES if environ.get(name)), None)
    if named is None:
        checks.append(ok("ca", "the system's certificates are trusted"))
    else:
        path = quote(Path(environ[named]).as_posix())
        try:
            tls.context(environ)
        except UsageError as problem:
            checks.append(
                fail("ca", f"{named} names nothing usable", fix=problem.hint or "", aside=path)
            )
        else:
            checks.append(ok("ca", f"{named} says which certificates are trusted", aside=path))
    ignored = [name for name in _NOT_READ if environ.get(name)]
    if ignored and named is None:
        checks.append(
            warn(
                "ca",
                f"{' and '.join(ignored)} is set, and means nothing to webhooks",
                fix=f"set {tls.VARIABLES[0]} to the same file",
            )
        )
    return checks


def _name(origin: Origin, probe: Probe) -> Check:
    try:
        count = probe.addresses(origin.host, origin.port)
    except (OSError, UnicodeError):
        return fail(
            "dns",
            "the server's name is not found",
            fix="check the server URL and this machine's name service; behind a proxy, set "
            "HTTPS_PROXY",
        )
    return ok("dns", f"the server's name is found, addresses: {count}")


def _tls(origin: Origin, probe: Probe) -> Check:
    from reconciler.api import tls

    try:
        return ok("tls", f"{probe.handshake(origin.host, origin.port)}, a trusted certificate")
    except CertificateError as flaw:
        return fail("tls", f"the server's certificate is not trusted: {flaw}", fix=tls.HINT)
    except UsageError:
        return unknown("tls", "not tried: the certificates of this machine are not usable")
    except ssl.SSLError:
        return fail(
            "tls",
            "the server speaks no TLS that we accept",
            fix="check the server URL and its port; " + tls.HINT,
        )
    except TimeoutError:
        return fail("tls", "no connection in time", fix=_OPEN_PORT)
    except OSError:
        return fail("tls", "the connection is refused or broken off", fix=_OPEN_PORT)


_OPEN_PORT: Final = (
    "check the server URL, and that a firewall lets https out; behind a proxy, set HTTPS_PROXY"
)
