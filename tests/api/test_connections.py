"""The certificates that a connection trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from reconciler.api.connections import CA_VARIABLES, Shared
from reconciler.api.origin import Network
from reconciler.errors import UsageError
from reconciler.ports import SystemClock


def tls_context(environment: dict[str, str]) -> ssl.SSLContext:
    """Return the context of a run with these variables."""
    network = Network(clock=SystemClock(), environment=environment)
    return Shared(network).tls_context(secure=True)


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
