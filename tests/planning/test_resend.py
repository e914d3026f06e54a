"""Sending again what cannot be read back: by request, and by comparison with the base."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import UNKNOWN, LiveWebhook, Scheme, Secret, SecretRef
from reconciler.planning.plan import (
    Attribution,
    KeyLost,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    ValueChange,
)
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.resend import resends
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    TOKEN_REF,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    made,
    slack,
    unshown,
)

MASKED = live(live_slack(token="*****"))
BUMPED = replace(TOKEN_REF, version=2)
HIDDEN = unshown(live_generic(), UNKNOWN)


@pytest.mark.parametrize(
    "options",
    [
        PlanOptions(resend_all=True),
        PlanOptions(resend=("env:SLACK_BOT_TOKEN",)),
        PlanOptions(resend=("SLACK_BOT_TOKEN",)),
        PlanOptions(resend=("Deploys",)),
    ],
    ids=["everything", "scheme and name", "name", "webhook"],
)
def test_a_requested_secret_is_sent_and_is_an_operation(options: PlanOptions):
    """A reviewer agrees to it as to anything else that is sent."""
    result = plan(desired(slack()), MASKED, SECRETS, options)

    (update,) = result.updates
    assert update.reason is Reason.RESEND
    assert [getattr(each, "cause", None) for each in update.fields] == [SecretCause.REQUESTED]
    assert [len(each) for each in result.digests] == [1]
    assert made(desired(slack()), MASKED).digest == ""


def test_a_request_plans_the_same_whatever_live_shows():
    """With the value and without it, readable or not: a reviewer sees one operation."""
    options = PlanOptions(resend_all=True)
    digests = {
        plan(desired(slack()), found, secrets, options).digest
        for found in (MASKED, live(live_slack()), live(live_slack(token=OTHER_TOKEN)))
        for secrets in (SECRETS, {})
    }

    assert len(digests) == 1
    assert "" not in digests


def test_other_requests_have_other_digests():
    """Three webhooks, all of them, none: no two plans that send different things look alike."""
    names = ("A", "B", "C", "D")
    declared = desired(*(slack(name, channel=f"#{name}") for name in names))
    found = live(*(live_slack(n, f"id-{n}", channel=f"#{n}", token="*****") for n in names))
    digests = [
        plan(declared, found, SECRETS, options).digest
        for options in (
            PlanOptions(),
            PlanOptions(resend=("A", "B", "C")),
            PlanOptions(resend=("B", "C", "D")),
            PlanOptions(resend_all=True),
        )
    ]

    assert digests[0] == ""
    assert len(set(digests)) == 4


def test_a_reviewed_resend_is_resultwhile_the_files_still_say_so():
    """It is sent without base and request; a reference that was changed since makes it void."""
    base = PlanOptions(previous=desired(slack()))
    planned = plan(desired(slack(token=BUMPED)), MASKED, {}, base)
    options = PlanOptions(reviewed=resends(planned.operations))

    again = plan(desired(slack(token=BUMPED)), MASKED, SECRETS, options)
    void = plan(desired(slack()), MASKED, SECRETS, options)

    assert (again.digest, again.digests) == (planned.digest, planned.digests)
    assert void.operations == ()


def test_a_reviewed_field_that_is_no_longer_declared_goes():
    """Without the base it was planned against, and only where live shows no configuration."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    found = live(HIDDEN)
    planned = made(
        desired(generic()), found, secrets={}, previous=desired(generic(token=reference))
    )
    options = PlanOptions(reviewed=resends(planned.operations))

    assert plan(desired(generic()), found, {}, options).digest == planned.digest
    assert plan(desired(generic()), live(live_generic()), {}, options).operations == ()


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (TOKEN_REF, BUMPED, SecretCause.VERSION_CHANGED),
        (SecretRef(scheme=Scheme.ENV, name="OLD"), TOKEN_REF, SecretCause.REFERENCE_CHANGED),
    ],
    ids=["version", "reference"],
)
def test_a_changed_reference_is_sent_where_live_cannot_be_read(
    before: SecretRef, now: SecretRef, cause: SecretCause
):
    """Git is the only memory there is."""
    options = PlanOptions(previous=desired(slack(token=before)))

    (update,) = plan(desired(slack(token=now)), MASKED, {}, options).updates

    (change,) = update.fields
    assert isinstance(change, SecretChange)
    assert (change.cause, update.attribution) == (cause, Attribution.THIS_CHANGE)


def test_a_bumped_version_is_an_operation_whatever_live_shows():
    """The reviewer who has no value and the apply that has it plan the same."""
    options = PlanOptions(previous=desired(slack()))
    secrets = {BUMPED: Secret(OTHER_TOKEN)}
    declaration = desired(slack(token=BUMPED))

    same = plan(declaration, live(live_slack(token=OTHER_TOKEN)), secrets, options)
    other = plan(declaration, live(live_slack()), secrets, options)

    assert len(same.operations) == 1
    assert same.digest == other.digest == plan(declaration, MASKED, {}, options).digest


def test_a_changed_literal_is_sent_though_its_reference_is_the_same():
    """Literals are told apart by their values."""
    reference = SecretRef(scheme=Scheme.LITERAL, name="Deploys/token")
    now = replace(desired(slack(token=reference)), literals={reference: Secret("new")})
    before = replace(now, literals={reference: Secret("old")})

    assert len(made(now, MASKED, secrets={}, previous=before).operations) == 1
    assert len(made(now, MASKED, secrets={}, previous=now).operations) == 0


def test_a_plain_field_that_cannot_be_read_is_sent_when_the_file_changed_it():
    """A channel, edited in git, of a webhook whose configuration is not shown."""
    found = live(unshown(live_slack(), UNKNOWN))
    options = PlanOptions(previous=desired(slack(channel="#old")))

    (update,) = plan(desired(slack()), found, SECRETS, options).updates

    assert update.fields == (
        ValueChange(
            path=("configuration", "channel"), before=UNKNOWN, after="#deploys", hidden=True
        ),
    )


@pytest.mark.parametrize("shown", [live_generic(token="***"), HIDDEN])
def test_a_field_that_the_file_no_longer_declares_goes(shown: LiveWebhook):
    """Live shows it, or the base had it and live shows no configuration."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    options = PlanOptions(previous=desired(generic(token=reference)))

    (update,) = plan(desired(generic()), live(shown), {}, options).updates

    (field,) = update.fields
    assert isinstance(field, KeyLost)
    assert (field.path, field.hidden) == (("configuration", "token"), shown is HIDDEN)
    assert update.sends == {"configuration"}


def test_a_renamed_webhook_finds_its_base():
    """By a name of `previously`."""
    options = PlanOptions(previous=desired(slack("old")))
    found = live(live_slack("old", token="*****"))

    (update,) = plan(desired(slack(previously=("old",), token=BUMPED)), found, {}, options).updates

    assert {type(each) for each in update.fields} == {ValueChange, SecretChange}


def test_a_resend_names_what_the_whole_configuration_drops():
    """A secret sent again sends everything else again too."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    found = live(live_generic(token="***", extra="x"))

    (update,) = made(desired(generic(token=reference)), found, secrets={}, resend_all=True).updates

    assert KeyLost(path=("configuration", "extra")) in update.fields


def test_only_the_secret_that_changed_is_sent_again():
    """Others that cannot be read, before and after it, stay out."""
    password, token, after = (SecretRef(scheme=Scheme.ENV, name=name) for name in "PTN")
    before = generic(username="u", password=password, token=token)
    now = generic(username="u", password=password, token=after)
    found = live(live_generic(username="u", password="***", token="***"))

    (update,) = made(desired(now), found, secrets={}, previous=desired(before)).updates

    assert [each.path for each in update.fields] == [("configuration", "token")]


def test_a_resent_address_shows_where_deliveries_went():
    """As much of it as the server shows."""
    hook = generic(url=SecretRef(scheme=Scheme.ENV, name="HOOK"))
    found = live(live_generic(url="https://hooks.example.com/***"))

    (update,) = made(desired(hook), found, secrets={}, resend_all=True).updates

    (change,) = update.fields
    assert isinstance(change, SecretChange)
    assert change.before == "https://hooks.example.com/***"


def test_a_base_of_another_type_asks_for_nothing():
    """Its fields are not those of the webhook as it is declared now."""
    reference = SecretRef(scheme=Scheme.ENV, name="BEARER")
    options = PlanOptions(previous=desired(slack("Pager")))
    found = live(live_generic(token="***"))

    assert plan(desired(generic(token=reference)), found, {}, options).operations == ()


BEARER = SecretRef(scheme=Scheme.ENV, name="BEARER")
BASE = PlanOptions(previous=desired(generic(token=BEARER)))


def rules(of: Plan) -> list[str]:
    return [each.rule for each in of.notes]


def test_what_shows_is_plannedinstead() -> None:
    """A token that is seen to be there goes, and there is nothing left to remark on."""
    result = plan(desired(generic()), live(live_generic(token="***")), {}, BASE)
    assert [each.fields for each in result.updates] == [(KeyLost(path=("configuration", "token")),)]
    assert rules(result) == []


def test_what_goes_with_another_change_is_not_in_doubt() -> None:
    """The configuration is sent whole: what is not in it is gone afterwards."""
    changed = desired(generic(verify=False))
    result = plan(changed, live(live_generic()), {}, BASE)
    assert len(result.updates) == 1
    assert rules(result) == []


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(previous=desired(generic()))])
def test_without_a_declaration_before_nothing_is_suspected(options: PlanOptions) -> None:
    """Only a base that had the secret gives a reason."""
    assert rules(plan(desired(generic()), live(live_generic()), {}, options)) == []
