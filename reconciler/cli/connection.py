"""The way to CloudTruth, or to the emulator in this process, and what carries a plan out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.invocation import Invocation
from reconciler.cli.progress import Progress
from reconciler.execute.stop import SignalStop
from reconciler.execute.workers import ThreadWorkers
from reconciler.model import Secret
from reconciler.render.quote import quote
from reconciler.settings import Settings
from reconciler.values import dataclass

if TYPE_CHECKING:
    from reconciler.api.attempt import Exchange
    from reconciler.api.client import Client
    from reconciler.workflow import Engine

_READERS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A client, the key it uses and where that came from, and what carries out a plan with it.

    `deadline` is for the whole run, in seconds. `make_engine` loads what only writing needs.
    """

    api: Client
    key: Secret | None
    key_source: str | None
    deadline: float
    make_engine: Callable[[], Engine]
    progress: Progress

    @property
    def engine(self) -> Engine:
        """What carries out a plan."""
        return self.make_engine()


@contextmanager
def connected(invocation: Invocation, *, parallelism: int = _READERS) -> Iterator[Connection]:
    """Connect as options, environment and profile say. No request is made by this itself.

    Raises UsageError, CredentialError.
    """
    settings = invocation.settings()
    clock = invocation.process.time()
    client: Client | None = None

    def hurry(seconds: float) -> None:
        if client is not None:
            client.deadline_in(seconds)

    stop = SignalStop(clock.monotonic, hurry=hurry)
    workers = ThreadWorkers(parallelism, halted=stop.halted)
    progress = Progress(invocation.console)
    more: dict[str, Any] = {}
    store = None
    if settings.local:
        from reconciler.cli.local import emulated

        store, more["adapter"], key = emulated(invocation)
    else:
        key = settings.require_key()
        invocation.console.hide([key])
    if invocation.debug:
        more["observer"] = lambda exchange: invocation.console.block(exchange_line(exchange))
    _describe(invocation, settings)
    # Only now: it brings the HTTP library, which nobody needs who still lacks a key.
    from reconciler.api.client import connect

    def engine() -> Engine:
        from reconciler.workflow import Engine

        return Engine(clock=clock, workers=workers, stop=stop, watcher=progress)

    try:
        with connect(
            server_url=settings.server_url.value,
            key=key,
            clock=clock,
            workers=workers,
            timeout=settings.timeout.value,
            deadline=settings.deadline.value,
            environment=invocation.process.environ,
            **more,
        ) as client:
            yield Connection(
                api=client,
                key=None if settings.local else key,
                key_source=settings.key.source if settings.key is not None else None,
                deadline=settings.deadline.value,
                make_engine=engine,
                progress=progress,
            )
    finally:
        workers.close()
        if store is not None:
            store.close()


def _describe(invocation: Invocation, settings: Settings) -> None:
    """Tell the curious where each setting came from."""
    for name in ("server_url", "profile", "key", "timeout", "deadline"):
        setting = getattr(settings, name)
        if setting is not None and setting.value not in ("", None):
            shown = "***" if name == "key" else setting.value
            shown = f"{shown:g} s" if isinstance(shown, float) else quote(str(shown))
            title = name.replace("_url", " URL")
            invocation.console.detail(f"{title}: {shown} (from {setting.source})")


def exchange_line(exchange: Exchange) -> str:
    """Show one request."""
    status = exchange.status if exchange.status is not None else "no answer"
    again = f" attempt {exchange.attempt}" if exchange.attempt > 1 else ""
    return (
        f"{exchange.method} {exchange.path} {status} "
        f"{exchange.seconds * 1000:.0f} ms {exchange.size} B{again}"
    )
