"""The origins that may receive a credential, valid credentials, and trusted certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import httpx
import pytest

from reconciler.api.connections import CA_VARIABLES, Shared
from reconciler.api.origin import Credential, Network, Origin, authorization
from reconciler.errors import CredentialError, UsageError
from reconciler.model import Secret
from reconciler.ports import SystemClock
from tests.goldens import rows


def tls_context(environment: dict[str, str]) -> ssl.SSLContext:
    """Return the context of a run with these variables."""
    network = Network(clock=SystemClock(), environment=environment)
    return Shared(network).tls_context(secure=True)


@pytest.mark.parametrize(("url", "shown", "base"), rows(Path(__file__).with_name("origins.yaml")))
def test_an_origin_has_one_form(url: str, shown: str, base: str) -> None:
    """Case, default ports and trailing slashes make no difference."""
    origin = Origin.parse(url)
    assert (str(origin), origin.base) == (shown, base)
    assert origin.is_origin_of(httpx.URL(f"{url.rstrip('/')}/anything?x=1"))


@pytest.mark.parametrize("url", rows(Path(__file__).with_name("invalid_origins.yaml")))
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


@pytest.mark.parametrize("url", rows(Path(__file__).with_name("other_origins.yaml")))
def test_other_origins_never_receive_the_credential(url: str) -> None:
    """A request to a different host, scheme or port is never sent."""
    origin = Origin.parse("https://api.cloudtruth.io")
    add = authorization(Credential.of("Bearer", Secret("t-canary"), "Slack token"), origin)
    with pytest.raises(CredentialError, match="Slack token") as caught:
        add(httpx.Request("GET", url))
    assert "canary" not in str(caught.value)


def test_system_certificates_are_trusted_and_verification_is_on() -> None:
    """By default the system's authorities are trusted and host names are checked."""
    found = tls_context({"SSL_CERT_FILE": ""})
    assert found.cert_store_stats()["x509_ca"] > 0
    assert found.verify_mode is ssl.CERT_REQUIRED
    assert found.check_hostname


def test_a_system_without_certificates_gets_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a minimal container, the certificates of certifi are trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/file")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere/directory")
    assert tls_context({}).cert_store_stats()["x509_ca"] > 0


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_each_variable_replaces_the_system_certificates(name: str, tmp_path: Path) -> None:
    """The variable has the path of a file or a directory."""
    bundle = tmp_path / "one.pem"
    text = Path(certifi.where()).read_text("utf-8")
    end = "-----END CERTIFICATE-----"
    bundle.write_text(text[text.index("-----BEGIN") : text.index(end)] + end + "\n")
    assert tls_context({name: str(bundle)}).cert_store_stats()["x509"] == 1
    assert tls_context({name: str(tmp_path)}).cert_store_stats()["x509"] == 0


def test_the_first_variable_wins() -> None:
    """SSL_CERT_FILE takes precedence over the other variables."""
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        tls_context({"REQUESTS_CA_BUNDLE": certifi.where(), "SSL_CERT_FILE": "/nowhere"})


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_certificate_variable_is_an_error(content: str | None, tmp_path: Path) -> None:
    """The error names the variable and the path."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="REQUESTS_CA_BUNDLE") as caught:
        tls_context({"REQUESTS_CA_BUNDLE": str(path)})
    assert "ca.pem" in str(caught.value)
