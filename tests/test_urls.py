"""The host of a URL is read in one way, and not at all if programs disagree about it."""

from __future__ import annotations

import pytest

from reconciler.model import origin_of, with_ascii_host

CYRILLIC = "g\u043e\u043ed.example"
"""`good.example` with two Cyrillic letters."""


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("good.example", "good.example"),
        ("Good.Example.:8443", "good.example"),
        ("user:p%40ss@good.example", "good.example"),
        ("my_service", "my_service"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[0:0::1]:80", "[::1]"),
        (CYRILLIC, "xn--gd-fmca.example"),
        ("xn--gd-fmca.example", "xn--gd-fmca.example"),
        ("fa\xdf.example", "xn--fa-hia.example"),
        ("good\u3002example", "good.example"),
        # invalid, or read differently by other programs
        ("good.example\u2044x.evil.com", None),
        ("good.example\uff0fx.evil.com", None),
        ("good.example\\.evil.com", None),
        ("good.example\\@evil.com", None),
        ("good.example@x@evil.com", None),
        ("good.example%2f.evil.com", None),
        ("good.example:80.evil.com", None),
        ("good.example:a", None),
        ("-good.example", None),
        ("good..example", None),
        ("good.example..", None),
        ("a" * 64, None),
        ("a." * 127 + "aa", None),
        ("\u0430" * 300, None),
        ("2130706433", None),
        ("0x7f.1", None),
        ("127.0.0.1.", "127.0.0.1"),
        ("[::1", None),
        ("[::1%25eth0]", None),
        ("[good.example]", None),
        ("", None),
        ("user@", None),
    ],
)
def test_the_host_is_ascii_or_refused(authority: str, host: str | None) -> None:
    """A host is labels or an address; others have no origin."""
    expected = None if host is None else f"https://{host}"
    assert origin_of(f"https://{authority}") == expected
    assert origin_of(f"HTTPS://{authority}/path@x?y#z") == expected
    assert origin_of(f"ftp://{authority}") is None


@pytest.mark.parametrize("rest", ["", ":444/a?b=%20#c", "/\u043e"])
def test_only_the_host_of_a_url_changes(rest: str) -> None:
    """User, port and path stay; a URL without an origin stays as it is."""
    assert with_ascii_host(f"https://{CYRILLIC}{rest}") == f"https://xn--gd-fmca.example{rest}"
    for url in ("https://good.example", f"ftp://{CYRILLIC}", f"https://{CYRILLIC}%"):
        assert with_ascii_host(url + rest) == url + rest
