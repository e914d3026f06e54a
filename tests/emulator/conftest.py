"""Fixtures: an emulator to call in process, with virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.emulator.store import Store
from tests.emulated.emulator import LOCAL_KEY, Emulator, Request, Response
from tests.emulated.variant import Variant
from tests.ports import VirtualClock

HOOKS = "/api/v1/webhooks/"


@dataclass(slots=True)
class Api:
    """Calls an emulator like a client with one key."""

    emulator: Emulator
    key: str = LOCAL_KEY
    time: VirtualClock = field(default_factory=VirtualClock)

    def __call__(
        self,
        method: str,
        path: str = HOOKS,
        body: Any = None,
        *,
        query: str = "",
        raw: bytes | None = None,
        **headers: str,
    ) -> Response:
        sent = {"authorization": f"Api-Key {self.key}", "host": "api.cloudtruth.io"}
        if body is not None or raw is not None:
            sent["content-type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is None:
            raw = b"" if body is None else json.dumps(body).encode()
        return self.emulator.handle(
            Request(method=method, path=path, query=query, headers=sent, body=raw)
        )

    def slack(self, name: str = "alerts", **changes: Any) -> dict[str, Any]:
        """Return a body that creates a Slack webhook."""
        return {
            "name": name,
            "organization": self.emulator.organization,
            "event_types": ["value_created", "parameter_updated"],
            "type": "slack",
            "configuration": {"token": "xoxb-0123456789", "channel": "#alerts", "username": "CT"},
        } | changes

    def generic(self, name: str = "pager", **configuration: Any) -> dict[str, Any]:
        """Return a body that creates a generic webhook."""
        url = {"url": "https://hooks.example.com/ct"}
        return self.slack(name, type="generic", configuration=url | configuration)

    def create(self, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Create a webhook and return it."""
        response = self("POST", HOOKS, body or self.slack())
        assert response.status == 201, response.body
        made: dict[str, Any] = response.json()
        return made

    def read(self, id: str) -> dict[str, Any]:
        response = self("GET", f"{HOOKS}{id}/")
        assert response.status == 200, response.body
        found: dict[str, Any] = response.json()
        return found

    def names(self, query: str = "") -> list[str]:
        response = self("GET", HOOKS, query=query)
        assert response.status == 200, response.body
        return [row["name"] for row in response.json()["results"]]

    def stored(self) -> list[str]:
        """Return the names of the stored webhooks."""
        return [row["name"] for row in self.emulator.store.webhooks()]


@pytest.fixture
def start() -> Callable[..., Api]:
    """Start an emulator with the choices given by name."""

    def start(*, store: Store | None = None, **choices: Any) -> Api:
        time = VirtualClock()
        return Api(Emulator(store, behavior=Variant(**choices), clock=time.monotonic), time=time)

    return start


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    """An emulator with the default variant."""
    return start()
