"""Connect to organizations with what an apply needs: workers, clock, signals and watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

from reconciler.api.origin import DEFAULT_DEADLINE, DEFAULT_SERVER, DEFAULT_TIMEOUT, Network
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.execute.stop import SignalStop, SystemClock
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Secret
from reconciler.ports import Clock, Stop, Watcher, WebhookAPI, Workers

if TYPE_CHECKING:
    from reconciler.api.attempt import Observer
    from reconciler.api.connections import Adapter, Shared


class Connection(NamedTuple):
    """A client for one organization, its key, and what an apply needs.

    `key` is rejected as a webhook's secret. `stop` is entered only for the writes: before them a
    signal ends the run immediately. By default it receives no signals. `restart` restarts the
    deadline, for example after a prompt. `unreachable` returns an error once no organization of the
    run can reach this server. `disconnect` closes idle connections; the next request opens one.
    `signal` returns the exit code of a signal that came while `stop` was entered.
    """

    api: WebhookAPI
    workers: Workers
    key: Secret | None = None
    clock: Clock = SystemClock()
    stop: AbstractContextManager[Stop] = nullcontext(SignalStop(SystemClock().monotonic))
    watcher: Watcher = Watcher()
    restart: Callable[[], None] = lambda: None
    unreachable: Callable[[], ReconcilerError | None] = lambda: None
    disconnect: Callable[[], None] = lambda: None
    signal: Callable[[], ExitCode | None] = lambda: None


class Connector(Protocol):
    """Connects to an organization of a run."""

    def __call__(
        self,
        key: Secret | None,
        *,
        server_url: str = DEFAULT_SERVER,
        timeout: float = DEFAULT_TIMEOUT,
        deadline: float = DEFAULT_DEADLINE,
        watcher: Watcher | None = None,
        adapter: Adapter | None = None,
    ) -> Connection:
        """Return a connection with an API key. Sends no request.

        The deadline of the run starts with its first connection. Raises UsageError for an unsafe
        URL, CredentialError for a malformed key.
        """


@contextmanager
def connector(
    *,
    parallelism: int = 10,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    signaled: Callable[[], None] | None = None,
    observer: Observer | None = None,
) -> Iterator[Connector]:
    """Yield what connects to the organizations of one run, until the end of the block.

    They share threads, deadline, certificates and signals. Each key has its own connections,
    cookies, pauses and retry budgets. The arguments are those of `connect`.
    """
    clock = clock or SystemClock()
    shared: Shared | None = None

    def restart(seconds: float) -> None:
        if shared is not None:
            shared.deadline_in(seconds)

    def shorten_deadline(seconds: float) -> None:
        restart(seconds)
        if signaled is not None:
            signaled()

    stop = SignalStop(clock.monotonic, shorten_deadline=shorten_deadline)
    workers = ThreadWorkers(parallelism, halted=stop.halted)
    with closing(workers), ExitStack() as stack:

        def connect(
            key: Secret | None,
            *,
            server_url: str = DEFAULT_SERVER,
            timeout: float = DEFAULT_TIMEOUT,
            deadline: float = DEFAULT_DEADLINE,
            watcher: Watcher | None = None,
            adapter: Adapter | None = None,
        ) -> Connection:
            # Imported here, so that a run without a key does not load the HTTP library.
            from reconciler.api.client import connect as open_client
            from reconciler.api.connections import Shared

            nonlocal shared
            network = Network(
                clock=clock,
                timeout=timeout,
                deadline=deadline,
                environment=environment or {},
                observer=observer,
                adapter=adapter,
            )
            if shared is None:
                shared = stack.enter_context(closing(Shared(network)))
            client = open_client(
                server_url=server_url,
                key=key,
                workers=workers,
                network=network._replace(shared=shared),
            )
            stack.callback(client.close)
            return Connection(
                api=client,
                key=key,
                clock=clock,
                workers=workers,
                stop=nullcontext(stop) if signaled is None else stop,
                watcher=watcher or Watcher(),
                restart=lambda: restart(deadline),
                unreachable=client.unreachable,
                disconnect=client.disconnect,
                signal=stop.requested,
            )

        yield connect


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
    with connector(
        parallelism=parallelism,
        environment=environment,
        clock=clock,
        signaled=signaled,
        observer=observer,
    ) as connect_one:
        yield connect_one(
            key,
            server_url=server_url,
            timeout=timeout,
            deadline=deadline,
            watcher=watcher,
            adapter=adapter,
        )
