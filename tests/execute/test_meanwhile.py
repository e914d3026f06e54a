"""What others do while a run is under way is seen at its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ExitCode
from reconciler.model import LiveWebhook, Secret
from tests.execute.world import Fault, Memory, memory, outcomes, planned, row, run, slack

ROTATED = {"token": Secret("xoxb-9876543210-old"), "channel": "#ops", "username": "CT"}


def appears(*rows: LiveWebhook):
    """Let somebody else store webhooks."""

    def meanwhile(api: Memory) -> None:
        for each in rows:
            api.put(each)

    return meanwhile


def vanishes(id: str):
    """Let somebody else delete a webhook."""
    return lambda api: api.rows.pop(id, None)


def rotated(api: Memory) -> None:
    """Let somebody else give a webhook another token."""
    api.put(replace(api.rows["id-1"], configuration=ROTATED))


def before_the_last_look(meanwhile: object) -> Fault:
    """The listing after the last write is the second of a run."""
    return Fault(call="list", nth=2, meanwhile=meanwhile)  # type: ignore[arg-type]


def test_a_copy_that_differs_is_no_success() -> None:
    """Another run has created the same name otherwise: which one counts, nobody can tell."""
    other = before_the_last_look(appears(row("a", "id-999", "#elsewhere")))
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
def test_a_name_that_is_renamed_into_is_borne_by_one(channel: str) -> None:
    """Somebody has created the new name just then, equal or not."""
    api = memory(
        row("old", "id-1"), faults=[before_the_last_look(appears(row("new", "id-9", channel)))]
    )
    report = run(api, planned(api, slack("new", previously=("old",))))
    assert outcomes(report) == {"new": "failed conflict"}


@pytest.mark.parametrize(
    "meanwhile",
    [
        appears(row("same", "id-1", "#elsewhere")),
        appears(row("renamed", "id-1")),
        appears(replace(row("same", "id-1"), configuration=ROTATED)),
        appears(row("same", "id-9")),
        vanishes("id-1"),
    ],
    ids=["changed", "renamed", "another token", "doubled", "deleted"],
)
def test_what_needed_no_change_is_looked_at_too(meanwhile: object) -> None:
    """Success says that all is as declared, not only what was written."""
    api = memory(row("same", "id-1"), faults=[before_the_last_look(meanwhile)])
    report = run(api, planned(api, slack("same"), slack("new")))
    assert outcomes(report) == {"new": "applied"}
    assert report.exit_code is ExitCode.PARTIAL
    assert "'same'" in (report.problem or "")


def test_what_is_deleted_and_created_anew_is_no_success() -> None:
    """Another run declares the name, and was at work at the same time."""
    api = memory(row("gone", "id-1"), faults=[before_the_last_look(appears(row("gone", "id-9")))])
    report = run(api, planned(api))
    assert outcomes(report) == {"gone": "applied"}
    assert report.exit_code is ExitCode.PARTIAL
    assert report.problem == (
        "somebody else has created 'gone' anew, which is to be deleted: plan again"
    )
    assert list(api.rows) == ["id-9"]


def test_what_is_created_anew_and_gone_again_is_nobodys_business() -> None:
    """A list that is behind may still show it."""
    api = memory(row("gone", "id-1"))
    plan = planned(api)
    api.lists = lambda api, nth: (*api.rows.values(), *([row("gone", "id-9")] if nth > 1 else []))
    assert run(api, plan).exit_code is ExitCode.OK


def test_a_secret_that_an_update_does_not_send_is_looked_at_too() -> None:
    """Somebody has given the webhook another token while its events were changed."""
    api = memory(row("a", "id-1", event_types=frozenset({"project_created"})))
    plan = planned(api, slack("a"))
    api.faults = [before_the_last_look(rotated)]
    report = run(api, plan)
    assert outcomes(report) == {"a": "applied"}
    assert report.exit_code is ExitCode.PARTIAL
    assert report.problem == "somebody else has changed a secret of 'a': plan again"


def test_a_secret_that_an_update_sends_is_told_of_as_its_own() -> None:
    """The change has failed, which says it all."""
    api = memory(row("a", "id-1", "#elsewhere"))
    plan = planned(api, slack("a"))
    api.faults = [before_the_last_look(rotated)]
    report = run(api, plan)
    assert (outcomes(report), report.problem) == ({"a": "failed does-not-converge"}, None)


@pytest.mark.parametrize("channel", ["#ops", "#elsewhere"], ids=["as declared", "to be updated"])
def test_one_more_of_what_stays_is_not_told_of_as_deleted(channel: str) -> None:
    """A copy was to go, and somebody has created another one: the name is to be borne by one."""
    api = memory(row("a", "id-1", channel), row("a", "id-2", channel))
    plan = planned(api, slack("a"))
    api.faults = [before_the_last_look(appears(row("a", "id-9", "#third")))]
    report = run(api, plan)
    assert report.exit_code is ExitCode.PARTIAL
    assert "is to be deleted" not in (report.problem or "")


def test_a_secret_that_differed_before_an_update_is_nobodys_doing() -> None:
    """A plan that was made without secrets does not send it."""
    events = frozenset({"project_created"})
    api = memory(replace(row("a", "id-1", event_types=events), configuration=ROTATED))
    plan = planned(api, slack("a"), secrets={})
    report = run(api, plan, reviewed=True)
    assert (outcomes(report), report.exit_code) == ({"a": "applied"}, ExitCode.OK)


def test_a_secret_that_differed_all_along_is_nobodys_doing() -> None:
    """A plan that was made without secrets leaves it; so says the next one, made with them."""
    api = memory(replace(row("same", "id-1"), configuration=ROTATED))
    plan = planned(api, slack("same"), slack("new"), secrets={})
    assert run(api, plan, reviewed=True).exit_code is ExitCode.OK


def test_a_list_that_is_behind_accuses_nobody() -> None:
    """What a listing shows is asked for by id before it is said."""
    api = memory(row("same", "id-1"))
    plan = planned(api, slack("same"), slack("new"))
    older = replace(row("same", "id-1"), event_types=frozenset({"project_created"}))
    api.lists = lambda api, nth: tuple(
        older if nth > 1 and each.id == "id-1" else each for each in api.rows.values()
    )
    assert run(api, plan).exit_code is ExitCode.OK


def test_what_nobody_declares_is_nobodys_business() -> None:
    """Somebody may go on creating other webhooks."""
    api = memory(faults=[before_the_last_look(appears(row("other", "id-9")))])
    assert run(api, planned(api, slack("new"))).exit_code is ExitCode.OK
