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
from reconciler.doctor.network import check_network, tls_handshake
from reconciler.errors import UsageError

HTTPS = Origin.parse("https://api.cloudtruth.io")


def details(problem: Exception | None = None, **environ: str) -> dict[str, str]:
    return {each.name: f"{each.status} {each.detail}" for each in found(problem, **environ)}


def found(problem: Exception | None = None, **environ: str) -> tuple[Check, ...]:
    """Check a connection whose handshake succeeds, or fails with `problem`."""

    def handshake(host: str, port: int) -> str:
        if problem is not None:
            raise problem
        return "TLSv1.3"

    return check_network(HTTPS, environ, handshake)


def test_every_step_is_reported() -> None:
    """Proxy, certificates and TLS each have a line."""
    assert details() == {
        "proxy": "ok none: direct connection",
        "ca": "ok the system's certificates are trusted",
        "tls": "ok TLSv1.3, the certificate is trusted",
    }


def test_http_to_this_machine() -> None:
    """Plain http has neither proxy nor certificates."""
    (only,) = check_network(Origin.parse("http://127.0.0.1:8080"), {"HTTPS_PROXY": "http://p"})
    assert "plain http" in only.detail


def test_a_proxy_finds_the_server_itself() -> None:
    """Behind a proxy, name and TLS are not looked at from here."""
    checks = details(OSError(), HTTPS_PROXY="http://me:canary@proxy.example:3128")
    assert checks["proxy"] == "ok requests go through the proxy of HTTPS_PROXY"
    assert checks["tls"] == "unknown the proxy connects to the server"


def test_user_and_password_of_a_proxy_are_never_told() -> None:
    """Neither the screen nor the report shows them; the address is an aside."""
    proxy = found(HTTPS_PROXY="http://me:canary@proxy.example:3128")[0]
    assert proxy.aside == "http://proxy.example:3128"
    assert "canary" not in repr(proxy)


@pytest.mark.parametrize("value", ["http://", "http://[::1", "http://x:y"])
def test_a_proxy_that_is_none(value: str) -> None:
    """A value that is no address is a failure which names the variable."""
    assert details(HTTPS_PROXY=value)["proxy"] == "fail HTTPS_PROXY is not the address of a proxy"


@pytest.mark.parametrize(
    ("environ", "variable", "address"),
    [
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "https_proxy", "http://a"),
        ({"ALL_PROXY": "socks5://[::1]:1080"}, "ALL_PROXY", "socks5://[::1]:1080"),
        ({"HTTPS_PROXY": "proxy:8080"}, "HTTPS_PROXY", "http://proxy:8080"),
    ],
)
def test_which_proxy_counts(environ: dict[str, str], variable: str, address: str) -> None:
    """Small letters win, the specific one before the one for all."""
    proxy = proxy_for("api.cloudtruth.io", environ)
    assert proxy is not None
    assert (proxy.variable, proxy.address) == (variable, address)


def test_no_proxy() -> None:
    """HTTP_PROXY alone is not for https, and NO_PROXY takes hosts out."""
    assert proxy_for("x.example", {"HTTP_PROXY": "http://a"}) is None
    environ = {"HTTPS_PROXY": "http://a", "NO_PROXY": "localhost, .cloudtruth.io"}
    assert proxy_for("api.cloudtruth.io", environ) is None
    assert "NO_PROXY" in details(**environ)["proxy"]


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
def test_whom_no_proxy_takes_out(listed: str, host: str, out: bool) -> None:
    """A name takes out itself and what lies under it."""
    assert bypassed(host, {"no_proxy": listed}) is out


def test_certificates_by_a_variable() -> None:
    """The variable that counts is named, its path is an aside."""
    ca = found(SSL_CERT_FILE=certifi.where())[1]
    assert ca.detail == "the certificates of SSL_CERT_FILE are trusted"
    assert ca.aside == certifi.where()


def test_certificates_that_are_none() -> None:
    """A variable that names nothing is a failure with the advice to correct it."""
    ca = found(REQUESTS_CA_BUNDLE="/canary/nowhere.pem")[1]
    assert str(ca.status) == "fail"
    assert "canary" not in ca.detail + str(ca.fix)


def test_variables_that_mean_nothing_here() -> None:
    """One that other programs read is warned of, unless one of ours is set."""
    checks = [each for each in found(CURL_CA_BUNDLE="/x.pem") if each.name == "ca"]
    assert [str(each.status) for each in checks] == ["ok", "warn"]
    checks = [
        each
        for each in found(CURL_CA_BUNDLE="/x.pem", SSL_CERT_FILE=certifi.where())
        if each.name == "ca"
    ]
    assert [str(each.status) for each in checks] == ["ok"]


@pytest.mark.parametrize(
    ("problem", "name", "word"),
    [
        (socket.gaierror(), "dns", "cannot be resolved"),
        (UnicodeError(), "dns", "cannot be resolved"),
        (ssl.SSLError(), "tls", "TLS version"),
        (TimeoutError(), "tls", "within 10 s"),
        (ConnectionRefusedError(), "tls", "refused"),
    ],
)
def test_each_way_to_fail(problem: Exception, name: str, word: str) -> None:
    """Name, certificate, TLS, time and port are told apart, each with its fix."""
    last = found(problem)[-1]
    assert (last.name, str(last.status)) == (name, "fail")
    assert word in last.detail
    assert last.fix


def test_useless_certificates_of_ours_are_no_fault_of_the_server() -> None:
    """Then TLS was not tried, and is unknown."""
    assert str(found(UsageError("x"))[-1].status) == "unknown"


def test_names_are_really_looked_up() -> None:
    """The machine's own resolver is used."""
    (*_, last) = check_network(Origin.parse("https://no-such-host.invalid"), {})
    assert (last.name, str(last.status)) == ("dns", "fail")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by nobody but itself, with its key."""
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
    """A server that does nothing but TLS handshakes."""
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


def test_a_certificate_that_is_trusted(certificate: Path, tls_port: int) -> None:
    """A handshake with a known certificate yields the version of TLS."""
    handshake = tls_handshake({"SSL_CERT_FILE": str(certificate)})
    assert handshake("localhost", tls_port).startswith("TLSv1")


def test_a_certificate_that_is_not_trusted(certificate: Path, tls_port: int) -> None:
    """The reason is in the check: the signature, or another address."""

    def detail(host: str, authority: str) -> str:
        origin = Origin.parse(f"https://{host}:{tls_port}")
        return check_network(origin, {"SSL_CERT_FILE": authority})[-1].detail

    assert "self-signed" in detail("localhost", certifi.where())
    assert "for another address" in detail("127.0.0.1", str(certificate))
