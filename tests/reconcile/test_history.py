"""Histories of 30 simulated days: faults, restarts, edits by scripts and git, two reconcilers."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable

import pytest

from reconciler.planning.plan import Create, SecretCause, SecretChange, Update
from reconciler.report import Applied, Report, Skipped
from tests.emulated import faults
from tests.emulated.emulator import Request
from tests.emulated.faults import Fault
from tests.emulated.variant import ReadBack, Variant
from tests.reconcile.world import Process, World, configuration

DAY, HOUR = 86_400.0, 3600.0
DAYS, QUIET = 30, 1  # the last day has no faults
NAMES = [f"hook-{number}" for number in range(6)]


_LIMITS = "limits: {max_deletes: 100}\n"


class Outages:
    """Faults of requests while an outage lasts."""

    def __init__(self, draw: random.Random, now: Callable[[], float]) -> None:
        self._draw, self._now = draw, now
        self._windows = []
        for _ in range(8):
            begin = draw.uniform(0, (DAYS - QUIET - 1) * DAY)
            odds = draw.choice((0.3, 1.0))
            self._windows.append((begin, begin + draw.choice((600, 3600, 7200)), odds))

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        for begin, end, odds in self._windows:
            if begin <= self._now() < end and self._draw.random() < odds:
                commit = self._draw.random() < 0.5
                return self._draw.choice(
                    (faults.refuse(), faults.drop(commit=commit), faults.status(503, commit=commit))
                )
        return None


class History:
    """One seed: the world, its commits, and a task for each source of events."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(f"history {seed}")
        read_back = self.draw.choice((ReadBack.PLAIN, ReadBack.MASK))
        self.world = World(seed=seed, variant=Variant(read_back=read_back))
        self.world.emulator.faults = Outages(self.draw, lambda: self.world.scheduler.now)
        self.every = self.draw.choice((1800.0, HOUR))
        self.channels = dict.fromkeys(NAMES[:4], (0, 1))
        self.declared: list[set[tuple[str, str]]] = []
        self.written: set[tuple[str, str]] = set()
        self.processes: list[Process] = []
        self.problems: list[str] = []
        self.edits = 0
        self.world.check = self._check
        self._commit()

    def run(self) -> None:
        """Run all tasks until the end."""
        scheduler = self.world.scheduler
        for body in (self._operate, self._edit, self._script):
            scheduler.spawn(Process(self.world, "events", every=None).state, body)
        scheduler.sleep(DAYS * DAY)
        for process in self.processes:
            process.state.killed = True

    def _commit(self) -> None:
        """Commit the declarations; sometimes a commit that cannot be applied comes before."""
        if self.declared and self.draw.random() < 0.2:
            self.world.repository.commit({"webhooks.yaml": "webhooks: ["})
            self.world.scheduler.sleep(self.draw.uniform(0, 4 * HOUR))
        entries = [
            f'{{name: {name}, configuration: {{channel: "#{name}-{number}", '
            f"token: {{env: TOK, version: {version}}}}}}}"
            for name, (number, version) in self.channels.items()
        ]
        self.declared.append({(n, f"#{n}-{number}") for n, (number, _) in self.channels.items()})
        self.written |= self.declared[-1]
        self.world.repository.commit(configuration(*entries, head=_LIMITS))

    def _active(self) -> bool:
        return self.world.scheduler.now < (DAYS - QUIET) * DAY

    def _operate(self) -> None:
        """Start processes, and kill them at any moment or at a write."""
        while True:
            is_active = self._active()
            running = []
            for _ in range(2 if self.draw.random() < 0.3 and is_active else 1):
                process = Process(self.world, f"p{len(self.processes)}", every=self.every)
                if self.draw.random() < 0.5 and is_active:
                    process.kill_at = (self.draw.randrange(1, 6), self.draw.random() < 0.5)
                self.processes.append(process)
                process.start()
                running.append(process)
            if not is_active:
                return
            left = (DAYS - QUIET) * DAY - self.world.scheduler.now
            self.world.scheduler.sleep(min(left, self.draw.uniform(0.5, 4) * DAY))
            for process in running:
                process.state.killed = True

    def _edit(self) -> None:
        """Change, add, remove and rotate by commits."""
        while self._active():
            self.world.scheduler.sleep(self.draw.uniform(0.5, 3) * DAY)
            if not self._active():
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

    def _script(self) -> None:
        """Change, delete, rename and add webhooks live; sometimes every minute for some hours."""
        store = self.world.emulator.store
        while self._active():
            self.world.scheduler.sleep(self.draw.uniform(0.2, 2) * DAY)
            times = 240 if self.draw.random() < 0.2 else 1
            live = self.world.live()
            name = self.draw.choice([row["name"] for row in live]) if live else ""
            what = self.draw.choice(("change", "delete", "add"))
            for number in range(times):
                self.world.scheduler.sleep(60)
                if not self._active():
                    return
                rows = [row for row in self.world.live() if row["name"] == name]
                self.edits += 1
                if what == "add" or not rows:
                    self._add(f"stray-{self.edits}" if what == "add" else name, number)
                elif what == "delete":
                    store.delete(rows[0]["id"])
                else:
                    changed = {**rows[0]["configuration"], "channel": f"#changed-{number}"}
                    store.save({**rows[0], "configuration": changed})

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
        """Check a write before it arrives: its values, and what it deletes."""
        if when:
            return
        if request.body:
            body = json.loads(request.body)
            channel = body.get("configuration", {}).get("channel")
            row = self.world.emulator.store.row(request.path.split("/")[-2])
            name = body.get("name") or json.loads(row.data)["name"] if row else body.get("name")
            if channel is not None and (name, channel) not in self.written:
                self.problems.append(f"{process.name} writes {name} {channel}")
        else:
            live = {row["id"]: row["name"] for row in self.world.live()}
            name = live.get(request.path.split("/")[-2])
            # A process may still be in a round on the commit before.
            needed = [{declared for declared, _ in commit} for commit in self.declared[-2:]]
            is_last = list(live.values()).count(str(name)) < 2
            if is_last and all(name in commit for commit in needed):
                self.problems.append(f"{process.name} deletes {name}")


def reports(process: Process) -> list[tuple[float, Report]]:
    """Return the reports of a process."""
    return [
        (when, organization.value)
        for when, result in process.rounds
        if result.report is not None
        for organization in result.report.organizations
        if organization.value is not None
    ]


def check_writes(process: Process) -> None:
    """At most three writes of one declaration within an hour, and each rotation once."""
    times = defaultdict[object, list[float]](list)
    resends = defaultdict[object, int](int)
    for when, report in reports(process):
        for outcome in report.outcomes:
            operation = outcome.operation
            if isinstance(outcome, Skipped) or not isinstance(operation, Create | Update):
                continue
            webhook = operation.after
            fields = tuple((key, str(value)) for key, value in webhook.configuration.items())
            times[webhook.name, fields].append(when)
            changes = operation.fields if isinstance(operation, Update) else ()
            for change in changes:
                is_version = isinstance(change, SecretChange) and change.cause is _VERSION
                if is_version and isinstance(outcome, Applied):
                    resends[webhook.name, fields] += 1
    for key, moments in times.items():
        for begin in moments:
            assert sum(begin <= moment < begin + HOUR for moment in moments) <= 3, key
    assert all(count == 1 for count in resends.values()), resends


_VERSION = SecretCause.VERSION_CHANGED


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_month_of_faults(seed: int) -> None:
    """No undeclared value is written, nothing declared is deleted, and the end is as declared."""
    history = History(seed)
    history.run()
    assert history.problems == []
    for process in history.processes:
        check_writes(process)
    live = [(row["name"], row["configuration"]["channel"]) for row in history.world.live()]
    assert sorted(live) == sorted(history.declared[-1]), history.processes[-1].rounds[-1]
    last = reports(history.processes[-1])[-1][1]
    assert last.outcomes == ()
    assert len(history.processes) > 5
    assert history.world.writes
