"""Over HTTP the emulator gives the same responses, only for its own host names."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.server import Server
from tests.served import served
from tests.waiting import TIMEOUT

HOOKS = "/api/v1/webhooks/"


def test_paths_reach_the_handler_unchanged() -> None:
    """Paths are percent-encoded, and the query is separate."""
    emulator = Emulator()
    with served(emulator) as url:
        httpx.get(f"{url}/api/v1/memberships/a%2Fb%7C/?x=%20", timeout=TIMEOUT)
    (entry,) = emulator.log
    assert (entry.path, entry.query) == ("/api/v1/memberships/a%2Fb%7C/", "x=%20")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"])
def test_its_own_address_and_localhost_are_served(host: str) -> None:
    """Any port is accepted, because a container's port may be published as another."""
    with served(Emulator()) as url:
        response = httpx.get(f"{url}/api/schema/", headers={"host": host}, timeout=TIMEOUT)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:80", "localhost.attacker.example", "127.0.0.1.nip.io",
     "192.0.2.1", "[2001:db8::1]", "", "[::1", "localhost:80:80", "user@localhost"],
)  # fmt: skip
def test_other_hosts_are_misdirected(host: str) -> None:
    """A web page whose own name resolves to this address can neither read nor write."""
    emulator = Emulator()
    headers = {"host": host, "authorization": f"Api-Key {LOCAL_KEY}"}
    with served(emulator) as url:
        response = httpx.get(f"{url}{HOOKS}", headers=headers, timeout=TIMEOUT)
    assert (response.status_code, url in response.text) == (421, True)
    assert emulator.log == []


def test_ipv6_addresses_are_bracketed_in_the_url() -> None:
    """On a machine with IPv6, the URL has brackets around the address."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        server = Server(Emulator(), host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server._socket.close()
