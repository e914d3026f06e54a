"""Metrics of a reconciler for Prometheus, and its health, over HTTP.

Series are per organization and result, never per webhook, so that their number stays small. Names
of organizations are the only text from the API.
"""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from reconciler import __version__
from reconciler.errors import ExitCode, OutputError
from reconciler.planning.plan import Plan
from reconciler.ports import Clock
from reconciler.reconcile.loop import Round
from reconciler.report import SUSPENDED, Applied, Report, Skipped

# One round that a slow server delays is no reason to restart the process.
_HEALTHY_INTERVALS: Final = 3


class Metrics:
    """The metrics of a process; `every` is the interval of its rounds in seconds."""

    def __init__(self, clock: Clock, every: float) -> None:
        self.registry = registry = CollectorRegistry()
        self._clock, self._every = clock, every
        self.begin()
        gauge = partial(Gauge, registry=registry)
        by = ["organization"]
        self._drift = gauge("webhooks_drift", "Operations that are left", ["organization", "kind"])
        self._writes = Counter(
            "webhooks_writes", "Operations by result", ["organization", "result"], registry=registry
        )
        self._seconds = Summary("webhooks_round_seconds", "Length of rounds", registry=registry)
        self._success = gauge(
            "webhooks_last_success_timestamp_seconds",
            "When the last round without a failure ended",
            by,
        )
        self._failing = gauge("webhooks_failing_deliveries", "Webhooks that fail to deliver", by)
        self._suspended = gauge("webhooks_suspended", "Suspended operations", by)
        gauge("webhooks_build_info", "The version", ["version"]).labels(__version__).set(1)

    def begin(self) -> None:
        """Record that a round begins."""
        # A monotonic time: a jump of the wall clock must not look like a process that hangs.
        self._began = self._clock.monotonic()

    def is_healthy(self) -> bool:
        """Return whether the last round began within three intervals."""
        return self._clock.monotonic() - self._began <= _HEALTHY_INTERVALS * self._every

    def record(self, result: Round) -> None:
        """Record the result of a round."""
        self._seconds.observe(self._clock.monotonic() - self._began)
        for organization in result.organizations:
            # Without a value its drift is not known: the series keep what was last seen.
            if organization.value is not None:
                self._record(organization.name, organization.value)

    def _record(self, name: str, value: Plan | Report) -> None:
        suspended = 0
        if isinstance(value, Report):
            plan, is_success, left = value.plan, value.exit_code is ExitCode.OK, []
            for outcome in value.outcomes:
                if isinstance(outcome, Skipped):
                    suspended += outcome.code == SUSPENDED
                else:
                    self._writes.labels(name, type(outcome).__name__.lower()).inc()
                if not isinstance(outcome, Applied):
                    left.append(outcome.operation)
        else:
            plan, is_success, left = value, not value.blocked, list(value.operations)
        counts = Counts(type(operation).__name__.lower() for operation in left)
        # Zeros, too: a series that only appears with a problem cannot be compared with earlier.
        for kind in ("create", "update", "delete"):
            self._drift.labels(name, kind).set(counts[kind])
        self._failing.labels(name).set(len(plan.failing))
        self._suspended.labels(name).set(suspended)
        if is_success:
            self._success.labels(name).set(self._clock.now().timestamp())


class _Silent(WSGIRequestHandler):
    timeout = 10  # seconds: a client that sends nothing does not keep a thread

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing: the log is that of the rounds."""


@contextmanager
def serve(metrics: Metrics, host: str, port: int) -> Iterator[int]:
    """Serve `/metrics` and `/healthz` until the end of the block, and yield the port.

    Raises OutputError for an address that cannot be used.
    """
    app: Callable[..., Iterable[bytes]] = make_wsgi_app(metrics.registry)

    def respond(environ: Any, start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthz":
            return app(environ, start)
        status, text = "200 OK", b"ok\n"
        if not metrics.is_healthy():
            status, text = "503 Service Unavailable", b"no round began within 3 intervals\n"
        start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    try:
        server = make_server(host, port, respond, ThreadingWSGIServer, _Silent)
    except (OSError, UnicodeError) as cause:  # UnicodeError: a host that no name may have
        reason = getattr(cause, "strerror", "not a host")
        hint = "choose another --metrics-address"
        raise OutputError(f"cannot listen on {host}:{port}: {reason}", hint=hint) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
