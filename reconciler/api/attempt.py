"""Sends a request once, and says what came of it: a reply, or a trouble.

Promises: an attempt ends by the request's own time and by the run's, whichever comes first; no
more of an answer is read than the call allows; library errors end here, as values; whoever
observes is told of each attempt, without headers, queries or bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

import httpx

from reconciler.api.answers import judge, read
from reconciler.api.calls import Call, Exchange, Observer, Reply
from reconciler.api.connections import Connections, headers_of
from reconciler.api.origin import Origin
from reconciler.api.troubles import TooSlowError, Trouble, translate
from reconciler.api.watchdog import Line
from reconciler.errors import ReconcilerError
from reconciler.ports import Clock

SMALL: Final = 1024 * 1024
"""The largest body of anything but a list, in bytes."""

_CONNECT: Final = 10.0


class Sender:
    """What every attempt of one transport has in common. Use it from any number of threads.

    `label` names the credential in messages, `timeout` is the seconds one attempt may take, and
    `run_end` tells the monotonic moment at which the run's time is up.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        origin: Origin,
        label: str,
        clock: Clock,
        timeout: float,
        run_end: Callable[[], float],
        observer: Observer | None,
    ) -> None:
        self._connections = connections
        self._origin = origin
        self._label = label
        self._clock = clock
        self._timeout = timeout
        self._run_end = run_end
        self._observer = observer

    def send(self, call: Call, attempt: int) -> Reply | Trouble:
        """Send the call, for the `attempt`-th time, from 1. Raises UsageError as connections do."""
        client, line = self._connections.mine()
        started = self._clock.monotonic()
        status: int | None = None
        headers: dict[str, str] = {}
        body = b""
        trouble: Trouble | None = None

        def end() -> float:
            return min(started + self._timeout, self._run_end())

        def check() -> None:
            if self._clock.monotonic() >= end():
                raise TooSlowError

        try:
            with (
                self._connections.watching(line, end),
                closing(client.send(self._build(client, call, line, end), stream=True)) as response,
            ):
                status, headers = response.status_code, headers_of(response)
                cap = call.cap if status < 300 else SMALL
                body = read(response.iter_raw(), headers, cap, check)
        except ReconcilerError:
            raise
        except Exception as error:
            trouble = translate(
                error,
                server=self._origin.address,
                proxy=self._connections.proxy(self._origin.host),
                expired=line.expired,
                timeout=self._timeout,
                run_over=self._run_end() < started + self._timeout,
            )
        if self._observer is not None:
            with suppress(Exception):  # what is shown never decides what is sent
                self._observer(
                    Exchange(
                        method=call.method,
                        path=call.path,
                        status=status,
                        seconds=self._clock.monotonic() - started,
                        size=len(body),
                        attempt=attempt,
                    )
                )
        if status is None:
            assert trouble is not None
            return trouble
        return judge(
            call,
            status,
            headers,
            trouble or body,
            origin=self._origin,
            label=self._label,
            now=self._clock.now(),
        )

    def _build(
        self, client: httpx.Client, call: Call, line: Line, end: Callable[[], float]
    ) -> httpx.Request:
        left = max(0.001, end() - self._clock.monotonic())
        return client.build_request(
            call.method,
            f"{self._origin}{self._origin.base}{call.path}",
            params=call.params,
            content=call.content,
            headers=None if call.content is None else {"Content-Type": "application/json"},
            extensions={
                "timeout": {
                    "connect": min(_CONNECT, left),
                    "read": left,
                    "write": left,
                    "pool": left,
                },
                "trace": line.trace,
            },
        )
