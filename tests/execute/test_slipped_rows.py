"""A webhook that the plan has not seen, and that a rename would have taken."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, StalePlanError
from reconciler.model import Desired, FileScope, Live, Pattern, Policy, Webhook
from reconciler.planning.planner import plan as make_plan
from tests.execute.world import ACME, SECRETS, Memory, memory, outcomes, planned, row, run, slack

RENAME = (slack("new", previously=("old",)),)


def names(api: Memory) -> dict[str, str]:
    return {key: each.name for key, each in sorted(api.rows.items())}


def test_what_a_rename_would_take_is_not_created_anew() -> None:
    """Nothing is written by the plan that missed it; the next one renames it in place."""
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
    assert names(api) == {"1": "new"}


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
