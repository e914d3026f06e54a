"""Retries, pauses, budget, deadlines and errors of the transport, in virtual time."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.api.attempt import AttemptRecord
from reconciler.api.connections import Shared
from reconciler.api.origin import Network, Pause
from reconciler.api.responses import _retry_after
from reconciler.api.transport import Pace
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    CredentialError,
    DeadlineError,
    InvalidRequestError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)
from tests.api.support import json_response, transport
from tests.goldens import rows
from tests.ports import VirtualClock

METHODS = ("GET", "POST", "PATCH", "DELETE")
OK = json_response(200, {"id": "a"})
CONNECTION_REFUSED = httpx.ConnectError("canary refused")
NEVER_SENT = [
    CONNECTION_REFUSED, httpx.ConnectTimeout("canary"), httpx.PoolTimeout("canary"),
    httpx.ProxyError("canary"), httpx.LocalProtocolError("canary"),
    httpx.UnsupportedProtocol("canary"),
]  # fmt: skip
AMBIGUOUS = [
    httpx.ReadError("canary"), httpx.WriteError("canary"), httpx.ReadTimeout("canary"),
    httpx.WriteTimeout("canary"), httpx.RemoteProtocolError("canary"), httpx.CloseError("canary"),
    httpx.DecodingError("canary"), httpx.InvalidURL("canary"),
    UnicodeDecodeError("utf-8", b"canary", 0, 1, "canary"), RecursionError("canary"),
    AttributeError("canary"), OSError("canary"),
    *[json_response(status, {"detail": "x"}) for status in (408, 423, 500, 502, 503, 504, 520)],
    json_response(200), json_response(200, "text", content_type="text/html"),
]  # fmt: skip
RESET = str(int(VirtualClock().now().timestamp()) + 30)
REJECTED = [400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422]


def name(case: Any) -> str:
    return f"HTTP {case.status_code}" if isinstance(case, httpx.Response) else type(case).__name__


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", NEVER_SENT, ids=name)
def test_an_unsent_request_is_retried(method: str, fault: Exception) -> None:
    """Every method is retried if the request cannot have arrived."""
    one, server, _ = transport(fault, OK)
    assert one.request(method, "/").data == {"id": "a"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", AMBIGUOUS, ids=name)
def test_a_read_is_always_retried(fault: Any) -> None:
    """A read changes nothing, so it is safe to repeat."""
    one, _, _ = transport(fault, OK)
    assert one.request("GET", "/").data == {"id": "a"}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", AMBIGUOUS, ids=name)
def test_an_ambiguous_write_is_never_repeated(method: str, fault: Any) -> None:
    """After one request the error reports that the write may have been processed."""
    one, server, _ = transport(fault, OK)
    with pytest.raises(AmbiguousWriteError, match="may have been made") as caught:
        one.request(method, "/x/", json={"a": 1})
    assert len(server.requests) == 1
    assert (caught.value.method, caught.value.path) == (method, "/x/")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("status", REJECTED)
def test_a_rejection_is_final(method: str, status: int) -> None:
    """The client does not retry what the server rejects."""
    one, server, clock = transport(json_response(status, {"detail": "said"}), OK)
    with pytest.raises(ApiError) as caught:
        one.request(method, "/")
    assert (caught.value.status, caught.value.detail) == (status, "said")
    assert not isinstance(caught.value, AmbiguousWriteError)
    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (CONNECTION_REFUSED, UnreachableError),
        (httpx.ReadError("x"), ServerError),
        (json_response(500), ServerError),
        (json_response(502, None, content_type="text/html"), ServerError),
        (json_response(200), ProtocolError),
    ],
    ids=["not sent", "broken", "500", "502", "unreadable"],
)
def test_a_read_fails_after_four_attempts(fault: Any, error: type[ApiError]) -> None:
    """The waits double, and the error describes the last attempt."""
    one, server, clock = transport(fault)
    with pytest.raises(error):
        one.request("GET", "/")
    assert len(server.requests) == 4
    assert clock.highs == [0.5, 1.0, 2.0]
    assert sum(clock.slept) == 3.5


@pytest.mark.parametrize(
    ("code", "flaw", "fix"), rows(Path(__file__).with_name("certificates.yaml"))
)
def test_an_untrusted_certificate_is_final_and_has_a_next_step(
    code: int, flaw: str, fix: str
) -> None:
    """A TLS error is not retried. Only an unknown issuer may be that of a proxy."""
    cause = ssl.SSLCertVerificationError("canary")
    cause.verify_code = code
    error = httpx.ConnectError("canary")
    error.__cause__ = cause
    one, server, _ = transport(error)
    with pytest.raises(UnreachableError) as caught:
        one.request("POST", "/")
    assert len(server.requests) == 1
    assert caught.value.message.endswith(
        f"the certificate of api.cloudtruth.io is not trusted: {flaw}"
    )
    assert fix in (caught.value.hint or "")


def test_an_unknown_host_name_is_reported() -> None:
    """The hint mentions the host and DNS."""
    error = httpx.ConnectError("canary")
    error.__cause__ = socket.gaierror("canary")
    one, _, _ = transport(error)
    with pytest.raises(UnreachableError, match="io cannot be reached: its host name was") as caught:
        one.request("GET", "/")
    assert (caught.value.hint or "").startswith("check the host in the server URL (")


# --- 429 ---


@pytest.mark.parametrize(("status", "method"), [*((429, each) for each in METHODS), (503, "GET")])
def test_retry_after_is_a_minimum(status: int, method: str) -> None:
    """`Retry-After: 7` waits at least 7 s: after a 429 for every method, after a 503 for a read."""
    one, server, clock = transport(json_response(status, {"detail": "x"}, retry_after="7"), OK)
    assert one.request(method, "/").data == {"id": "a"}
    assert (sum(clock.slept), len(server.requests)) == (7.0, 2)


@pytest.mark.parametrize(
    ("text", "headers", "seconds"),
    [
        ("You have exceeded a secondary rate limit.", {"retry_after": "7"}, 7.0),
        ("You have exceeded a secondary rate limit.", {"x_ratelimit_remaining": "9"}, 60.0),
        ("Forbidden", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": RESET}, 30.0),
        ("Forbidden", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "0"}, 0.0),
    ],
)
def test_a_403_for_the_rate_limit_is_retried(
    text: str, headers: dict[str, str], seconds: float
) -> None:
    """GitHub also rejects requests over its rate limits with 403."""
    one, server, clock = transport(json_response(403, {"message": text}, **headers), OK)
    assert one.request("POST", "/").data == {"id": "a"}
    assert sum(clock.slept) == pytest.approx(seconds, abs=1.0)
    assert len(server.requests) == 2


@pytest.mark.parametrize("reset", [{}, {"x_ratelimit_reset": "soon"}])
def test_a_403_without_a_time_to_wait_for_is_final(reset: dict[str, str]) -> None:
    """A rejection is not repeated every minute; the error names the header."""
    response = json_response(403, {"detail": "Forbidden"}, x_ratelimit_remaining="0", **reset)
    one, server, clock = transport(response)
    with pytest.raises(PermissionDeniedError, match="X-RateLimit-Remaining is 0"):
        one.request("POST", "/")
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize(("status", "method"), [(429, "GET"), (429, "POST"), (503, "GET")])
def test_a_pause_beyond_the_deadline_is_an_error(status: int, method: str) -> None:
    """The client does not wait for a day; the error gives the number of seconds."""
    one, server, clock = transport(json_response(status, None, retry_after="86400"))
    kind = ServerError if status == 503 else RateLimitedError
    with pytest.raises(kind, match="86400 s") as caught:
        one.request(method, "/")
    assert (caught.value.status, clock.slept) == (status, [])
    # The other workers know of a 429 without a request.
    with pytest.raises(kind, match="1 attempt" if status == 503 else "left: this request was not"):
        one.request("GET", "/other")
    assert len(server.requests) == 1 + (status == 503)


def test_throttling_costs_no_attempt_and_no_budget() -> None:
    """A request succeeds after any number of 429s if the last response is valid."""
    many = [json_response(429, None, retry_after="1")] * 30
    one, server, _ = transport(*many, httpx.ReadError("x"), OK)
    assert one.request("GET", "/").data == {"id": "a"}
    assert len(server.requests) == 32


def test_endless_throttling_ends_at_the_deadline() -> None:
    """Requests to a server that always returns 429 stop at the deadline of the run."""
    one, server, clock = transport(json_response(429), deadline=100.0)
    with pytest.raises(RateLimitedError) as caught:
        one.request("POST", "/")
    assert sum(clock.slept) < 100.0
    sends = len(server.requests)
    assert sends < 15
    # The server left open how long, so the message does not call it the server's number.
    assert caught.value.message.startswith(
        "HTTP 429: api.cloudtruth.io asks to wait; the next attempt would be in "
    )
    assert caught.value.message.endswith(f"s left ({sends} attempts)")


def test_a_429_pauses_every_worker() -> None:
    """A request that starts during the pause waits for its end."""
    clock = VirtualClock()
    times: list[tuple[str, float]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        times.append((request.url.path, clock.time))
        if len(times) == 1:
            # While this request is rejected, another worker wants to send.
            return json_response(429, None, retry_after="5")
        return OK

    one, _, _ = transport(serve, clock=clock)
    # The first worker fails, because its deadline is too early...
    one.deadline_in(3.0)
    with pytest.raises(RateLimitedError):
        one.request("GET", "/first")
    one.deadline_in(600.0)
    thread = threading.Thread(target=one.request, args=("GET", "/second"))
    thread.start()
    thread.join()
    # ... and the pause holds for the other worker.
    assert times == [("/first", 0.0), ("/second", 5.0)]


# --- budget and deadlines ---


def test_an_empty_budget_ends_all_retries_and_all_writes() -> None:
    """A server that is down receives a few requests, then no further writes."""
    one, server, _ = transport(json_response(503))
    for _ in range(20):
        with pytest.raises(ServerError):
            one.request("GET", "/")
    # Six retries from the budget; after that each read is tried once.
    assert len(server.requests) == 20 + 6
    with pytest.raises(ServerError, match="budget"):
        one.request("POST", "/", json={})
    assert len(server.requests) == 26


def test_successes_refill_the_budget() -> None:
    """A long run with rare failures never runs out of retries."""
    one, _, _ = transport(*([httpx.ReadError("x"), *[OK] * 6] * 40))
    for _ in range(240):
        one.request("GET", "/")


def test_no_request_starts_after_the_deadline() -> None:
    """The request is not sent, and the error gives the reason."""
    one, server, clock = transport(OK, deadline=10.0)
    clock.time += 10.0
    with pytest.raises(DeadlineError, match=r"no time was left .* api\.cloudtruth\.io"):
        one.request("POST", "/")
    assert server.requests == []
    one.deadline_in(5.0)
    one.request("GET", "/")


def test_a_deadline_between_two_attempts_reports_the_failure() -> None:
    """The error is that of the last attempt, even if a busy machine sleeps too long."""

    class OversleepingClock(VirtualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds * 10)

    one, server, _ = transport(CONNECTION_REFUSED, clock=OversleepingClock(), deadline=3.0)
    with pytest.raises(UnreachableError, match="cannot be reached; no time was left") as e:
        one.request("GET", "/")
    assert e.value.hint == "allow more time with --deadline"
    assert len(server.requests) == 1


def test_a_slow_body_is_cut_off_between_chunks() -> None:
    """A body that arrives byte by byte ends with the request's timeout."""
    clock = VirtualClock()

    def slow(request: httpx.Request) -> httpx.Response:
        clock.time += 30.0
        return OK

    one, _, _ = transport(slow, clock=clock)
    with pytest.raises(AmbiguousWriteError, match="within 30 s"):
        one.request("POST", "/")


# --- observers ---


def test_an_observer_receives_every_attempt_without_secrets() -> None:
    """An attempt has method, path without query, status and size; a pause has its reason."""
    events: list[AttemptRecord | Pause] = []
    throttled = json_response(429, retry_after="6")
    one, _, _ = transport(httpx.ReadError("x"), throttled, OK, observer=events.append)
    one.request("GET", "/x/", params={"page": 1})
    seen = [each for each in events if isinstance(each, AttemptRecord)]
    assert [(each.attempt, each.status, each.size) for each in seen] == [
        (1, None, 0),
        (2, 429, 0),
        (3, 200, len(OK.content)),
    ]
    assert {(each.method, each.path) for each in seen} == {("GET", "/x/")}
    pauses = [each for each in events if isinstance(each, Pause)]
    assert [each.seconds for each in pauses] == [0.5, 6.0]
    assert "HTTP 429" in pauses[1].error.message


def test_a_wait_that_ends_the_run_is_no_pause() -> None:
    """Nothing is tried again after it, so no observer receives one."""
    events: list[AttemptRecord | Pause] = []
    one, _, _ = transport(json_response(429, retry_after="9999999"), observer=events.append)
    with pytest.raises(RateLimitedError, match="9999999 s"):
        one.request("GET", "/x/")
    assert not [event for event in events if isinstance(event, Pause)]


def test_a_failing_observer_does_not_change_the_response() -> None:
    """An error in the progress output never affects a request."""

    def fail(_: AttemptRecord) -> None:
        raise AttributeError("a bug")

    one, _, _ = transport(OK, observer=fail)
    assert one.request("PATCH", "/x/", json={}).data == {"id": "a"}


def test_a_path_cannot_redirect_the_credential() -> None:
    """A path that would turn the origin into a username is rejected before sending."""
    one, server, _ = transport(OK)
    with pytest.raises(CredentialError, match="not sent elsewhere"):
        one.request("GET", "@evil.example/x")
    assert server.requests == []


def test_an_error_with_an_unreadable_body_is_classified_by_status() -> None:
    """A rejection with broken JSON is still a rejection."""
    broken = httpx.Response(400, headers={"content-type": "application/json"}, content=b"{")
    one, server, _ = transport(broken)
    with pytest.raises(InvalidRequestError) as caught:
        one.request("POST", "/")
    assert caught.value.detail is None
    assert len(server.requests) == 1


def test_a_wait_notices_a_new_deadline() -> None:
    """A long wait is split into short ones, so that a signal can shorten it."""

    class InterruptedClock(VirtualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 3:
                shared.deadline_in(2.0)

    clock = InterruptedClock()
    shared = Shared(Network(clock=clock))
    pace = Pace(clock, shared)
    pace.pause(100.0)
    assert pace.wait_for_pause() == 97.0
    assert sum(clock.slept) == 3.0


def test_one_outage_is_charged_once() -> None:
    """Requests that were in flight when a failure was charged belong to the same outage."""
    clock = VirtualClock()
    pace = Pace(clock, Shared(Network(clock=clock)))
    clock.time = 1.0
    assert all(pace.charge(writes=True, sent=0.5) for _ in range(16))
    for clock.time in (2.0, 3.0, 4.0, 5.0, 6.0):
        assert pace.charge(writes=True, sent=clock.time - 0.5)
    clock.time = 7.0
    assert not pace.charge(writes=True, sent=6.5)
    assert pace.exhausted


def test_successful_reads_do_not_pay_for_failed_writes() -> None:
    """A server that loses every write ends the run, although its listings can be read."""
    clock = VirtualClock()
    pace = Pace(clock, Shared(Network(clock=clock)))
    for clock.time in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        assert pace.charge(writes=True, sent=clock.time)
        for _ in range(30):
            pace.succeeded(writes=False)
    assert not pace.charge(writes=True, sent=clock.time)


@pytest.mark.parametrize(
    ("value", "date", "seconds"), rows(Path(__file__).with_name("retry_after.yaml"))
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    """Seconds and dates are parsed, invalid values are ignored."""
    assert _retry_after(value, date, datetime(2026, 1, 1, tzinfo=UTC)) == seconds
