"""Over HTTP the emulator gives the same responses, only for its own host names."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.server import Server
from tests.waiting import TIMEOUT

HOOKS = "/api/v1/webhooks/"
OverHttp = Callable[[Emulator], str]


def test_paths_reach_the_handler_unchanged(over_http: OverHttp) -> None:
    """Paths are percent-encoded, and the query is separate."""
    emulator = Emulator()
    url = over_http(emulator)
    httpx.get(f"{url}/api/v1/memberships/a%2Fb%7C/?x=%20", timeout=TIMEOUT)
    (entry,) = emulator.log
    assert (entry.path, entry.query) == ("/api/v1/memberships/a%2Fb%7C/", "x=%20")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"])
def test_its_own_address_and_localhost_are_served(over_http: OverHttp, host: str) -> None:
    """Any port is accepted, because a container's port may be published as another."""
    url = over_http(Emulator())
    response = httpx.get(f"{url}/api/schema/", headers={"host": host}, timeout=TIMEOUT)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:80", "localhost.attacker.example", "127.0.0.1.nip.io",
     "192.0.2.1", "[2001:db8::1]", "", "[::1", "localhost:80:80", "user@localhost"],
)  # fmt: skip
def test_other_hosts_are_misdirected(over_http: OverHttp, host: str) -> None:
    """A web page whose own name resolves to this address can neither read nor write."""
    emulator = Emulator()
    url = over_http(emulator)
    headers = {"host": host, "authorization": f"Api-Key {LOCAL_KEY}"}
    response = httpx.get(f"{url}{HOOKS}", headers=headers, timeout=TIMEOUT)
    assert (response.status_code, url in response.text) == (421, True)
    assert emulator.log == []


def test_serving_reports_its_url_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """`ready` gets the URL before the first request; `stop` ends the server."""
    emulator = Emulator()
    server = Server(emulator)
    urls: list[str] = []
    thread = threading.Thread(target=server.run, args=(urls.append,), daemon=True)
    thread.start()
    assert httpx.get(f"{server.url}/api/schema/", timeout=TIMEOUT).status_code == 200
    server.stop()
    thread.join(TIMEOUT)
    assert urls == [server.url]
    assert capfd.readouterr() == ("", "")
    with suppress(httpx.HTTPError):  # the port is closed, or another server already uses it
        httpx.get(f"{server.url}/api/schema/", timeout=TIMEOUT)
    assert len(emulator.log) == 1


def test_ipv6_addresses_are_bracketed_in_the_url() -> None:
    """On a machine with IPv6, the URL has brackets around the address."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        server = Server(Emulator(), host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server.close()


def test_the_handler_needs_neither_starlette_nor_uvicorn() -> None:
    """Starlette and uvicorn are optional and slow to import; asyncio is not needed either."""
    code = (
        "import sys, reconciler.emulator.emulator;"
        "print({'starlette', 'uvicorn', 'asyncio', 'httpx'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
