"""An in-memory fake of the CloudTruth API for the engine's tests; failures are data.

`faults` are applied in order; each has a call and an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from reconciler import errors
from reconciler.errors import ApiError, ExitCode, NotFoundError
from reconciler.execute.execute import execute
from reconciler.model import LiveWebhook, Organization, Webhook
from reconciler.planning.plan import Plan
from reconciler.ports import Draft
from reconciler.report import Report
from tests.planning import builders
from tests.planning.builders import ACME, SECRETS, desired, live_slack, make_plan
from tests.ports import InlineWorkers, VirtualClock

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure: `call` is create, update, delete, get or list; the `nth` of those, from 1.

    With `happens` the write is committed anyway. `interfere` is called before it.
    """

    call: str
    nth: int = 1
    error: Callable[..., ApiError] | None = None
    happens: bool = False
    detail: str | None = None
    interfere: Callable[[Memory], None] | None = None


FAULTS = Path(__file__).with_name("faults.yaml")


def faults(rows: Sequence[Any], **changes: Callable[[Memory], None]) -> list[Fault]:
    """Return the faults of a data file, which names an error, and one of the `changes`."""
    named = {None: None, **vars(errors), **changes}
    return [
        Fault(**{**row, **{key: named[row.get(key)] for key in ("error", "interfere")}})
        for row in rows
    ]


@dataclass(slots=True)
class Memory:
    """The WebhookAPI over a dict of live webhooks."""

    rows: dict[str, LiveWebhook] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    calls: list[str] = field(default_factory=list)
    stores: Callable[[LiveWebhook], LiveWebhook] = lambda row: row
    lists: Callable[[Memory, int], tuple[LiveWebhook, ...]] = lambda api, _: (*api.rows.values(),)
    ids: Iterator[int] = field(default_factory=lambda: count(101))
    seconds_left: float = 600.0

    origin = "https://api.cloudtruth.io"

    def left(self) -> float:
        return self.seconds_left

    def organization(self) -> Organization:
        return ACME

    def list(self) -> tuple[LiveWebhook, ...]:
        return self._do("list", "", lambda: self.lists(self, self.count("list")))

    def get(self, id: str) -> LiveWebhook | None:
        return self._do("get", id, lambda: self.rows.get(id))

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        return self._do("create", draft.name, lambda: self.put(live(draft, f"id-{next(self.ids)}")))

    def update(self, id: str, draft: Draft, fields: frozenset[str]) -> LiveWebhook:
        def act() -> LiveWebhook:
            if id not in self.rows:
                raise NotFoundError("no such object")
            changed = {key: getattr(live(draft, id), key) for key in fields}
            return self.put(replace(self.rows[id], **changed))

        return self._do("update", id, act)

    def delete(self, id: str) -> bool:
        return self._do("delete", id, lambda: self.rows.pop(id, None) is not None)

    def put(self, row: LiveWebhook) -> LiveWebhook:
        self.rows[row.id] = self.stores(row)
        return self.rows[row.id]

    def names(self) -> list[str]:
        return sorted(row.name for row in self.rows.values())

    def count(self, call: str) -> int:
        return sum(each.split(" ")[0] == call for each in self.calls)

    def writes(self) -> list[str]:
        return [each for each in self.calls if each.split(" ")[0] in ("create", "update", "delete")]

    def _do(self, call: str, what: str, act: Callable[[], T]) -> T:
        self.calls.append(f"{call} {what}".strip())
        for fault in self.faults:
            if fault.call == call and fault.nth == self.count(call):
                if fault.interfere is not None:
                    fault.interfere(self)
                if fault.error is not None:
                    if fault.happens:
                        act()
                    raise fault.error("it failed", detail=fault.detail)
        return act()


@dataclass(slots=True)
class StopAfter:
    """A signal after this many writes to the memory; None for no signal."""

    api: Memory
    writes: int | None = None

    def requested(self) -> ExitCode | None:
        stopped = self.writes is not None and len(self.api.writes()) >= self.writes
        return ExitCode.SIGTERM if stopped else None


@dataclass(slots=True)
class RecordingWatcher:
    """A watcher that records its calls."""

    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def starting(self, operation: Any) -> None:
        self.started.append(operation.name)

    def finished(self, outcome: Any) -> None:
        self.ended.append(outcome.operation.name)


def slack(name: str, channel: str = "#ops", **more: Any) -> Webhook:
    return builders.slack(name, channel=channel, username="CT", **more)


def live(draft: Draft, id: str) -> LiveWebhook:
    return LiveWebhook(
        id=id,
        name=draft.name,
        type=draft.type,
        event_types=draft.event_types,
        configuration=dict(draft.configuration or {}),
    )


def row(name: str, id: str, channel: str = "#ops", **more: Any) -> LiveWebhook:
    return live_slack(name, id, channel=channel, username="CT", **more)


def memory(*rows: LiveWebhook, **more: Any) -> Memory:
    return Memory(rows={each.id: each for each in rows}, **more)


def appear(*rows: LiveWebhook) -> Callable[[Memory], None]:
    """Let another process store webhooks."""
    return lambda api: api.rows.update({each.id: each for each in rows})


def planned(api: Memory, *webhooks: Webhook, secrets: Any = SECRETS, **options: Any) -> Plan:
    """Plan without requests: the memory against the declarations."""
    return make_plan(desired(*webhooks), *api.rows.values(), secrets=secrets, **options)


def run(api: Memory, plan: Plan, *, stop: int | None = None, **more: Any) -> Report:
    """Apply a plan in this world; a signal comes after `stop` writes."""
    settings: dict[str, Any] = {
        "clock": VirtualClock(),
        "workers": InlineWorkers(),
        "stop": StopAfter(api, stop),
        "watcher": RecordingWatcher(),
        "reviewed": False,
    } | more
    secrets = settings.pop("secrets", SECRETS)
    return execute(plan, secrets, api, **settings)


def outcomes(report: Report) -> dict[str, str]:
    """Return, by name, the kind of each outcome and its code if it has one."""
    return {
        each.operation.name: f"{type(each).__name__.lower()} {getattr(each, 'code', '')}".rstrip()
        for each in report.outcomes
    }
