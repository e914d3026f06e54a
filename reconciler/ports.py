"""Protocols for the API, time, threads and signals.

`plan` receives a `WebhookReader`, which cannot write, so there is no dry-run mode. Time,
randomness, threads and signals are protocols too, so that tests can run any schedule in virtual
time. The clock of the system is here, too, because every run needs it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from reconciler.errors import ExitCode
from reconciler.model import LiveWebhook, Organization, Secret

if TYPE_CHECKING:  # only for annotations: `validate` loads neither plans nor reports
    from reconciler.planning.plan import Operation
    from reconciler.report import Outcome

_T = TypeVar("_T")


class Draft(NamedTuple):
    """A webhook ready to be sent, with resolved secrets.

    `configuration` is None if one of its secrets is not available; then only other fields are sent.
    `unplanned` names the fields of the configuration that a complete replacement would change,
    although the plan does not name them.
    """

    name: str
    type: str
    event_types: frozenset[str]
    configuration: Mapping[str, str | bool | Secret] | None
    unplanned: tuple[str, ...] = ()


class WebhookReader(Protocol):
    """Read access to CloudTruth."""

    @property
    def origin(self) -> str:
        """Scheme and host of the server."""

    def organization(self) -> Organization:
        """Return the organization of the API key. Raises ApiError, OrganizationError."""

    def list(self) -> tuple[LiveWebhook, ...]:
        """Return every live webhook. Raises IncompleteListingError rather than miss one."""

    def get(self, id: str) -> LiveWebhook | None:
        """Return one webhook, None if it does not exist. Raises ApiError."""


class WebhookAPI(WebhookReader, Protocol):
    """Read and write access to CloudTruth. No write is repeated without reading first."""

    def left(self) -> float:
        """Return the seconds until the run's deadline; negative when it is over."""

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        """Create a webhook. Raises AmbiguousWriteError if it may have been created."""

    def update(self, id: str, draft: Draft, fields: frozenset[str]) -> LiveWebhook:
        """Change the top-level fields named in `fields`.

        Raises NotFoundError if it was deleted, AmbiguousWriteError if it may have changed.
        """

    def delete(self, id: str) -> bool:
        """Delete a webhook. Return False if it did not exist. Raises AmbiguousWriteError."""


class Clock(Protocol):
    """Time and randomness."""

    def monotonic(self) -> float:
        """Return monotonic seconds from an arbitrary start."""

    def now(self) -> datetime:
        """Return the current time in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high`."""


class SystemClock:
    """The clock of the operating system."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the current time in UTC. For display and `Retry-After` dates only."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds; return immediately if it is not positive."""
        if seconds > 0:
            time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high`."""
        return random.uniform(low, high)  # noqa: S311 - spreads retries, not for security


DEFAULT_PARALLELISM: Final = 10
MAX_PARALLELISM: Final = 16
"""The maximum number of calls that run concurrently."""


class Workers(Protocol):
    """Runs a limited number of calls concurrently."""

    def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Run every call; return the results in the order of the calls.

        If calls raise, all of them end first; then the exception of the first in `calls` is raised.
        """


class Stop(Protocol):
    """Reports whether a signal has asked the run to stop."""

    def requested(self) -> ExitCode | None:
        """Return the exit code of the received signal, None without one."""


class Watcher:
    """Receives what happens in one organization; this one ignores it."""

    def read(self) -> None:
        """Receive that one of several organizations was read."""

    def applying(self, organization: str, number: int, count: int) -> None:
        """Receive that an organization is applied, the `number`th of `count`."""

    def starting(self, operation: Operation) -> None:
        """Receive an operation that is about to be sent."""

    def finished(self, outcome: Outcome) -> None:
        """Receive the outcome of a finished operation."""
