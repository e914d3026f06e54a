"""Changes by others between the plan and the last listing: names taken, rows missed, renames."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ExitCode, StalePlanError
from reconciler.model import LiveWebhook, Secret, Webhook
from tests.execute.world import (
    Fault,
    Memory,
    memory,
    outcomes,
    planned,
    row,
    run,
    slack,
)
from tests.planning.builders import desired, made

ROTATED = {"token": Secret("xoxb-9876543210-old"), "channel": "#ops", "username": "CT"}


def appears(*rows: LiveWebhook):
    """Let another process store webhooks."""

    def change(api: Memory) -> None:
        for each in rows:
            api.put(each)

    return change


def before_the_last_listing(change: object) -> Fault:
    """Change the memory before the second listing of a run, which follows the last write."""
    return Fault(call="list", nth=2, interfere=change)  # type: ignore[arg-type]


def test_a_duplicate_removed_by_the_other_run_is_not_a_conflict() -> None:
    """The run whose webhook has the larger id removes it."""

    def listed(api: Memory, nth: int) -> tuple[LiveWebhook, ...]:
        extra = (row("a", "id-999", "#elsewhere"),) if nth == 2 else ()
        return (*api.rows.values(), *extra)

    api = memory()
    plan = planned(api, slack("a"))
    api.lists = listed
    assert run(api, plan).exit_code is ExitCode.OK


@pytest.mark.parametrize("channel", ["#ops", "#elsewhere"])
def test_a_new_name_of_a_rename_must_be_unique(channel: str) -> None:
    """Another process has just created the new name, equal or not."""
    api = memory(
        row("old", "id-1"), faults=[before_the_last_listing(appears(row("new", "id-9", channel)))]
    )
    report = run(api, planned(api, slack("new", previously=("old",))))
    assert outcomes(report) == {"new": "failed conflict"}


@pytest.mark.parametrize(
    "change",
    [
        lambda api: api.rows.pop("id-1"),
        appears(row("same", "id-1", "#elsewhere")),
        appears(replace(row("same", "id-1"), configuration=ROTATED)),
        appears(row("gone", "id-9")),
    ],
    ids=["deleted", "changed", "another token", "what was deleted is created again"],
)
def test_unwritten_webhooks_are_left_to_the_next_plan(change: object) -> None:
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
    """This plan writes nothing; the next one renames the webhook."""
    api = memory()
    plan = planned(api, *RENAME)
    api.put(row("old", "1"))
    with pytest.raises(StalePlanError):
        run(api, plan, reviewed=True)
    report = run(api, plan)
    assert set(outcomes(report).values()) == {"skipped changed"}
    assert report.exit_code is not ExitCode.OK
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
    """A webhook that is missing in a list may still exist."""
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
    """It keeps its name, as planned."""
    api = memory(row("old", "1"))
    plan = made(desired(*RENAME, ignore=("old",)), *api.rows.values())
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
def test_a_webhook_of_the_plan_takes_a_planned_name(
    rows: list[LiveWebhook], webhooks: list[Webhook], left: list[str]
) -> None:
    """A create or a rename is skipped if another webhook now has its name."""

    def rename(api: Memory) -> None:
        api.rows["zz"] = replace(api.rows["zz"], name="new")

    api = memory(*rows)
    plan = planned(api, *webhooks)
    api.faults = [Fault(call="list", interfere=rename)]
    report = run(api, plan)
    assert api.names() == left, outcomes(report)
