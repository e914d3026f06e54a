"""A minimal CloudTruth server with a fixed latency and canned responses.

It has just the API that the client needs: the organization, pages, and the writes of webhooks. At
other paths it is a GitHub with one open pull request that has no comments. One
thread and no framework, so that only the client is measured. It accepts every key.

python -m benchmarks.server --webhooks 1000 --latency 20

prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import threading
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

from benchmarks.data import row

WEBHOOKS = b"/api/v1/webhooks/"
_GITHUB = b"/api/v3/"
_MAX_PAGE_SIZE = 1000
_KEY = re.compile(rb"authorization: [^\r]*-(\d+)(?:\r|$)", re.IGNORECASE)


def _organizations(number: int) -> dict[str, Any]:
    """Return the list of organizations of a key."""
    name = "Acme" if number == 1 else f"Acme {number}"
    found = {"id": f"org-{number}", "name": name, "current": True, "maintenance": False}
    return {"count": 1, "next": None, "previous": None, "results": [{**found, "role": "OWNER"}]}


class Store:
    """The webhooks of one organization, each as its encoded JSON."""

    head = ""
    """The newest commit of the pull request."""

    def __init__(self, webhooks: int, organization: int = 1) -> None:
        self.organization = organization
        self.rows: dict[str, dict[str, Any]] = {}
        self.shown: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()
        self.in_flight = self.max_in_flight = self.made = 0
        self._pages: dict[tuple[int, int], bytes] = {}
        for number in range(webhooks):
            self.put({**row(number), "organization": f"org-{organization}"})

    def put(self, webhook: dict[str, Any]) -> bytes:
        self.rows[webhook["id"]] = webhook
        self.shown[webhook["id"]] = json.dumps(webhook).encode()
        self._pages.clear()
        return self.shown[webhook["id"]]

    def page(self, number: int, size: int) -> bytes:
        if (number, size) not in self._pages:
            rows = list(self.shown.values())
            start = (number - 1) * size
            more = b'"more"' if start + size < len(rows) else b"null"
            self._pages[number, size] = b'{"count":%d,"next":%b,"previous":null,"results":[%b]}' % (
                len(rows), more, b",".join(rows[start : start + size])
            )  # fmt: skip
        return self._pages[number, size]

    def respond(self, method: str, target: bytes, body: bytes) -> tuple[int, bytes]:
        path, _, query = target.partition(b"?")
        if path == b"/counts":
            counts = {**self.counts, "max in flight": self.max_in_flight}
            self.counts.clear()
            self.max_in_flight = 0
            return 200, json.dumps(counts).encode()
        if path == b"/head":
            Store.head = query.decode()
            return 200, b"{}"
        self.counts[method] += 1
        if path.startswith(_GITHUB):
            head = {"sha": self.head}
            pull = {"number": 1, "state": "open", "head": head, "base": {"ref": "main"}}
            answer = pull if path.endswith(b"/pulls/1") or method != "GET" else []
            return 200 if method == "GET" else 201, json.dumps(answer).encode()
        if path == b"/api/v1/organizations/":
            return 200, json.dumps(_organizations(self.organization)).encode()
        if path == WEBHOOKS:
            return self._all(method, query, body)
        return self._one(method, path[len(WEBHOOKS) : -1].decode(), body)

    def _all(self, method: str, query: bytes, body: bytes) -> tuple[int, bytes]:
        if method == "POST":
            self.made += 1
            sent = json.loads(body)
            return 201, self.put({**row(0, f"11111111-0000-4000-8000-{self.made:012}"), **sent})
        parameters = parse_qs(query.decode())
        size = min(_MAX_PAGE_SIZE, int(parameters.get("page_size", ["100"])[0]))
        return 200, self.page(int(parameters.get("page", ["1"])[0]), size)

    def _one(self, method: str, id: str, body: bytes) -> tuple[int, bytes]:
        if id not in self.rows:
            return 404, b'{"detail":"Not found."}'
        if method == "DELETE":
            del self.rows[id], self.shown[id]
            self._pages.clear()
            return 204, b""
        if method in ("PATCH", "PUT"):
            return 200, self.put({**self.rows[id], **json.loads(body)})
        return 200, self.shown[id]


class Connection(asyncio.Protocol):
    """Read requests from one connection, and respond to each after the latency.

    The number at the end of a key selects the organization; the first one counts all requests.
    """

    def __init__(self, stores: list[Store], latency: float) -> None:
        self._stores = stores
        self._store = stores[0]
        self._latency = latency
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return
        self._data = b""
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        self._store.in_flight += 1
        if target != b"/counts":
            self._store.max_in_flight = max(self._store.max_in_flight, self._store.in_flight)
        key = _KEY.search(head)
        store = self._stores[int(key[1]) - 1 if key else 0]
        arguments = (store, method.decode(), target, rest[:length])
        if self._latency and target != b"/counts":
            asyncio.get_running_loop().call_later(self._latency, self._respond, *arguments)
        else:
            self._respond(*arguments)

    def _respond(self, store: Store, method: str, target: bytes, body: bytes) -> None:
        if store is not self._store and target != b"/counts":
            self._store.counts[method] += 1
        status, content = store.respond(method, target, body)
        self._store.in_flight -= 1
        self._transport.write(
            b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(content), content)
        )


async def serve(stores: list[Store], latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stores, latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--webhooks", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--organizations", type=int, default=1)
    given = parser.parse_args()
    numbers = range(1, given.organizations + 1)
    stores = [Store(given.webhooks, number) for number in numbers]
    asyncio.run(serve(stores, given.latency / 1000))
