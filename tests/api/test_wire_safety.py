"""The client against a raw socket: no server can make it hang, leak, crash or exhaust memory."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from reconciler.api.connections import WatchedSocket
from reconciler.api.origin import Credential, Network, Origin
from reconciler.api.transport import Transport
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    DeadlineError,
    ProtocolError,
    ServerError,
    UnreachableError,
    UsageError,
)
from reconciler.model import Secret
from tests.api.support import KEY
from tests.api.wire_server import (
    CLOSE,
    Behavior,
    WireServer,
    head,
    replies,
    resets,
    sends,
    serving,
    trickles,
)
from tests.ports import SkippingClock, VirtualClock
from tests.waiting import TIMEOUT, wait_until

TRICKLE = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 4000
"""Takes minutes, byte by byte, so a test that ends earlier did not receive all of it."""


def transport_to(url: str, **settings: Any) -> closing[Transport]:
    """Return a transport to `url`, to use in a `with`."""
    settings = {"clock": SkippingClock(), "timeout": TIMEOUT, **settings}
    made = Transport(
        origin=Origin.parse(url),
        credential=Credential.api_key(Secret(KEY)),
        network=Network(**settings),
    )
    return closing(made)


def send(server: WireServer, method: str = "GET", *, timeout: float = TIMEOUT) -> object:
    """Send one request and return the document."""
    with transport_to(server.url, timeout=timeout) as transport:
        body = {"name": "x"} if method in ("POST", "PATCH") else None
        return transport.request(method, "/api/v1/webhooks/", json=body).data


BROKEN: dict[str, Behavior] = {
    "reset": resets,
    "FIN before a byte": lambda connection: CLOSE,
    "FIN in the head": sends(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "body shorter than announced": sends(head(200, 1000) + b'{"results": ['),
    "chunk that does not end": sends(head(200, None, "Transfer-Encoding: chunked") + b"1000\r\n{"),
    "garbage": sends(b"\x16\x03\x01 no HTTP at all\r\n\r\n"),
    "endless head": sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"),
}
UNREADABLE: dict[str, Behavior] = {
    "cut JSON": replies(b'{"results": ['),
    "HTML": replies(b"<p>x", 200, "Content-Type: text/html"),
    "no content type": replies(b"{}", 200, "Content-Type:"),
    "gzip": replies(b"{}", 200, "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("fault", [*BROKEN, *UNREADABLE])
def test_a_write_with_a_broken_response_is_ambiguous(method: str, fault: str) -> None:
    """The write is neither repeated nor reported as failed."""
    with serving((BROKEN | UNREADABLE)[fault]) as server:
        with pytest.raises(AmbiguousWriteError) as caught:
            send(server, method)
        assert len(server.requests) == 1
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "slow",
    [trickles(TRICKLE), trickles(head(200, 4000) + b" " * 4000)],
    ids=["in the head", "in the body"],
)
def test_a_trickling_response_ends_with_the_request_timeout(slow: Behavior) -> None:
    """A response that arrives byte by byte is aborted at the timeout."""
    with (
        serving(slow) as server,
        pytest.raises(AmbiguousWriteError, match=r"did not send a complete response within 0\.3 s"),
    ):
        send(server, "POST", timeout=0.3)


@pytest.mark.parametrize(
    ("method", "kind"), [("GET", DeadlineError), ("POST", AmbiguousWriteError)]
)
def test_the_deadline_ends_a_request_in_flight(method: str, kind: type[ApiError]) -> None:
    """An earlier deadline also ends a request that is already waiting. The server did not fail."""

    def hurry(connection: socket.socket) -> object:
        transport.deadline_in(0.1)
        return trickles(TRICKLE)(connection)

    with (
        serving(hurry) as server,
        transport_to(server.url) as transport,
        pytest.raises(
            kind, match=r"^no time was left for a complete response from 127\.0\.0\.1:\d+(;|$)"
        ) as caught,
    ):
        transport.request(method, "/", json={})
    assert (caught.value.code, caught.value.hint) == (kind.code, "allow more time with --deadline")


def test_the_watchdog_serves_one_request_after_another() -> None:
    """After it has aborted a request, the watchdog still watches the next."""
    clock = VirtualClock()

    def outlast(connection: socket.socket) -> object:
        clock.time += 31.0
        one.deadline_in(600.0)  # makes the watchdog check the clock
        return trickles(TRICKLE)(connection)

    with (
        serving(outlast, replies({}), outlast) as server,
        transport_to(server.url, timeout=30.0, clock=clock) as one,
    ):
        with pytest.raises(AmbiguousWriteError, match="within 30 s"):
            one.request("POST", "/", json={})
        assert one.request("GET", "/").data == {}
        with pytest.raises(AmbiguousWriteError, match="within 30 s"):
            one.request("POST", "/", json={})


def test_a_connection_made_after_the_timeout_is_closed() -> None:
    """A request that connects after its timeout does not continue without a watchdog."""
    client_end, server_end = socket.socketpair()

    class Stream:
        def get_extra_info(self, name: str) -> socket.socket:
            return client_end

    with client_end, server_end:
        server_end.setblocking(False)
        watched = WatchedSocket()
        watched.shut()
        watched.trace("connection.connect_tcp.complete", {"return_value": Stream()})
        assert server_end.recv(1) == b""


@pytest.mark.parametrize("form", ["plain", "announced"])
def test_an_oversized_response_is_rejected(form: str) -> None:
    """A response over the limit is never kept in memory."""
    bombs = {
        "plain": sends(head(200, None) + b" " * (8 * 1024 * 1024)),
        "announced": sends(head(200, 10**10)),
    }
    with serving(bombs[form]) as server:
        tracemalloc.start()
        with pytest.raises(AmbiguousWriteError, match="more than 1024 KiB"):
            send(server, "POST")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12 * 1024 * 1024


@pytest.mark.parametrize("status", [301, 303, 307])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_redirect_is_reported_and_never_followed(status: int, method: str) -> None:
    """The other host gets no connection, and the error shows only the two origins."""
    with serving(replies({})) as other:
        away = f"Location: {other.url}/secret-path?token=secret-query"
        with serving(replies({}, status, away)) as server:
            with pytest.raises(ApiError) as caught:
                send(server, method)
            assert isinstance(
                caught.value, ProtocolError if method == "GET" else AmbiguousWriteError
            )
            assert server.url in str(caught.value)
            assert "http://127.0.0.1 " in str(caught.value)
            assert "secret" not in str(caught.value)
            assert len(server.requests) == 1
        assert other.connections == 0


@pytest.mark.parametrize("location", ["/api/v1/webhooks/", "http://[bad", "ftp://x", "", "\x01"])
def test_a_redirect_to_any_location_is_a_redirect(location: str) -> None:
    """The location may be relative, malformed or empty."""
    with (
        serving(replies({}, 301, f"Location: {location}")) as server,
        pytest.raises((ProtocolError, ServerError)),
    ):
        send(server)


def test_the_key_is_not_sent_to_a_server_without_tls() -> None:
    """A failed TLS handshake ends the request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reject() -> None:
            for _ in range(4):
                connection, _ = listener.accept()
                with connection:
                    received.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        received: list[bytes] = []
        thread = threading.Thread(target=reject, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with transport_to(url) as transport, pytest.raises(UnreachableError) as caught:
            transport.request("POST", "/", json={})
        thread.join()
    assert len(received) == 4
    assert not any(KEY.encode() in data for data in received)
    assert caught.value.message == (
        f"{url.removeprefix('https://')} cannot be reached: this port does not use TLS"
    )
    assert (caught.value.hint or "").startswith("check the port in the server URL")


def test_consecutive_requests_share_a_connection() -> None:
    """An idle connection is kept for 2 seconds."""
    with serving(replies({})) as server, transport_to(server.url) as transport:
        for _ in range(5):
            transport.request("GET", "/")
        stale = sum(after - before >= 2.0 for before, after in pairwise(server.times))
        assert 1 <= server.connections <= 1 + stale


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """A server that closes idle connections does not cause ambiguous writes."""

    def once(connection: object) -> object:
        replies({"id": "a"})(connection)  # type: ignore[arg-type]
        return CLOSE

    with serving(once) as server, transport_to(server.url) as transport:
        for number in range(30):
            wait_until(
                lambda number=number: server.closed == number, "the server closing a connection"
            )
            transport.request("POST", "/", json={})
        assert len(server.requests) == 30


def test_each_thread_has_its_own_connection() -> None:
    """Threads do not share a connection, and closing the transport closes all of them."""
    with serving(replies({})) as server, transport_to(server.url) as transport:
        threads = [threading.Thread(target=transport.request, args=("GET", "/")) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 3
        transport.close()
        with pytest.raises(UnreachableError, match="closed"):
            transport.request("GET", "/")


def test_cookies_are_returned_by_the_same_client() -> None:
    """A cookie is sent only to its server, and only by the client that received it."""
    cookie = replies({}, 200, "Set-Cookie: session=cookie-canary; Path=/")
    with serving(cookie) as server:
        for _ in range(2):
            with transport_to(server.url) as transport:
                reply = transport.request("GET", "/")
                transport.request("GET", "/")
                assert "set-cookie" not in reply.headers
        carried = [b"cookie-canary" in request for request in server.requests]
        assert carried == [False, True, False, True]


def test_an_invalid_proxy_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, but does not show the proxy's password."""
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:proxy-canary@proxy")
    with transport_to("https://example.com") as transport, pytest.raises(UsageError) as caught:
        transport.request("GET", "/")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
    assert "HTTPS_PROXY" in (caught.value.hint or "")


def test_an_unreachable_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error shows the proxy in place of the server, without the proxy's password."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = f"127.0.0.1:{listening.getsockname()[1]}"
    for variable in ("https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-canary@{there}")
    with transport_to("https://example.com") as transport, pytest.raises(ApiError) as caught:
        transport.request("GET", "/")
    assert caught.value.message == (
        f"the proxy http://{there} (HTTPS_PROXY) cannot be reached: connection refused"
    )
    assert "HTTPS_PROXY" in (caught.value.hint or "")
    for response, message in (
        (replies({}, status=407), r"\(HTTPS_PROXY\) refused to connect to .*: HTTP 407, its user"),
        (trickles(TRICKLE), r"from example\.com through the proxy http://.* \(HTTPS_PROXY\)"),
    ):
        with serving(response) as server, transport_to("https://example.com") as transport:
            monkeypatch.setenv("HTTPS_PROXY", server.url)
            transport.deadline_in(1)
            with pytest.raises(ApiError, match=message):
                transport.request("GET", "/")


def test_http_to_this_machine_bypasses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is sent to this machine directly, even if HTTP_PROXY is set."""
    with serving(replies({})) as proxy, serving(replies({"ok": 1})) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(server) == {"ok": 1}
        assert proxy.connections == 0
