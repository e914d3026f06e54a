"""A webhook that the plan has not seen, and that a rename would have taken."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, StalePlanError
from reconciler.model import Desired, FileScope, Live, Pattern, Policy, Webhook
from reconciler.planning.planner import plan as make_plan
from tests.execute.world import ACME, SECRETS, Memory, memory, outcomes, planned, row, run, slack

RENAME = (slack("new", previously=("old",)),)
CHAIN = (slack("b", "#b", previously=("a",)), slack("c", "#c", previously=("b",)))


def names(api: Memory) -> dict[str, str]:
    return {key: each.name for key, each in sorted(api.rows.items())}


@pytest.mark.parametrize(
    ("webhooks", "seen", "slipped", "then"),
    [
        (RENAME, (), row("old", "1"), {"1": "new"}),
        (CHAIN, (row("b", "2", "#c"),), row("a", "1", "#b"), {"1": "b", "2": "c"}),
        (CHAIN, (row("b", "2", "#b"),), row("a", "1", "#b"), {"1": "b", "2": "c"}),
    ],
    ids=["a rename", "a chain", "a chain of which one link is as declared"],
)
def test_what_a_rename_would_take_is_not_created_anew(
    webhooks: tuple[Webhook, ...], seen: tuple[object, ...], slipped: object, then: dict[str, str]
) -> None:
    """Nothing is written by the plan that missed it; the next one renames it in place."""
    api = memory(*seen)  # type: ignore[arg-type]
    plan = planned(api, *webhooks)
    api.put(slipped)  # type: ignore[arg-type]
    with pytest.raises(StalePlanError):
        run(api, plan, reviewed=True)
    report = run(api, plan)
    assert set(outcomes(report).values()) == {"skipped changed"}
    assert report.exit_code is not ExitCode.OK
    assert api.writes() == []
    assert run(api, planned(api, *webhooks)).exit_code is ExitCode.OK
    assert names(api) == then


@pytest.mark.parametrize("reviewed", [True, False])
@pytest.mark.parametrize(
    "webhooks", [(), (slack("a", "#new"),)], ids=["to be deleted", "to be updated"]
)
def test_what_slips_out_of_the_second_listing_is_asked_for(
    webhooks: tuple[Webhook, ...], reviewed: bool
) -> None:
    """That a list does not show a webhook does not make it gone."""
    api = memory(row("a", "1"))
    plan = planned(api, *webhooks)
    api.lists = lambda api, nth: () if nth == 1 else tuple(api.rows.values())
    report = run(api, plan, reviewed=reviewed)
    assert (set(outcomes(report).values()), report.exit_code) == ({"applied"}, ExitCode.OK)
    assert len(api.writes()) == 1
    assert [*names(api).values()] == [each.name for each in webhooks]


def test_a_copy_whose_keeper_slips_out_of_the_second_listing_is_removed() -> None:
    """The one that stays is asked for as well."""
    api = memory(row("a", "1"), row("a", "2"))
    plan = planned(api, slack("a"))
    api.lists = lambda api, nth: tuple(api.rows.values())[1:] if nth == 1 else (row("a", "1"),)
    assert run(api, plan, reviewed=True).exit_code is ExitCode.OK
    assert names(api) == {"1": "a"}


def test_what_is_gone_for_good_is_done() -> None:
    """A plan that was carried out is carried out again, and nothing is written."""
    api = memory(row("a", "1"))
    plan = planned(api)
    del api.rows["1"]
    report = run(api, plan, reviewed=True)
    assert [(each.id, each.note) for each in report.outcomes] == [("1", "it is gone already")]
    assert (report.exit_code, api.writes()) == (ExitCode.OK, [])


def test_an_earlier_name_that_was_seen_to_lead_nowhere_stops_nothing() -> None:
    """An ignored webhook keeps its name; that it bears an earlier one of another is no news."""
    api = memory(row("old", "1"))
    desired = Desired(
        webhooks=RENAME,
        policy=Policy(scopes=(FileScope(file="f"),), ignore=(Pattern(glob="old"),), max_deletes=9),
    )
    live = Live(origin=api.origin, organization=ACME, webhooks=tuple(api.rows.values()))
    assert run(api, make_plan(desired, live, SECRETS)).exit_code is ExitCode.OK
    assert names(api) == {"1": "old", "id-101": "new"}


def test_a_chain_that_was_half_done_is_finished_by_the_same_plan() -> None:
    """Its own links are nothing that has appeared."""
    api = memory(row("a", "1", "#b"), row("b", "2", "#c"))
    plan = planned(api, *CHAIN)
    api.put(row("c", "2", "#c"))
    assert run(api, plan, reviewed=True).exit_code is ExitCode.OK
    assert names(api) == {"1": "b", "2": "c"}
