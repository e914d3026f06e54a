"""Transports with canned responses, and the real client and engine on an emulator in process."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import httpx

from reconciler.api.client import Client, connect
from reconciler.api.origin import Credential, Network, Origin
from reconciler.api.transport import Transport
from reconciler.execute.operation import draft
from reconciler.model import Live, Secret, Webhook
from reconciler.ports import Draft
from reconciler.report import Report
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Script
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.execute.world import run
from tests.planning import builders
from tests.planning.builders import SECRETS, desired, make_plan
from tests.ports import InlineWorkers, VirtualClock

URL = "https://api.cloudtruth.io"
KEY = "key-canary-4711"


class Scripted(httpx.BaseTransport):
    """A handler with canned results: a response, an exception, or a function of the request."""

    def __init__(self, *responses: Any) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if callable(response):
            response = response(request)
        if isinstance(response, Exception):
            raise response
        # A new one each time: a response can be read only once.
        content = response.content
        return httpx.Response(
            response.status_code, headers=response.headers, content=iter((content,))
        )


def json_response(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    """Return a JSON response."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=names)


def transport(
    *responses: Any, clock: VirtualClock | None = None, **more: Any
) -> tuple[Transport, Scripted, VirtualClock]:
    """Make a transport with canned responses."""
    clock = clock or VirtualClock()
    adapter = Scripted(*responses)
    made = Transport(
        origin=Origin.parse(URL),
        credential=Credential.api_key(Secret(KEY)),
        network=Network(clock=clock, adapter=adapter, **more),
    )
    return made, adapter, clock


def client(
    adapter: httpx.BaseTransport, clock: VirtualClock, key: str | None = LOCAL_KEY
) -> Client:
    """Create a client whose requests go to `adapter`."""
    return connect(
        server_url=URL,
        key=None if key is None else Secret(key),
        workers=InlineWorkers(),
        network=Network(clock=clock, adapter=adapter),
    )


class EmulatedApi:
    """An emulator with the variant's choices given by name, a client of it, and their clock."""

    def __init__(self, **choices: Any) -> None:
        self.clock = VirtualClock()
        self.faults = Script()
        self.emulator = Emulator(
            behavior=Variant(**{"server_time": self.clock.now, **choices}),
            faults=self.faults,
            clock=self.clock.monotonic,
        )
        self.organization = self.emulator.organization
        self.adapter = InProcess(self.emulator.handle, clock=self.clock)
        self.client = self.connect(self.adapter)

    def connect(self, adapter: httpx.BaseTransport) -> Client:
        """Create another client, whose requests go to `adapter`."""
        return client(adapter, self.clock)

    def create(self, *names: str) -> list[str]:
        """Create webhooks through the client; return their ids."""
        return [self.client.create(slack(name), self.organization).id for name in names]

    def apply(self, *webhooks: Webhook, **settings: Any) -> Report:
        """Plan and apply declarations with a new client; `settings` are those of `run`."""
        with closing(self.connect(self.adapter)) as api:
            live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
            plan = make_plan(desired(*webhooks), live, secrets=settings.get("secrets", SECRETS))
            return run(api, plan, clock=self.clock, **settings)

    def requests(self) -> list[str]:
        """Return method and path of every request to the server."""
        return [f"{entry.method} {entry.path}" for entry in self.emulator.log]


def slack(name: str = "Deploys", **fields: Any) -> Draft:
    """Make a Slack webhook to send."""
    return draft(builders.slack(name, **fields), SECRETS)
