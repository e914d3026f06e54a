"""Resends of unreadable secrets: by request, and by comparison with the base."""

from __future__ import annotations

import pytest

from reconciler.model import UNKNOWN, LiveWebhook, Secret, SecretRef
from reconciler.planning.plan import (
    Attribution,
    FieldRemoved,
    FieldResent,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    ValueChange,
)
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import resends
from tests.planning.builders import (
    OTHER_TOKEN,
    SECRETS,
    TOKEN,
    TOKEN_REF,
    desired,
    generic,
    live,
    live_generic,
    live_slack,
    make_plan,
    slack,
    unshown,
)

MASKED = live(live_slack(token="*****"))
BUMPED = TOKEN_REF._replace(version=2)
BEARER = SecretRef(scheme="env", name="BEARER")
HIDDEN = unshown(live_generic())


@pytest.mark.parametrize(
    "options",
    [
        PlanOptions(resend=("*",)),
        PlanOptions(resend=("env:SLACK_BOT_TOKEN",)),
        PlanOptions(resend=("SLACK_BOT_TOKEN",)),
        PlanOptions(resend=("Deploys",)),
    ],
    ids=["everything", "scheme and name", "name", "webhook"],
)
def test_a_requested_resend_is_an_operation(options: PlanOptions) -> None:
    """A reviewer approves it like any other operation."""
    result = plan(desired(slack()), MASKED, SECRETS, options)

    (update,) = result.updates
    assert update.reason is Reason.RESEND
    assert [getattr(each, "cause", None) for each in update.fields] == [SecretCause.REQUESTED]
    assert [len(each) for each in result.digests] == [2]  # the resend, and that it is hidden
    assert make_plan(desired(slack()), MASKED).digest == ""
    new = plan(desired(slack()), live(), SECRETS, options)
    assert [each.name for each in new.creates] == ["Deploys"]


def test_a_request_has_the_same_plan_for_every_live_value() -> None:
    """A reviewer sees one operation, whether or not the value is available or equal.

    The plan differs only if the server hides the live value.
    """
    options = PlanOptions(resend=("*",))
    digests = [
        {
            plan(desired(slack()), live(live_slack(token=token)), secrets, options).digest
            for token in tokens
            for secrets in (SECRETS, {})
        }
        for tokens in (("*****", None, "[hidden]"), (TOKEN, OTHER_TOKEN))
    ]

    assert [len(each) for each in digests] == [1, 1]
    assert digests[0] != digests[1]
    assert "" not in digests[0] | digests[1]


def test_other_requests_have_other_digests() -> None:
    """Plans that send different secrets have different digests."""
    names = ("A", "B", "C", "D")
    declared = desired(*(slack(name, channel=f"#{name}") for name in names))
    found = live(*(live_slack(n, f"id-{n}", channel=f"#{n}", token="*****") for n in names))
    digests = [
        plan(declared, found, SECRETS, options).digest
        for options in (
            PlanOptions(),
            PlanOptions(resend=("A", "B", "C")),
            PlanOptions(resend=("B", "C", "D")),
            PlanOptions(resend=("*",)),
        )
    ]

    assert digests[0] == ""
    assert len(set(digests)) == 4


def test_a_reviewed_resend_is_valid_while_the_files_declare_it() -> None:
    """The resend needs no `--base`; a changed reference makes it invalid."""
    base = PlanOptions(previous=desired(slack()))
    planned = plan(desired(slack(token=BUMPED)), MASKED, {}, base)
    options = PlanOptions(reviewed=resends(planned.operations))

    again = plan(desired(slack(token=BUMPED)), MASKED, SECRETS, options)
    void = plan(desired(slack()), MASKED, SECRETS, options)

    assert (again.digest, again.digests) == (planned.digest, planned.digests)
    assert void.operations == ()


def test_a_reviewed_undeclared_field_is_removed() -> None:
    """The removal needs no base, and only happens where the server shows no configuration."""
    found = live(HIDDEN, unshown(live_generic("Other", "id-8")))
    declared = desired(generic(), generic("Other"))
    planned = make_plan(declared, found, secrets={}, previous=desired(generic(token=BEARER)))
    options = PlanOptions(reviewed=resends(planned.operations))

    assert plan(declared, found, {}, options).digest == planned.digest
    assert plan(desired(generic()), live(live_generic()), {}, options).operations == ()


@pytest.mark.parametrize(
    ("before", "now", "cause"),
    [
        (TOKEN_REF, BUMPED, SecretCause.VERSION_CHANGED),
        (SecretRef(scheme="env", name="OLD"), TOKEN_REF, SecretCause.REFERENCE_CHANGED),
    ],
    ids=["version", "reference"],
)
def test_a_changed_reference_is_sent_if_the_live_value_is_unreadable(
    before: SecretRef, now: SecretRef, cause: SecretCause
) -> None:
    """Only git shows that the value may have changed."""
    options = PlanOptions(previous=desired(slack(token=before)))

    (update,) = plan(desired(slack(token=now)), MASKED, {}, options).updates

    (change,) = update.fields
    assert isinstance(change, SecretChange)
    assert (change.cause, update.attribution) == (cause, Attribution.THIS_CHANGE)


def test_a_bumped_version_is_an_operation_for_every_live_value() -> None:
    """A reviewer without the value and an apply with it have the same plan."""
    options = PlanOptions(previous=desired(slack()))
    secrets = {BUMPED: Secret(OTHER_TOKEN)}
    declaration = desired(slack(token=BUMPED))

    same = plan(declaration, live(live_slack(token=OTHER_TOKEN)), secrets, options)
    other = plan(declaration, live(live_slack()), secrets, options)

    assert len(same.operations) == 1
    assert same.digest == other.digest
    hidden = {plan(declaration, MASKED, values, options).digest for values in (secrets, {})}
    assert len(hidden - {same.digest}) == 1


def test_a_changed_literal_is_sent_with_the_same_reference() -> None:
    """Literals are distinguished by their values."""
    reference = SecretRef(scheme="literal", name="Deploys/token")
    now = desired(slack(token=reference))._replace(literals={reference: Secret("new")})
    before = now._replace(literals={reference: Secret("old")})

    assert len(make_plan(now, MASKED, secrets={}, previous=before).operations) == 1
    for previous in (now, desired(slack("Other"))):
        assert make_plan(now, MASKED, secrets={}, previous=previous).operations == ()


def test_an_unreadable_plain_field_is_sent_if_the_file_changed() -> None:
    """The configuration is not shown, but git shows that the channel was edited."""
    found = live(unshown(live_slack()))
    options = PlanOptions(previous=desired(slack(channel="#old")))

    (update,) = plan(desired(slack()), found, SECRETS, options).updates

    assert update.fields == (
        ValueChange(
            path=("configuration", "channel"), before=UNKNOWN, after="#deploys", not_shown=True
        ),
        FieldResent(path=("configuration", "token"), after=TOKEN_REF),
        FieldResent(path=("configuration", "username"), after="CloudTruth"),
    )


@pytest.mark.parametrize("requested", ["Pager", "*"])
def test_a_literal_url_that_the_server_hides_can_be_resent(requested: str) -> None:
    """The URL is sent only on request; otherwise no plan would ever be empty."""
    found = live(live_generic(url="https://hooks.example.com/***"))

    assert make_plan(desired(generic()), found).updates == ()
    (update,) = make_plan(desired(generic()), found, resend=(requested,)).updates
    assert [each.path for each in update.fields] == [("configuration", "url")]
    shown = live(live_generic())
    assert make_plan(desired(generic()), shown, resend=(requested,)).updates == ()


@pytest.mark.parametrize("shown", [live_generic(token="***"), HIDDEN])
def test_an_undeclared_field_is_removed(shown: LiveWebhook) -> None:
    """The server shows it, or the base had it and the server shows no configuration.

    There is no warning, because the field is in the plan.
    """
    options = PlanOptions(previous=desired(generic(token=BEARER)))

    result = plan(desired(generic()), live(shown), {}, options)
    (update,) = result.updates

    field = update.fields[0]
    assert isinstance(field, FieldRemoved)
    assert [type(each) for each in update.fields[1:]] == [FieldResent] * (shown is HIDDEN)
    assert (field.path, field.not_shown) == (("configuration", "token"), shown is HIDDEN)
    assert (update.sent_fields, result.notes) == ({"configuration"}, ())


def test_a_renamed_webhook_finds_its_base() -> None:
    """The base webhook is found by a name in `previously`."""
    options = PlanOptions(previous=desired(slack("old")))
    found = live(live_slack("old", token="*****"))

    (update,) = plan(desired(slack(previously=("old",), token=BUMPED)), found, {}, options).updates

    assert [type(each) for each in update.fields] == [ValueChange, SecretChange]


def test_a_resend_lists_the_fields_that_it_removes() -> None:
    """Resending a secret resends the complete configuration."""
    found = live(live_generic(token="***", extra="x"))

    (update,) = make_plan(desired(generic(token=BEARER)), found, secrets={}, resend=("*",)).updates

    assert FieldRemoved(path=("configuration", "extra")) in update.fields


def test_only_the_changed_secret_is_resent() -> None:
    """Another hidden secret goes along with it, and is marked as such."""
    password, token, after = (SecretRef(scheme="env", name=name) for name in "PTN")
    before = generic(username="u", password=password, token=token)
    now = generic(username="u", password=password, token=after)
    found = live(live_generic(username="u", password="***", token="***"))

    (update,) = make_plan(desired(now), found, secrets={}, previous=desired(before)).updates

    assert update.fields[0].path == ("configuration", "token")
    assert update.fields[1:] == (FieldResent(path=("configuration", "password"), after=password),)


def test_a_resent_url_shows_the_previous_destination() -> None:
    """A resend shows the part of the live URL that the server shows."""
    hook = generic(url=SecretRef(scheme="env", name="HOOK"))
    found = live(live_generic(url="https://hooks.example.com/***"))

    (update,) = make_plan(desired(hook), found, secrets={}, resend=("*",)).updates

    (change,) = update.fields
    assert isinstance(change, SecretChange)
    assert change.before == "https://hooks.example.com/***"


def test_a_base_of_another_type_is_ignored() -> None:
    """A base of another type has other fields."""
    options = PlanOptions(previous=desired(slack("Pager")))
    found = live(live_generic(token="***"))

    assert plan(desired(generic(token=BEARER)), found, {}, options).operations == ()


BASE = PlanOptions(previous=desired(generic(token=BEARER)))


def rules(of: Plan) -> list[str]:
    return [each.rule for each in of.notes]


def test_fields_removed_with_another_change_give_no_warning() -> None:
    """The configuration is sent completely, so omitted fields are removed."""
    changed = desired(generic(username="x"))
    result = plan(changed, live(live_generic()), {}, BASE)
    assert len(result.updates) == 1
    assert rules(result) == []


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(previous=desired(generic()))])
def test_without_a_base_there_is_no_warning(options: PlanOptions) -> None:
    """Only a base that had the secret is a reason for a warning."""
    assert rules(plan(desired(generic()), live(live_generic()), {}, options)) == []
