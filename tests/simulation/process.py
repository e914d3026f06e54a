"""One run of the program inside a history, and what is said of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from reconciler.api.client import Client
from reconciler.errors import ExitCode
from reconciler.execute.stop import GRACE
from reconciler.model import LiveWebhook
from reconciler.report import Report
from tests.simulation.deeds import Deeds
from tests.simulation.scheduler import Life
from tests.simulation.team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a seed: `broken` is the promise that was broken, None if none was."""

    seed: int
    broken: str | None
    trace: tuple[str, ...]
    requests: int
    crashed: bool


class NoWatcher:
    """Nobody listens."""

    def starting(self, change: Any) -> None:
        pass

    def finished(self, outcome: Any) -> None:
        pass


class Watched:
    """A client, with a note of what it has shown last."""

    def __init__(self, api: Client, process: Process) -> None:
        self._api = api
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def list(self) -> tuple[LiveWebhook, ...]:
        process = self._process
        process.seen = self._api.list()
        if process.deeds.plan is not None and process.deeds.compared is None:
            process.deeds.compared = {each.id: each for each in process.seen}
        return process.seen

    def get(self, id: str) -> LiveWebhook | None:
        found = self._api.get(id)
        deeds = self._process.deeds
        if found is not None and deeds.compared is not None and not deeds.begun:
            deeds.compared.setdefault(id, found)
        return found


@dataclass(slots=True)
class Process:
    """One run of the program for a team: what it has done so far, and what came of it.

    `needs_review` says that it left undone only what no review has. It is its own Stop port, from
    entering it on: a signal comes `stop` steps after the first write was sent, a second one `halt`
    steps later. `seen` is the last listing that it read whole.
    """

    name: str
    team: Team
    stop: int | None = None
    halt: int | None = None
    life: Life = field(default_factory=Life)
    deeds: Deeds = field(default_factory=Deeds)
    steps: int = 0
    needs_review: bool = False
    writing: int = 0
    report: Report | None = None
    code: ExitCode | None = None
    seen: tuple[LiveWebhook, ...] = ()
    now: Callable[[], float] = lambda: 0.0
    hurry: Callable[[float], None] = lambda seconds: None
    _armed: bool = False
    _since: float | None = None

    def __enter__(self) -> Self:
        self._armed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._armed = False

    def step(self) -> None:
        """One more request; a signal may come with it."""
        self.steps += 1
        self.writing += bool(self.writing or self.deeds.begun)
        due = self.stop is not None and self.writing > self.stop
        if due and self._armed and self._since is None:
            self._since = self.now()
            self.hurry(GRACE - 1.0)

    def requested(self) -> ExitCode | None:
        """Return the signal's exit code once it has come."""
        return None if self._since is None else ExitCode.SIGTERM

    def halted(self) -> bool:
        """Say whether a second signal has come, or the grace is over."""
        if self._since is None or self.stop is None:
            return False
        again = self.halt is not None and self.writing > self.stop + self.halt
        return again or self.now() - self._since >= GRACE
