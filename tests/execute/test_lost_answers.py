"""Creates, updates and deletes whose answer was lost or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    ExitCode,
    InvalidRequestError,
    PermissionDeniedError,
    ServerError,
    UnreachableError,
)
from reconciler.model import LiveWebhook, Secret
from tests.execute.world import (
    Fault,
    Memory,
    StopAfter,
    VirtualClock,
    memory,
    outcomes,
    planned,
    row,
    run,
    slack,
)

LOST = Fault(call="create", error=AmbiguousWriteError)
DONE_AND_LOST = Fault(call="create", error=AmbiguousWriteError, happens=True)


def appear(*rows: LiveWebhook) -> Callable[[Memory], None]:
    return lambda api: api.rows.update({each.id: each for each in rows})


# Creates


def test_a_create_that_happened_is_adopted() -> None:
    """One POST, one copy, exit 0."""
    api = memory(faults=[DONE_AND_LOST])
    clock = VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock)
    assert (api.writes(), api.names(), report.exit_code) == (["create a"], ["a"], ExitCode.OK)
    assert clock.slept == [2.0]
    assert api.count("list") == 3


def test_a_create_that_did_not_happen_is_sent_once_more_after_three_listings() -> None:
    """Absence is believed only when three listings agree."""
    api = memory(faults=[LOST])
    clock = VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock)
    assert api.calls == ["list", "create a", "list", "list", "list", "create a", "list"]
    assert (clock.slept, report.exit_code) == ([2.0, 1.0, 1.0], ExitCode.OK)


def test_a_create_without_any_listing_to_tell_is_unconfirmed() -> None:
    """If the listings fail too, nothing is sent again."""
    api = memory(faults=[LOST, *(Fault(call="list", nth=n, error=ServerError) for n in (2, 3, 4))])
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": "unconfirmed"}
    assert api.count("create") == 1


def test_another_webhook_that_appears_meanwhile_is_no_conflict() -> None:
    """Only the name that was sent is looked for."""
    other = appear(row("other", "9"))
    api = memory(faults=[Fault(call="create", error=AmbiguousWriteError, meanwhile=other)])
    report = run(api, planned(api, slack("a")))
    assert (outcomes(report), api.names()) == ({"a": "applied"}, ["a", "other"])


def test_nothing_is_sent_again_after_a_signal() -> None:
    """A stopped run finds out, and leaves it."""
    api = memory(faults=[LOST])
    report = run(api, planned(api, slack("a")), stop=StopAfter(api, 1))
    assert outcomes(report) == {"a": "unconfirmed"}
    assert (api.count("create"), report.exit_code) == (1, ExitCode.SIGTERM)


@pytest.mark.parametrize(
    ("error", "detail"), [(InvalidRequestError, "name already exists."), (ConflictError, None)]
)
@pytest.mark.parametrize(
    ("other", "outcome"), [(row("a", "9"), "applied"), (row("a", "9", "#x"), "failed conflict")]
)
def test_a_taken_name_is_looked_at(
    error: type[ApiError], detail: str | None, other: LiveWebhook, outcome: str
) -> None:
    """An equal webhook is adopted, another one is a conflict."""
    taken = Fault(call="create", error=error, detail=detail, meanwhile=appear(other))
    api = memory(faults=[taken])
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": outcome}
    assert api.names() == ["a"]


def test_a_refusal_of_a_taken_name_stands_when_nobody_has_it() -> None:
    """The server's own word is reported, and also when the listing fails."""
    taken = Fault(call="create", error=ConflictError)
    api = memory(faults=[taken])
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "failed conflict"}
    api = memory(faults=[taken, Fault(call="list", nth=2, error=ServerError)])
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "failed conflict"}


# Healing


def late(api: Memory) -> None:
    if "late" not in api.rows:
        api.rows["a-late"] = row("a", "a-late")


def test_a_late_copy_is_removed_and_the_smallest_id_stays() -> None:
    """The first POST happens after the second: one copy at the end."""
    api = memory(faults=[LOST, Fault(call="create", nth=2, meanwhile=late)])
    report = run(api, planned(api, slack("a")))
    assert list(api.rows) == ["a-late"]
    assert [(each.removed, each.kept) for each in report.healed] == [("id-101", "a-late")]
    assert report.exit_code is ExitCode.OK
    assert report.outcomes[0].id == "a-late"  # type: ignore[union-attr]


def test_the_copy_that_stays_is_reported_for_its_own_create_only() -> None:
    """Others were updated and created before it."""
    api = memory(row("u", "id-1", "#elsewhere"))
    plan = planned(api, slack("a"), slack("b"), slack("u"))
    api.faults = [
        Fault(call="create", meanwhile=appear(row("b", "b-late"))),
        Fault(call="list", nth=3, error=ServerError),
    ]
    found = {each.operation.name: each.id for each in run(api, plan).outcomes}
    assert found == {"u": "id-1", "a": "id-101", "b": "b-late"}


def test_a_copy_that_differs_in_its_token_alone_is_another_webhook() -> None:
    """That tokens can be read shows in the very listing that has both."""
    other = {**row("a", "a-first").configuration, "token": Secret("xoxb-9876543210-other")}
    theirs = replace(row("a", "a-first"), configuration=other)
    api = memory(faults=[Fault(call="create", meanwhile=appear(theirs))])
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": "failed conflict"}


def test_a_copy_that_another_run_keeps_is_the_one_that_is_reported() -> None:
    """The other run has removed ours, as its own has the smaller id."""

    def kept(api: Memory) -> None:
        del api.rows["id-101"]
        api.put(row("a", "a-first"))

    api = memory(faults=[Fault(call="list", nth=2, meanwhile=kept)])
    report = run(api, planned(api, slack("a")))
    assert (report.outcomes[0].id, report.exit_code) == ("a-first", ExitCode.OK)


def test_a_copy_that_gives_way_to_another_webhook_is_a_conflict() -> None:
    """Somebody has created the name otherwise, and theirs has the smallest id."""
    theirs = row("a", "a-first", "#elsewhere")
    api = memory(faults=[Fault(call="create", meanwhile=appear(theirs))])
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": "failed conflict"}
    assert "a-first" in report.outcomes[0].message
    assert list(api.rows) == ["a-first"]


def test_a_copy_that_was_there_before_or_differs_is_never_removed() -> None:
    """Only fresh copies that equal what was sent may go."""
    other = row("a", "zz", "#somebody")
    api = memory(faults=[Fault(call="create", meanwhile=appear(other))])
    report = run(api, planned(api, slack("a")))
    assert (api.names(), report.healed) == (["a", "a"], ())


def test_nothing_is_removed_once_the_keeper_is_gone() -> None:
    """The keeper is asked for first; without it the copy stays."""

    def keeper_goes(api: Memory) -> None:
        api.rows.pop("a-late", None)

    api = memory(
        faults=[
            Fault(call="create", meanwhile=late),
            Fault(call="get", meanwhile=keeper_goes),
        ]
    )
    run(api, planned(api, slack("a")))
    assert list(api.rows) == ["id-101"]


def test_a_copy_that_somebody_edits_just_then_stays() -> None:
    """It is no copy any more, and the run does not say that all is done."""
    edited = Fault(call="get", meanwhile=appear(row("a", "id-101", "#edited")))
    api = memory(faults=[Fault(call="create", meanwhile=late), edited])
    report = run(api, planned(api, slack("a")))
    assert (sorted(api.rows), report.healed) == (["a-late", "id-101"], ())
    assert report.exit_code is ExitCode.PARTIAL


def test_a_copy_that_somebody_else_removes_is_not_reported_as_removed() -> None:
    """Two applies heal at once: each reports what it has done itself."""

    def copy_goes(api: Memory) -> None:
        api.rows.pop("id-101", None)

    late_and_gone = [Fault(call="create", meanwhile=late), Fault(call="get", meanwhile=copy_goes)]
    api = memory(faults=late_and_gone)
    report = run(api, planned(api, slack("a")))
    assert (list(api.rows), report.healed, report.exit_code) == (["a-late"], (), ExitCode.OK)


def test_a_removal_whose_answer_is_lost_is_looked_at_again() -> None:
    """Done or repeated, one copy is left and the report names the other."""
    for happens in (True, False):
        lost = Fault(call="delete", error=AmbiguousWriteError, happens=happens)
        api = memory(faults=[Fault(call="create", meanwhile=late), lost])
        report = run(api, planned(api, slack("a")))
        assert (list(api.rows), report.exit_code) == (["a-late"], ExitCode.OK)
        assert len(report.healed) == 1


def test_a_copy_that_cannot_be_removed_is_a_problem() -> None:
    """Exit 7 as long as there are two."""
    lost = [Fault(call="delete", nth=n, error=AmbiguousWriteError) for n in range(1, 9)]
    api = memory(faults=[Fault(call="create", meanwhile=late), *lost])
    report = run(api, planned(api, slack("a")))
    assert (report.exit_code, report.healed) == (ExitCode.PARTIAL, ())
    assert report.problem == "duplicates are left: id-101"


def test_healing_happens_after_other_failures_too() -> None:
    """The heal belongs to its create, whatever else went wrong."""
    failing = Fault(call="create", nth=2, error=InvalidRequestError)
    api = memory(faults=[Fault(call="create", meanwhile=late), failing])
    report = run(api, planned(api, slack("a"), slack("b")))
    assert (api.names(), len(report.healed)) == (["a"], 1)


# Updates


def update_lost(nth: int = 1, **more: object) -> Fault:
    return Fault(call="update", nth=nth, error=AmbiguousWriteError, **more)  # type: ignore[arg-type]


def test_an_update_among_others_is_judged_by_itself() -> None:
    """The one that was lost is the one that is read back."""
    api = memory(row("a", "1"), row("b", "2"), faults=[update_lost(2)])
    report = run(api, planned(api, slack("a", "#new"), slack("b", "#new")))
    assert api.writes() == ["update 1", "update 2", "update 2"]
    assert report.exit_code is ExitCode.OK


def test_an_update_that_cannot_be_read_back_is_unconfirmed_until_the_end() -> None:
    """The last listing may still confirm it."""
    unread = Fault(call="get", error=ServerError)
    api = memory(row("a", "1"), faults=[update_lost(happens=True), unread])
    assert outcomes(run(api, planned(api, slack("a", "#new")))) == {"a": "applied"}
    api = memory(row("a", "1"), faults=[update_lost(), unread])
    assert outcomes(run(api, planned(api, slack("a", "#new")))) == {"a": "unconfirmed"}


def test_an_update_lost_with_its_webhook_is_skipped() -> None:
    """Read back, found gone."""
    api = memory(row("a", "1"), faults=[update_lost(meanwhile=lambda api: api.rows.clear())])
    assert outcomes(run(api, planned(api, slack("a", "#new")))) == {"a": "skipped vanished"}


def test_a_conflict_is_read_once_and_tried_once_more() -> None:
    """A 409 with nothing changed is repeated; the second one is the server's last word."""
    conflict = Fault(call="update", error=ConflictError)
    api = memory(row("a", "1"), faults=[conflict])
    assert run(api, planned(api, slack("a", "#new"))).exit_code is ExitCode.OK
    api = memory(row("a", "1"), faults=[conflict, Fault(call="update", nth=2, error=ConflictError)])
    assert outcomes(run(api, planned(api, slack("a", "#new")))) == {"a": "failed conflict"}


def test_an_update_is_not_repeated_after_a_signal() -> None:
    """Found as before, and left so."""
    api = memory(row("a", "1"), faults=[update_lost()])
    report = run(api, planned(api, slack("a", "#new")), stop=StopAfter(api, 1))
    assert (outcomes(report), api.count("update")) == ({"a": "unconfirmed"}, 1)


def test_a_conflict_before_a_signal_is_a_change_that_was_not_made() -> None:
    """A 409 tells that nothing happened, and nothing of it is in doubt."""
    api = memory(row("a", "1"), faults=[Fault(call="update", error=ConflictError)])
    report = run(api, planned(api, slack("a", "#new")), stop=StopAfter(api, 1))
    assert (outcomes(report), api.count("update")) == ({"a": "skipped interrupted"}, 1)


def test_a_conflict_that_cannot_be_read_is_a_change_that_failed() -> None:
    """Nothing was written, so nothing is in doubt and nobody is told that an answer was lost."""
    faults = [Fault(call="update", error=ConflictError), Fault(call="get", error=UnreachableError)]
    api = memory(row("a", "1"), faults=faults)
    report = run(api, planned(api, slack("a", "#new")))
    assert (outcomes(report), report.writes) == ({"a": "failed conflict"}, 0)


def test_an_answer_that_says_less_than_is_stored_is_read_again() -> None:
    """A write is judged by what is live when its answer differs."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", events=frozenset({"value_created"})))
    honest = api.update

    class Terse(Memory):
        def update(self, id, draft, sends):  # type: ignore[no-untyped-def]
            honest(id, draft, sends)
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


def test_an_answer_that_differs_and_cannot_be_read_again_is_no_success() -> None:
    """Nothing has shown that the name was stored as it was sent, nor that it was not."""
    api = memory(
        stores=lambda each: replace(each, name=each.name.upper()),
        faults=[Fault(call="get", error=ServerError), Fault(call="list", nth=2, error=ServerError)],
    )
    report = run(api, planned(api, slack("a")))
    assert (outcomes(report), report.exit_code) == ({"a": "unconfirmed"}, ExitCode.PARTIAL)
    assert report.outcomes[0].message == "the answer is not what was sent, and then: it failed"


# Deletes


def delete_lost(nth: int = 1, **more: object) -> Fault:
    return Fault(call="delete", nth=nth, error=AmbiguousWriteError, **more)  # type: ignore[arg-type]


def test_a_delete_leaves_what_somebody_has_changed_meanwhile() -> None:
    """Read back, found different: it stays."""
    changed = appear(row("old", "1", "#somebody"))
    api = memory(row("old", "1"), faults=[delete_lost(meanwhile=changed)])
    assert outcomes(run(api, planned(api))) == {"old": "failed conflict"}


def test_a_delete_that_stays_in_doubt_is_unconfirmed() -> None:
    """Always lost, or never readable, or stopped."""
    api = memory(row("old", "1"), faults=[delete_lost(n) for n in range(1, 9)])
    assert outcomes(run(api, planned(api))) == {"old": "unconfirmed"}
    api = memory(row("old", "1"), faults=[delete_lost(), Fault(call="get", error=ServerError)])
    assert outcomes(run(api, planned(api))) == {"old": "unconfirmed"}
    api = memory(row("old", "1"), faults=[delete_lost()])
    report = run(api, planned(api), stop=StopAfter(api, 1))
    assert (outcomes(report), api.count("delete")) == ({"old": "unconfirmed"}, 1)


def test_an_unconfirmed_delete_is_confirmed_by_the_last_listing() -> None:
    """It is not there any more: done."""
    unread = Fault(call="get", error=ServerError)
    api = memory(row("old", "1"), faults=[delete_lost(happens=True), unread])
    assert outcomes(run(api, planned(api))) == {"old": "applied"}


def test_a_conflict_on_delete_is_tried_once_more() -> None:
    """A 409 is re-read; the second one stands."""
    conflict = Fault(call="delete", error=ConflictError)
    api = memory(row("old", "1"), faults=[conflict])
    assert outcomes(run(api, planned(api))) == {"old": "applied"}
    again = Fault(call="delete", nth=2, error=ConflictError)
    api = memory(row("old", "1"), faults=[conflict, again])
    assert outcomes(run(api, planned(api))) == {"old": "failed conflict"}


@pytest.mark.parametrize("error", [ServerError, UnreachableError, PermissionDeniedError])
@pytest.mark.parametrize("call", ["create", "update", "delete"])
def test_a_write_that_is_lost_and_then_refused_stays_in_doubt(
    call: str, error: type[ApiError]
) -> None:
    """The first one may still happen; had there been no first one, it surely would not."""
    hooks = {"create": (slack("a"),), "update": (slack("a", "#new"),), "delete": ()}[call]
    rows = () if call == "create" else (row("a", "1"),)
    lost = Fault(call=call, error=AmbiguousWriteError)
    api = memory(*rows, faults=[lost, Fault(call=call, nth=2, error=error)])
    assert outcomes(run(api, planned(api, *hooks))) == {"a": "unconfirmed"}
    api = memory(*rows, faults=[Fault(call=call, error=error)])
    assert outcomes(run(api, planned(api, *hooks))) == {"a": f"failed {error.code}"}


@pytest.mark.parametrize("call", ["update", "delete"])
def test_a_lost_write_stays_in_doubt_through_conflicts(call: str) -> None:
    """The first conflict is read and tried once more; the second says nothing of the lost one."""
    hooks = (slack("a", "#new"),) if call == "update" else ()
    faults = [
        Fault(call=call, error=AmbiguousWriteError),
        Fault(call=call, nth=2, error=ConflictError),
        Fault(call=call, nth=3, error=ConflictError),
    ]
    api = memory(row("a", "1"), faults=faults)
    assert outcomes(run(api, planned(api, *hooks))) == {"a": "unconfirmed"}
    assert api.count(call) == 3


def test_a_copy_whose_keeper_cannot_be_read_after_a_lost_delete_is_in_doubt() -> None:
    """The delete may have happened, whatever becomes of the reading that precedes the next one."""
    faults = [
        Fault(call="delete", error=AmbiguousWriteError),
        Fault(call="get", nth=3, error=ServerError),
    ]
    api = memory(row("a", "1"), row("a", "2"), faults=faults)
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "unconfirmed"}
    assert api.count("delete") == 1
