"""Any history of edits, drift, faults and kills converges.

A machine of hypothesis does what people, servers and machines do, in any sequence, to a file and an
organization: the real client, planner and engine run against the emulator in one process. After
each apply that says it is done, nothing is left to do; whatever went wrong before, one apply
without faults mends it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reconciler.api.client import Client, connect
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.execute.execute import execute
from reconciler.model import Desired, FileScope, Live, Pattern, Policy, Secret, Webhook
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import judge
from reconciler.source.saved_plan import load, save
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Script
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.execute.world import (
    EVENTS,
    SECRETS,
    Heard,
    Memory,
    OneByOne,
    StillClock,
    StopAfter,
    slack,
)
from tests.loading import loaded

NAMES = st.sampled_from(("a", "b", "c", "d"))
CHANNELS = st.sampled_from(("#x", "#y"))
FAULTS = st.sampled_from(
    (
        lambda: faults.drop(),
        lambda: faults.drop(commit=True),
        lambda: faults.status(500, commit=True),
        lambda: faults.status(503),
        lambda: faults.status(429, retry_after="2"),
        lambda: faults.hang(commit=True),
        lambda: faults.truncate(),
        lambda: faults.html(commit=True),
        lambda: faults.refuse(),
    )
)


def generic(name: str, channel: str) -> Webhook:
    return Webhook(
        name=name,
        type="generic",
        event_types=EVENTS,
        configuration={"url": f"https://hooks.example.com/{channel[1:]}"},
    )


class Killed(BaseException):
    """The process is gone."""


class Kill:
    """Ends the run before or after a write arrives."""

    def __init__(self, inside: InProcess, writes: int, *, after: bool) -> None:
        self.inside, self.left, self.after = inside, writes, after

    def handle(self, request: object) -> object:
        method = request.method  # type: ignore[attr-defined]
        if method == "GET":
            return self.inside.handle_request(request)  # type: ignore[arg-type]
        self.left -= 1
        if self.left < 0 and not self.after:
            raise Killed
        answer = self.inside.handle_request(request)  # type: ignore[arg-type]
        if self.left < 0:
            raise Killed
        return answer


class Histories(RuleBasedStateMachine):
    """A file, an organization, and what happens to them."""

    @initialize(
        read_back=st.sampled_from(("plain", "mask", "omitted", "null", "partial")),
        unique=st.sampled_from(("none", "exact")),
        patch=st.booleans(),
    )
    def begin(self, read_back: str, unique: str, patch: bool) -> None:
        """Some server."""
        self.clock = StillClock()
        self.script = Script()
        self.emulator = Emulator(
            behaviour=Variant(
                read_back=read_back,
                unique_names=unique,
                methods=("PATCH", "DELETE") if patch else ("PUT", "DELETE"),
            ),
            faults=self.script,
            seed=1,
            clock=self.clock.monotonic,
        )
        self.file: dict[str, Webhook] = {}
        self.ignored: list[dict[str, object]] = []
        self.converged: Plan | None = None

    @rule(name=NAMES, channel=CHANNELS, kind=st.sampled_from((slack, generic)))
    def declare(self, name: str, channel: str, kind: Callable[[str, str], Webhook]) -> None:
        """Somebody edits the file: another channel, or another type."""
        self.file[name] = kind(name, channel)
        self.converged = None

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        """Somebody gives an entry another name, and says what it was."""
        if old in self.file and new not in self.file:
            self.file[new] = replace(self.file.pop(old), name=new, previously=(old,))
            self.converged = None

    @rule(name=NAMES)
    def withdraw(self, name: str) -> None:
        """Somebody removes an entry."""
        self.file.pop(name, None)
        self.converged = None

    @rule(name=NAMES, channel=CHANNELS)
    def edit_by_hand(self, name: str, channel: str) -> None:
        """Somebody changes what is live."""
        for row in self.emulator.store.webhooks():
            if row["name"] == name:
                configuration = {**row["configuration"], "channel": channel}
                self.emulator.store.update(row["id"], {**row, "configuration": configuration})
                self.converged = None

    @rule(name=NAMES)
    def retype_by_hand(self, name: str) -> None:
        """Somebody turns what is live into one of the other type."""
        for row in self.emulator.store.webhooks():
            if row["name"] == name:
                url = {"url": "https://elsewhere.example.com/x"}
                self.emulator.store.update(
                    row["id"], {**row, "type": "generic", "configuration": url}
                )
                self.converged = None

    @rule(name=NAMES)
    def delete_by_hand(self, name: str) -> None:
        """Somebody deletes what is live."""
        for row in self.emulator.store.webhooks():
            if row["name"] == name:
                self.emulator.store.delete(row["id"])
                self.converged = None

    @rule(name=st.sampled_from(("manual-1", "e")))
    def create_by_hand(self, name: str) -> None:
        """Somebody creates what no file declares."""
        if name not in [row["name"] for row in self.emulator.store.webhooks()]:
            self.emulator.store.insert(
                {
                    "organization": self.emulator.organization,
                    "name": name,
                    "type": "slack",
                    "event_types": ["value_created"],
                    "configuration": {"token": "t", "channel": "#z", "username": "u"},
                }
            )
            self.converged = None
            self.ignored = self.manual()

    @rule(
        chosen=st.lists(
            st.tuples(st.sampled_from(("POST", "PATCH", "DELETE", "GET", "PUT")), FAULTS),
            min_size=1,
            max_size=4,
        )
    )
    def apply(self, chosen: list[tuple[str, object]]) -> None:
        """An apply meets faults; when it says that all is done, all is done."""
        for method, fault in chosen:
            self.script.add(fault(), method=method)  # type: ignore[operator]
        code = self.run()
        self.script.clear()
        if code is ExitCode.OK:
            self.converged = self.planned()

    @rule(
        chosen=st.lists(st.tuples(st.sampled_from(("POST", "PATCH", "DELETE")), FAULTS), max_size=2)
    )
    def apply_a_saved_plan(self, chosen: list[tuple[str, object]]) -> None:
        """A plan goes into a file and back, meets faults, and is finished by applying it again."""
        saved = save(self.planned(), loaded(self.desired()), PlanOptions())
        for method, fault in chosen:
            self.script.add(fault(), method=method)  # type: ignore[operator]
        self.run(saved=saved)
        self.script.clear()
        assert self.run(saved=saved) is ExitCode.OK
        self.converged = self.planned()

    @rule(writes=st.integers(0, 3), after=st.booleans())
    def be_killed(self, writes: int, after: bool) -> None:
        """An apply dies in the middle; the next one, undisturbed, mends everything."""
        with suppress(Killed):
            self.run(kill=(writes, after))
        assert self.run() is ExitCode.OK
        self.converged = self.planned()

    @invariant()
    def what_is_done_is_done(self) -> None:
        """Success means an empty plan and one copy of each name."""
        converged = getattr(self, "converged", None)
        if converged is None:
            return
        assert converged.changes == ()
        names = [row["name"] for row in self.emulator.store.webhooks()]
        assert sorted(each for each in names if not each.startswith("manual")) == sorted(self.file)

    @invariant()
    def what_is_ignored_is_untouched(self) -> None:
        """Whatever succeeds or fails, what the file ignores stays as somebody made it."""
        if hasattr(self, "ignored"):
            assert self.manual() == self.ignored

    def manual(self) -> list[dict[str, object]]:
        return [row for row in self.emulator.store.webhooks() if row["name"].startswith("manual")]

    def desired(self) -> Desired:
        return Desired(
            webhooks=tuple(self.file.values()),
            policy=Policy(
                scopes=(FileScope(file="webhooks.yaml"),),
                ignore=(Pattern(glob="manual-*"),),
                max_deletes=99,
            ),
        )

    def client(self, kill: tuple[int, bool] | None = None) -> Client:
        inside = InProcess(self.emulator.handle, clock=self.clock)
        adapter: httpx.BaseTransport = inside
        if kill is not None:
            adapter = httpx.MockTransport(Kill(inside, kill[0], after=kill[1]).handle)  # type: ignore[arg-type]
        return connect(
            server_url="https://api.cloudtruth.io",
            key=Secret(LOCAL_KEY),
            clock=self.clock,
            workers=OneByOne(),
            adapter=adapter,
        )

    def planned(self) -> Plan:
        with self.client() as api:
            live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
        return plan(self.desired(), live, SECRETS)

    def run(self, kill: tuple[int, bool] | None = None, saved: bytes | None = None) -> ExitCode:
        with self.client(kill) as api:
            try:
                live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
                made = replace(plan(self.desired(), live, SECRETS), blocked=())
                if saved is not None:
                    found = judge(made, load(saved, "plan.json").review, values=True)
                    assert not found.unreviewed
                    assert not found.stale
                report = execute(
                    made,
                    SECRETS,
                    api,
                    clock=self.clock,
                    workers=OneByOne(),
                    stop=StopAfter(Memory()),
                    watcher=Heard(),
                    reviewed=saved is not None,
                )
            except ReconcilerError as error:
                return error.exit_code
        return report.exit_code


def test_any_history_converges() -> None:
    """Edits, drift, faults and kills, in any sequence."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=250, stateful_step_count=25, deadline=None, derandomize=True
        ),
    )
