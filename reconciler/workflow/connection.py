"""Connect to one organization with what an apply needs: workers, clock, signals and watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from reconciler.api.origin import DEFAULT_DEADLINE, DEFAULT_SERVER, DEFAULT_TIMEOUT, Network
from reconciler.execute.stop import SignalStop, SystemClock
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Secret
from reconciler.ports import Clock, Stop, Watcher, WebhookAPI, Workers

if TYPE_CHECKING:
    from reconciler.api.attempt import Observer
    from reconciler.api.connections import Adapter


class Connection(NamedTuple):
    """A client for one organization, its key, and what an apply needs.

    `key` is rejected as a webhook's secret. `stop` is entered only for the writes: before them a
    signal ends the run immediately. By default it receives no signals. `restart` restarts the
    deadline, for example after a prompt.
    """

    api: WebhookAPI
    workers: Workers
    key: Secret | None = None
    clock: Clock = SystemClock()
    stop: AbstractContextManager[Stop] = nullcontext(SignalStop(SystemClock().monotonic))
    watcher: Watcher = Watcher()
    restart: Callable[[], None] = lambda: None


@contextmanager
def connect(
    key: Secret | None,
    *,
    server_url: str = DEFAULT_SERVER,
    timeout: float = DEFAULT_TIMEOUT,
    deadline: float = DEFAULT_DEADLINE,
    parallelism: int = 10,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    watcher: Watcher | None = None,
    signaled: Callable[[], None] | None = None,
    observer: Observer | None = None,
    adapter: Adapter | None = None,
) -> Iterator[Connection]:
    """Connect with an API key until the end of the block. Sends no request.

    Without a key, only the API schema can be read. `timeout` is the limit of a request and
    `deadline` that of the block, in seconds; `parallelism` is the number of concurrent requests, 1
    to 16. `environment` may name certificates, as in `SSL_CERT_FILE`. With `signaled`, a signal
    ends a run cleanly while it writes (see `execute.stop`), and the handler calls `signaled` at the
    first signal. `observer` is called with every request; `adapter` replaces the network.

    Raises UsageError for an unsafe URL, CredentialError for a malformed key, ValueError for an
    invalid parallelism.
    """
    # Imported here, so that a run without a key does not load the HTTP library.
    from reconciler.api.client import connect as open_client

    clock = clock or SystemClock()

    def shorten_deadline(seconds: float) -> None:
        api.deadline_in(seconds)
        if signaled is not None:
            signaled()

    stop = SignalStop(clock.monotonic, shorten_deadline=shorten_deadline)
    workers = ThreadWorkers(parallelism, halted=stop.halted)
    with closing(workers):
        client = open_client(
            server_url=server_url,
            key=key,
            workers=workers,
            network=Network(
                clock=clock,
                timeout=timeout,
                deadline=deadline,
                environment=environment or {},
                observer=observer,
                adapter=adapter,
            ),
        )
        with closing(client) as api:
            yield Connection(
                api=api,
                key=key,
                clock=clock,
                workers=workers,
                stop=nullcontext(stop) if signaled is None else stop,
                watcher=watcher or Watcher(),
                restart=lambda: api.deadline_in(deadline),
            )
