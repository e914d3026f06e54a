"""The checks of the proxy and the certificates."""

from __future__ import annotations

import pytest

from reconciler.api.connections import bypassed, proxy_for
from reconciler.api.origin import Origin
from reconciler.doctor.service import check_network

PROXY = "http://me:canary@proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "ok none: direct connection"),
        ({"HTTPS_PROXY": PROXY},
         "ok requests go through the proxy in HTTPS_PROXY (http://proxy.example:3128)"),
        ({"HTTPS_PROXY": "http://"}, "ok requests go through the proxy in HTTPS_PROXY"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost, .invalid"},
         "ok NO_PROXY excludes this server: direct connection"),
        ({}, "ok uses the system's certificates"),
        ({"SSL_CERT_FILE": "/x.pem", "CURL_CA_BUNDLE": "/y.pem"},
         "ok uses the certificates in SSL_CERT_FILE (/x.pem)"),
        ({"CURL_CA_BUNDLE": "/y.pem"},
         "warn CURL_CA_BUNDLE is set, but webhooks does not read it"),
    ],
)  # fmt: skip
def test_proxy_and_certificates(environ: dict[str, str], expected: str) -> None:
    """The used variables are named; the user and password of a proxy are never shown."""
    checks = [*check_network(Origin.parse("https://no-such-host.invalid"), environ)]
    lines = [
        f"{each.status} {each.detail}" + (f" ({each.aside})" if each.aside else "")
        for each in checks
    ]
    assert expected in lines
    assert "canary" not in repr(checks)


def test_http_to_this_machine() -> None:
    """Plain http has no proxy and no certificates."""
    (found,) = check_network(Origin.parse("http://127.0.0.1:8080"), {"HTTPS_PROXY": "http://p"})
    assert found.detail == "plain http to this machine: no proxy, no certificates"


@pytest.mark.parametrize(
    ("environ", "variable", "address"),
    [
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "https_proxy", "http://a"),
        ({"ALL_PROXY": "socks5://[::1]:1080"}, "ALL_PROXY", "socks5://[::1]:1080"),
        ({"HTTPS_PROXY": "proxy:8080"}, "HTTPS_PROXY", "http://proxy:8080"),
    ],
)
def test_precedence_of_proxy_variables(
    environ: dict[str, str], variable: str, address: str
) -> None:
    """Lower case wins, then the specific one over ALL_PROXY; HTTP_PROXY is not for https."""
    proxy = proxy_for("api.cloudtruth.io", {**environ, "HTTP_PROXY": "http://other"})
    assert proxy is not None
    assert (proxy.variable, proxy.address) == (variable, address)


@pytest.mark.parametrize(
    ("listed", "host", "out"),
    [
        ("*", "a.example", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        ("a.example:443", "a.example", True),
        ("ample", "a.example", False),
        ("", "a.example", False),
        (" , ", "a.example", False),
    ],
)
def test_hosts_excluded_by_no_proxy(listed: str, host: str, out: bool) -> None:
    """A name excludes itself and its subdomains."""
    assert bypassed(host, {"no_proxy": listed}) is out
