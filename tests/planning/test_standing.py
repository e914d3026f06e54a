"""Whether a change still fits: holds, is done, or has changed."""

from __future__ import annotations

import pytest

from reconciler.model import UNKNOWN, Absent, LiveWebhook, Scheme, Secret, SecretRef
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.readback import Evidence
from reconciler.planning.standing import Fit, Standing, evidence_in, standings, unmet
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    slack,
    unshown,
)

EDITED = live_slack(channel="#edited")
CREATE = plan(desired(slack()), live(), SECRETS)
UPDATE = plan(desired(slack()), live(EDITED), SECRETS)
DELETE = plan(desired(absent=(Absent(name="Deploys"),)), live(live_slack()), SECRETS)
TWIN = live_slack(id="id-2")
RENAME = plan(desired(slack(previously=("Old",))), live(live_slack("Old")), SECRETS)
PINNED = plan(desired(slack(id="id-1")), live(EDITED), SECRETS)
DUPLICATE = plan(desired(slack()), live(live_slack(), TWIN), SECRETS)


def done(why: str = "it is live already", id: str | None = "id-1") -> Standing:
    return Standing(fit=Fit.DONE, why=why, id=id)


def changed(why: str, id: str | None = "id-1") -> Standing:
    return Standing(fit=Fit.CHANGED, why=why, id=id)


HOLDS = Standing(fit=Fit.HOLDS)
ANOTHER = "another webhook of this name has appeared"
APPEARED = "a webhook of this name has appeared meanwhile"
EDITED_SINCE = "somebody has changed it since the plan was made"


@pytest.mark.parametrize(
    ("made", "found", "standing"),
    [
        (CREATE, (), HOLDS),
        (CREATE, (live_slack(),), done()),
        (CREATE, (live_slack(token="*****"),), done()),
        (CREATE, (EDITED,), changed(APPEARED)),
        (CREATE, (live_slack(), TWIN), changed(APPEARED)),
        (UPDATE, (EDITED,), HOLDS),
        (UPDATE, (live_slack(),), done()),
        (UPDATE, (live_slack(channel="#third"),), changed(EDITED_SINCE)),
        (UPDATE, (), changed("it has vanished meanwhile", None)),
        (DELETE, (live_slack(),), HOLDS),
        (DELETE, (), done("it is gone already")),
        (DELETE, (EDITED,), changed(EDITED_SINCE)),
        (DUPLICATE, (live_slack(), TWIN), HOLDS),
        (DUPLICATE, (live_slack(),), done("it is gone already", "id-2")),
        (DUPLICATE, (TWIN,), changed("the copy that was to stay is gone", "id-2")),
        (UPDATE, (EDITED, TWIN), changed(ANOTHER, "id-2")),
        (UPDATE, (live_slack(), TWIN), changed(ANOTHER, "id-2")),
        (RENAME, (live_slack("Old"), live_slack("Old", "id-2")), changed(ANOTHER, "id-2")),
        (RENAME, (live_slack("Old"), TWIN), changed(ANOTHER, "id-2")),
        (PINNED, (EDITED, TWIN), HOLDS),
        (DUPLICATE, (live_slack(), TWIN, live_slack(id="id-0")), changed(ANOTHER, "id-0")),
        (
            DUPLICATE,
            (live_slack(token=OTHER_TOKEN), TWIN),
            changed("it differs from the webhook that was to stay", "id-2"),
        ),
        (
            DUPLICATE,
            (live_slack("Renamed"), TWIN),
            changed("the copy that was to stay is gone", "id-2"),
        ),
    ],
)
def test_a_change_fits_what_it_was_made_for(
    made: Plan, found: tuple[LiveWebhook, ...], standing: Standing
):
    """Before, after, and anything else; why, and which live webhook it is about."""
    assert standings(made, found, SECRETS) == (standing,)


def test_a_rotation_holds_until_the_new_value_is_live():
    """The rest of the webhook looks the same before and after."""
    found = live_slack(token=OTHER_TOKEN)
    rotation = plan(desired(slack()), live(found), SECRETS)

    assert [each.fit for each in standings(rotation, (found,), SECRETS)] == [Fit.HOLDS]
    assert [each.fit for each in standings(rotation, (live_slack(),), SECRETS)] == [Fit.DONE]


def test_a_resend_of_what_cannot_be_read_always_holds():
    """Whether it happened cannot be told, so it is sent again."""
    masked = live_slack(token="*****")
    resend = plan(desired(slack()), live(masked), SECRETS, PlanOptions(resend_all=True))

    assert [each.fit for each in standings(resend, (masked,), SECRETS)] == [Fit.HOLDS]


def test_a_resend_that_came_with_a_visible_change_is_done_with_it():
    """Both went in one request."""
    before = live_slack(token="*****", channel="#x")
    resend = plan(desired(slack()), live(before), SECRETS, PlanOptions(resend_all=True))

    assert standings(resend, (live_slack(token="*****"),), SECRETS) == (done(),)


def test_a_field_that_is_to_go_is_done_when_it_is_gone():
    """Shown, gone, and not to be seen: only what is gone is surely done."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    before, gone = live_generic(token="***"), live_generic()
    options = PlanOptions(base=desired(generic(token=reference)))
    drop = plan(desired(generic()), live(before), {}, options)

    assert standings(drop, (before,), {}) == (HOLDS,)
    assert standings(drop, (gone,), {}) == (done(id="id-9"),)

    emptied = live_generic(token="")
    assert standings(drop, (emptied,), {}) == (done(id="id-9"),)

    hidden = unshown(before, UNKNOWN)
    drop = plan(desired(generic()), live(hidden), {}, options)
    assert standings(drop, (hidden,), {}) == (HOLDS,)
    assert unmet(drop.updates[0], hidden, {}, Evidence()) == ()


def test_a_flag_that_is_to_go_is_done_when_the_default_is_back():
    """The server shows what it fills in itself."""
    before = live_generic(verify=False)
    drop = plan(desired(generic()), live(before), {})

    assert standings(drop, (before,), {}) == (HOLDS,)
    assert standings(drop, (live_generic(verify=True),), {}) == (done(id="id-9"),)


def test_a_rotation_of_which_the_rest_is_live_is_not_done():
    """A webhook that needs no change shows that passwords can be read, and this one's is old."""
    reference = SecretRef(scheme=Scheme.ENV, name="PASSWORD")
    secrets = {reference: Secret("the new password")}
    declared = [generic(name, username="u", password=reference) for name in ("A", "B")]
    same = live_generic("A", "id-1", username="u", password="the new password")
    before = live_generic("B", "id-2", username="before", password="the old password")
    half = live_generic("B", "id-2", username="u", password="the old password")
    made = plan(desired(*declared), live(same, before), secrets)

    assert standings(made, (same, before), secrets) == (HOLDS,)
    assert standings(made, (same, half), secrets) == (changed(EDITED_SINCE, "id-2"),)


def test_a_change_answers_for_no_secret_that_it_does_not_send():
    """A plan that was made without secrets is done although an older token is live."""
    before = live_slack("Old", token=OTHER_TOKEN)
    rename = plan(desired(slack(previously=("Old",))), live(before), {})

    assert [each.fit for each in standings(rename, (before,), SECRETS)] == [Fit.HOLDS]
    after = live_slack(token=OTHER_TOKEN)
    assert [each.fit for each in standings(rename, (after,), SECRETS)] == [Fit.DONE]


def test_what_an_update_is_for_is_evidence_of_what_can_be_read():
    """A token that reads back as it is declared shows that tokens are shown."""
    assert ("slack", "token") in evidence_in(UPDATE, (EDITED,), SECRETS).readable
