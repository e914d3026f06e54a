"""The interfaces that the engine needs, as protocols.

`plan` is given a `WebhookReader`, which cannot write: a dry run is not a mode, it is the absence
of a call. Time, randomness, threads and signals come in the same way, so that every schedule can
be tested in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from reconciler.errors import ExitCode
from reconciler.model import LiveWebhook, Organization, Secret
from reconciler.planning.plan import Operation

if TYPE_CHECKING:  # planning needs no report
    from reconciler.report import Outcome

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A webhook ready to be sent, its secrets resolved.

    `configuration` is None when a secret of it is not available; then only other fields are sent.
    """

    name: str
    type: str
    event_types: tuple[str, ...]
    configuration: Mapping[str, str | bool | Secret] | None


class WebhookReader(Protocol):
    """CloudTruth, for reading only."""

    @property
    def origin(self) -> str:
        """Scheme and host of the server."""
        ...

    def organization(self) -> Organization:
        """Return the organization of the API key. Raises ApiError, OrganizationError."""
        ...

    def list(self) -> tuple[LiveWebhook, ...]:
        """Return every live webhook. Raises IncompleteListingError rather than miss one."""
        ...

    def get(self, id: str) -> LiveWebhook | None:
        """Return one webhook, None if there is none. Raises ApiError."""
        ...


class WebhookAPI(WebhookReader, Protocol):
    """CloudTruth, for reading and writing. No write is ever repeated blindly."""

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        """Create a webhook. Raises AmbiguousWriteError when it may exist now."""
        ...

    def update(self, id: str, draft: Draft, sends: frozenset[str]) -> LiveWebhook:
        """Change the top-level fields named in `sends`.

        Raises NotFoundError when it is gone, AmbiguousWriteError when it may have changed.
        """
        ...

    def delete(self, id: str) -> bool:
        """Delete; False if it was already deleted. Raises AmbiguousWriteError."""
        ...


class Clock(Protocol):
    """Time and randomness."""

    def monotonic(self) -> float:
        """Return seconds from a fixed, arbitrary start; never runs backwards."""
        ...

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high`."""
        ...


class Workers(Protocol):
    """Runs calls side by side, a bounded number at a time."""

    def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Run every call; return the results in the order of the calls.

        If calls raise, the exception of the first such call is raised after all have ended.
        """
        ...


class Stop(Protocol):
    """Whether a signal asked the run to end."""

    def requested(self) -> ExitCode | None:
        """Return the exit code of the signal that came, None if none did."""
        ...


class Watcher(Protocol):
    """Receives each operation and its outcome as they happen. It must not raise."""

    def starting(self, operation: Operation) -> None:
        """Receive an operation that is about to be sent."""
        ...

    def finished(self, outcome: Outcome) -> None:
        """Receive its outcome."""
        ...
