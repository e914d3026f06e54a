"""One run of the program inside a history, and what is said of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import ExitCode
from reconciler.report import Report
from tests.simulation.judge import Deeds
from tests.simulation.scheduler import Life


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


@dataclass(slots=True)
class Process:
    """One run of the program: what it has done so far, and what came of it.

    It is its own Stop port: a signal comes at the step `stop`.
    """

    name: str
    stop: int | None = None
    life: Life = field(default_factory=Life)
    deeds: Deeds = field(default_factory=Deeds)
    steps: int = 0
    report: Report | None = None
    code: ExitCode | None = None

    def requested(self) -> ExitCode | None:
        return ExitCode.SIGTERM if self.stop is not None and self.steps > self.stop else None
