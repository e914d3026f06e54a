"""Connect to organizations with what an apply needs: workers, clock, signals and watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

from reconciler.api.origin import DEFAULT_DEADLINE, DEFAULT_SERVER, DEFAULT_TIMEOUT, Network
from reconciler.api.wire import Redactor
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.execute.workers import SignalStop, ThreadWorkers
from reconciler.model import Secret
from reconciler.ports import (
    DEFAULT_PARALLELISM,
    Clock,
    Stop,
    SystemClock,
    Watcher,
    WebhookAPI,
    Workers,
)

if TYPE_CHECKING:
    from reconciler.api.attempt import Observer
    from reconciler.api.connections import Adapter, Shared


class Connection(NamedTuple):
    """A client for one organization, its key, and what an apply needs.

    `key` is rejected as a webhook's secret. `stop` is entered only for the writes: before them a
    signal ends the run immediately. By default it receives no signals. `restart` restarts the
    deadline, for example after a prompt. `unreachable` returns an error once no organization of the
    run can reach this server. `disconnect` closes idle connections; the next request opens one.
    `release` is called once the writes are reported: signals end the program again. It returns the
    exit code of one that came since `stop` was entered.
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
    release: Callable[[], ExitCode | None] = lambda: None


class Connector:
    """Connects to the organizations of one run until the end of its `with` block.

    They share threads, deadline, certificates and signals. Each key has its own connections,
    cookies, pauses and retry budgets.
    """

    def __init__(
        self,
        *,
        parallelism: int = DEFAULT_PARALLELISM,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        signaled: Callable[[], None] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """Prepare the run.

        `parallelism` is the number of concurrent requests. Raises ValueError if it is out of range.
        `environment` may name certificates, as in `SSL_CERT_FILE`. With `signaled`, a signal ends
        a run cleanly from its first write until the end of the block (see `execute.workers`), and
        the handler calls `signaled` at the first signal. `redactor` keeps the secrets that it
        knows, and those that the run reads, out of errors; by default it is a new one.
        """
        self._clock = clock or SystemClock()
        self._environment = environment or {}
        self._redactor = redactor or Redactor()
        self._signaled = signaled
        self._shared: Shared | None = None
        self._stop = SignalStop(self._clock.monotonic, shorten_deadline=self._shorten_deadline)
        self._workers = ThreadWorkers(parallelism, halted=self._stop.halted)
        self._clients = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Clients first: closing them ends requests that a thread may still wait for.
        with closing(self._stop), closing(self._workers):
            self._clients.close()

    def __call__(
        self,
        key: Secret | None,
        *,
        server_url: str = DEFAULT_SERVER,
        timeout: float = DEFAULT_TIMEOUT,
        deadline: float = DEFAULT_DEADLINE,
        watcher: Watcher | None = None,
        observer: Observer | None = None,
        adapter: Adapter | None = None,
    ) -> Connection:
        """Return a connection with an API key. Sends no request.

        Without a key, only the API schema can be read. `timeout` is the limit of a request and
        `deadline` that of the run, in seconds; it starts with the first connection. `observer` is
        called with every request. `adapter` replaces the network. Raises UsageError for an unsafe
        URL, CredentialError for a malformed key.
        """
        # Imported here, so that a run without a key does not load the HTTP library.
        from reconciler.api.client import connect as open_client
        from reconciler.api.connections import Shared

        network = Network(
            clock=self._clock,
            timeout=timeout,
            deadline=deadline,
            environment=self._environment,
            observer=observer,
            adapter=adapter,
            redactor=self._redactor,
        )
        # The deadline of the run starts with its first connection, not while files are read.
        if self._shared is None:
            self._shared = self._clients.enter_context(closing(Shared(network)))
        client = open_client(
            server_url=server_url,
            key=key,
            workers=self._workers,
            network=network._replace(shared=self._shared),
        )
        self._clients.callback(client.close)
        return Connection(
            api=client,
            key=key,
            clock=self._clock,
            workers=self._workers,
            # Without `signaled`, as in a program with its own handlers, signals stay with it.
            stop=nullcontext(self._stop) if self._signaled is None else self._stop,
            watcher=watcher or Watcher(),
            restart=partial(self._restart, deadline),
            unreachable=client.transport.unreachable,
            disconnect=client.transport.disconnect,
            release=self._release,
        )

    def _release(self) -> ExitCode | None:
        self._stop.close()
        return self._stop.requested()

    def _restart(self, seconds: float) -> None:
        if self._shared is not None:
            self._shared.deadline_in(seconds)

    def _shorten_deadline(self, seconds: float) -> None:
        self._restart(seconds)
        if self._signaled is not None:
            self._signaled()


@contextmanager
def connect(
    key: Secret,
    *,
    server_url: str = DEFAULT_SERVER,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Connection]:
    """Connect to one organization until the end of the block, with the defaults of `Connector`."""
    with Connector(environment=environment) as connector:
        yield connector(key, server_url=server_url)
