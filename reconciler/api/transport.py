"""Sends one request and does with its failures what the table of `failures` says.

For: CloudTruth, GitHub and Slack alike, each with a `Transport` of its own origin and credential.
Promises: every failure is an error of ours, without a library's text; nothing is followed, no
write of unknown outcome is repeated; no request outlasts its time and none starts after the run's;
all waiting and all chance come from the Clock. Each thread has one connection of its own, and all
of them share one TLS context (see `connections`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from reconciler import __version__
from reconciler.api.attempt import SMALL, Sender
from reconciler.api.calls import Call, Observer, Reply, anything
from reconciler.api.connections import Adapter, Connections
from reconciler.api.failures import TABLE, Action, Use, use_of
from reconciler.api.origin import Credential, Origin, OriginAuth
from reconciler.api.pace import ATTEMPTS, Pace
from reconciler.api.strict_json import encode
from reconciler.api.troubles import LONGER, Trouble
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)
from reconciler.ports import Clock

LARGE: Final = 64 * SMALL
"""The largest body of a list, in bytes."""

_NO_CREDENTIAL: Final = "request without a credential"


class Transport:
    """One origin, one credential. Use it from any number of threads, and close it.

    `timeout` is for one request and `deadline` for all of them together, in seconds. With an
    `adapter`, requests go into that instead of the network: no thread is started, no certificate
    read and no proxy used.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        credential: Credential | None,
        clock: Clock,
        timeout: float = 30.0,
        deadline: float = 600.0,
        environment: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        adapter: Adapter | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.origin = origin
        self._credential = credential
        self._pace = Pace(clock, deadline=deadline)
        self._connections = Connections(
            origin=origin,
            auth=OriginAuth(credential, origin) if credential else None,
            headers={
                "User-Agent": f"cloudtruth-webhooks/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            clock=clock,
            environment=environment or {},
            adapter=adapter,
        )
        self._sender = Sender(
            self._connections,
            origin=origin,
            label=credential.label if credential else _NO_CREDENTIAL,
            clock=clock,
            timeout=timeout,
            run_end=lambda: self._pace.end,
            observer=observer,
        )
        # Writes whose outcome is unknown: the same write again is a retry, whoever asks for it.
        self._doubtful: dict[tuple[str, str, bytes | None], int] = {}

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        expect: int | None = None,
        accept: Callable[[Any], bool] = anything,
        cap: int = SMALL,
        hidden: Sequence[str] = (),
    ) -> Reply:
        """Send a request and return its answer.

        `path` is percent-encoded and relative to the origin's base. `json` is the body, None for
        none. `expect` is the one status that means success (None: any 2xx), `accept` judges the
        document, `cap` bounds the answer in bytes. `hidden` are secret values in the body, kept
        out of errors that quote the server.

        Raises ApiError; AmbiguousWriteError for a write that may have been carried out.
        """
        call = Call(
            method=method,
            path=path,
            params=params,
            content=None if json is None else encode(json),
            expect=expect,
            accept=accept,
            cap=cap,
            hidden=(*hidden, self._credential.secret.reveal()) if self._credential else hidden,
        )
        use = use_of(method)
        self._admit(call, use)
        failures = throttled = 0
        trouble: Trouble | None = None
        while True:
            self._await_turn(call, trouble)
            outcome = self._sender.send(call, failures + throttled + 1)
            if isinstance(outcome, Reply):
                self._pace.succeeded()
                return outcome
            trouble = outcome
            action = TABLE[trouble.failure][use]
            if action is Action.WAIT:
                self._pace.pause(self._pace.delay(throttled, trouble.retry_after))
                throttled += 1
            elif action is Action.REPEAT and self._wait_to_repeat(trouble, failures):
                failures += 1
            else:
                raise self._error(call, trouble, action)

    def deadline_in(self, seconds: float) -> None:
        """Set the end of the run anew: after a person was asked, or when a signal hurries us."""
        self._pace.deadline_in(seconds)
        self._connections.look()

    def left(self) -> float:
        """Return the seconds that the run has left; negative when it is over."""
        return self._pace.left()

    def pause(self, failures: int, *, reserve: float) -> bool:
        """Wait before a read is repeated, longer with each failure before this one.

        Return False at once if the run would have less than `reserve` seconds left.
        """
        delay = self._pace.delay(failures)
        return self.left() - delay >= reserve and self._pace.sleep(delay)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _admit(self, call: Call, use: Use) -> None:
        """Refuse writes once the budget is empty; let a repeated doubtful write pay its retry."""
        if use is Use.READ:
            return
        cost = self._doubtful.pop((call.method, call.path, call.content), 0)
        if self._pace.exhausted or (cost and not self._pace.pay(cost)):
            raise ServerError(
                f"too many requests to {self.origin.address} failed: the retry budget is used up, "
                "and the run writes nothing more",
                method=call.method,
                path=call.path,
                hint="run again when the server responds reliably",
            )

    def _await_turn(self, call: Call, earlier: Trouble | None) -> None:
        """Wait while workers are held back; raise the `earlier` trouble if time is up."""
        pause = self._pace.wait_turn()
        if pause is not None:
            raise self._too_long(call, pause, 429)
        if self._pace.left() <= 0:
            if earlier is not None:
                raise self._error(call, earlier, Action.REPEAT)
            raise UnreachableError(
                f"the run's time is up; the request to {self.origin.address} was not sent",
                method=call.method,
                path=call.path,
                hint=LONGER,
            )

    def _wait_to_repeat(self, trouble: Trouble, failures: int) -> bool:
        if failures + 1 >= ATTEMPTS:
            return False
        delay = self._pace.delay(failures, trouble.retry_after)
        return (
            delay < self._pace.left() and self._pace.pay(trouble.cost) and self._pace.sleep(delay)
        )

    def _error(self, call: Call, trouble: Trouble, action: Action) -> ApiError:
        hint = trouble.hint
        if action in (Action.READ_BACK, Action.RESOLVE):
            self._doubtful[(call.method, call.path, call.content)] = trouble.cost
            kind: type[ApiError] = AmbiguousWriteError
            message = f"{trouble.message}; the change may have been made"
        elif action is Action.REPEAT and (pause := trouble.retry_after or 0.0) >= self._pace.left():
            if pause:
                return self._too_long(call, pause, trouble.status)
            kind, hint = trouble.error, LONGER
            message = trouble.message
            if trouble.hint != LONGER:
                message += "; the run's time is up"
        else:
            kind, message = trouble.error, trouble.message
        return kind(
            message,
            method=call.method,
            path=call.path,
            status=trouble.status,
            detail=trouble.detail,
            fields=trouble.fields,
            hint=hint,
        )

    def _too_long(self, call: Call, pause: float, status: int | None) -> RateLimitedError:
        return RateLimitedError(
            f"{self.origin.address} asks to wait {pause:.0f} s, "
            f"but the run has only {max(0.0, self._pace.left()):.0f} s left",
            retry_after=round(pause, 2),
            method=call.method,
            path=call.path,
            status=status,
            hint="run again later, or allow more time with --deadline",
        )
