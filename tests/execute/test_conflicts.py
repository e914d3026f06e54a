"""A second webhook under the name of one that is written is a conflict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ExitCode
from reconciler.model import LiveWebhook, Secret
from tests.execute.world import Fault, Memory, memory, outcomes, planned, row, run, slack

ROTATED = {"token": Secret("xoxb-9876543210-old"), "channel": "#ops", "username": "CT"}


def appears(*rows: LiveWebhook):
    """Let another process store webhooks."""

    def meanwhile(api: Memory) -> None:
        for each in rows:
            api.put(each)

    return meanwhile


def before_the_last_listing(meanwhile: object) -> Fault:
    """The listing after the last write is the second of a run."""
    return Fault(call="list", nth=2, meanwhile=meanwhile)  # type: ignore[arg-type]


def test_a_copy_that_differs_is_no_success() -> None:
    """Another run has created the same name otherwise: which one counts, nobody can tell."""
    other = before_the_last_listing(appears(row("a", "id-999", "#elsewhere")))
    api = memory(faults=[other])
    report = run(api, planned(api, slack("a")))
    assert outcomes(report) == {"a": "failed conflict"}
    assert report.exit_code is ExitCode.PARTIAL
    assert "id-999" in report.outcomes[0].message
    assert sorted(api.rows) == ["id-101", "id-999"]


def test_a_copy_that_the_other_run_takes_back_is_no_conflict() -> None:
    """The run whose copy has the larger id removes it."""

    def listed(api: Memory, nth: int) -> tuple[LiveWebhook, ...]:
        extra = (row("a", "id-999", "#elsewhere"),) if nth == 2 else ()
        return (*api.rows.values(), *extra)

    api = memory()
    plan = planned(api, slack("a"))
    api.lists = listed
    assert run(api, plan).exit_code is ExitCode.OK


@pytest.mark.parametrize("channel", ["#ops", "#elsewhere"])
def test_a_name_that_is_renamed_into_leads_to_one(channel: str) -> None:
    """Somebody has created the new name just then, equal or not."""
    api = memory(
        row("old", "id-1"), faults=[before_the_last_listing(appears(row("new", "id-9", channel)))]
    )
    report = run(api, planned(api, slack("new", previously=("old",))))
    assert outcomes(report) == {"new": "failed conflict"}


def test_a_secret_that_differed_before_an_update_is_nobodys_doing() -> None:
    """A plan that was made without secrets does not send it."""
    events = frozenset({"project_created"})
    api = memory(replace(row("a", "id-1", event_types=events), configuration=ROTATED))
    plan = planned(api, slack("a"), secrets={})
    report = run(api, plan, reviewed=True)
    assert (outcomes(report), report.exit_code) == ({"a": "applied"}, ExitCode.OK)


def test_what_nobody_declares_is_not_looked_at() -> None:
    """Somebody may go on creating other webhooks."""
    api = memory(faults=[before_the_last_listing(appears(row("other", "id-9")))])
    assert run(api, planned(api, slack("new"))).exit_code is ExitCode.OK


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda api: api.rows.pop("id-1"),
        appears(row("same", "id-1", "#elsewhere")),
        appears(replace(row("same", "id-1"), configuration=ROTATED)),
        appears(row("gone", "id-9")),
    ],
    ids=["deleted", "changed", "another token", "what was deleted is created again"],
)
def test_what_the_run_does_not_write_is_for_the_next_plan(meanwhile: object) -> None:
    """The run answers for what it has written."""
    api = memory(row("same", "id-1"), row("gone", "id-2"))
    plan = planned(api, slack("same"), slack("new"))
    api.faults = [before_the_last_listing(meanwhile)]
    assert run(api, plan).exit_code is ExitCode.OK
    assert planned(api, slack("same"), slack("new")).operations
