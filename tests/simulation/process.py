"""One run of the program inside a history, and the result of a history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from reconciler.api.client import Client
from reconciler.errors import ExitCode
from reconciler.execute.workers import GRACE
from reconciler.model import LiveWebhook, Secret, Unknown
from reconciler.planning.plan import Create, Delete, Operation, Plan, Reason, Update
from reconciler.report import Report
from tests.simulation.scheduler import ProcessState
from tests.simulation.team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a seed: `violation` is the guarantee that was broken, None if none was."""

    seed: int
    violation: str | None
    trace: tuple[str, ...]
    requests: int
    crashed: bool


@dataclass(slots=True)
class Activity:
    """The writes and reads of one run, and its plan.

    `sent` holds every write that was sent and may have been committed, as method and name (for a
    POST) or id. `listings` counts the listings since the outcome of a create of that name was
    unknown; `lost` has the names of creates that failed in any way. `read_ids` holds the ids that
    were read one by one. `last_read` is the time of the last read. `compared` maps ids to what was
    read between confirmation and the first write: the listing, and webhooks that it did not show.
    """

    plan: Plan | None = None
    committed: int = 0
    ids_before: frozenset[str] = frozenset()
    deleting: bool = False
    sent: set[tuple[str, str]] = field(default_factory=set)
    listings: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    last_read: float = 0.0
    read_ids: set[str] = field(default_factory=set)
    compared: dict[str, LiveWebhook] | None = None

    def knew(self, id: str) -> bool:
        """Return whether a webhook existed when the plan was confirmed and was listed since.

        A stale list can hide one, and so can pages that shift while another process writes.
        """
        return id in self.ids_before and (self.compared is None or id in self.compared)

    def fits(self, change: Update | Delete) -> bool:
        """Return whether an operation matched the live webhook just before the first write."""
        found = (self.compared or {}).get(change.before.id)
        if found is None:
            return False
        before = change.before
        was = (before.name, before.type, before.event_types)
        configuration = {} if isinstance(found.configuration, Unknown) else found.configuration
        url = configuration.get("url")
        is_moved = isinstance(url, Secret) and before.destination != f"generic {url.shown_url()}"
        if found.type == "generic" and is_moved:
            return False
        return (found.name, found.type, found.event_types) == was

    def knows_every_namesake(self, change: Update) -> bool:
        """Return whether the plan had every webhook of the name just before the first write."""
        plan = self.plan
        if plan is None or change.after.id is not None:
            return True
        known = {each.before.id for each in (*plan.updates, *plan.deletes, *plan.left_out)}
        known |= plan.matched.keys()
        known |= {each.id for kept in plan.kept for each in kept.webhooks}
        there = {k for k, each in (self.compared or {}).items() if each.name == change.before.name}
        return there <= known

    def deletes_duplicate(self, method: str, path: str) -> bool:
        """Return whether a request deletes a duplicate of a webhook that is kept."""
        if method != "DELETE" or self.plan is None:
            return False
        planned = {each.before.id: each.reason for each in self.plan.deletes}
        return planned.get(path.split("/")[-2], Reason.DUPLICATE) is Reason.DUPLICATE

    def was_sent(self, change: Operation) -> bool:
        """Return whether a write of an operation was sent."""
        if isinstance(change, Create):
            return ("POST", change.name) in self.sent
        return any((method, change.before.id) in self.sent for method in ("PATCH", "PUT", "DELETE"))


class WatchedClient:
    """A client that records what it read last."""

    def __init__(self, api: Client, process: Process) -> None:
        self._api = api
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def list(self) -> tuple[LiveWebhook, ...]:
        process = self._process
        process.seen = self._api.list()
        if process.activity.plan is not None and process.activity.compared is None:
            process.activity.compared = {each.id: each for each in process.seen}
        return process.seen

    def get(self, id: str) -> LiveWebhook | None:
        found = self._api.get(id)
        activity = self._process.activity
        if found is not None and activity.compared is not None and not activity.sent:
            activity.compared.setdefault(id, found)
        return found


@dataclass(slots=True)
class Process:
    """One run of the program for a team, and its result.

    `needs_review` means that only unreviewed operations were not applied. The process is its own
    Stop port once it is entered: a signal comes `stop` steps after the first write was sent, a
    second one `halt` steps later. `seen` is the last complete listing.
    """

    name: str
    team: Team
    stop: int | None = None
    halt: int | None = None
    state: ProcessState = field(default_factory=ProcessState)
    activity: Activity = field(default_factory=Activity)
    steps: int = 0
    needs_review: bool = False
    writing: int = 0
    report: Report | None = None
    code: ExitCode | None = None
    seen: tuple[LiveWebhook, ...] = ()
    now: Callable[[], float] = lambda: 0.0
    shorten_deadline: Callable[[float], None] = lambda seconds: None
    _armed: bool = False
    _since: float | None = None

    def __enter__(self) -> Self:
        self._armed = True
        return self

    def __exit__(self, *error: object) -> None:
        self._armed = False

    def step(self) -> None:
        """Count one more request; a signal may come with it."""
        self.steps += 1
        self.writing += bool(self.writing or self.activity.sent)
        due = self.stop is not None and self.writing > self.stop
        if due and self._armed and self._since is None:
            self._since = self.now()
            self.shorten_deadline(GRACE - 1.0)

    def requested(self) -> ExitCode | None:
        """Return the signal's exit code once it has come."""
        return None if self._since is None else ExitCode.SIGTERM

    def halted(self) -> bool:
        """Return whether a second signal has come or the grace period is over."""
        if self._since is None or self.stop is None:
            return False
        again = self.halt is not None and self.writing > self.stop + self.halt
        return again or self.now() - self._since >= GRACE
