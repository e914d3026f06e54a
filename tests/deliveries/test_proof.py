"""Proofs of deliveries in a scratch project: every fault, interruption and way to deliver."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.api.parameters import Parameters
from reconciler.deliveries.proof import (
    _EVENTS,
    Observation,
    Proof,
    Scratch,
    Verdict,
    cause_events,
    prepare,
    watch,
)
from reconciler.errors import ExitCode
from tests.api.support import EmulatedApi
from tests.emulated.faults import Fault, Wire, drop, hang, html, refuse, status
from tests.goldens import rows

PROJECT = "Scratch"
WRITES = ("POST", "PATCH", "POST", "PATCH", "DELETE", "DELETE")


class StopAfter:
    """A signal after a number of requests to parameters; none by default."""

    def __init__(self, emulated: EmulatedApi, requests: int | None = None) -> None:
        self._emulated = emulated
        self._requests = requests

    def requested(self) -> ExitCode | None:
        sent = len(writes(self._emulated))
        return None if self._requests is None or sent < self._requests else ExitCode.SIGINT


class Server:
    """A server with a webhook for all events, and its proof."""

    def __init__(self, *hooks: dict[str, Any], **choices: Any) -> None:
        self.api = EmulatedApi(**choices)
        store, organization = self.api.emulator.store, self.api.organization
        for hook in hooks or ({},):
            store.save({**generic("Pager"), "organization": organization, **hook})
        self.parameters = Parameters(self.api.client.transport)
        self.extended = 0

    def prepare(self) -> Scratch:
        organization = self.api.client.organization()
        return prepare(self.parameters, organization, self.api.clock, PROJECT)

    def cause(self, scratch: Scratch, stop: int | None = None) -> Proof:
        return cause_events(
            self.parameters, scratch, self.api.clock, StopAfter(self.api, stop), self.extend
        )

    def extend(self) -> None:
        self.extended += 1
        self.api.client.transport.deadline_in(600)

    def run(self) -> dict[str, Observation]:
        """Prepare, cause the events and watch all webhooks."""
        scratch = self.prepare()
        before = self.api.client.list()
        assert self.cause(scratch).events == _EVENTS
        return watch(self.api.client.list, before, self.api.clock, StopAfter(self.api))

    def names(self) -> list[str]:
        return [row["name"] for row in self.api.emulator.store.parameters()]


def generic(name: str, host: str = "pager.example.com", **fields: Any) -> dict[str, Any]:
    hook = {"name": name, "type": "generic", "event_types": list(_EVENTS)}
    return {**hook, "configuration": {"url": f"https://{host}/x"}, **fields}


def writes(emulated: EmulatedApi) -> list[str]:
    return [entry.method for entry in emulated.emulator.log if entry.method != "GET"]


FAULTS: list[Callable[[], Fault]] = [
    lambda: drop(commit=True), drop, hang, lambda: status(503, commit=True), lambda: status(500),
    lambda: html(502, commit=True), lambda: html(200), lambda: status(403), lambda: status(404),
    lambda: status(409, commit=True), lambda: drop(commit_after=3.0),
    lambda: status(429, retry_after=2), refuse,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda make: make().label)
@pytest.mark.parametrize("at", range(len(WRITES)), ids=lambda at: f"{at}-{_EVENTS[at]}")
def test_after_one_fault_the_parameter_is_deleted(fault: Callable[[], Fault], at: int) -> None:
    """After a failed write, or one without an answer, nothing is left, or the result names it."""
    proof = Server()
    scratch = proof.prepare()
    proof.api.emulator.faults = Failing(fault(), at)
    written = proof.cause(scratch)
    proof.api.clock.sleep(10)
    proof.api.emulator.commit_due_writes()
    assert proof.names() == [] or written.remains
    # Only a create without an answer that no list shows may still come.
    assert not written.remains or (at == 0 and written.events == ())
    assert written.problem is not None or written.events == _EVENTS
    assert len(writes(proof.api)) <= 8


class Failing:
    """A fault at the write number `at`, from 0; with `stays` at every request from there on."""

    def __init__(self, fault: Fault, at: int, *, stays: bool = False) -> None:
        self._fault, self._left, self._stays = fault, at, stays

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        self._left -= method != "GET"
        if self._stays:
            return self._fault if self._left < 0 or (self._left == 0 and method == "GET") else None
        return self._fault if self._left == -1 and method != "GET" else None


class Randomly:
    """Any of the faults at any request, with a probability."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._share = chance, chance.choice([0.1, 0.3, 0.6])

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        return self._chance.choice(FAULTS)() if self._chance.random() < self._share else None


def test_after_any_faults_and_signals_the_parameter_is_deleted_or_named() -> None:
    """No combination of faults at reads and writes, and of a signal, leaves it without notice."""
    for seed in range(400):
        chance, proof = random.Random(seed), Server()
        scratch = proof.prepare()
        proof.api.emulator.faults = Randomly(chance)
        written = proof.cause(scratch, chance.choice([None, None, 1, 2, 3, 4]))
        proof.api.clock.sleep(30)
        proof.api.emulator.commit_due_writes()
        assert written.remains or proof.names() == [], seed


class Interrupting(httpx.BaseTransport):
    """Passes requests on, and raises KeyboardInterrupt before or after the number `at`."""

    def __init__(self, inner: httpx.BaseTransport, at: int, *, before: bool) -> None:
        self._inner, self._left, self._before = inner, at, before

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._left -= 1
        if self._left == -1 and self._before:
            raise KeyboardInterrupt
        response = self._inner.handle_request(request)
        if self._left == -1:
            raise KeyboardInterrupt
        return response


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", range(len(WRITES)))
def test_an_interrupted_proof_deletes_its_parameter(at: int, before: bool) -> None:
    """After an exception at any request, before or after it is processed, nothing is left."""
    proof = Server()
    scratch = proof.prepare()
    adapter = Interrupting(proof.api.adapter, at, before=before)
    proof.parameters = Parameters(proof.api.connect(adapter).transport)
    with pytest.raises(KeyboardInterrupt):
        proof.cause(scratch)
    # The last request is the delete: a second one was not allowed.
    assert proof.names() == ([scratch.name] if (at, before) == (5, True) else [])


@pytest.mark.parametrize("make", [lambda: drop(commit=True), lambda: status(403), hang, refuse])
@pytest.mark.parametrize("at", range(len(WRITES) + 1))
def test_a_server_that_stays_broken(make: Callable[[], Fault], at: int) -> None:
    """If every request from some write on fails, the result says that the parameter remains."""
    proof = Server()
    scratch = proof.prepare()
    proof.api.emulator.faults = Failing(make(), at, stays=True)
    written = proof.cause(scratch)
    assert written.remains or proof.names() == []
    assert written.problem is not None or at == len(WRITES)
    assert written.remains is (0 < at < len(WRITES) or (at == 0 and make().wire != Wire.REFUSE))


class Dated(httpx.BaseTransport):
    """Passes requests on; the responses have the server's time."""

    def __init__(self, inner: httpx.BaseTransport, now: datetime) -> None:
        self._inner, self._now = inner, now

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        response.headers["date"] = f"{self._now:%a, %d %b %Y %H:%M:%S GMT}"
        return response


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=7), timedelta(hours=-7)])
def test_leftovers_are_old_by_the_servers_clock(skew: timedelta) -> None:
    """Parameters of runs that started more than ten minutes ago are leftovers, on any clock."""
    proof = Server()
    now = proof.api.clock.now() + skew
    proof.parameters = Parameters(proof.api.connect(Dated(proof.api.adapter, now)).transport)
    project = proof.parameters.project(PROJECT)
    assert project is not None
    for name in (
        f"webhooks-check-{now - timedelta(minutes=11):%Y%m%dT%H%M%SZ}-aaaa",
        f"webhooks-check-{now - timedelta(minutes=9):%Y%m%dT%H%M%SZ}-bbbb",
        "webhooks-check-of-mine",
        "other",
    ):
        proof.parameters.create(project.id, name, "")
    assert [leftover[-4:] for leftover in proof.prepare().leftovers] == ["aaaa"]


@pytest.mark.parametrize(
    ("hook", "choices", "expected"), rows(Path(__file__).with_name("ways.yaml"))
)
def test_each_way_to_deliver(hook: dict[str, Any], choices: dict[str, Any], expected: str) -> None:
    """The verdict follows from the server's fields before and after, whatever its times say."""
    (seen,) = Server(hook, **choices).run().values()
    assert (seen.before.name, seen.verdict.value) == ("Pager", expected)


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 4), (50.0, 30)])
def test_listings_are_two_seconds_apart(seconds: float, most: int) -> None:
    """The watch ends once nothing changes, and lists at most every two seconds."""
    proof = Server(delivery_seconds=seconds)
    (seen,) = proof.run().values()
    assert seen.seconds is not None
    assert seconds <= seen.seconds <= seconds + 2
    after = proof.api.emulator.log[
        [entry.method for entry in proof.api.emulator.log].index("POST") :
    ]
    listings = [entry for entry in after if entry.path == "/api/v1/webhooks/"]
    assert len(listings) <= most
    assert set(proof.api.clock.slept) <= {2.0}


def test_a_deleted_webhook_and_a_failing_listing() -> None:
    """A webhook that no listing shows is deleted; a failing listing ends the watch."""
    api, stop = (proof := Server()).api, StopAfter(proof.api)
    before = api.client.list()
    api.emulator.store.delete(before[0].id)
    (deleted,) = watch(api.client.list, before, api.clock, stop).values()
    api.faults.add(status(403), times=None)
    (unseen,) = watch(api.client.list, before, api.clock, stop).values()
    assert (deleted.verdict, unseen.verdict) == (Verdict.DELETED, Verdict.NOT_RUN)
