"""The way to CloudTruth for a program that uses this package: one call, and everything it needs.

Nothing is read from the environment but what names certificates and proxies, and no signal is
caught: a program decides itself where its settings come from and what interrupts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from reconciler.errors import ExitCode
from reconciler.execute.clock import SystemClock
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Secret
from reconciler.planning.changes import Change
from reconciler.ports import WebhookAPI
from reconciler.report import Outcome
from reconciler.settings.resolve import DEFAULT_DEADLINE, DEFAULT_SERVER, DEFAULT_TIMEOUT
from reconciler.values import dataclass
from reconciler.workflow.applying import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A client for one organization, and what carries a plan out with it."""

    api: WebhookAPI
    engine: Engine


@contextmanager
def connect(
    key: Secret,
    *,
    server_url: str = DEFAULT_SERVER,
    timeout: float = DEFAULT_TIMEOUT,
    deadline: float = DEFAULT_DEADLINE,
    parallelism: int = 10,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Connection]:
    """Connect with an API key until the end of the block. No request is made by this itself.

    `timeout` is for a request and `deadline` for the whole block, in seconds; `parallelism` is how
    many requests run side by side, 1 to 16. `environment` may name certificates, as in
    `SSL_CERT_FILE`. Raises UsageError for a URL that must not be used, CredentialError for a key
    that cannot be one, ValueError for another parallelism.
    """
    from reconciler.api.client import connect as open_client

    clock = SystemClock()
    workers = ThreadWorkers(parallelism)
    try:
        with open_client(
            server_url=server_url,
            key=key,
            clock=clock,
            workers=workers,
            timeout=timeout,
            deadline=deadline,
            environment=environment or {},
        ) as api:
            engine = Engine(
                clock=clock, workers=workers, stop=nullcontext(_Never()), watcher=_Silent()
            )
            yield Connection(api=api, engine=engine)
    finally:
        workers.close()


class _Never:
    """The Stop port where nobody asks the run to end."""

    def requested(self) -> ExitCode | None:
        return None


class _Silent:
    """The Watcher port where nobody looks on."""

    def starting(self, change: Change) -> None:
        pass

    def finished(self, outcome: Outcome) -> None:
        pass
