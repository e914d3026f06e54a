"""Whether a change still fits: holds, is done, or has changed."""

from __future__ import annotations

import pytest

from reconciler.model import Absent, LiveWebhook
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.standing import Fit, standings
from tests.planning.builders import OTHER_TOKEN, SECRETS, desired, live, live_slack, slack

EDITED = live_slack(channel="#edited")
CREATE = plan(desired(slack()), live(), SECRETS)
UPDATE = plan(desired(slack()), live(EDITED), SECRETS)
DELETE = plan(desired(absent=(Absent(name="Deploys"),)), live(live_slack()), SECRETS)
TWIN = live_slack(id="id-2")
DUPLICATE = plan(desired(slack()), live(live_slack(), TWIN), SECRETS)


@pytest.mark.parametrize(
    ("made", "found", "fit"),
    [
        (CREATE, (), Fit.HOLDS),
        (CREATE, (live_slack(),), Fit.DONE),
        (CREATE, (live_slack(token="*****"),), Fit.DONE),
        (CREATE, (EDITED,), Fit.CHANGED),
        (CREATE, (live_slack(), TWIN), Fit.CHANGED),
        (UPDATE, (EDITED,), Fit.HOLDS),
        (UPDATE, (live_slack(),), Fit.DONE),
        (UPDATE, (live_slack(channel="#third"),), Fit.CHANGED),
        (UPDATE, (), Fit.CHANGED),
        (DELETE, (live_slack(),), Fit.HOLDS),
        (DELETE, (), Fit.DONE),
        (DELETE, (EDITED,), Fit.CHANGED),
        (DUPLICATE, (live_slack(), TWIN), Fit.HOLDS),
        (DUPLICATE, (live_slack(),), Fit.DONE),
        (DUPLICATE, (TWIN,), Fit.CHANGED),
    ],
)
def test_a_change_fits_what_it_was_made_for(made: object, found: tuple[LiveWebhook, ...], fit: Fit):
    """Before, after, and anything else."""
    (answer,) = standings(made, found, SECRETS)  # type: ignore[arg-type]

    assert answer.fit is fit
    assert bool(answer.why) is (fit is not Fit.HOLDS)


def test_a_rotation_holds_until_the_new_value_is_live():
    """The rest of the webhook looks the same before and after."""
    found = live_slack(token=OTHER_TOKEN)
    rotation = plan(desired(slack()), live(found), SECRETS)

    assert [each.fit for each in standings(rotation, (found,), SECRETS)] == [Fit.HOLDS]
    assert [each.fit for each in standings(rotation, (live_slack(),), SECRETS)] == [Fit.DONE]


def test_a_rewrite_of_what_cannot_be_read_always_holds():
    """Whether it happened cannot be told, so it is sent again."""
    masked = live_slack(token="*****")
    rewrite = plan(desired(slack()), live(masked), SECRETS, PlanOptions(rewrite_all=True))

    assert [each.fit for each in standings(rewrite, (masked,), SECRETS)] == [Fit.HOLDS]


def test_a_rewrite_that_came_with_a_visible_change_is_done_with_it():
    """Both went in one request."""
    before = live_slack(token="*****", channel="#x")
    rewrite = plan(desired(slack()), live(before), SECRETS, PlanOptions(rewrite_all=True))

    (answer,) = standings(rewrite, (live_slack(token="*****"),), SECRETS)

    assert answer.fit is Fit.DONE


def test_a_name_that_is_given_away_does_not_stand_in_the_way():
    """A webhook renamed by the same plan frees its name for a create."""
    found = (live_slack("A", "id-1"),)
    made = plan(desired(slack("B", id="id-1"), slack("A")), live(*found), SECRETS)

    assert [each.fit for each in standings(made, found, SECRETS)] == [Fit.HOLDS, Fit.HOLDS]


def test_a_change_answers_for_no_secret_that_it_does_not_send():
    """A plan that was made without secrets is done although an older token is live."""
    before = live_slack("Old", token=OTHER_TOKEN)
    rename = plan(desired(slack(previously=("Old",))), live(before), {})

    assert [each.fit for each in standings(rename, (before,), SECRETS)] == [Fit.HOLDS]
    after = live_slack(token=OTHER_TOKEN)
    assert [each.fit for each in standings(rename, (after,), SECRETS)] == [Fit.DONE]
