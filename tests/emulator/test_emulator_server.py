"""The emulator over real HTTP: the same answers, and faults that happen on the wire."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Fault, Script
from tests.emulated.server import Server
from tests.waiting import PATIENCE

HOOKS = "/api/v1/webhooks/"
OverHttp = Callable[[Emulator], str]
MakeCall = Callable[..., "Call"]


class Call:
    """Sends requests to an emulator whose next POST fails."""

    def __init__(self, over_http: OverHttp, fault: Fault | None) -> None:
        script = Script()
        if fault is not None:
            script.add(fault, method="POST")
        self.handled = threading.Semaphore(0)
        self.emulator = Emulator(faults=script, listener=lambda entry: self.handled.release())
        self._url = over_http(self.emulator)

    def send(self, *, patience: float = PATIENCE) -> httpx.Response:
        """Send a POST; wait `patience` seconds for each part of the answer."""
        body = {
            "name": "a",
            "organization": self.emulator.organization,
            "event_types": [],
            "type": "slack",
            "configuration": {"token": "t", "channel": "#a", "username": "u"},
        }
        headers = {"authorization": f"Api-Key {LOCAL_KEY}"}
        timeout = httpx.Timeout(PATIENCE, read=patience)
        with httpx.Client(base_url=self._url, headers=headers, timeout=timeout) as client:
            return client.post(HOOKS, json=body)


@pytest.fixture
def call(over_http: OverHttp) -> Callable[..., Call]:
    """Start an emulator whose next POST fails."""
    return lambda fault=None: Call(over_http, fault)


def test_paths_reach_the_handler_as_they_were_sent(over_http: OverHttp) -> None:
    """Percent-encoded, with the query apart."""
    emulator = Emulator()
    url = over_http(emulator)
    httpx.get(f"{url}/api/v1/memberships/a%2Fb%7C/?x=%20", timeout=PATIENCE)
    (entry,) = emulator.store.log()
    assert (entry.path, entry.query) == ("/api/v1/memberships/a%2Fb%7C/", "x=%20")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"])
def test_its_own_address_and_localhost_are_served(over_http: OverHttp, host: str) -> None:
    """With any port, as a container's may be published under another."""
    url = over_http(Emulator())
    answer = httpx.get(f"{url}/api/schema/", headers={"host": host}, timeout=PATIENCE)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["attacker.example", "attacker.example:80", "localhost.attacker.example", "127.0.0.1.nip.io",
     "192.0.2.1", "[2001:db8::1]", "", "[::1", "localhost:80:80", "user@localhost"],
)  # fmt: skip
def test_other_hosts_are_misdirected(over_http: OverHttp, host: str) -> None:
    """A web page that rebinds its own name to this address reads and writes nothing."""
    emulator = Emulator()
    url = over_http(emulator)
    headers = {"host": host, "authorization": f"Api-Key {LOCAL_KEY}"}
    answer = httpx.get(f"{url}{HOOKS}", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, url in answer.text) == (421, True)
    assert emulator.store.log() == []


@pytest.mark.parametrize(
    ("fault", "error", "committed"),
    [
        (faults.drop(), httpx.RemoteProtocolError, False),
        (faults.drop(commit=True), httpx.RemoteProtocolError, True),
        (faults.hang(0.01), httpx.RemoteProtocolError, False),
        (faults.hang(commit=True), httpx.ReadTimeout, True),
        (faults.truncate(10), httpx.RemoteProtocolError, True),
        (faults.reset(0), httpx.ReadError, True),
        (faults.refuse(), httpx.ReadError, False),
    ],
    ids=lambda value: getattr(value, "label", None),
)
def test_broken_connections_are_broken_for_real(
    call: MakeCall, fault: Fault, error: type[Exception], committed: bool
) -> None:
    """The client's own library says what happened; the next request is fine."""
    made = call(fault)
    with pytest.raises(error):
        made.send(patience=0.3 if error is httpx.ReadTimeout else PATIENCE)
    assert made.handled.acquire(timeout=PATIENCE)
    assert len(made.emulator.store.webhooks()) == committed
    assert made.send().status_code == 201


def test_serving_tells_where_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """`ready` gets the URL before the first request; `stop` ends it."""
    emulator = Emulator()
    server = Server(emulator)
    urls: list[str] = []
    thread = threading.Thread(target=server.run, args=(urls.append,), daemon=True)
    thread.start()
    assert httpx.get(f"{server.url}/api/schema/", timeout=PATIENCE).status_code == 200
    server.stop()
    thread.join(PATIENCE)
    assert urls == [server.url]
    assert capfd.readouterr() == ("", "")
    with suppress(httpx.HTTPError):  # nobody is there, or somebody else by now
        httpx.get(f"{server.url}/api/schema/", timeout=PATIENCE)
    assert len(emulator.store.log()) == 1


def test_a_taken_port_is_an_error_at_once() -> None:
    """Before anything is served."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Server(Emulator(), port=taken.getsockname()[1])


def test_ipv6_addresses_are_bracketed_in_the_url() -> None:
    """If the machine has IPv6."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        server = Server(Emulator(), host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    server.close()


def test_the_handler_needs_neither_starlette_nor_uvicorn() -> None:
    """They are an extra, and slow to import; nor does it need asyncio."""
    code = (
        "import sys, reconciler.emulator.emulator;"
        "print({'starlette', 'uvicorn', 'asyncio', 'httpx'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
