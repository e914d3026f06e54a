"""Faults: which request fails, what reaches the store, what the carrier is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.emulated import faults
from tests.emulated.faults import Fault, Rule, Script, Wire

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]


def failing(start: Start, fault: Fault, **match: Any) -> Any:
    script = Script()
    script.add(fault, **match)
    return start(faults=script)


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize(
    ("make", "status", "wire"),
    [
        (lambda commit: faults.status(503, commit=commit), 503, Wire.SEND),
        (lambda commit: faults.drop(commit=commit), 0, Wire.DROP),
        (lambda commit: faults.hang(commit=commit), 0, Wire.HANG),
        (lambda commit: faults.html(commit=commit), 200, Wire.SEND),
        (lambda commit: faults.redirect("https://x/", 302, commit=commit), 302, Wire.SEND),
        (lambda commit: faults.raw(b"\xff", commit=commit), 200, Wire.SEND),
    ],
)
def test_a_fault_strikes_before_or_after_the_commit(
    start: Start, make: Callable[[bool], Fault], status: int, wire: Wire, commit: bool
) -> None:
    """The store, the log and the answer agree on which it was."""
    api = failing(start, make(commit))
    answer = api("POST", HOOKS, api.slack())
    assert answer.fault is not None
    assert answer.fault.wire is wire
    assert len(api.stored()) == commit
    (entry,) = api.emulator.store.log()
    assert (entry.status, entry.changed is not None) == (status, commit)
    label = api.emulator.labels[entry.seq]
    assert label == answer.fault.label
    assert label.endswith("after commit") is commit


@pytest.mark.parametrize(
    ("fault", "wire"),
    [
        (faults.truncate(), Wire.TRUNCATE),
        (faults.reset(3), Wire.RESET),
        (faults.delay(2.0), Wire.DELAY),
        (faults.drip(2.0), Wire.DRIP),
    ],
)
def test_what_spoils_an_answer_needs_one(start: Start, fault: Fault, wire: Wire) -> None:
    """The request is carried out; the answer is whole, and says what to do with it."""
    api = failing(start, fault)
    answer = api("POST", HOOKS, api.slack())
    assert (answer.status, answer.fault.wire, answer.json()["name"]) == (201, wire, "alerts")
    assert answer.header("content-length") == str(len(answer.body))
    assert api.stored() == ["alerts"]


def test_a_spoiled_body_keeps_half_or_so_many_bytes() -> None:
    """By default half."""
    assert faults.truncate().kept(b"123456") == b"123"
    assert faults.reset(1).kept(b"123456") == b"1"


def test_a_refused_connection_reaches_nothing(start: Start) -> None:
    """Not even the application; the log says that the client tried."""
    api = failing(start, faults.refuse())
    assert api("POST", HOOKS, api.slack()).fault.wire is Wire.REFUSE
    assert api.stored() == []
    assert [entry.status for entry in api.emulator.store.log()] == [0]
    assert list(api.emulator.labels.values()) == ["refuse"]


@pytest.mark.parametrize("retry_after", [3, "Wed, 21 Oct 2026 07:28:00 GMT", "soon", None])
def test_a_status_carries_its_retry_after(start: Start, retry_after: Any) -> None:
    """Any text, or none."""
    api = failing(start, faults.status(429, retry_after=retry_after))
    answer = api("GET")
    assert (answer.status, answer.json()) == (429, {"detail": "Request was throttled."})
    expected = None if retry_after is None else str(retry_after)
    assert answer.header("retry-after") == expected


def test_a_status_can_have_words_and_headers_of_its_own(start: Start) -> None:
    """Such as a `Date`."""
    fault = faults.status(500, detail="Boom.", headers=(("date", "now"),))
    answer = failing(start, fault)("GET")
    assert (answer.json(), answer.header("date")) == ({"detail": "Boom."}, "now")
    assert [name for name, _ in answer.headers].count("content-type") == 1


def test_a_redirect_names_its_location(start: Start) -> None:
    """And has no body."""
    answer = failing(start, faults.redirect("https://evil.example/", 307))("GET")
    assert (answer.status, answer.body) == (307, b"")
    assert answer.header("location") == "https://evil.example/"
    assert answer.header("content-length") == "0"


def test_the_content_type_can_be_wrong(start: Start) -> None:
    """Under a true body."""
    answer = failing(start, faults.content_type("text/html"))("GET")
    assert (answer.header("content-type"), answer.json()["count"]) == ("text/html", 0)


@pytest.mark.parametrize("commit", [False, True])
def test_a_failed_head_has_no_body_either(start: Start, commit: bool) -> None:
    """Whatever the fault says."""
    answer = failing(start, faults.html(commit=commit))("HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_a_lost_write_can_happen_later(start: Start) -> None:
    """By the clock, before the next request is looked at; the log shows both moments."""
    api = failing(start, faults.drop(commit_after=5), method="POST")
    api("POST", HOOKS, api.slack())
    api.time.now += 4
    assert api.names() == []
    api.time.now += 1
    assert api.names() == ["alerts"]
    labels = [
        (api.emulator.labels.get(entry.seq), entry.status) for entry in api.emulator.store.log()
    ]
    assert labels[0] == ("drop and commit after 5 s", 0)
    assert ("late commit", 0) in labels


def test_late_writes_happen_in_the_order_of_their_time(start: Start) -> None:
    """`settle` lets them happen without a request."""
    script = Script()
    script.add(faults.hang(commit_after=5), name="a")
    script.add(faults.hang(commit_after=2), name="b")
    api = start(faults=script)
    for name in "ab":
        api("POST", HOOKS, api.slack(name))
    api.time.now += 5
    api.emulator.settle()
    assert api.stored() == ["b", "a"]


def test_a_gateway_can_give_up_before_the_application_does(start: Start) -> None:
    """504 now, the write some seconds later."""
    api = failing(start, faults.status(504, commit_after=3), method="POST")
    assert api("POST", HOOKS, api.slack()).status == 504
    assert api.names() == []
    api.time.now += 3
    assert api.names() == ["alerts"]


def test_rules_match_by_method_path_and_name(start: Start) -> None:
    """Every part that is set has to match."""
    script = Script()
    script.add(faults.status(500), method="POST", path="*/webhooks/", name="b")
    api = start(faults=script)
    assert api("GET").status == 200
    assert api("POST", HOOKS, api.slack("a")).status == 201
    assert api("POST", HOOKS, raw=b"{").status == 400
    assert api("POST", HOOKS, raw=b"[]").status == 400
    assert api("POST", HOOKS, api.slack("b")).status == 500
    assert api("POST", HOOKS, api.slack("b")).status == 201


@pytest.mark.parametrize(
    ("nth", "times", "statuses"),
    [
        (1, 1, [500, 200, 200, 200]),
        (3, 1, [200, 200, 500, 200]),
        (2, 2, [200, 500, 500, 200]),
        (2, None, [200, 500, 500, 500]),
    ],
)
def test_rules_fire_on_the_nth_match(
    start: Start, nth: int, times: int | None, statuses: list[int]
) -> None:
    """And on as many after it as they say."""
    rule = Rule(fault=faults.status(500), nth=nth, times=times)
    api = start(faults=Script([rule]))
    assert [api("GET").status for _ in statuses] == statuses


def test_the_first_of_several_rules_wins_and_all_count() -> None:
    """A later rule does not wait for the earlier one."""
    script = Script([Rule(fault=faults.status(500)), Rule(fault=faults.status(503), times=2)])
    taken = [script.take("GET", HOOKS, b"") for _ in range(3)]
    assert [fault and fault.status for fault in taken] == [500, 503, None]


def test_a_script_can_be_cleared(start: Start) -> None:
    """Then nothing fails."""
    api = failing(start, faults.drop(), times=None)
    assert api("GET").fault is not None
    api.emulator.faults.clear()
    assert api("GET").fault is None


def test_a_script_counts_right_from_many_threads() -> None:
    """Exactly one of many requests at once is the hundredth."""
    script = Script([Rule(fault=faults.drop(), nth=100)])
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: script.take("GET", HOOKS, b"{}"), range(800)))
    assert len([fault for fault in taken if fault is not None]) == 1


def test_a_simulation_can_choose_faults_itself(start: Start) -> None:
    """Anything with `take` will do."""

    class EveryDelete:
        def take(self, method: str, path: str, body: bytes) -> Fault | None:
            return faults.drop() if method == "DELETE" else None

    api = start(faults=EveryDelete())
    path = f"{HOOKS}{api.create()['id']}/"
    assert api("DELETE", path).fault == faults.drop()
    assert api("GET", path).fault is None


def test_raw_bytes_arrive_as_they_are(start: Start) -> None:
    """Under the status and type that were asked for."""
    body = json.dumps({"results": "x" * 10}).encode()
    answer = failing(start, faults.raw(body, code=201, content_type="application/json"))("GET")
    assert (answer.status, answer.body) == (201, body)
