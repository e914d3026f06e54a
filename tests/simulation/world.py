"""The server, time and the network, and whoever uses them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import cast

from reconciler.api.client import Client, connect
from reconciler.emulator.store import LogEntry
from reconciler.model import Secret
from tests.emulated.emulator import LOCAL_KEY, Answer, Emulator, Request
from tests.emulated.in_process import InProcess
from tests.simulation.case import Case
from tests.simulation.judge import Judge
from tests.simulation.misfortune import Misfortune, Person
from tests.simulation.process import Process, Watched
from tests.simulation.scheduler import Crash, Scheduler, SeededClock, SeededWorkers

KEY = Secret(LOCAL_KEY)


class World:
    """One server for all processes; everything can happen on the way to it and back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.scheduler = Scheduler()
        self.misfortune = Misfortune(case)
        self.person = Person(case)
        self.emulator = Emulator(
            behaviour=case.variant,
            faults=self.misfortune,
            seed=case.seed,
            clock=lambda: self.scheduler.now,
            listener=lambda entry: self.log.append(entry),
        )
        store, organization = self.emulator.store, self.emulator.organization
        for row in case.live:
            store.insert({"organization": organization, **row})
        self.judge = Judge(case, store, organization, self.person)
        self.trace: list[str] = []
        self.log: list[LogEntry] = []
        self.requests = 0
        self.crashed = False
        self._clocks = 0
        self._wire = random.Random(f"wire {case.seed}")

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.scheduler.now:9.3f}  {text}")

    @contextmanager
    def connected(self, process: Process) -> Iterator[tuple[Client, SeededClock, SeededWorkers]]:
        """Let a process have a client, a clock and threads."""
        self._clocks += 1
        clock = SeededClock(self.scheduler, f"clock {self.case.seed} {self._clocks}")
        workers = SeededWorkers(
            self.scheduler,
            process.life,
            self.case.parallelism,
            halted=None if process.stop is None else process.halted,
        )
        adapter = InProcess(lambda request: self._serve(process, clock, request), clock=clock)
        client = connect(
            server_url="https://api.cloudtruth.io",
            key=KEY,
            clock=clock,
            workers=workers,
            adapter=adapter,
        )
        with closing(client) as api:
            process.now, process.hurry = clock.monotonic, api.deadline_in
            yield cast(Client, Watched(api, process)), clock, workers

    def rest(self) -> None:
        """End misfortune; let everything late happen and every list catch up."""
        self.misfortune.active = False
        self.emulator.behaviour = self.case.variant
        self.scheduler.sleep(120.0)
        self.late()
        for _ in range(4):
            self.scheduler.sleep(5.0)
            self.emulator.handle(_LIST)

    def late(self) -> None:
        """Let writes happen whose time has come; these may not take a last copy either."""
        if not self.case.late:
            return
        if self.case.rivals:
            self.emulator.settle()
            return
        before = [self.judge.scenery(team) for team in self.case.teams]
        seen = len(self.log)
        self.emulator.settle()
        for entry in self.log[seen:]:
            self.note(f"late {entry.method} {entry.path} wrote {entry.changed}")
        for team, scenery in zip(self.case.teams, before, strict=True):
            self.judge.lost(team, scenery, self.person.touched.keys())

    def meddle(self) -> None:
        """Give the person a chance."""
        if self.misfortune.active:
            done = self.person.maybe(
                self.emulator.store, self.emulator.organization, self.scheduler.now
            )
            if done is not None:
                self.note(done)

    def _serve(self, process: Process, clock: SeededClock, request: Request) -> Answer:
        """Carry one request there and back."""
        if request.method != "GET":
            process.deeds.begun.add(_key(request))
        try:
            self.scheduler.sleep(clock.uniform(0, self.case.latency))
        except Crash:
            # Whoever sent it is gone; on the wire it may be still.
            if request.method != "GET" and self._wire.random() < 0.5:
                self._arrive(process, request)
            raise
        process.step()
        self._maintain()
        self._maybe_crash(process, after=False)
        self.meddle()
        answer = self._arrive(process, request)
        self._maybe_crash(process, after=True)
        self.scheduler.sleep(clock.uniform(0, self.case.latency))
        return answer

    def _arrive(self, process: Process, request: Request) -> Answer:
        self.requests += 1
        self.late()
        self.judge.sent(process, request.method, request.path, request.body)
        read = request.method == "GET"
        answer = self.emulator.handle(request) if read else self._write(process, request)
        if read and (self.misfortune.last is None or self.misfortune.last.label == "delay"):
            process.deeds.looked = self.scheduler.now
            if process.deeds.plan is not None and request.path != _LIST.path:
                process.deeds.asked.add(_id(request))
        self._tell(process.name, request, answer)
        return answer

    def _write(self, process: Process, request: Request) -> Answer:
        teams = (process.team,) if self.case.rivals else self.case.teams
        before, seen = [self.judge.scenery(team) for team in teams], len(self.log)
        answer = self.emulator.handle(request)
        fault, deeds = self.misfortune.last, process.deeds
        self.judge.answered(deeds, request.method, request.body, fault)
        deeds.committed += fault is not None and fault.commit_after is not None
        changed = [entry.changed for entry in self.log[seen:]]
        if not any(changed) and (fault is None or fault.commit_after is None):
            deeds.begun.discard(_key(request))
        for entry in self.log[seen:]:
            if entry.changed is not None:
                deeds.committed += 1
                self.judge.wrote(process, entry.changed, before[0].names.get(entry.changed))
                spared = self._spared(process, request)
                for team, scenery in zip(teams, before, strict=True):
                    self.judge.lost(team, scenery, spared)
        return answer

    def _spared(self, process: Process, request: Request) -> Set[str]:
        """Of what may be lost because a person took the other copy: unless that could be seen."""
        touched = self.person.touched
        if process.deeds.removes_copy(request.method, request.path) and self.case.parallelism == 1:
            return {name for name, when in touched.items() if when >= process.deeds.looked}
        return touched.keys()

    def _maintain(self) -> None:
        """Let CloudTruth itself work on the organization for a while."""
        began, ended = self.case.maintenance
        on = self.misfortune.active and began <= self.requests < ended
        if on is not self.emulator.behaviour.maintenance:
            self.emulator.behaviour = replace(self.case.variant, maintenance=on)
            self.note(f"maintenance {'begins' if on else 'ends'}")

    def _maybe_crash(self, process: Process, *, after: bool) -> None:
        if process.name == "first" and self.case.crash == (process.steps - 1, after):
            self.note(f"{process.name} is killed")
            self.crashed = process.life.dead = True
        if process.life.dead:
            raise Crash

    def _tell(self, name: str, request: Request, answer: Answer) -> None:
        fault = self.misfortune.last
        path = request.path.removeprefix("/api/v1/")
        query = f"?{request.query}" if request.query else ""
        what = " " + json.loads(request.body)["name"] if request.method == "POST" else ""
        wrong = f"  ! {fault.label}" if fault is not None else ""
        self.note(f"{name} {request.method} {path}{query}{what} -> {answer.status}{wrong}")


def _key(request: Request) -> tuple[str, str]:
    """Return what a write is about: its method, and the name it creates or the id it is for."""
    name = json.loads(request.body)["name"] if request.method == "POST" else _id(request)
    return request.method, name


def _id(request: Request) -> str:
    return request.path.split("/")[-2]


_LIST = Request(
    method="GET",
    path="/api/v1/webhooks/",
    query="",
    headers={"authorization": f"Api-Key {LOCAL_KEY}", "host": "api.cloudtruth.io"},
    body=b"",
)
