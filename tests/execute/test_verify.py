"""Final verification, and changes by others between the plan and the last listing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import (
    AmbiguousWriteError,
    ExitCode,
    IncompleteListingError,
    InvalidRequestError,
    ServerError,
    StalePlanError,
)
from reconciler.model import LiveWebhook, Secret, SecretRef, Webhook
from reconciler.report import NOT_CONVERGED, Applied, Failed, Report
from tests.execute.world import Fault, Memory, appear, memory, outcomes, planned, row, run, slack
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


def test_after_a_signal_duplicates_are_still_removed() -> None:
    """A run that was stopped removes its duplicates if it can."""
    api, clock = memory(faults=[LATE]), VirtualClock()
    report = run(api, planned(api, slack("a")), clock=clock, stop=1)
    assert (list(api.rows), len(report.duplicates_removed), clock.slept) == (["a-late"], 1, [])


def test_duplicates_found_one_after_another_are_all_reported() -> None:
    """Each listing may show another duplicate."""
    later = Fault(call="list", nth=3, interfere=appear(row("a", "b-late")))
    api = memory(faults=[LATE, later])
    report = run(api, planned(api, slack("a")))
    assert list(api.rows) == ["a-late"]
    assert [each.removed for each in report.duplicates_removed] == ["id-101", "b-late"]


def test_removed_duplicates_are_reported_even_if_the_last_listing_fails() -> None:
    """Completed operations are reported even if nothing more can be read."""
    api = memory(faults=[LATE, Fault(call="list", nth=3, error=ServerError)])
    report = run(api, planned(api, slack("a")))
    assert [each.removed for each in report.duplicates_removed] == ["id-101"]
    assert report.problem == "final verification failed: it failed"
    assert report.exit_code is ExitCode.PARTIAL


def test_a_failure_does_not_hide_later_ones() -> None:
    """Operations after a failed one are verified too."""

    def revert(api: Memory) -> None:
        api.rows["2"] = row("b", "2")

    api = memory(row("a", "1"), row("b", "2"))
    api.faults = [
        Fault(call="update", error=InvalidRequestError),
        Fault(call="list", nth=2, interfere=revert),
    ]
    report = run(api, planned(api, slack("a", "#new"), slack("b", "#new")))
    assert outcomes(report) == {"a": "failed invalid-request", "b": "failed does-not-converge"}


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
    report = run(api, make_plan(desired(slack("a")), *api.rows.values(), resend=("*",)))
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
        (
            [row("a", "1"), row("c", "zz")],
            [slack("new", previously=("a",)), slack("d", previously=("c",))],
            ["a", "new"],
        ),
    ],
    ids=["an unchanged webhook", "one to be updated", "one to be renamed"],
)
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


OLD, NEW = row("a", "1"), row("a", "1", "#new")


@pytest.mark.parametrize(
    ("by_id", "listed", "declared", "stores", "outcome", "message"),
    [
        ((), (OLD,), (), NEW, NOT_CONVERGED, "the listing shows it, but"),
        ((), (OLD,), (slack("a", "#new"),), NEW, NOT_CONVERGED, "the listing shows it, but"),
        ((OLD,), (OLD,), (slack("a", "#new"),), NEW, NOT_CONVERGED, "configuration.channel"),
        ((OLD,), (NEW,), (slack("a", "#new"),), OLD, "applied", "confirmed by"),
        ((OLD,), (OLD,), (slack("a", "#new"),), OLD, NOT_CONVERGED, "stored different values"),
    ],
    ids=["a deleted row", "a row without an id", "old values", "stale responses", "both old"],
)
def test_the_last_listing_decides(
    by_id: tuple[LiveWebhook, ...],
    listed: tuple[LiveWebhook, ...],
    declared: tuple[Webhook, ...],
    stores: LiveWebhook,
    outcome: str,
    message: str,
) -> None:
    """The next plan is made from the listing, whatever responses and rows by id show."""
    plan = planned(memory(OLD), *declared)
    api = memory(*by_id, stores=lambda _: stores)
    api.lists = lambda _, nth: listed if nth > 1 else (OLD,)
    report = run(api, plan)
    assert outcomes(report)["a"].removeprefix("failed ") == outcome
    (result,) = report.outcomes
    assert message in str(getattr(result, "message", None) or getattr(result, "note", None))
    assert report.exit_code is (ExitCode.OK if outcome == "applied" else ExitCode.PARTIAL)


def test_a_created_webhook_that_is_never_listed_is_reported_with_its_id() -> None:
    """The next apply creates it again, because nothing else remembers it."""
    api = memory(lists=lambda api, nth: ())
    (outcome,) = run(api, planned(api, slack("a"))).outcomes
    assert isinstance(outcome, Failed)
    assert "by its id id-101" in outcome.message
    assert "creates it again" in str(outcome.hint)


def test_a_duplicate_that_is_still_listed_is_not_believed_to_be_deleted() -> None:
    """Otherwise the update would make the duplicates differ, and no later run could choose one."""
    rows = (row("a", "1"), row("a", "2"))
    plan = planned(memory(*rows), slack("a", "#new"))
    api = memory(rows[0], lists=lambda api, nth: (*api.rows.values(), rows[1]))
    report = run(api, plan)
    assert list(outcomes(report).values()) == ["skipped after-failure"]
    assert [type(outcome).__name__ for outcome in report.outcomes] == ["Failed", "Skipped"]
    assert api.rows["1"] == rows[0]
