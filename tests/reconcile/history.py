"""Histories of 30 simulated days: faults, restarts, edits by scripts and git, two reconcilers."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Set
from typing import Any, NamedTuple

from reconciler.planning.plan import Create, SecretCause, SecretChange, Update
from reconciler.reconcile import Round
from reconciler.report import Applied, Report, Skipped
from tests.emulated import faults
from tests.emulated.emulator import Request
from tests.emulated.faults import Fault
from tests.emulated.variant import ReadBack, Variant
from tests.reconcile.world import ENVIRON, Process, Repository, World, configuration

DAY, HOUR, MINUTE = 86_400.0, 3600.0, 60.0
DAYS = 30
QUIET = 1
"""The days without faults at the end."""
NAMES = [f"hook-{number}" for number in range(6)]
_INVALID = "webhooks: ["
_REPORTED = ("suspended for", "is not declared and has the same type", "may be a declared webhook")
"""Reasons that need a person or an hour: such operations are reported, not written."""


class Outages:
    """Faults of requests while an outage lasts; `taken` are their moments."""

    def __init__(self, draw: random.Random, now: Callable[[], float]) -> None:
        self._draw, self._now = draw, now
        self.taken: list[float] = []
        self._windows = []
        for _ in range(8):
            begin = draw.uniform(0, (DAYS - QUIET - 1) * DAY)
            odds = draw.choice((0.3, 1.0))
            self._windows.append((begin, begin + draw.choice((600, 3600, 7200)), odds))

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        for begin, end, odds in self._windows:
            if begin <= self._now() < end and self._draw.random() < odds:
                self.taken.append(self._now())
                commit = self._draw.random() < 0.5
                kinds = (
                    faults.refuse(), faults.drop(commit=commit), faults.status(503, commit=commit),
                    faults.status(429, retry_after=9), faults.hang(commit=commit), faults.reset(),
                )  # fmt: skip
                return self._draw.choice(kinds)
        return None


class Attempt(NamedTuple):
    """A round that was not only a wait."""

    start: float
    end: float
    requests: int
    commit: str
    result: Round

    @property
    def report(self) -> Report | None:
        values = [organization.value for organization in self.result.organizations]
        return values[0] if values and isinstance(values[0], Report) else None

    def problems(self) -> list[str]:
        """Return what failed or is left."""
        if self.report is None:
            errors = (self.result.problem, *(each.problem for each in self.result.organizations))
            return [str(error) for error in errors if error is not None]
        outcomes = self.report.outcomes
        return [f"{type(each).__name__} {each.operation.name} {each}"[:200] for each in outcomes]

    def reported(self) -> set[str]:
        """Return the names of what is suspended or withheld."""
        return {
            outcome.operation.name
            for outcome in (self.report.outcomes if self.report is not None else ())
            if isinstance(outcome, Skipped) and any(text in outcome.message for text in _REPORTED)
        }

    def is_settled(self, apart: Set[str] = frozenset()) -> bool:
        """Return whether nothing is left, names of `apart` and what is only reported apart."""
        if self.report is None or self.report.problem is not None:
            return False
        names = {outcome.operation.name for outcome in self.report.outcomes}
        return names <= self.reported() | apart


def attempts(process: Process) -> list[Attempt]:
    """Return the rounds of a process in which it tried something."""
    ended = zip(process.starts, process.rounds, process.spent, process.commits, strict=False)
    return [
        Attempt(start, end, requests, commit, result)
        for start, (end, result), requests, commit in ended
        if not result.left_out
    ]


class History:
    """One seed: the world, its commits, and a task for each source of events.

    `events` are the moments of changes that no reconciler made.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(f"history {seed}")
        self.read_back = self.draw.choice((ReadBack.PLAIN, ReadBack.MASK))
        self.world = World(seed=seed, variant=Variant(read_back=self.read_back))
        self.outages = Outages(self.draw, lambda: self.world.scheduler.now)
        self.world.emulator.faults = self.outages
        self.every = self.draw.choice((600.0, 1800.0, HOUR))
        self.channels = dict.fromkeys(NAMES[:4], (0, 1))
        self.declared: dict[str, dict[str, tuple[str, int]]] = {}
        self.processes: list[Process] = []
        self.problems: list[str] = []
        self.events: list[float] = []
        self.duplicates: set[str] = set()
        self.last_write: dict[str, float] = {}
        self.renamed: dict[str, float] = {}
        self.edits = 0
        self.world.check = self._check
        self._commit()

    def run(self) -> None:
        """Run all tasks until the end."""
        scheduler = self.world.scheduler
        for body in (self._operate, self._edit, self._script, self._jump):
            scheduler.spawn(Process(self.world, "events", every=None).state, body)
        scheduler.sleep(DAYS * DAY)
        for process in self.processes:
            process.state.killed = True

    def is_active(self) -> bool:
        return self.world.scheduler.now < (DAYS - QUIET) * DAY

    def _event(self) -> None:
        self.events.append(self.world.scheduler.now)

    def _commit(self) -> None:
        """Commit the declarations; sometimes a commit that cannot be applied comes before."""
        repository = self.world.repository
        if self.declared and self.draw.random() < 0.2:
            repository.commit({"webhooks.yaml": _INVALID})
            self._event()
            self.world.scheduler.sleep(self.draw.uniform(0, 4 * HOUR))
        entries = [
            f'{{name: {name}, configuration: {{channel: "#{name}-{number}", '
            f"token: {{env: TOK, version: {version}}}}}}}"
            for name, (number, version) in self.channels.items()
        ]
        commit = repository.commit(configuration(*entries, head="limits: {max_deletes: 100}\n"))
        self.declared[commit] = {
            name: (f"#{name}-{number}", version)
            for name, (number, version) in self.channels.items()
        }
        self._event()

    def _operate(self) -> None:
        """Start processes, and kill them at any moment or at a write.

        The second of two reconcilers has its own clone, which fetches later. A third only reports.
        """
        while True:
            running = [self._start(git=self._restarted())]
            if self.is_active() and self.draw.random() < 0.3:
                lag = self.draw.uniform(0, 10 * MINUTE)
                running.append(self._start(git=self.world.repository.clone(lag)))
                self.events.append(self.world.scheduler.now + lag)
            if self.draw.random() < 0.3:
                running.append(self._start(apply=False))
            self._event()
            left = (DAYS - QUIET) * DAY - self.world.scheduler.now
            duration = self.draw.uniform(0.5, 4) * DAY
            if left <= 0 or (left < duration and self.draw.random() < 0.5):
                for process in running:  # they run until the end
                    process.kill_at = None
                return
            self.world.scheduler.sleep(min(left, duration))
            for process in running:
                process.state.killed = True

    def _start(self, *, apply: bool = True, git: Repository | None = None) -> Process:
        name = f"p{len(self.processes)}"
        process = Process(self.world, name, every=self.every, apply=apply, git=git)
        if apply and self.is_active() and self.draw.random() < 0.5:
            process.kill_at = (self.draw.randrange(1, 6), self.draw.random() < 0.5)
        self.processes.append(process)
        process.start()
        return process

    def _restarted(self) -> Repository:
        """Return the clone of a restarted process: sometimes a fresh one, without its refs."""
        if self.draw.random() < 0.3:
            return self.world.repository.clone(0.0)
        return self.world.repository

    def _edit(self) -> None:
        """Change, add, remove and rotate by commits."""
        while self.is_active():
            self.world.scheduler.sleep(self.draw.uniform(0.5, 3) * DAY)
            if not self.is_active():
                return
            name = self.draw.choice(NAMES)
            number, version = self.channels.get(name, (0, 1))
            match self.draw.randrange(4):
                case 0 if len(self.channels) > 3:
                    self.channels.pop(name, None)
                case 1:
                    self.channels[name] = (number, version + 1)
                case _:
                    self.channels[name] = (number + 1, version)
            self._commit()

    def _jump(self) -> None:
        """Set the wall clock to another time, days ahead or behind."""
        while self.is_active():
            self.world.scheduler.sleep(self.draw.uniform(0.5, 5) * DAY)
            self.world.wall_clock_error = self.draw.choice((0.0, 5 * DAY, -5 * DAY, HOUR))

    def _script(self) -> None:
        """Change, delete, rename and add webhooks live; sometimes every minute for some hours."""
        while self.is_active():
            self.world.scheduler.sleep(self.draw.uniform(0.2, 2) * DAY)
            times = 240 if self.draw.random() < 0.2 else 1
            live = self.world.live()
            name = self.draw.choice([row["name"] for row in live]) if live else ""
            match self.draw.choice(("change", "delete", "add", "rename")):
                case "rename":
                    self._rename(name)
                case action:
                    self._repeat(action, name, times)

    def _repeat(self, action: str, name: str, times: int) -> None:
        store = self.world.emulator.store
        for number in range(times):
            self.world.scheduler.sleep(MINUTE)
            if not self.is_active():
                return
            rows = [row for row in self.world.live() if row["name"] == name]
            self.edits += 1
            self._event()
            if action == "add" or not rows:
                self._add(f"stray-{self.edits}" if action == "add" else name, number)
            elif action == "delete":
                store.delete(rows[0]["id"])
            else:
                changed = {**rows[0]["configuration"], "channel": f"#changed-{number}"}
                store.save({**rows[0], "configuration": changed})

    def _rename(self, name: str) -> None:
        """Rename a webhook, and some hours later back, as far as both names are free."""
        if not self.is_active():
            return
        self.edits += 1
        other = f"renamed-{self.edits}"
        for before, after in ((name, other), (other, name)):
            rows = {row["name"]: row for row in self.world.live()}
            if before in rows and after not in rows:
                self._event()
                self.world.emulator.store.save({**rows[before], "name": after})
                self.renamed[other] = self.world.scheduler.now
            if after == other:
                left = (DAYS - QUIET) * DAY - self.world.scheduler.now
                self.world.scheduler.sleep(min(left, self.draw.uniform(0, 6) * HOUR))

    def _add(self, name: str, number: int) -> None:
        if not any(row["name"] == name for row in self.world.live()) and number < 5:
            fields = {"token": "xoxb-2", "channel": f"#script-{number}", "username": "CT"}
            self.world.emulator.store.save(
                {
                    "organization": self.world.organization,
                    "id": f"00000000-0000-4000-8000-{self.edits:012d}",
                    "name": name,
                    "type": "slack",
                    "event_types": ["parameter_created"],
                    "configuration": fields,
                    "last_run": None,
                    "last_error": None,
                }
            )

    def _check(self, process: Process, request: Request, when: int) -> None:
        """Check a write before and after it arrives."""
        if when:
            self._check_duplicates(process)
            return
        if not process.apply:
            self.problems.append(f"{process.name} writes without --apply")
        declared = self.declared[process.commits[-1]]
        rows = {row["id"]: row for row in self.world.live()}
        row = rows.get(request.path.split("/")[-2])
        if request.body:
            body = json.loads(request.body)
            self._check_values(process, body, row, declared)
            if request.method == "POST":
                self._check_create(process, body["configuration"]["channel"])
            return
        copies = [other for other in rows.values() if row and other["name"] == row["name"]]
        if row is not None and row["name"] in declared and len(copies) < 2:
            self.problems.append(f"{process.name} deletes {row['name']}")

    def _check_values(self, process: Process, body: Any, row: Any, declared: Any) -> None:
        """Every value is one of the commit of the round."""
        name = body.get("name") or (row or {}).get("name")
        fields = body.get("configuration", {})
        channel, _ = declared.get(name, ("", 0))
        wanted = {"channel": channel, "token": ENVIRON["TOK"], "username": "CT"}
        if any(wanted.get(field) != value for field, value in fields.items()):
            self.problems.append(f"{process.name} writes {name} {fields}")

    def _check_create(self, process: Process, channel: str) -> None:
        """No webhook is created while the same one has another name since before the round."""
        for row in self.world.live():
            is_renamed = self.renamed.get(row["name"], process.starts[-1]) < process.starts[-1]
            if is_renamed and row["configuration"]["channel"] == channel:
                self.problems.append(f"{process.name} creates {channel} beside {row['name']}")

    def _check_duplicates(self, process: Process) -> None:
        """A single reconciler never causes a duplicate; of two, the next rounds remove it."""
        names = Counter(row["name"] for row in self.world.live())
        duplicates = {name for name, count in names.items() if count > 1}
        self.last_write[process.name] = self.world.scheduler.now
        # A process that was just killed may have written in this round, too.
        writers = [
            other
            for other in self.processes
            if self.last_write.get(other.name, -1) >= process.starts[-1]
            or (other.apply and not other.state.killed)
        ]
        new = duplicates - self.duplicates
        if new and len(writers) < 2:
            self.problems.append(f"{process.name} duplicates {new} at {self.world.scheduler.now}")
        self.duplicates = duplicates


def check_month(seed: int) -> list[str]:
    """Simulate a month; return what is not as promised."""
    history = History(seed)
    history.run()
    problems = history.problems
    for process in history.processes:
        problems += [f"{process.name}: {problem}" for problem in _check_process(history, process)]
    live = sorted((row["name"], row["configuration"]["channel"]) for row in history.world.live())
    declared = list(history.declared.values())[-1]
    if live != sorted((name, channel) for name, (channel, _) in declared.items()):
        problems.append(f"at the end {live}")
    if len(history.processes) < 6 or not history.world.writes:
        problems.append("nothing happened")
    return problems


def _check_process(history: History, process: Process) -> Iterator[str]:
    tried = attempts(process)
    for attempt in tried:
        if not process.apply and attempt.report is not None:
            yield "applied without --apply"
        is_idle = attempt.report is not None and attempt.report.outcomes == ()
        if is_idle and attempt.requests != 2 and not _between(history.outages.taken, attempt):
            yield f"{attempt.requests} requests without changes at {attempt.start}"
    if process.apply:
        yield from _check_convergence(history, tried)
        yield from _check_writes(tried)
        if history.read_back is ReadBack.MASK:
            yield from _check_rotations(history, tried)


def _between(moments: list[float], first: Attempt, last: Attempt | None = None) -> bool:
    return any(first.start <= moment <= (last or first).end for moment in moments)


def _check_convergence(history: History, tried: list[Attempt]) -> Iterator[str]:
    """After two rounds without an event or a fault, nothing is left to do.

    A suspended webhook is written in the round after its hour.
    """
    events = history.events + history.outages.taken
    events += [process.starts[0] for process in history.processes if process.starts]
    events += [process.rounds[-1][0] for process in history.processes if process.rounds]
    for first, second, last in zip(tried, tried[1:], tried[2:], strict=False):
        is_invalid = last.commit not in history.declared
        is_settled = last.is_settled(first.reported() | second.reported())
        if not (is_invalid or is_settled or _between(events, first, last)):
            yield f"not converged after two rounds, at {last.start}: {last.problems()}"
            return


def _check_writes(tried: list[Attempt]) -> Iterator[str]:
    """At most three writes of one declaration are within an hour."""
    moments = defaultdict[object, list[float]](list)
    for attempt in tried:
        for outcome in attempt.report.outcomes if attempt.report is not None else ():
            operation = outcome.operation
            if not isinstance(outcome, Skipped) and isinstance(operation, Create | Update):
                values = (str(value) for value in operation.after.configuration.values())
                moments[operation.after.name, *values].append(attempt.end)
    for declaration, times in moments.items():
        for begin in times:
            if sum(begin <= moment < begin + HOUR for moment in times) > 3:
                yield f"more than three writes of {declaration} after {begin}"


def _check_rotations(history: History, tried: list[Attempt]) -> Iterator[str]:
    """A process that applied two commits sent each token whose version they change, once."""
    applied: dict[str, tuple[str, int]] = {}
    sent, rotated = Counter[str](), Counter[tuple[str, int]]()
    for attempt in tried:
        report = attempt.report
        for outcome in report.outcomes if report is not None else ():
            name = outcome.operation.name
            if not isinstance(outcome, Applied):
                continue
            causes = list(_causes(outcome.operation))
            sent[name] += bool(causes)
            if SecretCause.VERSION_CHANGED in causes:
                version = name, history.declared[attempt.commit][name][1]
                rotated[version] += 1
                if rotated[version] > 1:
                    yield f"version {version} was sent again at {attempt.start}"
        if report is None or report.problem is not None or not attempt.is_settled():
            continue
        declared = history.declared[attempt.commit]
        for name in applied.keys() & declared.keys():
            if applied[name][1] != declared[name][1] and not sent[name]:
                yield f"{name} was not sent again at {attempt.start}"
        applied = declared
        sent.clear()


def _causes(operation: object) -> Iterator[SecretCause | None]:
    """Yield why an operation sends the token."""
    if isinstance(operation, Create):
        yield None
    elif isinstance(operation, Update):
        for change in operation.fields:
            if isinstance(change, SecretChange):
                yield change.cause
