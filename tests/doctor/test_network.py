"""The checks of the proxy and the certificates."""

from __future__ import annotations

import pytest

from reconciler.api.origin import Origin
from reconciler.doctor.service import check_network

PROXY = "http://me:canary@proxy.example:3128"
DIRECT = "ok NO_PROXY excludes this server: direct connection"
USED = "ok requests go through the proxy in "
SHOWN = f"{USED}HTTPS_PROXY (http://proxy.example:3128)"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "ok none: direct connection"),
        ({"HTTP_PROXY": PROXY}, "ok none: direct connection"),
        ({"HTTPS_PROXY": PROXY}, SHOWN),
        ({"HTTPS_PROXY": "http://"}, f"{USED}HTTPS_PROXY"),
        ({"HTTPS_PROXY": "proxy:8080"}, f"{USED}HTTPS_PROXY (http://proxy:8080)"),
        # Lower case wins, then the specific one over ALL_PROXY.
        ({"https_proxy": "http://a", "HTTPS_PROXY": PROXY}, f"{USED}https_proxy (http://a)"),
        ({"HTTPS_PROXY": "http://a", "ALL_PROXY": PROXY}, f"{USED}HTTPS_PROXY (http://a)"),
        ({"ALL_PROXY": "socks5://[::1]:1080"}, f"{USED}ALL_PROXY (socks5://[::1]:1080)"),
        # A name excludes itself and its subdomains.
        *[({"HTTPS_PROXY": PROXY, "NO_PROXY": each}, DIRECT)
          for each in ("*", "example", ".example", "a.example:443", "localhost, .example")],
        *[({"HTTPS_PROXY": PROXY, "NO_PROXY": each}, SHOWN)
          for each in ("ample", "", " , ")],
        ({}, "ok uses the system's certificates"),
        ({"SSL_CERT_FILE": "/x.pem", "CURL_CA_BUNDLE": "/y.pem"},
         "ok uses the certificates in SSL_CERT_FILE (/x.pem)"),
        ({"CURL_CA_BUNDLE": "/y.pem"},
         "warn CURL_CA_BUNDLE is set, but webhooks does not read it"),
    ],
)  # fmt: skip
def test_proxy_and_certificates(environ: dict[str, str], expected: str) -> None:
    """The variables in use are shown; the user and password of a proxy never are."""
    checks = [*check_network(Origin.parse("https://a.example"), environ)]
    lines = [
        f"{each.status} {each.detail}" + (f" ({each.private})" if each.private else "")
        for each in checks
    ]
    assert expected in lines
    assert "canary" not in repr(checks)


def test_http_to_this_machine() -> None:
    """Plain http has no proxy and no certificates."""
    (found,) = check_network(Origin.parse("http://127.0.0.1:8080"), {"HTTPS_PROXY": "http://p"})
    assert found.detail == "plain http to this machine: no proxy, no certificates"
