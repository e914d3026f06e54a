"""Faults of a server in process become the errors of a real wire."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from tests.api.support import VirtualClock
from tests.emulated import faults
from tests.emulated.in_process import InProcess
from tests.emulated.messages import Answer, Request

SEEN: list[Request] = []


def send(fault: faults.Fault | None, *, timeout: float = 10.0) -> tuple[bytes, float]:
    """Send one request; return the body and how long it took."""
    clock = VirtualClock()
    body = b'{"a": 1}'

    def handle(request: Request) -> Answer:
        SEEN.append(request)
        headers = (("content-type", "application/json"), ("content-length", str(len(body))))
        return Answer(status=200, headers=headers, body=body, fault=fault)

    adapter = InProcess(handle, clock=clock)
    with httpx.Client(transport=adapter, timeout=timeout, trust_env=False) as client:
        started = clock.time
        try:
            return client.post("http://h/p%2Fq/?x=%20", content=b"sent").content, 0.0
        except httpx.HTTPError as error:
            error.took = clock.time - started  # type: ignore[attr-defined]
            raise


def test_a_request_arrives_as_it_was_sent() -> None:
    """Method, escaped path, query, headers in lower case, body."""
    assert send(None)[0] == b'{"a": 1}'
    request = SEEN[-1]
    assert (request.method, request.path, request.query) == ("POST", "/p%2Fq/", "x=%20")
    assert request.headers["content-length"] == "4"
    assert request.body == b"sent"


@pytest.mark.parametrize(
    ("fault", "error", "took"),
    [
        (faults.refuse(), httpx.ConnectError, 0.0),
        (faults.drop(), httpx.RemoteProtocolError, 0.0),
        (faults.hang(), httpx.ReadTimeout, 10.0),
        (faults.hang(math.inf), httpx.ReadTimeout, 10.0),
        (faults.hang(3.0), httpx.RemoteProtocolError, 3.0),
        (faults.delay(10.0), httpx.ReadTimeout, 10.0),
        (faults.drip(11.0), httpx.ReadTimeout, 10.0),
        (faults.truncate(), httpx.RemoteProtocolError, 0.0),
        (faults.reset(3), httpx.ReadError, 0.0),
    ],
    ids=lambda value: getattr(value, "label", None),
)
def test_a_fault_is_the_library_s_own_error(
    fault: faults.Fault, error: type[Exception], took: float
) -> None:
    """With the waiting it would take on a wire."""
    with pytest.raises(error) as caught:
        send(fault)
    assert caught.type is error
    assert getattr(caught.value, "took") == took  # noqa: B009 - set above


@pytest.mark.parametrize("fault", [faults.delay(2.0), faults.drip(0.5), faults.status(200)])
def test_what_only_takes_time_arrives(fault: Any) -> None:
    """A slow answer within the timeout is an answer."""
    assert send(fault)[0] == b'{"a": 1}'
