"""The origins that may receive a credential, and valid credentials."""

from __future__ import annotations

import httpx
import pytest

from reconciler.api.origin import Credential, Origin, authorization
from reconciler.errors import CredentialError, UsageError
from reconciler.model import Secret


@pytest.mark.parametrize(
    ("url", "shown", "base"),
    [
        ("https://api.cloudtruth.io", "https://api.cloudtruth.io", ""),
        ("https://API.CloudTruth.io:443/", "https://api.cloudtruth.io", ""),
        ("https://api.example.com:8443", "https://api.example.com:8443", ""),
        ("https://ghe.example.com/api/v3/", "https://ghe.example.com", "/api/v3"),
        ("http://localhost:8000", "http://localhost:8000", ""),
        ("http://app.localhost", "http://app.localhost", ""),
        ("http://127.0.0.2", "http://127.0.0.2", ""),
        ("http://[::1]:8000", "http://[::1]:8000", ""),
        ("https://10.0.0.1", "https://10.0.0.1", ""),
    ],
)
def test_an_origin_has_one_form(url: str, shown: str, base: str) -> None:
    """Case, default ports and trailing slashes make no difference."""
    origin = Origin.parse(url)
    assert (str(origin), origin.base) == (shown, base)
    assert origin.is_origin_of(httpx.URL(f"{url.rstrip('/')}/anything?x=1"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.cloudtruth.io",
        "ftp://api.cloudtruth.io",
        "https://",
        "https://bad host",
        "https://-bad.example",
        f"https://{'a' * 64}.example",
        "https://example.com:99999",
        "https://example.com:0",
        "https://[::1",
        "https://user-canary:pw@example.com",
        "https://@example.com",
        "https://example.com?canary=1",
        "https://example.com/?",
        "https://example.com/#canary",
        "https://example.com/a b",
        "https://example.com/../canary",
        "http://example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
    ],
)
def test_an_invalid_url_is_rejected_without_quoting_it(url: str) -> None:
    """A valid URL is https (or http to this machine) with a host, optionally a port and a path."""
    with pytest.raises(UsageError) as caught:
        Origin.parse(url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["key", "key\n", "key\r\n"])
def test_one_trailing_newline_is_stripped_from_a_key(text: str) -> None:
    """A key that was read from a file is a valid header without its trailing newline."""
    assert Credential.api_key(Secret(text)).secret == Secret("key")


@pytest.mark.parametrize(
    "text", ["", "\n", "key canary", " canary", "canary\n\n", "canary\r\nX: 1", "canäry", "c\x00"]
)
def test_an_invalid_key_is_rejected_without_quoting_it(text: str) -> None:
    """A value that is invalid in a header never reaches the HTTP library, which would quote it."""
    with pytest.raises(CredentialError) as caught:
        Credential.api_key(Secret(text))
    assert "can" not in str(caught.value).replace("can be", "")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://api.cloudtruth.io/x",
        "https://api.cloudtruth.io:444/x",
        "https://api.cloudtruth.io.evil.example/x",
    ],
)
def test_other_origins_never_receive_the_credential(url: str) -> None:
    """A request to a different host, scheme or port is never sent."""
    origin = Origin.parse("https://api.cloudtruth.io")
    add = authorization(Credential.of("Bearer", Secret("t-canary"), "Slack token"), origin)
    with pytest.raises(CredentialError, match="Slack token") as caught:
        add(httpx.Request("GET", url))
    assert "canary" not in str(caught.value)
