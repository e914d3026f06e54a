"""Metrics of a reconciler for Prometheus, and its health, over HTTP.

Series are per organization and result, never per webhook, so that their number stays small. Names
of organizations are the only text from the API.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from reconciler import __version__
from reconciler.errors import ExitCode, OutputError
from reconciler.planning.plan import Plan
from reconciler.planning.run import OrganizationResult
from reconciler.ports import Clock
from reconciler.reconcile import Round
from reconciler.report import OUTCOMES, SUSPENDED, Applied, Report, Skipped

_Metric = TypeVar("_Metric", Gauge, Counter)

# One round that a slow server delays is no reason to restart the process.
_HEALTHY_INTERVALS: Final = 3


class Metrics:
    """The metrics of a process.

    `every` is the interval of its rounds, `deadline` the longest time of one, both in seconds.
    """

    def __init__(self, clock: Clock, every: float, deadline: float) -> None:
        self.registry = registry = CollectorRegistry()
        self._clock = clock
        # Seconds since the begin of a round until the process counts as hanging. A slow apply is no
        # reason to restart it either: it would only begin again.
        self._max_age = max(_HEALTHY_INTERVALS * every, every + deadline)
        # The labels of the series of each organization.
        self._series: dict[str, set[tuple[Gauge | Counter, tuple[str, ...]]]] = {}
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
            "When the last round without a failure ended; before it, when the first one ended",
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
        """Return whether the last round began within three intervals, or may still run."""
        return self._clock.monotonic() - self._began <= self._max_age

    def record(self, result: Round) -> None:
        """Record the result of a round."""
        self._seconds.observe(self._clock.monotonic() - self._began)
        # Otherwise it is not known which organizations the files declare.
        if result.problem is None:
            names = [*result.left_out, *(part.name for part in result.organizations)]
            self._keep_only(names)
        for organization in result.organizations:
            self._record(organization)

    def _keep_only(self, names: Sequence[str]) -> None:
        """Begin the series of new organizations, and remove those that no file declares."""
        for name in names:
            if name not in self._series:
                # An alert on its age also finds an organization that never succeeds.
                self._labeled(self._success, name).set(self._clock.now().timestamp())
        for name in self._series.keys() - names:
            for metric, labels in self._series.pop(name):
                metric.remove(*labels)

    def _labeled(self, metric: _Metric, name: str, *more: str) -> _Metric:
        """Return the series of an organization with these labels."""
        labels = (name, *more)
        self._series.setdefault(name, set()).add((metric, labels))
        return metric.labels(*labels)

    def _record(self, organization: OrganizationResult[Plan | Report]) -> None:
        name, value, suspended = organization.name, organization.value, 0
        # Its drift is not known: the series keep what was last seen.
        if value is None:
            return
        if isinstance(value, Report):
            plan, is_success, left = value.plan, value.exit_code is ExitCode.OK, []
            for outcome in value.outcomes:
                if isinstance(outcome, Skipped):
                    suspended += outcome.code == SUSPENDED
                else:
                    self._labeled(self._writes, name, OUTCOMES[type(outcome)]).inc()
                if not isinstance(outcome, Applied):
                    left.append(outcome.operation)
        else:
            has_failed = value.blocked or value.unapplied or organization.problem is not None
            plan, is_success, left = value, not has_failed, list(value.operations)
        counts = Counts(operation.action for operation in left)
        counts["unapplied"] = len(plan.unapplied)
        # Zeros, too: a series that only appears with a problem cannot be compared with earlier.
        for kind in ("create", "update", "delete", "unapplied"):
            self._labeled(self._drift, name, kind).set(counts[kind])
        self._labeled(self._failing, name).set(len(plan.failing))
        self._labeled(self._suspended, name).set(suspended)
        if is_success:
            self._labeled(self._success, name).set(self._clock.now().timestamp())


class _Silent(WSGIRequestHandler):
    timeout = 10  # seconds: a client that sends nothing does not keep a thread

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing: the log is that of the rounds."""


class _Server6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


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
            status, text = "503 Service Unavailable", b"no round began lately\n"
        start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    server_type = _Server6 if ":" in host else ThreadingWSGIServer
    try:
        server = make_server(host, port, respond, server_type, _Silent)
    except (OSError, UnicodeError) as cause:  # UnicodeError: a host that no name may have
        reason = getattr(cause, "strerror", "not a host")
        hint = "choose another --metrics-address"
        raise OutputError(f"cannot listen on {host}, port {port}: {reason}", hint=hint) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
