"""Transports with prepared responses, and the real client and engine on an emulator in process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import httpx

from reconciler.api.client import Client, connect
from reconciler.api.origin import Credential, Origin
from reconciler.api.transport import Transport
from reconciler.execute.execute import execute
from reconciler.model import Live, Secret, SecretRef, Webhook
from reconciler.planning.planner import plan
from reconciler.ports import Draft
from reconciler.report import Report
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Script
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.execute.world import Memory, RecordingWatcher, StopAfter
from tests.planning.builders import EVENTS, SECRETS, TOKEN, desired
from tests.ports import InlineWorkers, VirtualClock

URL = "https://api.cloudtruth.io"
KEY = "key-canary-4711"


class Scripted(httpx.BaseTransport):
    """A handler with prepared results: a response, an exception, or a function of the request."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        # A new one each time: a response can be read only once.
        content = answer.content
        return httpx.Response(answer.status_code, headers=answer.headers, content=iter((content,)))


def answer(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    """Return a JSON response."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return httpx.Response(status, headers=names)
    return httpx.Response(status, json=body, headers=names)


def transport(
    *answers: Any, clock: VirtualClock | None = None, **more: Any
) -> tuple[Transport, Scripted, VirtualClock]:
    """Make a transport with prepared responses."""
    clock = clock or VirtualClock()
    adapter = Scripted(*answers)
    made = Transport(
        origin=Origin.parse(URL),
        credential=Credential.api_key(Secret(KEY)),
        clock=clock,
        adapter=adapter,
        **more,
    )
    return made, adapter, clock


class World:
    """An emulator, a client of it, and their clock."""

    def __init__(self, variant: Variant | None = None, **options: Any) -> None:
        self.clock = VirtualClock()
        self.faults = Script()
        self.emulator = Emulator(behavior=variant, faults=self.faults, clock=self.clock.monotonic)
        self.client = self.connect(**options)

    def connect(self, *, key: str = LOCAL_KEY, **options: Any) -> Client:
        """Create another client."""
        adapter = InProcess(self.emulator.handle, clock=self.clock)
        return connect(
            server_url=URL,
            key=Secret(key),
            clock=self.clock,
            workers=InlineWorkers(),
            adapter=adapter,
            **options,
        )

    @property
    def organization(self) -> str:
        return self.emulator.organization

    def create(self, *names: str) -> list[str]:
        """Create webhooks through the client; return their ids."""
        return [self.client.create(slack(name), self.organization).id for name in names]

    def insert(self, name: str, **fields: Any) -> None:
        """Store a Slack webhook, or another one given by `fields`."""
        configuration = {"token": TOKEN, "channel": "#ops", "username": "CT"}
        row = {
            "name": name,
            "type": "slack",
            "event_types": [*EVENTS],
            "configuration": configuration,
        }
        self.emulator.store.insert({"organization": self.organization, **row, **fields})

    def apply(
        self,
        *webhooks: Webhook,
        reviewed: bool = False,
        secrets: Mapping[SecretRef, Secret] = SECRETS,
    ) -> Report:
        """Plan and apply declarations."""
        with closing(self.connect()) as api:
            live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
            return execute(
                plan(desired(*webhooks), live, secrets),
                secrets,
                api,
                clock=self.clock,
                workers=InlineWorkers(),
                stop=StopAfter(Memory()),
                watcher=RecordingWatcher(),
                reviewed=reviewed,
            )

    def names(self) -> list[str]:
        """Return the names of the stored webhooks."""
        return sorted(row["name"] for row in self.emulator.store.webhooks())

    def requests(self) -> list[str]:
        """Return method and path of every request to the server."""
        return [f"{entry.method} {entry.path}" for entry in self.emulator.store.log()]


def slack(name: str = "Deploys", **configuration: str | bool | Secret) -> Draft:
    """Make a Slack webhook to send."""
    return Draft(
        name=name,
        type="slack",
        event_types=("value_created", "value_updated"),
        configuration={
            "token": Secret("xoxb-token-canary-0815"),
            "channel": "#deploys",
            "username": "CloudTruth",
            **configuration,
        },
    )
