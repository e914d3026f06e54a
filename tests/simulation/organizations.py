"""Runs over several organizations: `python -m tests.simulation.organizations --seeds N`.

Each seed has one to five organizations on two servers, lost responses, a server that is down, a
rejected key, a signal or a crash at any request, sometimes two runs at once, and sometimes a server
that hides the tokens, which the runs resend, while a user makes the visible part of their changes.
Each organization has a webhook that may move to another one, also in a circle.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.api.client import connect
from reconciler.api.connections import Shared
from reconciler.api.origin import Network
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model import Secret
from reconciler.planning.plan import Delete
from reconciler.planning.planner import PlanOptions
from reconciler.report import Report, RunReport, exit_code_of
from reconciler.source.load import Parsed
from reconciler.source.yaml import parse
from reconciler.workflow.applying import apply_all
from reconciler.workflow.connection import Connection
from reconciler.workflow.inputs import Inputs, load_all
from reconciler.workflow.run import Target, connect_all
from tests.emulated import faults
from tests.emulated.emulator import Emulator, Request, Response
from tests.emulated.in_process import InProcess
from tests.emulated.variant import ReadBack, Variant
from tests.simulation.__main__ import main
from tests.simulation.invariants import Result, Violation
from tests.simulation.scheduler import (
    Crash,
    ProcessState,
    Scheduler,
    SeededClock,
    SeededWorkers,
    Signal,
)

_SERVERS = ("https://one.example.com", "https://two.example.com")
_EVENTS = ("value_created", "value_deleted", "value_updated")


class Case(NamedTuple):
    """What a seed draws.

    `names` are the declared webhooks of each organization, `live` the rows that exist. `refused` is
    the organization whose key is rejected, `down` the server that refuses connections during the
    first runs. `signal` and `crash` are the number of requests after which they come. With
    `copy_odds` the servers hide tokens, and a user makes a change by hand before a request. With
    `absent` each file declares so what moves away from its organization.
    """

    seed: int
    names: tuple[tuple[str, ...], ...]
    live: tuple[tuple[str, ...], ...]
    servers: tuple[int, ...]
    refused: int | None
    down: int | None
    keep_going: bool
    runs: int
    signal: int | None
    crash: int | None
    parallelism: int
    odds: float
    failures: int
    copy_odds: float
    absent: bool


def case(seed: int) -> Case:
    """Draw a case."""
    draw = random.Random(f"organizations {seed}")
    count = draw.randint(1, 5)
    moved = [f"moved-{index}" for index in draw.sample(range(count), count)]
    names = tuple(
        (*(f"hook-{index}" for index in range(draw.randint(1, 4))), moved[number])
        for number in range(count)
    )
    # The first declared webhook is live, or a guard would block the deletes.
    live = tuple(
        tuple(
            name
            for name in (*declared[:-1], f"moved-{number}", "old-1", "old-2")
            if name in (declared[0], f"moved-{number}") or draw.random() < 0.35
        )
        for number, declared in enumerate(names)
    )
    steps = 12 * count
    return Case(
        seed=seed,
        names=names,
        live=live,
        servers=tuple(draw.choice((0, 0, 1)) for _ in range(count)),
        refused=draw.randrange(count) if draw.random() < 0.15 else None,
        down=draw.randrange(2) if draw.random() < 0.2 else None,
        keep_going=draw.random() < 0.5,
        runs=2 if draw.random() < 0.2 else 1,
        signal=draw.randrange(steps) if draw.random() < 0.4 else None,
        crash=draw.randrange(steps) if draw.random() < 0.25 else None,
        parallelism=draw.choice((1, 2, 4, 8)),
        odds=draw.choice((0.0, 0.05, 0.2)),
        failures=draw.choice((1, 3, 8)),
        copy_odds=0.1 if draw.random() < 0.3 else 0.0,
        absent=draw.random() < 0.3,
    )


class _Faults:
    """Fails requests until the faults end."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._draw = random.Random(f"faults {case.seed}")
        self._left = case.failures
        self.active = True

    def take(self, method: str, path: str, body: bytes) -> faults.Fault | None:
        if not self.active or not self._left or self._draw.random() >= self._case.odds:
            return None
        self._left -= 1
        commits = self._draw.random() < 0.5
        return self._draw.choice(
            (faults.drop(commit=commits), faults.status(502, commit=commits), faults.refuse())
        )


@dataclass(slots=True)
class _Run(Signal):
    """One run: its signal, what it wrote, and where it is killed."""

    world: World
    name: str
    disturbed: bool = False
    state: ProcessState = field(default_factory=ProcessState)
    requests: int = 0
    written: list[int] = field(default_factory=list)

    def step(self) -> None:
        """Count a request; the signal or the crash may come with it."""
        self.requests += 1
        drawn = self.world.case
        if not self.disturbed:
            return
        if drawn.crash is not None and self.requests > drawn.crash:
            self.world.crashed = self.state.killed = True
            raise Crash
        if drawn.signal is not None and self.requests > drawn.signal:
            self.come()


class World:
    """One emulator for all organizations, in virtual time."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.scheduler = Scheduler()
        self.faults = _Faults(case)
        self.emulator = Emulator(
            behavior=Variant(read_back=ReadBack.MASK if case.copy_odds else ReadBack.PLAIN),
            faults=self.faults,
            seed=case.seed,
            clock=lambda: self.scheduler.now,
        )
        self._user = random.Random(f"user {case.seed}")
        store = self.emulator.store
        self.ids = []
        for number, live in enumerate(case.live):
            id_ = store.add_organization(f"Acme {number}").id
            store.add_user(id_, key=f"key-of-organization-{number}", role="ADMIN")
            self.ids.append(id_)
            for name in live:
                store.save({"organization": id_, **_row(name, _OLD_TOKEN)})
        self.trace: list[str] = []
        self.crashed = False

    def rows(self, number: int) -> list[dict[str, Any]]:
        return self.emulator.store.webhooks(self.ids[number])

    @contextmanager
    def targets(self, run: _Run) -> Iterator[list[Target]]:
        """Yield the connected organizations of a run."""
        drawn = self.case
        clock = SeededClock(self.scheduler, f"clock {drawn.seed} {run.name}")
        halted = None if drawn.signal is None or not run.disturbed else run.halted
        workers = SeededWorkers(self.scheduler, run.state, drawn.parallelism, halted=halted)
        documents = tuple(
            parse(_file(number, names, drawn.absent).encode(), f"org-{number}.yaml")
            for number, names in enumerate(drawn.names)
        )
        inputs = Inputs(Path(), {"TOKEN": _TOKEN}, bytes, parsed=Parsed(documents=documents))
        adapter = InProcess(lambda request: self.serve(run, request), clock=clock)
        network = Network(clock=clock, adapter=adapter)
        network = network._replace(shared=Shared(network))
        assert network.shared is not None
        run.now, run.shorten_deadline = clock.monotonic, network.shared.deadline_in

        def connect_one(target: Target) -> tuple[Connection, None]:
            number = int(target.source.name.rpartition(" ")[2])
            is_refused = self.faults.active and number == drawn.refused
            key = Secret("refused-key-12345" if is_refused else f"key-of-organization-{number}")
            client = connect(
                server_url=_SERVERS[drawn.servers[number]],
                key=key,
                workers=workers,
                network=network,
            )
            return Connection(
                api=client,
                workers=workers,
                key=key,
                clock=clock,
                stop=run,
                unreachable=client.transport.unreachable,
                disconnect=client.transport.disconnect,
            ), None

        # A hidden token that differs is only sent on request.
        is_resent = drawn.copy_odds and run.disturbed
        options = PlanOptions(resend=("*",)) if is_resent else PlanOptions()
        sources = load_all(inputs)
        yield [*connect_all([Target(each, options=options) for each in sources], connect_one)]

    def serve(self, run: _Run, request: Request) -> Response:
        """Pass a request to the server, and check it."""
        is_after_signal = run.requested() is not None
        self.scheduler.sleep(0.01)
        run.step()
        key = request.headers["authorization"].rpartition(" ")[2]
        number = int(key.rpartition("-")[2]) if key.startswith("key-of") else -1
        host = f"https://{request.headers['host']}"
        if self.faults.active and self.case.down is not None and host == _SERVERS[self.case.down]:
            return Response(502, (("content-length", "0"),), b"", fault=faults.refuse())
        if self.faults.active and self._user.random() < self.case.copy_odds:
            self._copy(self._user.randrange(len(self.ids)))
        if request.method != "GET":
            self._check_write(run, number, is_after_signal=is_after_signal)
        response = self.emulator.handle(request)
        self.trace.append(
            f"{self.scheduler.now:8.3f} {run.name} {number} {request.method} {request.path} "
            f"-> {response.status}"
        )
        self._check_moves()
        self.scheduler.sleep(0.01)
        return response

    def _copy(self, number: int) -> None:
        """Make the visible part of a declaration live, but not its token."""
        name = self._user.choice(self.case.names[number])
        row = next(
            (row for row in self.rows(number) if row["name"] == name), _row(name, _OLD_TOKEN)
        )
        (declared,) = (each for each in _declared(self.case.names[number]) if each["name"] == name)
        copy = {**row, "organization": self.ids[number], "event_types": declared["event_types"]}
        self.emulator.store.save(copy)
        self.trace.append(f"{self.scheduler.now:8.3f} a user copies {name} of {number}")

    def _check_moves(self) -> None:
        """Check that a webhook that moves is always live somewhere."""
        live = {row["name"] for number in range(len(self.ids)) for row in self.rows(number)}
        for number in range(len(self.ids)):
            if f"moved-{number}" not in live:
                raise Violation(f"moved-{number} is live nowhere")

    def _check_write(self, run: _Run, number: int, *, is_after_signal: bool) -> None:
        drawn = self.case
        if number < 0:
            raise Violation("a write with a rejected key")
        # One after another: a failure or a signal leaves at most one half done.
        if number in run.written and number != run.written[-1]:
            raise Violation(f"organization {number} is written after {run.written[-1]}")
        if is_after_signal and number not in run.written:
            raise Violation(f"organization {number} is written after a signal")
        is_bad = self.faults.active and (
            drawn.refused is not None or (drawn.down is not None and drawn.down in drawn.servers)
        )
        if is_bad and not drawn.keep_going:
            raise Violation("a write, although an organization cannot be planned")
        run.written.append(number)


_TOKEN, _OLD_TOKEN = "xoxb-1234567890-declared", "xoxb-9999999999-old"


def _row(name: str, token: str) -> dict[str, Any]:
    configuration = {"token": token, "channel": "#x", "username": "CT"}
    fields = {"name": name, "type": "slack", "event_types": ["value_created"]}
    return {**fields, "configuration": configuration, "last_run": None, "last_error": None}


def _declared(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": "slack",
            "event_types": list(_EVENTS[: 1 + index % 3]),
            "configuration": {"token": {"env": "TOKEN"}, "channel": "#x", "username": "CT"},
        }
        for index, name in enumerate(names)
    ]


def _file(number: int, names: tuple[str, ...], absent: bool) -> str:
    webhooks, limits = _declared(names), {"max_deletes": 9}
    if absent and f"moved-{number}" not in names:
        webhooks.append({"name": f"moved-{number}", "state": "absent"})
    return json.dumps({"organization": f"Acme {number}", "limits": limits, "webhooks": webhooks})


def run_seed(seed: int) -> Result:
    """Run the history of a seed."""
    world = World(case(seed))
    violation = None
    try:
        _history(world)
    except Violation as error:
        violation = str(error)
    trace = (str(world.case), *world.trace)
    return Result(seed, violation, trace, requests=len(world.trace), crashed=world.crashed)


def _history(world: World) -> None:
    drawn = world.case
    runs = [_Run(world, f"run-{index}", True) for index in range(drawn.runs)]
    tasks = [
        world.scheduler.spawn(run.state, lambda run=run: _apply(world, run))  # type: ignore[misc]
        for run in runs[1:]
    ]
    world.scheduler.run_as(runs[0].state, lambda: _apply(world, runs[0]))
    world.scheduler.join(tasks)
    for task in tasks:
        if task.error is not None and not isinstance(task.error, Crash):
            raise task.error
    world.faults.active = False
    world.scheduler.sleep(60.0)
    for index in range(3):
        last = _apply(world, _Run(world, f"clean-{index}"))
    if not isinstance(last, RunReport) or last.exit_code is not ExitCode.OK or last.writes:
        raise Violation(f"the third clean run does not end with nothing to do: {last}")
    for number in range(len(drawn.names)):
        _check_rows(world, number)


def _check_rows(world: World, number: int) -> None:
    """Check that the webhooks of an organization are exactly the declared ones."""
    found = sorted((row["name"], sorted(row["event_types"])) for row in world.rows(number))
    declared = _declared(world.case.names[number])
    wanted = sorted((each["name"], sorted(each["event_types"])) for each in declared)
    if found != wanted:
        raise Violation(f"organization {number} has {found}, not {wanted}")


def _check_tokens(world: World, report: Report, number: int) -> None:
    """Check that what is reported as applied has the token that it sends."""
    tokens = {row["id"]: row["configuration"]["token"] for row in world.rows(number)}
    for outcome in report.applied:
        operation = outcome.operation
        if isinstance(operation, Delete) or "configuration" not in operation.sent_fields:
            continue
        if tokens.get(outcome.id or "", _TOKEN) != _TOKEN:
            raise Violation(
                f"{operation.name} of {number} is reported as applied, with another token"
            )


def _apply(world: World, run: _Run) -> RunReport | ReconcilerError:
    """Apply once, and check the report."""
    drawn = world.case
    try:
        with world.targets(run) as targets:
            report = apply_all(
                targets,
                confirm=lambda plans: plans.totals.blocked == 0,
                keep_going=drawn.keep_going,
            )
    except ReconcilerError as problem:
        if run.written:
            raise Violation(f"an error after a write loses the report: {problem}") from None
        return problem
    codes = [exit_code_of(result) for result in report.organizations]
    is_left = any(code is not ExitCode.OK for code in codes)
    if report.exit_code is ExitCode.OK and is_left:
        raise Violation("exit code 0, although an organization is not as declared")
    if report.writes and is_left and report.exit_code not in (ExitCode.PARTIAL, ExitCode.SIGTERM):
        raise Violation(f"exit code {report.exit_code} after writes, although something is left")
    for number, result in enumerate(report.organizations):
        if result.value is not None:
            _check_tokens(world, result.value, number)
    if report.exit_code is ExitCode.OK and drawn.runs == 1 and not drawn.copy_odds:
        for number in range(len(drawn.names)):
            _check_rows(world, number)
    return report


if __name__ == "__main__":
    sys.exit(main(run_seed, "tests.simulation.organizations"))
