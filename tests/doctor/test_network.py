"""The checks of the connection to the server."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import certifi
import pytest

from reconciler.api.connections import bypassed, proxy_for
from reconciler.api.origin import Origin
from reconciler.checks import Check
from reconciler.doctor.network import check_network
from tests.served import closed_port

NAMELESS = "https://no-such-host.invalid"


def checks(url: str = NAMELESS, **environ: str) -> dict[str, Check]:
    """Run the checks of a connection; return the last check of each name."""
    return {each.name: each for each in check_network(Origin.parse(url), environ)}


def statuses(url: str = NAMELESS, **environ: str) -> dict[str, str]:
    found = checks(url, **environ)
    return {name: f"{each.status} {each.detail}" for name, each in found.items()}


def test_http_to_this_machine() -> None:
    """Plain http has no proxy and no certificates."""
    found = statuses("http://127.0.0.1:8080", HTTPS_PROXY="http://p")
    assert found == {"proxy": "ok plain http to this machine: no proxy, no certificates"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "ok none: direct connection"),
        ({"HTTPS_PROXY": "http://me:canary@proxy.example:3128"},
         "ok requests go through the proxy in HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://"}, "fail HTTPS_PROXY is not the address of a proxy"),
        ({"HTTPS_PROXY": "http://[::1"}, "fail HTTPS_PROXY is not the address of a proxy"),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": "localhost, .invalid"},
         "ok NO_PROXY excludes this server: direct connection"),
    ],
)  # fmt: skip
def test_proxies(environ: dict[str, str], expected: str) -> None:
    """Behind a proxy, DNS and TLS are not checked; its user and password are never shown."""
    assert statuses(**environ)["proxy"] == expected
    if "through" in expected:
        assert statuses(**environ)["tls"] == "unknown not checked: uses the proxy"
        assert checks(**environ)["proxy"].aside == "http://proxy.example:3128"
        assert "canary" not in repr(checks(**environ))


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


def test_certificates_of_a_variable() -> None:
    """The used variable is named, with its path as a detail; variables of other programs are a
    warning.
    """
    assert statuses()["ca"] == "ok trusting the system's certificates"
    ours = checks(SSL_CERT_FILE=certifi.where(), CURL_CA_BUNDLE="/x.pem")["ca"]
    assert ours.detail == "trusting the certificates in SSL_CERT_FILE"
    assert ours.aside == certifi.where()
    assert statuses(CURL_CA_BUNDLE="/x.pem")["ca"].startswith("warn CURL_CA_BUNDLE is set")
    unusable = checks(REQUESTS_CA_BUNDLE="/canary/nowhere.pem")
    assert str(unusable["ca"].status) == "fail"
    assert "canary" not in unusable["ca"].detail + str(unusable["ca"].fix)
    assert str(unusable["tls"].status) == "unknown"


def test_an_unknown_host() -> None:
    """The system's own resolver is used."""
    assert statuses()["dns"] == "fail the server's name cannot be resolved"


def test_a_closed_port() -> None:
    """The fix mentions the URL and firewalls."""
    with closed_port() as url:
        found = checks(url.replace("http://", "https://"))["tls"]
    assert found.detail == "the connection was refused or closed"
    assert found.fix


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    """A server that only does TLS handshakes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), plain, context.wrap_socket(plain, server_side=True):
                    pass

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    with closing(listener):
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def test_server_certificates(certificate: Path, tls_port: int) -> None:
    """A known one is trusted; otherwise the check has the reason."""

    def detail(host: str, authority: str) -> str:
        return statuses(f"https://{host}:{tls_port}", SSL_CERT_FILE=authority)["tls"]

    assert detail("localhost", str(certificate)).startswith("ok TLSv1")
    assert "self-signed" in detail("localhost", certifi.where())
    assert "for another address" in detail("127.0.0.1", str(certificate))


def test_a_server_without_tls() -> None:
    """Plain text on the port is distinguished from an untrusted certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        found = statuses(f"https://127.0.0.1:{listener.getsockname()[1]}")
    assert found["tls"] == "fail the server cannot be reached: this port does not use TLS"
