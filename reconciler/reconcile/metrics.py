"""Metrics of a reconciler for Prometheus, and its health, over HTTP.

Series are per organization and result, never per webhook, so that their number stays small. Names
of organizations are the only text from the API.
"""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, make_wsgi_app

from reconciler import __version__
from reconciler.errors import ExitCode, OutputError
from reconciler.planning.plan import Create, Delete, Operation, Plan, Update
from reconciler.planning.run import OrganizationResult
from reconciler.ports import Clock
from reconciler.reconcile.loop import Round
from reconciler.report import Applied, Report, Skipped

_KINDS: Final = {Create: "create", Update: "update", Delete: "delete"}
_HEALTHY_INTERVALS: Final = 3


class Metrics:
    """The metrics of a process; `every` is the interval of its rounds in seconds."""

    def __init__(self, clock: Clock, every: float) -> None:
        self.registry = CollectorRegistry()
        self._clock, self._every = clock, every
        self._began = clock.monotonic()
        registry, by = self.registry, ["organization"]
        self._drift = Gauge(
            "webhooks_drift", "Operations that are left", [*by, "kind"], registry=registry
        )
        self._writes = Counter(
            "webhooks_writes", "Operations by result", [*by, "result"], registry=registry
        )
        self._seconds = Summary("webhooks_round_seconds", "Length of rounds", registry=registry)
        self._success = Gauge(
            "webhooks_last_success_timestamp_seconds",
            "When the last round without a failure ended",
            by,
            registry=registry,
        )
        self._failing = Gauge(
            "webhooks_failing_deliveries", "Webhooks that fail to deliver", by, registry=registry
        )
        self._suspended = Gauge("webhooks_suspended", "Suspended operations", by, registry=registry)
        build = Gauge("webhooks_build_info", "The version", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def begin(self) -> None:
        """Record that a round begins."""
        self._began = self._clock.monotonic()

    def is_healthy(self) -> bool:
        """Return whether the last round began within three intervals."""
        return self._clock.monotonic() - self._began <= _HEALTHY_INTERVALS * self._every

    def record(self, result: Round) -> None:
        """Record the result of a round."""
        self._seconds.observe(self._clock.monotonic() - self._began)
        run = result.report or result.plan
        for organization in run.organizations if run is not None else ():
            self._record(organization, result)

    def _record(self, organization: OrganizationResult[Any], result: Round) -> None:
        value, name = organization.value, organization.name
        if value is None:
            return
        plan: Plan = value.plan if isinstance(value, Report) else value
        left: list[Operation] = [*plan.operations]
        is_success = not plan.blocked
        if isinstance(value, Report):
            is_success = value.exit_code is ExitCode.OK
            outcomes = value.outcomes
            left = [each.operation for each in outcomes if not isinstance(each, Applied)]
            for outcome in outcomes:
                if not isinstance(outcome, Skipped):
                    self._writes.labels(name, type(outcome).__name__.lower()).inc()
        counts = Counts(_KINDS[type(operation)] for operation in left)
        for kind in _KINDS.values():
            self._drift.labels(name, kind).set(counts[kind])
        self._failing.labels(name).set(len(plan.failing))
        self._suspended.labels(name).set(result.suspended.get(plan.organization.id, 0))
        if is_success:
            self._success.labels(name).set(self._clock.now().timestamp())


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    timeout = 10  # seconds: a client that sends nothing does not keep a thread

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing: the log is that of the rounds."""


@contextmanager
def serve(metrics: Metrics, host: str, port: int) -> Iterator[int]:
    """Serve `/metrics` and `/healthz` until the end of the block, and yield the port.

    Raises OutputError for an address that cannot be used.
    """
    app = make_wsgi_app(metrics.registry)

    def respond(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            answer: Iterable[bytes] = app(environ, start)
            return answer
        status, text = "404 Not Found", b"see /metrics and /healthz\n"
        if environ["PATH_INFO"] == "/healthz":
            status, text = "200 OK", b"ok\n"
            if not metrics.is_healthy():
                status, text = "503 Service Unavailable", b"no round began within 3 intervals\n"
        start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    try:
        server = make_server(host, port, respond, server_class=_Server, handler_class=_Silent)
    except (OSError, OverflowError) as cause:
        raise OutputError(
            f"cannot listen on {host}:{port}: {getattr(cause, 'strerror', None) or 'bad port'}",
            hint="choose another --metrics-address",
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
