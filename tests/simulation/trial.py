"""One history, from its seed to a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial

from reconciler.api.client import Client
from reconciler.api.connect import connect
from reconciler.api.in_process import InProcess
from reconciler.emulator.handler import LOCAL_KEY, Answer, Emulator, Request
from reconciler.emulator.request_log import LogEntry
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.execute.executor import execute
from reconciler.model import Live, Secret
from reconciler.planning.plan import Plan
from reconciler.planning.planner import plan as make_plan
from reconciler.report import Report
from tests.simulation.case import CANARY, SECRETS, Case, case
from tests.simulation.judge import Judge, Violation
from tests.simulation.misfortune import Misfortune, Person
from tests.simulation.process import NoWatcher, Process, Verdict
from tests.simulation.scheduler import Crash, Scheduler, SeededClock, SeededWorkers

_MOST_REQUESTS = 500
_LONGEST_RUN = 650.0  # seconds: the deadline, and the last request that was under way


class Trial:
    """The server, time, and whoever uses both."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.scheduler = Scheduler()
        self.misfortune = Misfortune(case)
        self.person = Person(case)
        self.emulator = Emulator(
            dials=case.dials,
            faults=self.misfortune,
            seed=case.seed,
            clock=lambda: self.scheduler.now,
            listener=lambda entry: self.log.append(entry),
        )
        store, organization = self.emulator.store, self.emulator.organization
        for row in case.live:
            store.insert({"organization": organization, **row})
        self.judge = Judge(case, store, organization)
        self.trace: list[str] = []
        self.log: list[LogEntry] = []
        self.requests = 0
        self.crashed = False
        self._clocks = 0

    def note(self, text: str) -> None:
        self.trace.append(f"{self.scheduler.now:9.3f}  {text}")

    # The network, as one process sees it

    def serve(self, process: Process, clock: SeededClock, request: Request) -> Answer:
        """Carry one request there and back; everything can happen on the way."""
        self.scheduler.sleep(clock.uniform(0, self.case.latency))
        process.steps += 1
        self.requests += 1
        self._maybe_crash(process, after=False)
        self._meddle()
        self.late()
        self.judge.sent(
            process.deeds, request.method, request.path, request.body, self.person.touched.keys()
        )
        read = request.method == "GET"
        answer = self.emulator.handle(request) if read else self._write(process, request)
        if read and (self.misfortune.last is None or self.misfortune.last.label == "delay"):
            process.deeds.looked = self.scheduler.now
            if process.deeds.plan is not None and request.path != _LIST.path:
                process.deeds.asked.add(request.path.split("/")[-2])
        self._tell(process.name, request, answer)
        self._maybe_crash(process, after=True)
        self.scheduler.sleep(clock.uniform(0, self.case.latency))
        return answer

    def _write(self, process: Process, request: Request) -> Answer:
        names = self.judge.names()
        there, seen = self.judge.present(), len(self.log)
        answer = self.emulator.handle(request)
        fault, deeds = self.misfortune.last, process.deeds
        self.judge.answered(deeds, request.method, request.body, fault)
        deeds.committed += fault is not None and fault.commit_after is not None
        for entry in self.log[seen:]:
            if entry.changed is not None:
                deeds.committed += 1
                name = names.get(entry.changed)
                if name not in self.person.touched:
                    self.judge.touched(name)
                self.judge.lost(there, self._spared(process, request))
        return answer

    def _spared(self, process: Process, request: Request) -> Set[str]:
        """Of what may be lost because a person took the other copy: unless that could be seen."""
        touched = self.person.touched
        if process.deeds.removes_copy(request.method, request.path) and self.case.parallelism == 1:
            return {name for name, when in touched.items() if when >= process.deeds.looked}
        return touched.keys()

    def late(self) -> None:
        """Let writes happen whose time has come; these may not take a last copy either."""
        if not self.case.late:
            return
        there, seen = self.judge.present(), len(self.log)
        self.emulator.settle()
        for entry in self.log[seen:]:
            self.note(f"late {entry.method} {entry.path} wrote {entry.changed}")
        self.judge.lost(there, self.person.touched.keys())

    def _meddle(self) -> None:
        if self.misfortune.active:
            done = self.person.maybe(
                self.emulator.store, self.emulator.organization, self.scheduler.now
            )
            if done is not None:
                self.note(done)

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

    # The program

    def program(self, process: Process, plan: Plan | None = None, *, reviewed: bool) -> None:
        """Plan and apply, as the command does; with a plan, apply that."""
        try:
            self._apply(process, plan, reviewed=reviewed)
        except ReconcilerError as error:
            process.code = error.exit_code
            self.note(f"{process.name} ends: exit {int(error.exit_code)}, {error}")
            if CANARY in f"{error!r} {error} {error.__cause__!r} {error.__context__!r}":
                raise Violation("a secret is in an error") from None
            self.judge.ended(process.deeds, error.exit_code)
        except Exception as error:
            raise Violation(f"{process.name} fell over: {error!r}") from error

    def _apply(self, process: Process, plan: Plan | None, *, reviewed: bool) -> None:
        began = self.scheduler.now
        with self._connect(process) as (api, clock, workers):
            organization = api.organization()
            if plan is None:
                listing = api.list()
                live = Live(origin=api.origin, organization=organization, webhooks=listing)
                plan = make_plan(self.case.desired, live, SECRETS)
            process.deeds.plan = plan
            process.deeds.ids_before = frozenset(self.judge.names())
            report = execute(
                plan,
                SECRETS,
                api,
                clock=clock,
                workers=workers,
                stop=process,
                watcher=NoWatcher(),
                reviewed=reviewed,
            )
        process.report, process.code = report, report.exit_code
        if process.steps > _MOST_REQUESTS or self.scheduler.now - began > _LONGEST_RUN:
            raise Violation(f"{process.name} does not know when to stop")
        self.note(f"{process.name} ends: exit {int(report.exit_code)}")
        for outcome in report.outcomes:
            more = getattr(outcome, "code", None) or getattr(outcome, "note", None) or ""
            kind = type(outcome.change).__name__.lower()
            self.note(f"    {kind} {outcome.change.name}: {type(outcome).__name__.lower()} {more}")
        self.judge.reported(process.deeds, report)

    @contextmanager
    def _connect(self, process: Process) -> Iterator[tuple[Client, SeededClock, SeededWorkers]]:
        self._clocks += 1
        clock = SeededClock(self.scheduler, f"clock {self.case.seed} {self._clocks}")
        workers = SeededWorkers(self.scheduler, process.life, self.case.parallelism)
        adapter = InProcess(
            lambda request: self.serve(process, clock, request), request=Request, clock=clock
        )
        with connect(
            server_url="https://api.cloudtruth.io",
            key=Secret(LOCAL_KEY),
            clock=clock,
            workers=workers,
            adapter=adapter,
        ) as api:
            yield api, clock, workers

    # The history

    def history(self) -> None:
        """Apply under misfortune, finish what was left, and look."""
        case = self.case
        first = Process("first", stop=case.stop)
        if case.applies == 1:
            self._run(first, reviewed=case.reviewed)
        else:
            self._side_by_side((first, Process("second")))
        done = case.calm and first.code is ExitCode.OK
        if done and first.report is not None:
            self._succeeded(first.report)
        if case.reviewed and first.deeds.plan is not None:
            self.misfortune.active = True
            again = Process("again")
            self._run(again, first.deeds.plan, reviewed=True)
            if done and again.deeds.committed:
                raise Violation("a plan that was carried out is carried out again")
        self._recover()

    def _side_by_side(self, processes: Sequence[Process]) -> None:
        tasks = [
            self.scheduler.spawn(
                each.life, partial(self.program, each, reviewed=self.case.reviewed)
            )
            for each in processes
        ]
        self.scheduler.join(tasks)
        for task in tasks:
            if task.error is not None and not isinstance(task.error, Crash):
                raise task.error

    def _run(self, process: Process, plan: Plan | None = None, *, reviewed: bool) -> None:
        self.scheduler.as_life(process.life, lambda: self.program(process, plan, reviewed=reviewed))

    def _recover(self) -> None:
        """Without misfortune one apply makes everything as declared."""
        self._rest()
        last = Process("last")
        self._run(last, reviewed=False)
        if last.report is None or last.code is not ExitCode.OK:
            raise Violation(f"the clean apply ends with {last.code!r}")
        self._succeeded(last.report)

    def _succeeded(self, report: Report) -> None:
        """Look again, without misfortune: a second apply would do nothing."""
        self._rest()
        process, found = Process("look"), list[Plan]()

        def look() -> None:
            with self._connect(process) as (api, _, _):
                organization = api.organization()
                live = Live(origin=api.origin, organization=organization, webhooks=api.list())
                found.append(make_plan(self.case.desired, live, SECRETS))

        self.scheduler.as_life(process.life, look)
        self.judge.as_declared(report.plan, found[0], self.person.touched.keys())

    def _rest(self) -> None:
        """End misfortune; let everything late happen and every list catch up."""
        self.misfortune.active = False
        self.scheduler.sleep(120.0)
        self.late()
        for _ in range(4):
            self.scheduler.sleep(5.0)
            self.emulator.handle(_LIST)


_LIST = Request(
    method="GET",
    path="/api/v1/webhooks/",
    query="",
    headers={"authorization": f"Api-Key {LOCAL_KEY}", "host": "api.cloudtruth.io"},
    body=b"",
)


def trial(seed: int) -> Verdict:
    """Live through the history of a seed."""
    return live_through(case(seed))


def live_through(case: Case) -> Verdict:
    """Live through one history."""
    here = Trial(case)
    broken = None
    try:
        here.history()
    except Violation as violation:
        broken = str(violation)
        here.note(f"VIOLATION: {broken}")
    return Verdict(
        seed=case.seed,
        broken=broken,
        trace=tuple(here.trace),
        requests=here.requests,
        crashed=here.crashed,
    )
