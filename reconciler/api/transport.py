"""Send requests, and handle failures according to the table in `attempt`.

CloudTruth, GitHub and Slack each have a `Transport` with their origin and credential. Every failure
is raised as an ApiError whose message contains no library text. Redirects are not followed, and no
write of unknown outcome is repeated. No request takes longer than its timeout, starts after the
run's deadline, or reads more of a response than the call allows. Waiting and randomness use the
Clock. Each thread has its own connection (see `connections`).

All workers of a client share one `Pace`, so one failure pauses all of them. Every wait uses the
Clock and ends early when the run's time is up. Reads and writes each have a retry budget; a 429
does not use it. With an empty budget, no request is repeated and no further write is sent. Clients
of the same run share its deadline, but neither pauses nor budgets: each has another key.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final

import httpx

from reconciler import __version__
from reconciler.api.attempt import (
    Action,
    AttemptRecord,
    Call,
    FailedAttempt,
    Failure,
    Reply,
    failed_attempt,
)
from reconciler.api.connections import Connections, Shared
from reconciler.api.origin import (
    LATER_HINT,
    MORE_TIME_HINT,
    Credential,
    Network,
    Origin,
    Pause,
    authorization,
)
from reconciler.api.responses import classify, encode, read_body
from reconciler.api.wire import Redactor
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    DeadlineError,
    RateLimitedError,
    ReconcilerError,
    ServerError,
    UnreachableError,
)
from reconciler.findings import plural
from reconciler.ports import Clock

_MAX_BYTES: Final = 1024 * 1024  # the maximum body of a response that is not a list, in bytes
MAX_LISTING_BYTES: Final = 64 * _MAX_BYTES
"""The maximum body of a list, in bytes."""
_ATTEMPTS: Final = 4  # per request, not counting throttled attempts
_CONNECT_TIMEOUT: Final = 10.0
_TOKENS: Final = 30  # a full budget; a success returns one
_COST: Final = 5  # the tokens that a failure takes
_MAX_DELAY: Final = 20.0
_FIRST_DELAY: Final = 0.5
# Long waits are split, so that a new deadline takes effect.
_SLICE: Final = 1.0


class Pace:
    """The timing state that the workers of one client share."""

    def __init__(self, clock: Clock, shared: Shared) -> None:
        self._clock = clock
        self._shared = shared
        self._lock = threading.Lock()
        # Two, because the listings that look for lost writes would refill a common budget.
        self._tokens = {False: _TOKENS, True: _TOKENS}  # by whether the request writes
        self._charged = -math.inf
        self._resume = 0.0
        self.exhausted = False
        """Whether a budget was too small for a failure; then no more retries are allowed."""
        self.status: int | None = None
        """The status of the response that asked for the current pause, None if none did."""

    def left(self) -> float:
        """Return the remaining seconds of the run; negative when it is over."""
        return self._shared.left()

    def pause(self, seconds: float, status: int | None = None) -> None:
        """Pause all workers for `seconds`, unless they are paused for longer already.

        `status` is that of the response that asked for the pause, if one did.
        """
        with self._lock:
            until = self._clock.monotonic() + seconds
            if until > self._resume:
                self._resume, self.status = until, status

    def wait_for_pause(self) -> float | None:
        """Wait until the workers' pause is over, and return None.

        If time would run out first, return the remaining pause in seconds.
        """
        while True:
            pause = self._resume - self._clock.monotonic()
            if pause <= 0:
                return None
            if pause >= self.left():
                return pause
            self._clock.sleep(min(pause, _SLICE))

    def delay(self, earlier: int, floor: float | None = None) -> float:
        """Return the delay after `earlier` failures: full jitter, at least `floor` seconds."""
        longest = min(_MAX_DELAY, _FIRST_DELAY * 2 ** min(earlier, 10))
        return max(floor or 0.0, self._clock.uniform(0.0, longest))

    def charge(self, *, writes: bool, sent: float) -> bool:
        """Charge a request that was sent at the monotonic time `sent` and failed.

        One outage fails all requests in flight: those sent before the last charge are free. Return
        False, and mark the budget exhausted, if there are too few.
        """
        with self._lock:
            if sent < self._charged:
                return not self.exhausted
            self._charged = self._clock.monotonic()
            if self._tokens[writes] < _COST:
                self.exhausted = True
            if not self.exhausted:
                self._tokens[writes] -= _COST
            return not self.exhausted

    def succeeded(self, *, writes: bool) -> None:
        """Return a token to the budget of a request that succeeded."""
        with self._lock:
            self._tokens[writes] = min(_TOKENS, self._tokens[writes] + 1)


class Transport:
    """One origin, one credential. Use it from any number of threads, and close it."""

    def __init__(
        self,
        *,
        origin: Origin,
        credential: Credential | None,
        network: Network,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.origin = origin
        self._credential = credential
        self._clock = network.clock
        self._timeout = network.timeout
        self._observer = network.observer
        self.redactor = network.redactor or Redactor()
        self._shared = network.shared or Shared(network)
        self._is_alone = network.shared is None
        self.pace = Pace(network.clock, self._shared)
        self._connections = Connections(
            origin=origin,
            auth=authorization(credential, origin) if credential else None,
            headers={
                "User-Agent": f"cloudtruth-webhooks/{__version__}",
                "Accept": "application/json",
                # Without compression, the announced length shows at once what exceeds the cap.
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            adapter=network.adapter,
            shared=self._shared,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        expect: int | None = None,
        accept: Callable[[Any], object] = lambda _: True,
        cap: int = _MAX_BYTES,
        secret_values: Sequence[str] = (),
        is_query: bool = False,
        patience: float = math.inf,
    ) -> Reply:
        """Send a request and return its reply.

        `path` is percent-encoded and relative to the origin's base. `json` is the body, if any.
        `expect` is the only status that means success (None: any 2xx), `accept` checks the
        document, `cap` limits the response in bytes. `secret_values` are those of the object, kept
        out of errors that quote the server, however short. `is_query` is for a read that is not a
        GET. `patience` is the time in seconds after which a 429 is final, less than the deadline.

        Raises ApiError; AmbiguousWriteError for a write that may have been processed.
        """
        if self._credential is not None:
            # A server may quote the key, too.
            secret_values = (*secret_values, self._credential.secret.reveal())
        call = Call(
            method=method,
            path=path,
            params=params,
            content=None if json is None else encode(json),
            expect=expect,
            accept=accept,
            cap=cap,
            redact=partial(self.redactor.redact, values=secret_values),
            writes=method != "GET" and not is_query,
            patience=patience,
        )
        try:
            return self._with_retries(call)
        except ApiError as error:
            error.method, error.path = method, path
            # Until it is shown, another thread may read what it quotes.
            error.redact = self.redactor.redact
            raise

    def _with_retries(self, call: Call) -> Reply:
        """Send a call, with the retries that its failures and the deadline allow."""
        # A read is still sent once: it shows what the writes before it have done.
        if call.writes and self.pace.exhausted:
            raise ServerError(
                f"too many failed requests to {self.origin.address}: the retry budget is used up, "
                "so no more changes are sent",
                hint="run again when the server responds reliably",
            )
        sends = failures = throttled = 0
        throttled_for = 0.0
        earlier: FailedAttempt | None = None
        while True:
            self._wait_for_pause(earlier, sends)
            sends += 1
            sent = self._clock.monotonic()
            outcome = self._send(call, sends)
            if isinstance(outcome, Reply):
                self.pace.succeeded(writes=call.writes)
                self._shared.connected(str(self.origin))
                return outcome
            earlier = outcome
            action = outcome.failure.action(writes=call.writes)
            # A pause that the server asks for is not a failure: it costs no retry.
            if action is Action.WAIT:
                pause = self.pace.delay(throttled, outcome.retry_after)
                throttled += 1
                throttled_for += pause
                delay = pause if throttled_for <= call.patience else None
            else:
                delay = self._delay_to_repeat(call, outcome, action, failures, sent)
                failures += 1
            if outcome.failure is Failure.NOT_SENT:
                self._shared.not_connected(str(self.origin), gave_up=delay is None)
            else:
                self._shared.connected(str(self.origin))
            if delay is None:
                raise self._error(outcome, action, sends)
            # A longer wait ends the run instead.
            if delay < self.pace.left():
                self._observe(Pause(seconds=delay, error=outcome.error))
            status = outcome.error.status if action is Action.WAIT else None
            # For all workers: what failed here would probably fail for them, too.
            self.pace.pause(delay, status)

    def deadline_in(self, seconds: float) -> None:
        """Set the deadline of the run, in seconds from now."""
        self._shared.deadline_in(seconds)

    def unreachable(self) -> UnreachableError | None:
        """Return the error of a server that no client of the run can reach, None otherwise.

        The run asks before it starts with another organization, so that it finds out once.
        """
        if not self._shared.is_unreachable(str(self.origin)):
            return None
        return UnreachableError(
            f"{self.origin.address} cannot be reached; no request was sent for this organization",
            hint="run again when the server can be reached",
        )

    def disconnect(self) -> None:
        """Close the connections while no request is in flight; the next one opens a new one."""
        self._connections.close(for_good=False)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        if self._is_alone:
            self._shared.close()

    def _send(self, call: Call, attempt: int) -> Reply | FailedAttempt:
        """Send the call; `attempt` starts at 1.

        Raises UsageError for an invalid proxy or certificate.
        """
        client, watched = self._connections.for_this_thread()
        started = self._clock.monotonic()
        status: int | None = None
        headers: dict[str, str] = {}
        body: bytearray | FailedAttempt = bytearray()

        def end() -> float:
            # Computed at each call, because a signal moves the deadline of requests in flight.
            return min(started + self._timeout, self._shared.deadline)

        def check() -> None:
            if self._clock.monotonic() >= end():
                raise TimeoutError

        # With zero a socket would not wait at all, and a negative number is an error.
        left = max(0.001, end() - started)
        try:
            request = client.build_request(
                call.method,
                f"{self.origin}{self.origin.base}{call.path}",
                params=call.params,
                content=call.content,
                headers=None if call.content is None else {"Content-Type": "application/json"},
                timeout=(min(_CONNECT_TIMEOUT, left), left, left, left),
                extensions={"trace": watched.trace},
            )
            with (
                self._connections.watching(watched, end),
                closing(client.send(request, stream=True)) as response,
            ):
                status, headers = response.status_code, _response_headers(response)
                # An error needs no more room than its message, also for a listing.
                cap = call.cap if status < 300 else _MAX_BYTES
                # Raw, because the library would decompress what was not requested, without a limit.
                body = read_body(response.iter_raw(), headers, cap, check)
        except ReconcilerError:
            raise
        # Any exception: a caller could not know whether it is safe to repeat the request.
        except Exception as error:
            body = failed_attempt(
                error,
                origin=self.origin,
                proxy=self._connections.proxy(),
                expired=watched.expired,
                timeout=self._timeout,
                past_deadline=self._shared.deadline < started + self._timeout,
            )
        record = AttemptRecord(
            method=call.method,
            path=call.path,
            status=status,
            seconds=self._clock.monotonic() - started,
            size=0 if isinstance(body, FailedAttempt) else len(body),
            attempt=attempt,
        )
        self._observe(record)
        if status is None:
            assert isinstance(body, FailedAttempt)
            return body
        return classify(
            call,
            status,
            headers,
            body,
            origin=self.origin,
            label=self._credential.label if self._credential else "request without a credential",
            now=self._clock.now(),
        )

    def _observe(self, event: AttemptRecord | Pause) -> None:
        if self._observer is not None:
            with suppress(Exception):  # display errors must not affect requests
                self._observer(event)

    def _wait_for_pause(self, earlier: FailedAttempt | None, sends: int) -> None:
        """Wait while workers are paused; if time is up, raise the failure of `earlier` sends."""
        pause = self.pace.wait_for_pause()
        if pause is not None and self.pace.status is not None:
            raise self._too_long(RateLimitedError, pause, self.pace.status, sends)
        if pause is not None or self.pace.left() <= 0:
            # The earlier failure explains more than the time that ran out because of it.
            if earlier is not None:
                raise self._error(earlier, Action.REPEAT, sends)
            raise DeadlineError(
                f"no time was left for the request to {self.origin.address}",
                hint=MORE_TIME_HINT,
            )

    def _delay_to_repeat(
        self, call: Call, failed: FailedAttempt, action: Action, failures: int, sent: float
    ) -> float | None:
        """Charge a failed attempt; return the delay before the next one, None if it was the last.

        `failures` counts earlier failures; `sent` is the monotonic time of this attempt.
        """
        if action is Action.REPORT:
            return None
        delay = None
        if action is Action.REPEAT:
            if failures + 1 >= _ATTEMPTS:
                return None
            delay = self.pace.delay(failures, failed.retry_after)
            if delay >= self.pace.left():
                return None
        # A lost write is charged when it is lost: whether it is repeated is decided elsewhere.
        if self.pace.charge(writes=call.writes, sent=sent):
            return delay
        return None

    def _error(self, failed: FailedAttempt, action: Action, sends: int) -> ApiError:
        """Return the error to raise for a failed attempt that is not repeated."""
        error = failed.error
        kind, message, hint = type(error), error.message, error.hint
        if action is Action.RESOLVE:
            kind, message = AmbiguousWriteError, f"{message}; the change may have been made"
        pause, left = failed.retry_after or 0.0, self.pace.left()
        if action is Action.REPEAT and pause >= left:
            if pause:
                return self._too_long(kind, pause, error.status, sends)
            if hint != MORE_TIME_HINT:
                message, hint = f"{message}; no time was left to send it again", MORE_TIME_HINT
        return kind(
            message, status=error.status, detail=error.detail, fields=error.fields, hint=hint
        )

    def _too_long(
        self, kind: type[ApiError], pause: float, status: int | None, sends: int
    ) -> ApiError:
        # The response to an earlier request asked to wait. It may leave open how long.
        sent = f" ({plural(sends, 'attempt')})" if sends else ": this request was not sent"
        return kind(
            f"HTTP {status}: {self.origin.address} asks to wait; the next attempt would be in "
            f"{pause:.0f} s, but the run has only {max(0.0, self.pace.left()):.0f} s left{sent}",
            status=status,
            hint=LATER_HINT,
        )


def _response_headers(response: httpx.Response) -> dict[str, str]:
    """Return a response's headers, names in lower case, without cookies."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    headers.pop("set-cookie", None)
    if "location" in response.extensions:
        headers["location"] = response.extensions["location"]
    return headers
