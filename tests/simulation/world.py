"""The server, time, the network and its users."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import cast

from reconciler.api.client import Client, connect
from reconciler.api.origin import Network
from reconciler.model import Secret
from reconciler.planning.plan import Plan
from tests.emulated.emulator import LOCAL_KEY, Emulator, LogEntry, Request, Response
from tests.emulated.in_process import InProcess
from tests.simulation.case import Case, Contradiction
from tests.simulation.faults import ConsoleUser, SeededFaults
from tests.simulation.invariants import Invariants, Process, WatchedClient
from tests.simulation.scheduler import Crash, Scheduler, SeededClock, SeededWorkers

KEY = Secret(LOCAL_KEY)


class World:
    """One server for all processes, with a network on which any fault can happen."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.scheduler = Scheduler()
        self.faults = SeededFaults(case)
        self.console_user = ConsoleUser(case)
        self.emulator = Emulator(
            behavior=case.variant,
            faults=self.faults,
            seed=case.seed,
            clock=lambda: self.scheduler.now,
            listener=lambda entry: self.log.append(entry),
        )
        store, organization = self.emulator.store, self.emulator.organization
        self.faults.row = lambda key: getattr(store.row(key), "data", None)
        self.emulator.is_frozen = self._is_frozen
        self._never_listed: str | None = None
        self.plan: Plan | None = None
        """The last plan that a user saw."""
        self._written: set[str] = set()
        for row in case.live:
            store.save({"organization": organization, **row})
        self.invariants = Invariants(case, store, organization, self.console_user)
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
        """Yield a client, a clock and workers for a process."""
        self._clocks += 1
        clock = SeededClock(self.scheduler, f"clock {self.case.seed} {self._clocks}")
        workers = SeededWorkers(
            self.scheduler,
            process.state,
            self.case.parallelism,
            halted=None if process.stop is None else process.halted,
        )
        adapter = InProcess(lambda request: self._serve(process, clock, request), clock=clock)
        client = connect(
            server_url="https://api.cloudtruth.io",
            key=KEY,
            workers=workers,
            network=Network(clock=clock, adapter=adapter),
        )
        with closing(client) as api:
            process.now, process.shorten_deadline = clock.monotonic, api.transport.deadline_in
            yield cast(Client, WatchedClient(api, process)), clock, workers

    def quiesce(self) -> None:
        """End all faults; commit every late write and let every list catch up."""
        self.faults.active = False
        self.emulator.thaw()
        self.emulator.behavior = self.case.variant
        self.scheduler.sleep(120.0)
        self.commit_late_writes()
        for _ in range(4):
            self.scheduler.sleep(5.0)
            self.emulator.handle(_LIST)

    def _is_frozen(self, id: str) -> bool:
        """Return whether lists do not show a write to a webhook."""
        case = self.case
        if case.contradiction is Contradiction.OLD_LISTING:
            return id == case.odd_id
        if case.contradiction is Contradiction.NEVER_LISTED:
            if self._never_listed is None and id not in {row["id"] for row in case.live}:
                self._never_listed = id
            return id == self._never_listed
        return False

    def commit_late_writes(self) -> None:
        """Commit the late writes that are due; they must not lose a declared webhook, either."""
        if not self.case.late:
            return
        if self.case.conflicting:
            self.emulator.commit_due_writes()
            return
        before = [self.invariants.snapshot(team) for team in self.case.teams]
        seen = len(self.log)
        self.emulator.commit_due_writes()
        for entry in self.log[seen:]:
            self.note(f"late {entry.method} {entry.path} wrote {entry.changed}")
        for team, snapshot in zip(self.case.teams, before, strict=True):
            self.invariants.check_present(team, snapshot, self.console_user.touched.keys())

    def edit_by_hand(self) -> None:
        """Give the console user a chance to change a webhook."""
        if not self.faults.active:
            return
        store, organization = self.emulator.store, self.emulator.organization
        user, now = self.console_user, self.scheduler.now
        done = [user.maybe_edit(store, organization, now)]
        if self.plan is not None:
            done.append(user.maybe_copy(store, organization, self.plan, self._written, now))
        for text in filter(None, done):
            self.note(text)

    def _serve(self, process: Process, clock: SeededClock, request: Request) -> Response:
        """Pass a request to the server, and return its response."""
        if request.method != "GET":
            process.activity.sent.add(_key(request))
            self._written.add(_key(request)[1])
        try:
            self.scheduler.sleep(clock.uniform(0, self.case.latency))
        except Crash:
            # The sender is killed; its request may still arrive.
            if request.method != "GET" and self._wire.random() < 0.5:
                self._arrive(process, request)
            raise
        process.step()
        self._update_maintenance()
        self._maybe_crash(process, after=False)
        self.edit_by_hand()
        response = self._arrive(process, request)
        self._maybe_crash(process, after=True)
        self.scheduler.sleep(clock.uniform(0, self.case.latency))
        return response

    def _arrive(self, process: Process, request: Request) -> Response:
        self.requests += 1
        self.commit_late_writes()
        self.invariants.check_request(process, request.method, request.path, request.body)
        read = request.method == "GET"
        response = self.emulator.handle(request) if read else self._write(process, request)
        if read and (self.faults.last is None or self.faults.last.label == "delay"):
            # What the first page showed may change before the last one is read.
            if "page=" not in request.query or "page=1&" in request.query:
                process.activity.last_read = self.scheduler.now
            if process.activity.plan is not None and request.path != _LIST.path:
                process.activity.read_ids.add(_id(request))
        self._trace_request(process.name, request, response)
        return response

    def _write(self, process: Process, request: Request) -> Response:
        teams = (process.team,) if self.case.conflicting else self.case.teams
        before, seen = [self.invariants.snapshot(team) for team in teams], len(self.log)
        response = self.emulator.handle(request)
        fault, activity = self.faults.last, process.activity
        self.invariants.note_response(activity, request.method, request.body, fault)
        activity.committed += fault is not None and fault.commit_after is not None
        changed = [entry.changed for entry in self.log[seen:]]
        if not any(changed) and (fault is None or fault.commit_after is None):
            activity.sent.discard(_key(request))
        for entry in self.log[seen:]:
            if entry.changed is not None:
                activity.committed += 1
                self.invariants.check_write(
                    process, entry.changed, before[0].names.get(entry.changed)
                )
                exempt = self._touched_since_read(process, request)
                for team, snapshot in zip(teams, before, strict=True):
                    self.invariants.check_present(team, snapshot, exempt)
        return response

    def _touched_since_read(self, process: Process, request: Request) -> Set[str]:
        """Return the names that may be missing because the console user deleted the other
        duplicate.
        """
        touched = self.console_user.touched
        if (
            process.activity.deletes_duplicate(request.method, request.path)
            and self.case.parallelism == 1
        ):
            return {name for name, when in touched.items() if when >= process.activity.last_read}
        return touched.keys()

    def _update_maintenance(self) -> None:
        """Start and end the maintenance of CloudTruth."""
        began, ended = self.case.maintenance
        on = self.faults.active and began <= self.requests < ended
        if on is not self.emulator.behavior.maintenance:
            self.emulator.behavior = replace(self.case.variant, maintenance=on)
            self.note(f"maintenance {'begins' if on else 'ends'}")

    def _maybe_crash(self, process: Process, *, after: bool) -> None:
        if process.name == "first" and self.case.crash == (process.steps - 1, after):
            self.note(f"{process.name} is killed")
            self.crashed = process.state.killed = True
        if process.state.killed:
            raise Crash

    def _trace_request(self, name: str, request: Request, response: Response) -> None:
        fault = self.faults.last
        path = request.path.removeprefix("/api/v1/")
        query = f"?{request.query}" if request.query else ""
        what = " " + json.loads(request.body)["name"] if request.method == "POST" else ""
        wrong = f"  ! {fault.label}" if fault is not None else ""
        self.note(f"{name} {request.method} {path}{query}{what} -> {response.status}{wrong}")


def _key(request: Request) -> tuple[str, str]:
    """Return the method of a write, and the name it creates or the id it writes to."""
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
