"""The way to CloudTruth, or to the emulator in this process, as the options of a run say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from reconciler.api.pace import Pause
from reconciler.cli.context import Context
from reconciler.cli.options import PARALLELISM
from reconciler.cli.progress import Progress
from reconciler.ports import Clock
from reconciler.render.quote import quote
from reconciler.settings import Arguments, Settings, resolve
from reconciler.workflow.connection import Connection, connect

if TYPE_CHECKING:
    from reconciler.api.attempt import Exchange, Observer

_LONG: Final = 1.0  # seconds that nobody needs to be told of


@contextmanager
def connected(
    context: Context, settings: Settings, *, progress: Progress | None = None
) -> Iterator[Connection]:
    """Connect until the end of the block. Raises UsageError, CredentialError.

    `progress` shows reading and writing; without one only what comes before the end of the block.
    """
    clock = context.process.time()
    progress = progress or Progress(context.console)
    adapter = None
    with ExitStack() as stack:
        if settings.local:
            from reconciler.cli.local import emulated

            store, adapter, key = emulated(context)
            stack.callback(store.close)
        else:
            key = settings.require_key()
            context.console.hide([key])
        _describe(context, settings)
        progress.phase(f"reading from {settings.server_url.value}")
        stack.enter_context(progress)
        yield stack.enter_context(
            connect(
                key,
                server_url=settings.server_url.value,
                timeout=settings.timeout.value,
                deadline=settings.deadline.value,
                parallelism=context.options.get("parallelism") or PARALLELISM,
                environment=context.process.environ,
                clock=clock,
                watcher=progress,
                signalled=progress.interrupted,
                observer=observer(context, clock, progress.note),
                adapter=adapter,
            )
        )


def settings_of(context: Context) -> Settings:
    """Find where to connect and as whom. Raises UsageError, CredentialError."""
    options: dict[str, Any] = {
        name: context.command_line.get(name)
        for name in ("server_url", "profile", "api_key_file", "timeout", "deadline")
    }
    process = context.process
    return resolve(
        Arguments(**options),
        process.environ,
        platform=process.platform,
        directory=process.directory,
        local=context.local,
    )


def observer(context: Context, clock: Clock, note: Callable[[str], None]) -> Observer:
    """Return what shows long waits, each once for all threads, and with --debug each request."""
    lock = threading.Lock()
    until = clock.monotonic()
    debug = context.options.get("debug")

    def observe(event: Exchange | Pause) -> None:
        nonlocal until
        if isinstance(event, Pause):
            with lock:
                end = clock.monotonic() + event.seconds
                if end - max(until, clock.monotonic()) <= _LONG:
                    return
                until = end
            note(f"{event.error.message}; trying again in {event.seconds:.0f} s")
        elif debug:
            context.console.block(_exchange_line(event))

    return observe


def _describe(context: Context, settings: Settings) -> None:
    """Show where each setting comes from."""
    for name in ("server_url", "profile", "key", "timeout", "deadline"):
        setting = getattr(settings, name)
        if setting is not None and setting.value not in ("", None):
            shown = "***" if name == "key" else setting.value
            shown = f"{shown:g} s" if isinstance(shown, float) else quote(str(shown))
            title = name.replace("_url", " URL")
            context.console.detail(f"{title}: {shown} (from {setting.source})")


def _exchange_line(exchange: Exchange) -> str:
    status = exchange.status if exchange.status is not None else "no response"
    again = f" attempt {exchange.attempt}" if exchange.attempt > 1 else ""
    return (
        f"{exchange.method} {exchange.path} {status} "
        f"{exchange.seconds * 1000:.0f} ms {exchange.size} B{again}"
    )
