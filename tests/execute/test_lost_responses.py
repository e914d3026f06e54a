"""Creates, updates and deletes whose response was lost or an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    ExitCode,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)
from reconciler.model import LiveWebhook
from reconciler.report import Applied, Unconfirmed
from tests.execute.test_outcomes import MAY_APPEAR, outcome_of
from tests.execute.world import (
    FAULTS,
    Fault,
    Memory,
    appear,
    faults,
    memory,
    outcomes,
    planned,
    row,
    run,
    slack,
)
from tests.goldens import rows
from tests.planning.builders import OTHER_TOKEN
from tests.ports import VirtualClock

LATE = Fault(call="create", interfere=appear(row("a", "a-late")))
LOST = Fault(call="create", error=AmbiguousWriteError)


# Creates


def test_a_create_that_happened_is_found() -> None:
    """A create whose response was lost sends one POST, and the run exits 0."""
    api, clock = memory(faults=[replace(LOST, happens=True)]), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock)
    assert (api.writes(), api.names(), report.exit_code) == (["create a"], ["a"], ExitCode.OK)
    assert clock.slept == [2.0]
    assert api.count("list") == 3


def test_no_pause_is_longer_than_the_time_left() -> None:
    """With `--deadline 2` the run does not wait for another six seconds."""
    api, clock = memory(faults=[LOST, replace(LOST, nth=2)], seconds_left=0.25), VirtualClock()
    run(api, planned(api, slack("a")), clock=clock)
    assert set(clock.slept) == {0.25}


def test_a_create_that_did_not_happen_is_repeated_after_three_listings() -> None:
    """A webhook is missing only if three listings agree."""
    api, clock = memory(faults=[LOST]), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock)
    assert api.calls == ["list", "create a", "list", "list", "list", "create a", "list"]
    assert (clock.slept, report.exit_code) == ([2.0, 1.0, 1.0], ExitCode.OK)


@pytest.mark.parametrize(
    ("error", "detail"), [(InvalidRequestError, "name already exists."), (ConflictError, None)]
)
@pytest.mark.parametrize(
    ("other", "outcome"), [(row("a", "9"), "applied"), (row("a", "9", "#x"), "failed conflict")]
)
def test_a_taken_name_is_read_back(
    error: type[ApiError], detail: str | None, other: LiveWebhook, outcome: str
) -> None:
    """A webhook equal to the create is the created one; a different one is a conflict."""
    taken = Fault(call="create", error=error, detail=detail, interfere=appear(other))
    api = memory(faults=[taken])
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": outcome}
    assert api.names() == ["a"]


CREATES = rows(FAULTS)["creates"]


@pytest.mark.parametrize(("faulty", "stop", "outcome", "sent"), CREATES.values(), ids=CREATES)
def test_a_create_is_repeated_only_if_it_definitely_did_not_happen(
    faulty: list[Any], stop: int | None, outcome: str, sent: int
) -> None:
    """The listings decide; without them the outcome is unconfirmed, or the server's error."""
    other = appear(row("other", "9"))
    api = memory(faults=faults(faulty, OTHER=other))
    report = run(api, planned(api, slack("a")), stop=stop)
    assert (outcomes(report), api.count("create")) == ({"a": outcome}, sent)
    assert stop is None or report.exit_code is ExitCode.SIGTERM


SENDS = rows(FAULTS)["repeated creates"]


@pytest.mark.parametrize(("faulty", "note"), SENDS.values(), ids=SENDS)
def test_a_create_that_was_sent_twice_may_have_a_duplicate(
    faulty: list[Any], note: str | None
) -> None:
    """A lost request may still arrive after the run."""
    outcome = outcome_of(memory(faults=faults(faulty)), slack("a"))
    assert outcome == Applied(operation=outcome.operation, id="id-101", note=note)


# Removal of duplicates


def test_a_late_duplicate_is_removed_and_the_smallest_id_is_kept() -> None:
    """The first POST is committed after the second: one webhook remains."""
    api = memory(faults=[LOST, replace(LATE, nth=2)])
    report = run(api, planned(api, slack("a")))
    assert list(api.rows) == ["a-late"]
    assert [(each.removed, each.kept) for each in report.duplicates_removed] == [
        ("id-101", "a-late")
    ]
    assert report.exit_code is ExitCode.OK
    assert report.outcomes[0].id == "a-late"  # type: ignore[union-attr]


def test_the_kept_duplicate_is_reported_for_its_own_create() -> None:
    """Other webhooks were updated and created before the kept one."""
    api = memory(row("u", "id-1", "#elsewhere"))
    plan = planned(api, slack("a"), slack("b"), slack("u"))
    api.faults = [
        Fault(call="create", interfere=appear(row("b", "b-late"))),
        Fault(call="list", nth=3, error=ServerError),
    ]
    found = {each.operation.name: each.id for each in run(api, plan).outcomes}
    assert found == {"u": "id-1", "a": "id-101", "b": "b-late"}


def test_a_duplicate_kept_by_another_run_is_reported() -> None:
    """Another run removes this run's duplicate, because its webhook has the smaller id."""

    api = memory(faults=[Fault(call="list", nth=2, interfere=kept_by_another_run)])
    report = run(api, planned(api, slack("a")))
    assert (report.outcomes[0].id, report.exit_code) == ("a-first", ExitCode.OK)


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (row("a", "a-first", "#elsewhere"), ["a-first"]),
        (row("a", "a-first", token="xoxb-9876543210-other"), ["a-first"]),
        (row("a", "zz", "#manual"), ["id-101", "zz"]),
    ],
    ids=["other fields", "another token, which the listing shows", "the larger id"],
)
def test_a_webhook_of_another_process_that_differs_is_kept(
    other: LiveWebhook, left: list[str]
) -> None:
    """The outcome is a conflict with the id of the other webhook."""
    api = memory(faults=[Fault(call="create", interfere=appear(other))])
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": "failed conflict"}
    assert other.id in report.outcomes[0].message  # type: ignore[union-attr]
    assert sorted(api.rows) == left


@pytest.mark.parametrize(
    ("change", "left", "code"),
    [
        (lambda api: api.rows.pop("a-late", None), ["id-101"], ExitCode.OK),
        (appear(row("a", "id-101", "#edited")), ["a-late", "id-101"], ExitCode.PARTIAL),
        (lambda api: api.rows.pop("id-101", None), ["a-late"], ExitCode.OK),
    ],
    ids=["the keeper is gone", "the duplicate was edited", "another run removed it"],
)
def test_a_run_removes_and_reports_only_its_own_duplicates(
    change: Callable[[Memory], None], left: list[str], code: ExitCode
) -> None:
    """The webhook to keep is read right before a duplicate is deleted."""
    api = memory(faults=[LATE, Fault(call="get", interfere=change)])
    report = run(api, planned(api, slack("a")))
    assert (sorted(api.rows), report.duplicates_removed, report.exit_code) == (left, (), code)


def test_a_removal_with_a_lost_response_is_verified() -> None:
    """The removal is confirmed or repeated; the report names the ids of both webhooks."""
    for happens in (True, False):
        lost = Fault(call="delete", error=AmbiguousWriteError, happens=happens)
        api = memory(faults=[LATE, lost])
        report = run(api, planned(api, slack("a")))
        assert (list(api.rows), report.exit_code) == (["a-late"], ExitCode.OK)
        assert len(report.duplicates_removed) == 1


def test_duplicates_are_removed_after_other_failures_too() -> None:
    """The removal is part of the create, regardless of other failures."""
    failing = Fault(call="create", nth=2, error=InvalidRequestError)
    api = memory(faults=[LATE, failing])
    report = run(api, planned(api, slack("a"), slack("b")))
    assert (api.names(), len(report.duplicates_removed)) == (["a"], 1)


def masked(row: LiveWebhook, *more: str) -> LiveWebhook:
    """Return a webhook as a server stores it that never shows its token, or fields in `more`."""
    configuration = cast(dict[str, Any], row.configuration)
    return replace(row, configuration=configuration | dict.fromkeys(("token", *more), "*****"))


DESTINATIONS = rows(FAULTS)["hidden destinations"]


@pytest.mark.parametrize(
    ("faulty", "outcome", "ids", "writes"), DESTINATIONS.values(), ids=DESTINATIONS
)
def test_a_hidden_destination_proves_nothing(
    faulty: list[Any], outcome: str, ids: list[str], writes: list[str]
) -> None:
    """Only a lost response of this run makes a webhook its own; its configuration is sent once."""
    foreign = appear(masked(row("a", "a-late"), "channel"))
    api = memory(faults=faults(faulty, HIDDEN=foreign), stores=lambda row: masked(row, "channel"))
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": outcome}
    assert (sorted(api.rows), api.writes()) == (ids, writes)


def kept_by_another_run(api: Memory) -> None:
    """Let another run remove this run's duplicate, because its webhook has the smaller id."""
    del api.rows["id-101"]
    api.put(row("a", "a-first"))


BY_HAND = {
    "BY_HAND": appear(masked(row("a", "1", "#new"))),
    "COPIED": appear(masked(row("a", "a-copy"))),
    "KEPT": kept_by_another_run,
}
CANNOT_BE_SEEN = "whether it arrived is unknown: token cannot be compared; "
HIDDEN_VALUES = rows(FAULTS)["hidden values"]


@pytest.mark.parametrize(("faulty", "outcome", "sent"), HIDDEN_VALUES.values(), ids=HIDDEN_VALUES)
def test_a_hidden_value_is_confirmed_only_by_a_response(
    faulty: list[Any], outcome: str, sent: int, request: pytest.FixtureRequest
) -> None:
    """What is visible may be the work of a user who made exactly that by hand."""
    creates = "a create" in request.node.name
    live = () if creates else (masked(row("a", "1")),)
    api = memory(*live, faults=faults(faulty, **BY_HAND), stores=masked)
    report = run(api, planned(api, slack("a", "#ops" if creates else "#new")))
    assert (outcomes(report), len(api.writes())) == ({"a": outcome}, sent)
    if outcome == "unconfirmed":
        again = "--resend-secret a sends it again"
        assert report.outcomes[0].message.endswith(f"{CANNOT_BE_SEEN}{again}")  # type: ignore[union-attr]


# Updates and deletes


LOST_WRITES = rows(FAULTS)["writes"]


@pytest.mark.parametrize("call", ["update", "delete"])
@pytest.mark.parametrize(
    ("faulty", "stop", "outcome", "sent"), LOST_WRITES.values(), ids=LOST_WRITES
)
def test_a_write_is_read_back_before_it_is_sent_again(
    call: str, faulty: list[Any], stop: int | None, outcome: str, sent: int
) -> None:
    """If the write is live, it is applied. Otherwise it is sent again, except after a signal or a
    change by others.

    A 409 means that nothing was processed; the second 409 is final.
    """
    hooks = (slack("a", "#new"),) if call == "update" else ()
    scripted = faults(faulty, MANUAL=appear(row("a", "1", "#manual")))
    scripted = [replace(fault, call=call) if fault.call == "write" else fault for fault in scripted]
    api = memory(row("a", "1"), faults=scripted)
    report = run(api, planned(api, *hooks), stop=stop)
    assert (outcomes(report), api.count(call)) == ({"a": outcome}, sent)
    assert getattr(report.outcomes[0], "id", "1") == "1"


@pytest.mark.parametrize(("stop", "lost"), [(1, 1), (None, 3)])
def test_a_lost_write_mentions_an_interruption(stop: int | None, lost: int) -> None:
    """The reason why it was not sent again is part of the message, if there is one."""
    faults = [Fault(call="update", nth=nth, error=AmbiguousWriteError) for nth in range(1, 9)]
    api = memory(row("a", "1"), faults=faults)
    (outcome,) = run(api, planned(api, slack("a", "#new")), stop=stop).outcomes
    assert isinstance(outcome, Unconfirmed)
    assert api.count("update") == lost
    assert ("interrupted" in outcome.message) is (stop is not None)


@pytest.mark.parametrize("error", [UnreachableError, RateLimitedError])
def test_a_lost_write_is_not_called_unsent_if_it_cannot_be_read_back(error: type[ApiError]) -> None:
    """The message of the later request, which was not sent, would seem to be about the write."""
    faults = [Fault(call="list", nth=nth, error=error) for nth in range(2, 9)]
    faults += [Fault(call=call, error=AmbiguousWriteError) for call in ("create", "update")]
    faults += [Fault(call="get", nth=nth, error=error) for nth in range(1, 9)]
    api = memory(row("a", "1"), faults=faults)
    report = run(api, planned(api, slack("a", "#new"), slack("b")), stop=2)
    unknown = "no response (1 attempt); whether it arrived is unknown"
    messages = {outcome.operation.name: outcome.message for outcome in report.outcomes}
    assert messages == {"a": unknown, "b": f"{unknown}; the run was interrupted; {MAY_APPEAR}"}


NOT_CHANGED = "it has not changed yet"
RESENDS = {
    "hidden": ("*****", {}, f"{CANNOT_BE_SEEN}the same options send it again", 1),
    "shown": (OTHER_TOKEN, {}, NOT_CHANGED, 0),
    "hidden, with a visible change": ("*****", {"channel": "#old"}, NOT_CHANGED, 1),
    "hidden, with a field that is removed": ("*****", {"new_field": "x"}, NOT_CHANGED, 1),
}


@pytest.mark.parametrize(("token", "more", "now", "hidden"), RESENDS.values(), ids=RESENDS)
def test_a_lost_resend_is_reported_as_unchanged_only_if_that_can_be_seen(
    token: str, more: dict[str, str], now: str, hidden: int
) -> None:
    """A webhook that hides all that is sent may have changed, and the report counts it."""
    faults = [Fault(call="update", nth=nth, error=AmbiguousWriteError) for nth in (1, 2, 3)]
    api = memory(row("a", "1", token=token, **more), faults=faults)
    report = run(api, planned(api, slack("a"), resend=("*",)))
    (outcome,) = report.outcomes
    assert outcome == Unconfirmed(outcome.operation, f"no response (3 attempts); {now}")
    assert (report.verified, report.hidden, report.exit_code) == (True, hidden, ExitCode.PARTIAL)


def test_an_update_of_a_deleted_webhook_is_skipped() -> None:
    """The webhook is read after the response was lost, and is missing."""
    lost = Fault(call="update", error=AmbiguousWriteError, interfere=lambda api: api.rows.clear())
    api = memory(row("a", "1"), faults=[lost])
    assert outcomes(run(api, planned(api, slack("a", "#new")))) == {"a": "skipped vanished"}


def test_a_response_that_differs_is_read_again() -> None:
    """A write is verified by the live webhook if its response differs."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", events=frozenset({"value_created"})))
    honest = api.update

    class Terse(Memory):
        def update(self, id, draft, fields):  # type: ignore[no-untyped-def]
            honest(id, draft, fields)
            return row("a", "1")

    terse = Terse(rows=api.rows)
    assert run(terse, plan).exit_code is ExitCode.OK
    assert terse.count("get") == 1
    api.rows["1"] = row("a", "1")
    unseen = Terse(rows=api.rows, faults=[Fault(call="list", nth=2, error=ServerError)])
    assert run(unseen, plan).outcomes[0].id == "1"
    api.rows["1"] = row("a", "1")
    unread = Terse(rows=api.rows, faults=[Fault(call="get", error=ServerError)])
    assert run(unread, plan).exit_code is ExitCode.OK


def test_a_response_that_differs_and_cannot_be_verified_is_not_a_success() -> None:
    """Without a read, it is unknown whether the name was stored as sent."""
    api = memory(
        stores=lambda each: replace(each, name=each.name.upper()),
        faults=[Fault(call="get", error=ServerError), Fault(call="list", nth=2, error=ServerError)],
    )
    report = run(api, planned(api, slack("a")))
    assert (outcomes(report), report.exit_code) == ({"a": "unconfirmed"}, ExitCode.PARTIAL)
    assert report.outcomes[0].message == "the response differs from what was sent"


@pytest.mark.parametrize("error", [ServerError, UnreachableError, PermissionDeniedError])
@pytest.mark.parametrize("call", ["create", "update", "delete"])
def test_a_lost_write_that_is_then_rejected_is_unconfirmed(
    call: str, error: type[ApiError]
) -> None:
    """The lost request may still be committed."""
    hooks = {"create": (slack("a"),), "update": (slack("a", "#new"),), "delete": ()}[call]
    rows = () if call == "create" else (row("a", "1"),)
    lost = Fault(call=call, error=AmbiguousWriteError)
    api = memory(*rows, faults=[lost, Fault(call=call, nth=2, error=error)])
    assert outcomes(run(api, planned(api, *hooks))) == {"a": "unconfirmed"}
    api = memory(*rows, faults=[Fault(call=call, error=error)])
    assert outcomes(run(api, planned(api, *hooks))) == {"a": f"failed {error.code}"}


def test_a_lost_delete_of_a_duplicate_is_unconfirmed_without_its_keeper() -> None:
    """The delete may have happened, although the read before the next one fails."""
    faults = [
        Fault(call="delete", error=AmbiguousWriteError),
        Fault(call="get", nth=3, error=ServerError),
    ]
    api = memory(row("a", "1"), row("a", "2"), faults=faults)
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "unconfirmed"}
    assert api.count("delete") == 1
