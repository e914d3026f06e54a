"""The real client and engine against the emulated CloudTruth, with each kind of lost answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from reconciler.api.client import connect
from reconciler.errors import ExitCode, IncompleteListingError, ReconcilerError
from reconciler.execute.execute import execute
from reconciler.execute.stop import SystemClock
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Live, Secret, SecretRef, Webhook
from reconciler.planning.planner import plan
from reconciler.report import Failed, Report
from tests.emulated import faults
from tests.emulated.emulator import LATE, LOCAL_KEY, Emulator
from tests.emulated.faults import Fault, Script
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.execute.world import (
    SECRETS,
    InlineWorkers,
    Memory,
    RecordingWatcher,
    StopAfter,
    VirtualClock,
    slack,
)
from tests.planning.builders import desired
from tests.served import served
from tests.waiting import TIMEOUT

_CONFIGURATION = {"token": "xoxb-0000000000-AAAAAAAA", "channel": "#ops", "username": "CT"}


class Local:
    """An emulator in this process, and applies against it in virtual time."""

    def __init__(self, **choices: Any) -> None:
        self.script = Script()
        self.clock = VirtualClock()
        self.emulator = Emulator(
            behaviour=Variant(**choices),
            faults=self.script,
            seed=1,
            clock=self.clock.monotonic,
        )

    def check_webhooks(self, name: str, **operations: Any) -> None:
        self.emulator.store.insert(
            {
                "organization": self.emulator.organization,
                "name": name,
                "type": "slack",
                "event_types": ["value_created", "value_updated"],
                "configuration": _CONFIGURATION,
            }
            | operations
        )

    def apply(
        self,
        *webhooks: Webhook,
        reviewed: bool = False,
        secrets: Mapping[SecretRef, Secret] = SECRETS,
    ) -> Report:
        workers = InlineWorkers()
        adapter = InProcess(self.emulator.handle, clock=self.clock)
        client = connect(
            server_url="https://api.cloudtruth.io",
            key=Secret(LOCAL_KEY),
            clock=self.clock,
            workers=workers,
            adapter=adapter,
        )
        with closing(client) as api:
            live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
            return execute(
                plan(desired(*webhooks), live, secrets),
                secrets,
                api,
                clock=self.clock,
                workers=workers,
                stop=StopAfter(Memory()),
                watcher=RecordingWatcher(),
                reviewed=reviewed,
            )

    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.emulator.store.webhooks())

    def sent(self, method: str) -> int:
        """Return the number of requests that arrived; a late write is in the log twice."""
        log = self.emulator.store.log()
        return sum(
            entry.method == method and self.emulator.labels.get(entry.seq) != LATE for entry in log
        )


LOST = {
    "drop before": (faults.drop(), 2),
    "drop after commit": (faults.drop(commit=True), 1),
    "drop, commit late": (faults.drop(commit_after=0.5), 1),
    "hang": (faults.hang(), 2),
    "hang after commit": (faults.hang(commit=True), 1),
    "500": (faults.status(500), 2),
    "500 after commit": (faults.status(500, commit=True), 1),
    "504": (faults.status(504), 2),
    "504 after commit": (faults.status(504, commit=True), 1),
    "html 502 after commit": (faults.html(502, commit=True), 1),
    "html 200": (faults.html(200), 2),
    "html 200 after commit": (faults.html(200, commit=True), 1),
    "redirect after commit": (faults.redirect("https://x.example.com/", commit=True), 1),
}
# An answer to a delete has no body to truncate.
CUT = {"truncated": (faults.truncate(), 1), "reset": (faults.reset(), 1)}
CASES = [pytest.param(*case, id=name) for name, case in (LOST | CUT).items()]


@pytest.mark.parametrize(("fault", "posts"), CASES)
def test_a_create_without_an_answer_leaves_one_webhook(fault: Fault, posts: int) -> None:
    """It is found if it happened, repeated if not; one webhook, exit 0."""
    server = Local()
    server.script.add(fault, method="POST")
    report = server.apply(slack("a"))
    assert (server.names(), server.sent("POST")) == (["a"], posts)
    assert (report.exit_code, report.verified) == (ExitCode.OK, True)
    assert server.apply(slack("a")).plan.operations == ()


@pytest.mark.parametrize(("fault", "patches"), CASES)
def test_an_update_without_an_answer_is_repeated_only_if_needed(fault: Fault, patches: int) -> None:
    """It is read back first."""
    server = Local()
    server.check_webhooks("a")
    server.script.add(fault, method="PATCH")
    report = server.apply(slack("a", "#new"))
    assert server.sent("PATCH") == patches
    assert (report.exit_code, report.verified) == (ExitCode.OK, True)
    assert server.apply(slack("a", "#new")).plan.operations == ()


@pytest.mark.parametrize(
    ("fault", "deletes"), [pytest.param(*case, id=name) for name, case in LOST.items()]
)
def test_a_delete_without_an_answer_is_repeated_only_if_needed(fault: Fault, deletes: int) -> None:
    """It is read back first."""
    server = Local()
    server.check_webhooks("a")
    server.check_webhooks("old")
    server.script.add(fault, method="DELETE")
    report = server.apply(slack("a"))
    assert (server.names(), server.sent("DELETE")) == (["a"], deletes)
    assert (report.exit_code, report.verified) == (ExitCode.OK, True)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_throttled_write_waits_for_retry_after(method: str) -> None:
    """`Retry-After: 7` is seven seconds, and nothing is duplicated."""
    server = Local()
    server.check_webhooks("a")
    server.check_webhooks("old")
    server.script.add(faults.status(429, retry_after=7), method=method)
    report = server.apply(slack("a", "#new"), slack("b"))
    assert report.exit_code is ExitCode.OK
    assert (server.names(), sum(server.clock.slept)) == (["a", "b"], pytest.approx(7.0))


def test_a_pause_that_is_too_long_ends_the_run() -> None:
    """`Retry-After: 86400` stops the run, and the error has the number."""
    server = Local()
    server.script.add(faults.status(429, retry_after=86400), method="POST")
    report = server.apply(slack("a"), slack("b"))
    assert report.exit_code is ExitCode.FAILED
    assert "86400" in report.outcomes[0].message  # type: ignore[union-attr]
    assert (server.clock.time, server.sent("POST")) == (0.0, 1)


def test_throttling_without_a_pause_ends_with_the_run() -> None:
    """The outcome has the status, the attempts and the live webhook."""
    server = Local()
    server.check_webhooks("a")
    server.script.add(faults.status(429), method="PATCH", times=None)
    report = server.apply(slack("a", "#new"))
    sends = server.sent("PATCH")
    (outcome,) = report.outcomes
    assert isinstance(outcome, Failed)
    assert (report.exit_code, report.writes) == (ExitCode.FAILED, 0)
    assert outcome.message.startswith(f"HTTP 429 ({sends} attempts): ")
    assert outcome.message.endswith(" s left; nothing was changed")


def test_a_name_taken_by_a_late_create_of_this_run_is_found() -> None:
    """A server with unique names refuses the second POST of a create that was committed late."""
    server = Local(unique_names="exact", unique_shape="__all__")
    server.script.add(faults.drop(commit_after=4.5), method="POST")
    server.script.add(faults.delay(1.0), method="POST", nth=2)
    report = server.apply(slack("a"))
    assert (server.names(), report.exit_code) == (["a"], ExitCode.OK)


def test_a_late_duplicate_is_removed() -> None:
    """The first POST is committed after the second: the smallest id is kept."""
    server = Local()
    server.script.add(faults.drop(commit_after=4.5), method="POST")
    server.script.add(faults.delay(1.0), method="POST", nth=2)
    report = server.apply(slack("a"))
    assert (server.names(), len(report.healed)) == (["a"], 1)
    assert report.exit_code is ExitCode.OK


def test_a_delete_answered_with_404_is_verified() -> None:
    """A 404 is not enough: a webhook that is still listed is not deleted."""
    server = Local()
    server.check_webhooks("a")
    server.check_webhooks("old")
    server.script.add(faults.status(404), method="DELETE")
    report = server.apply(slack("a"))
    assert (server.names(), report.exit_code) == (["a", "old"], ExitCode.FAILED)


def test_a_server_that_is_down_gets_few_requests() -> None:
    """The retry budget ends the run long before twenty webhooks are tried."""
    server = Local()
    server.script.add(faults.status(503), method="POST", times=None)
    server.script.add(faults.status(503), method="GET", nth=4, times=None)
    report = server.apply(*(slack(f"hook-{n}") for n in range(20)))
    assert report.exit_code is ExitCode.PARTIAL
    assert server.sent("POST") <= 12
    assert server.clock.time < 600


INCONSISTENT_PAGES = {
    "counts too few": {"count": "low"},
    "counts too many": {"count": "high"},
    "always shows the first page": {"page_honoured": False},
    "never ends": {"count": "missing", "next_link": "endless"},
    "repeats rows": {"ordering": "unordered"},
}


@pytest.mark.parametrize(
    "lie", [pytest.param(choices, id=name) for name, choices in INCONSISTENT_PAGES.items()]
)
def test_inconsistent_pages_prevent_writes(lie: dict[str, Any]) -> None:
    """An inconsistent listing ends the run before a write."""
    server = Local(page_size=2, max_page_size=2, **lie)
    for n in range(7):
        server.check_webhooks(f"hook-{n}")
    with pytest.raises(IncompleteListingError):
        server.apply(slack("new"), *(slack(f"hook-{n}") for n in range(7)))
    assert (server.sent("POST"), server.sent("DELETE"), len(server.names())) == (0, 0, 7)


def test_two_concurrent_applies_always_leave_one_webhook() -> None:
    """Over HTTP, with threads: one webhook per declaration remains."""
    there: set[str] = set()
    gone: list[str] = []
    emulator = Emulator()

    def watch(entry: Any) -> None:
        if entry.changed is not None:
            names = {row["name"] for row in emulator.store.webhooks()}
            gone.extend(there - names)
            there.update(names)

    emulator = Emulator(listener=watch)
    webhooks = tuple(slack(f"hook-{n}") for n in range(15))
    together = threading.Barrier(2, timeout=TIMEOUT)
    codes: list[ExitCode] = []

    def apply(url: str) -> None:
        clock, workers = SystemClock(), ThreadWorkers(4)
        key = Secret(LOCAL_KEY)
        client = connect(server_url=url, key=key, clock=clock, workers=workers)
        with closing(client) as api:
            live = Live(origin=api.origin, organization=api.organization(), webhooks=api.list())
            made = plan(desired(*webhooks), live, SECRETS)
            together.wait()
            try:
                report = execute(
                    made,
                    SECRETS,
                    api,
                    clock=clock,
                    workers=workers,
                    stop=StopAfter(Memory()),
                    watcher=RecordingWatcher(),
                    reviewed=False,
                )
                codes.append(report.exit_code)
            except ReconcilerError as error:
                codes.append(error.exit_code)
        workers.close()

    with served(emulator) as url:
        threads = [threading.Thread(target=apply, args=(url,), daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
    names = sorted(row["name"] for row in emulator.store.webhooks())
    assert names == sorted(webhook.name for webhook in webhooks)
    assert (gone, len(codes)) == ([], 2)
