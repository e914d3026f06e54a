"""Final verification, and changes by others between the plan and the last listing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ExitCode,
    IncompleteListingError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    StalePlanError,
)
from reconciler.model import LiveWebhook, Secret, SecretRef, Webhook
from reconciler.report import Applied, Failed, Outcome, Report, Unconfirmed
from tests.execute.world import Fault, Memory, appear, memory, outcomes, planned, row, run, slack
from tests.goldens import rows
from tests.planning import builders
from tests.planning.builders import desired, live_generic, make_plan
from tests.ports import VirtualClock

LATE = Fault(call="create", interfere=appear(row("a", "a-late")))
PASSWORD = SecretRef(scheme="env", name="PASSWORD")


def generic(name: str) -> Webhook:
    return builders.generic(name, username="u", password=PASSWORD)


def generic_row(name: str, id: str, password: str) -> LiveWebhook:
    return live_generic(name, id, username="u", password=password)


def apply_plan(api: Memory, *webhooks: Webhook) -> Report:
    secrets = {PASSWORD: Secret("the new password")}
    return run(api, planned(api, *webhooks, secrets=secrets), secrets=secrets)


@pytest.mark.parametrize(
    ("stop", "listings", "slept", "code"),
    [(None, 5, [1.0] * 3, ExitCode.PARTIAL), (1, 2, [], ExitCode.SIGTERM)],
)
def test_a_stale_list_is_read_four_times_a_second_apart(
    stop: int | None, listings: int, slept: list[float], code: ExitCode
) -> None:
    """After a signal a stale list is read once. Webhooks that it lacks are read by id."""
    api, clock = memory(lists=lambda api, nth: ()), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock, stop=stop)
    assert (api.count("list"), clock.slept) == (listings, slept)
    assert (report.exit_code, api.calls[-1]) == (code, "get id-101")


@pytest.mark.parametrize(
    ("incomplete", "stop", "verified", "listings", "slept"),
    [(3, None, True, 5, [1.0] * 3), (4, None, False, 5, [1.0] * 3), (1, 1, False, 2, [])],
    ids=["all but the last", "all", "after a signal"],
)
def test_an_incomplete_listing_costs_one_round_of_the_final_verification(
    incomplete: int, stop: int | None, verified: bool, listings: int, slept: list[float]
) -> None:
    """The next listing may be complete; after the last one the outcome is unconfirmed."""
    rounds = range(2, 2 + incomplete)
    faults = [Fault(call="list", nth=nth, error=IncompleteListingError) for nth in rounds]
    api, clock = memory(faults=faults), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock, stop=stop)
    assert (report.verified, report.exit_code is ExitCode.OK) == (verified, verified)
    assert (api.count("list"), clock.slept) == (listings, slept)


UNREMOVED = [Fault(call="delete", nth=n, error=AmbiguousWriteError) for n in range(1, 9)]
INCOMPLETE = [Fault(call="list", nth=n, error=IncompleteListingError) for n in (2, 3, 4)]


DUPLICATES = "the last listing still shows duplicates: "


def later(nth: int) -> Fault:
    return Fault(call="list", nth=nth, interfere=appear(row("a", f"b-late-{nth:02}")))


@pytest.mark.parametrize(
    ("faults", "stop", "removed", "problem", "left"),
    [
        ([LATE], 1, 1, None, (1, 1)),
        ([LATE, *UNREMOVED], 1, 0, f"{DUPLICATES}id-101", (2, 2)),
        ([LATE, *UNREMOVED], None, 0, f"{DUPLICATES}id-101", (4, 2)),
        ([LATE, later(3)], None, 2, None, (2, 1)),
        ([*INCOMPLETE, later(5)], None, 1, None, (1, 1)),
        (list(map(later, range(2, 30))), None, 11, f"{DUPLICATES}b-late-13", (11, 2)),
        ([LATE, Fault(call="list", nth=3, error=ServerError)], None, 1,
         "final verification failed: it failed", (1, 1)),
    ],
    ids=["a signal", "and lost", "lost", "later", "last", "always another", "a failed listing"],
)  # fmt: skip
def test_duplicates_are_removed_and_reported(
    faults: list[Fault], stop: int | None, removed: int, problem: str | None, left: tuple[int, int]
) -> None:
    """Each listing may show another duplicate, also after a signal; what is left is a problem."""
    api = memory(faults=faults)
    report = run(api, planned(api, slack("a")), stop=stop)
    assert (len(report.duplicates_removed), report.problem) == (removed, problem)
    assert (api.count("delete"), len(api.rows)) == left
    assert (report.exit_code is ExitCode.OK) is (problem is stop is None)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(InvalidRequestError, "failed invalid-request"), (NotFoundError, "skipped vanished")],
)
def test_a_failure_does_not_hide_later_ones(error: type[ApiError], outcome: str) -> None:
    """Operations after one that was not applied are verified too."""

    def revert(api: Memory) -> None:
        api.rows = {"2": row("b", "2")}

    api = memory(row("a", "1"), row("b", "2"))
    api.faults = [Fault(call="update", error=error), Fault(call="list", nth=2, interfere=revert)]
    report = run(api, planned(api, slack("a", "#new"), slack("b", "#new")))
    assert outcomes(report) == {"a": outcome, "b": "failed does-not-converge"}


def test_a_create_confirmed_by_the_last_listing_has_its_id() -> None:
    """The create was unconfirmed until the last listing."""
    lost = Fault(call="create", error=AmbiguousWriteError, happens=True)
    unseen = [Fault(call="list", nth=n, error=ServerError) for n in (2, 3, 4)]
    api, clock = memory(faults=[lost, *unseen]), VirtualClock()
    outcome = run(api, planned(api, slack("a")), clock=clock).outcomes[0]
    assert clock.slept == [2.0, 1.0, 1.0]  # during the search for its lost response, not afterwards
    assert outcome == Applied(
        operation=outcome.operation, id="id-101", note="confirmed by the final verification"
    )


def test_a_response_confirms_a_secret_that_cannot_be_read() -> None:
    """A resent secret that is hidden costs no further listing."""
    api = memory(row("a", "1", token="*****"), stores=lambda each: row("a", "1", token="*****"))
    report = run(api, planned(api, slack("a"), resend=("*",)))
    assert (outcomes(report), report.verified) == ({"a": "applied"}, True)
    assert (api.count("update"), api.count("list")) == (1, 2)


def test_a_missing_password_is_found_when_passwords_become_readable() -> None:
    """Another webhook, which reads back as sent, shows that passwords are readable."""
    api = memory(live_generic("Old", "1", username="before", password="the old password"))
    stays = generic_row("Old", "1", "the old password")
    api.stores = lambda each: stays if each.name == "Old" else each
    report = apply_plan(api, generic("Old"), generic("New"))
    assert outcomes(report) == {"Old": "failed does-not-converge", "New": "applied"}


def test_a_readable_secret_identifies_the_webhook_of_another_run() -> None:
    """A create of this run that reads back shows that the other run's password differs."""
    other = appear(row("B", "9", "another password"))
    lost = Fault(call="create", nth=2, error=AmbiguousWriteError, interfere=other)
    api = memory(faults=[lost])
    assert outcomes(apply_plan(api, generic("A"), generic("B"))) == {
        "A": "applied",
        "B": "failed conflict",
    }


def test_a_difference_that_becomes_readable_is_left_to_the_next_plan() -> None:
    """The new webhook's password reads back equal, so the old webhook's password really differs."""
    api = memory(generic_row("Old", "1", "the old password"))
    assert apply_plan(api, generic("Old"), generic("New")).exit_code is ExitCode.OK
    assert outcomes(apply_plan(api, generic("Old"), generic("New"))) == {"Old": "applied"}
    assert apply_plan(api, generic("Old"), generic("New")).writes == 0


# Changes by others


def before_the_last_listing(change: Callable[[Memory], Any]) -> Fault:
    """Change the memory before the second listing of a run, which follows the last write."""
    return Fault(call="list", nth=2, interfere=change)


def test_a_duplicate_removed_by_the_other_run_is_not_a_conflict() -> None:
    """The run whose webhook has the larger id removes it."""

    def listed(api: Memory, nth: int) -> tuple[LiveWebhook, ...]:
        extra = (row("a", "id-999", "#elsewhere"),) if nth == 2 else ()
        return (*api.rows.values(), *extra)

    api = memory()
    plan = planned(api, slack("a"))
    api.lists = listed
    assert run(api, plan).exit_code is ExitCode.OK


def test_an_equal_webhook_of_another_run_does_not_replace_a_changed_one() -> None:
    """A created webhook is found by its id."""
    change = appear(row("a", "a-late"), row("a", "id-101", "#elsewhere"))
    api = memory(faults=[before_the_last_listing(change)])
    assert outcomes(run(api, planned(api, slack("a")))) == {"a": "failed does-not-converge"}


@pytest.mark.parametrize("channel", ["#ops", "#elsewhere"])
def test_a_new_name_of_a_rename_must_be_unique(channel: str) -> None:
    """Another process has just created a webhook with the new name, equal or not."""
    api = memory(
        row("old", "id-1"), faults=[before_the_last_listing(appear(row("new", "id-9", channel)))]
    )
    report = run(api, planned(api, slack("new", previously=("old",))))
    assert outcomes(report) == {"new": "failed conflict"}


@pytest.mark.parametrize(
    "change",
    [
        lambda api: api.rows.pop("id-1"),
        appear(row("same", "id-1", "#elsewhere")),
        appear(row("same", "id-1", token="xoxb-9876543210-old")),
        appear(row("gone", "id-9")),
    ],
    ids=["deleted", "changed", "another token", "what was deleted is created again"],
)
def test_unwritten_webhooks_are_left_to_the_next_plan(change: Callable[[Memory], Any]) -> None:
    """The run verifies only what it has written."""
    api = memory(row("same", "id-1"), row("gone", "id-2"))
    plan = planned(api, slack("same"), slack("new"))
    api.faults = [before_the_last_listing(change)]
    assert run(api, plan).exit_code is ExitCode.OK
    assert planned(api, slack("same"), slack("new")).operations


RENAME = (slack("new", previously=("old",)),)


def names_by_id(api: Memory) -> dict[str, str]:
    return {key: each.name for key, each in sorted(api.rows.items())}


def test_a_create_is_skipped_if_its_previous_name_appears() -> None:
    """The next plan renames the webhook with the previous name."""
    api = memory()
    plan = planned(api, *RENAME)
    api.put(row("old", "1"))
    with pytest.raises(StalePlanError):
        run(api, plan, reviewed=True)
    report = run(api, plan)
    assert set(outcomes(report).values()) == {"skipped changed"}
    assert (report.exit_code is ExitCode.OK, report.verified) == (False, True)
    assert api.writes() == []
    assert run(api, planned(api, *RENAME)).exit_code is ExitCode.OK
    assert names_by_id(api) == {"1": "new"}


@pytest.mark.parametrize("reviewed", [True, False])
@pytest.mark.parametrize(
    "webhooks", [(), (slack("a", "#new"),)], ids=["to be deleted", "to be updated"]
)
def test_a_webhook_missing_in_the_second_listing_is_read_by_id(
    webhooks: tuple[Webhook, ...], reviewed: bool
) -> None:
    """A webhook that is missing in a listing may still exist."""
    api = memory(row("a", "1"))
    plan = planned(api, *webhooks)
    api.lists = lambda api, nth: () if nth == 1 else tuple(api.rows.values())
    report = run(api, plan, reviewed=reviewed)
    assert (set(outcomes(report).values()), report.exit_code) == ({"applied"}, ExitCode.OK)
    assert len(api.writes()) == 1
    assert [*names_by_id(api).values()] == [each.name for each in webhooks]


def test_a_duplicate_is_removed_if_its_keeper_is_missing_in_the_second_listing() -> None:
    """The webhook to keep is read by id as well."""
    api = memory(row("a", "1"), row("a", "2"))
    plan = planned(api, slack("a"))
    api.lists = lambda api, nth: tuple(api.rows.values())[1:] if nth == 1 else (row("a", "1"),)
    assert run(api, plan, reviewed=True).exit_code is ExitCode.OK
    assert names_by_id(api) == {"1": "a"}


def test_an_ignored_webhook_with_a_previous_name_does_not_stop_an_apply() -> None:
    """The ignored webhook keeps its name, as planned."""
    api = memory(row("old", "1"))
    plan = make_plan(desired(*RENAME, ignore=("old",)), *api.rows.values())
    assert run(api, plan).exit_code is ExitCode.OK
    assert names_by_id(api) == {"1": "old", "id-101": "new"}


@pytest.mark.parametrize(
    ("rows", "webhooks", "left"),
    [
        ([row("kept", "zz")], [slack("kept"), slack("new")], ["new"]),
        ([row("kept", "zz", "#other")], [slack("kept"), slack("new")], ["new"]),
        ([row("a", "1"), row("c", "zz")],
         [slack("new", previously=("a",)), slack("d", previously=("c",))], ["a", "new"]),
    ],
    ids=["an unchanged webhook", "one to be updated", "one to be renamed"],
)  # fmt: skip
def test_an_operation_whose_name_was_taken_since_the_plan_is_skipped(
    rows: list[LiveWebhook], webhooks: list[Webhook], left: list[str]
) -> None:
    """A webhook of the plan was renamed to the name of a create or a rename."""

    def rename(api: Memory) -> None:
        api.rows["zz"] = replace(api.rows["zz"], name="new")

    api = memory(*rows)
    plan = planned(api, *webhooks)
    api.faults = [Fault(call="list", interfere=rename)]
    report = run(api, plan)
    assert api.names() == left, outcomes(report)


SEEN = {
    "OLD": row("a", "1", "#ops", token="*****"),
    "NEW": row("a", "1", "#new", token="*****"),
    "THIRD": row("a", "1", "#x", token="*****"),
    "EVENTS": row("a", "1", "#new", token="*****", events=("value_created",)),
}


@pytest.mark.parametrize(
    ("channel", "seen", "stop", "outcome", "message"),
    rows(Path(__file__).with_name("last_listings.yaml")),
)
def test_the_last_listing_decides(
    channel: str | None, seen: list[str | None], stop: int | None, outcome: str, message: str
) -> None:
    """The next plan is made from the listing, whatever responses and rows by id show.

    After a signal the listing is not read again, so it may be old.
    """

    stored, read, listed = (SEEN.get(str(name)) for name in seen)

    def listing(api: Memory, nth: int) -> tuple[LiveWebhook, ...]:
        if nth == 1:
            return (SEEN["OLD"],)
        api.rows = {} if read is None else {"1": read}
        return (listed,)

    declared = desired(slack("a", channel)) if channel else desired()
    plan = make_plan(declared, SEEN["OLD"], resend=("*",))
    api = memory(
        *([SEEN["OLD"]] if stored else ()), stores=lambda row: stored or row, lists=listing
    )
    report = run(api, plan, stop=stop)
    (result,) = report.outcomes
    assert outcomes(report)["a"].removeprefix("failed ") == outcome
    assert (getattr(result, "message", None) or getattr(result, "note", None) or "") == message
    assert report.exit_code is not ExitCode.OK or (outcome, stop) == ("applied", None)
    assert report.complete is (outcome == "applied")
    # A write counts once, also if its response and the listing contradict each other.
    assert report.writes == (0 if outcome == "skipped vanished" else len(api.writes()))


@pytest.mark.parametrize(
    ("stop", "expected", "text"),
    [(None, Failed, "creates it again"), (1, Unconfirmed, "wait a minute before you run again")],
)
def test_a_created_webhook_that_is_never_listed_is_reported_with_its_id(
    stop: int | None, expected: type[Outcome], text: str
) -> None:
    """The next apply creates it again, because nothing else remembers it."""
    api = memory(lists=lambda api, nth: ())
    (outcome,) = run(api, planned(api, slack("a")), stop=stop).outcomes
    assert isinstance(outcome, expected)
    assert "by its id id-101" in str(outcome)
    assert text in str(outcome)


@pytest.mark.parametrize(
    ("stop", "expected"), [(None, "failed does-not-converge"), (1, "unconfirmed")]
)
def test_another_webhook_that_only_the_listing_shows_is_no_success(
    stop: int | None, expected: str
) -> None:
    """The next plan is made from the listing, and would find two webhooks with the name."""
    api = memory(row("a", "1"))
    plan = planned(api, slack("a", "#new"))
    api.lists = lambda api, nth: (*api.rows.values(), *[row("a", "2", "#x")][: nth - 1])
    assert outcomes(run(api, plan, stop=stop)) == {"a": expected}


def test_a_removed_duplicate_that_is_still_listed_is_a_problem() -> None:
    """After a signal, one listing does not show that the row by id is right."""
    api = memory(faults=[LATE])
    api.lists = lambda api, nth: (*api.rows.values(), *[row("a", "id-101")][: nth - 1])
    report = run(api, planned(api, slack("a")), stop=1)
    assert (report.problem, report.duplicates_removed) == (f"{DUPLICATES}id-101", ())


@pytest.mark.parametrize(
    ("by_id", "listed", "expected"), rows(Path(__file__).with_name("shown_duplicates.yaml"))
)
def test_a_duplicate_that_is_still_shown_is_not_believed_to_be_deleted(
    by_id: bool, listed: bool, expected: list[str]
) -> None:
    """Otherwise the update would make the duplicates differ, and no later run could choose one."""
    old, other = row("a", "1"), row("a", "2")

    class Denying(Memory):
        """A server that does not delete, and responds that nothing has the id."""

        def delete(self, id: str) -> bool:
            return False

    api = Denying(rows={"1": old, **({"2": other} if by_id else {})})
    api.lists = lambda api, nth: (api.rows["1"], other)[: 1 + (nth == 1 or listed)]
    report = run(api, planned(memory(old, other), slack("a", "#new")))
    assert [type(outcome).__name__ for outcome in report.outcomes] == expected
    assert (api.rows["1"] == old) is ("Failed" in expected)
