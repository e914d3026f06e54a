"""Comparison of one declared webhook with one live one, secrets above all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.kinds.slack import channel_text
from reconciler.model import UNKNOWN, LiveWebhook, Scheme, Secret, SecretRef
from reconciler.planning.compare import compare
from reconciler.planning.plan import (
    KeyLost,
    SecretCause,
    SecretChange,
    SetChange,
    ValueChange,
    destination,
    snapshot,
)
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.readback import Evidence, plausible
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
    made,
    slack,
    unshown,
)

HIDDEN = {
    "stars": "*****",
    "stars inside": "xoxb*****AAAA",
    "an ellipsis": "xoxb-…AAAA",
    "bullets": "•••••",
    "encrypted": "gAAAAA" + "b" * 60,
    "said to be encrypted": "enc:abcd",
    "empty": "",
    "blank": "  ",
    "null": None,
    "missing": ...,
}
KEEP = PlanOptions(prune=False)
PASSWORD = SecretRef(scheme=Scheme.ENV, name="PAGER_PASSWORD")


@pytest.mark.parametrize("shown", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_token_is_unknown(shown: object):
    """Neither a change nor a match: it is reported as unreadable."""
    answer = compare(slack(), live_slack(token=shown), SECRETS, Evidence())

    assert (answer.fields, answer.unreadable) == ((), ("token",))


def test_a_hidden_configuration_is_wholly_unknown():
    """Missing, null and {} come as UNKNOWN: no field is compared."""
    answer = compare(slack(), unshown(live_slack(), UNKNOWN), SECRETS, Evidence())

    assert (answer.fields, answer.unreadable) == ((), ("token", "channel", "username"))


def test_a_token_whose_value_is_not_at_hand_is_undecided():
    """No value to compare with: no change, and not unreadable either."""
    answer = compare(slack(), live_slack(), {}, Evidence())

    assert (answer.fields, answer.unreadable, answer.undecided) == ((), (), ("token",))


def test_a_password_whose_value_is_not_at_hand_is_not_called_unreadable():
    """Without the value nobody can tell whether what is shown is it."""
    declared = generic(username="ct", password=PASSWORD)
    found = live_generic(username="ct", password="something")

    answer = compare(declared, found, {}, Evidence())

    assert (answer.unreadable, answer.undecided) == ((), ("password",))


def test_a_password_has_no_shape_and_stays_unknown_without_evidence():
    """Any text may be a ciphertext."""
    declared = generic(username="ct", password=PASSWORD)
    found = live_generic(username="ct", password="something else")

    answer = compare(declared, found, {PASSWORD: Secret("hunter22")}, Evidence())

    assert (answer.fields, answer.unreadable) == ((), ("password",))


def test_another_password_that_compares_equal_is_the_evidence():
    """One that is shown proves that the server shows them all."""
    one = generic("One", username="ct", password=PASSWORD)
    two = generic("Two", username="ct", password=PASSWORD)
    found = live(
        live_generic("One", "id-1", username="ct", password="hunter22"),
        live_generic("Two", "id-2", username="ct", password="rotated!"),
    )

    result = made(desired(one, two), found, secrets={PASSWORD: Secret("hunter22")})

    assert [(each.name, each.fields[0].path[-1]) for each in result.updates] == [
        ("Two", "password")
    ]


def test_a_missing_secret_is_added_where_others_are_shown():
    """With the same evidence a missing one is really missing."""
    one = generic("One", username="ct", password=PASSWORD)
    two = generic("Two", username="ct", password=PASSWORD)
    found = live(
        live_generic("One", "id-1", username="ct", password="hunter22"),
        live_generic("Two", "id-2", username=None),
    )

    (update,) = made(desired(one, two), found, secrets={PASSWORD: Secret("hunter22")}).updates

    assert {getattr(each, "cause", None) for each in update.fields} == {None, SecretCause.ADDED}


def test_a_plain_url_is_compared_and_shown_as_its_origin():
    """The address may hold a credential: a change names hosts only."""
    found = live_generic(url="https://old.example.com/secret/path")

    (change,) = compare(generic(), found, {}, Evidence()).fields

    assert isinstance(change, SecretChange)
    assert (change.before, change.after) == (
        "https://old.example.com/***",
        "https://hooks.example.com/ct",
    )


@pytest.mark.parametrize("shown", HIDDEN.values(), ids=HIDDEN)
def test_only_secrets_can_be_hidden(shown: object):
    """Whatever stands for a channel is another channel than the declared one."""
    (change,) = compare(slack(), live_slack(channel=shown), SECRETS, Evidence()).fields

    missing = shown in (None, "", ...)
    before = None if missing else shown
    assert change == ValueChange(path=("configuration", "channel"), before=before, after="#deploys")


@pytest.mark.parametrize("channel", [["#deploys"], {"name": "#deploys"}, True])
def test_a_plain_value_of_another_kind_is_a_difference(channel: object):
    """What is no text is no channel."""
    (change,) = compare(slack(), live_slack(channel=channel), SECRETS, Evidence()).fields

    assert change == ValueChange(
        path=("configuration", "channel"), before=UNKNOWN, after="#deploys"
    )


@pytest.mark.parametrize("witness", [(), (live_generic("B", username="b", verify=False),)])
def test_a_configuration_that_gains_keys_is_an_update(witness: tuple[LiveWebhook, ...]):
    """Each key is a change of its own, whatever other webhooks show."""
    declared = generic(username="ct", password=PASSWORD, verify=False)
    found = live(live_generic(), *witness)

    (update,) = plan(desired(declared), found, {PASSWORD: Secret("hunter22")}, KEEP).updates

    assert update.fields == (
        ValueChange(path=("configuration", "username"), before=None, after="ct"),
        ValueChange(path=("configuration", "verify"), before=None, after=False),
    )
    assert update.sends == {"configuration"}


def test_a_flag_that_is_missing_has_its_default():
    """`verify: true` is what the server does anyway."""
    assert compare(generic(verify=True), live_generic(), {}, Evidence()).fields == ()


def test_what_the_server_may_add_by_itself_is_no_difference():
    """Defaults, empty values, and keys that this version does not know."""
    found = live_generic(verify=True, username="", token=None, password="", extra="x")

    assert compare(generic(), found, {}, Evidence()).fields == ()


def test_undeclared_keys_are_a_difference():
    """A hidden secret is one too: only what is set is shown as a mask."""
    found = live_generic(verify=False, username="u", password="*****", token="abc")
    lost = ("password", "token", "username", "verify")

    assert compare(generic(), found, {}, Evidence()).fields == tuple(
        KeyLost(path=("configuration", name)) for name in lost
    )


def test_unknown_keys_are_named_when_they_are_lost():
    """Configuration is sent whole: what no file declares goes with it; defaults do not count."""
    found = live_generic(url="https://old.example.com/", verify=True, extra="y", more=None)

    (update,) = made(desired(generic()), found, secrets={}).updates

    assert update.fields[1:] == (KeyLost(path=("configuration", "extra")),)


def test_numbers_where_text_is_due_are_read_as_text():
    """A server that turns text into numbers makes no perpetual difference."""
    assert compare(slack(channel="123"), live_slack(channel=123), SECRETS, Evidence()).fields == ()


def test_a_number_that_differs_is_shown_as_text():
    """What was there before is told."""
    result = made(desired(slack(username="8")), live_slack(username=7))
    [change] = result.updates
    assert change.fields == (
        ValueChange(path=("configuration", "username"), before="7", after="8"),
    )


def test_a_snapshot_holds_no_secret():
    """Neither token nor address, but where deliveries go."""
    shots = [snapshot(live_slack()), snapshot(live_generic(token="abc"))]

    assert TOKEN not in repr(shots)
    assert "ct" not in repr(shots[1].configuration)
    assert [shot.destination for shot in shots] == [
        "slack #deploys",
        "generic https://hooks.example.com/***",
    ]


def test_a_destination_is_named_without_the_address():
    """A referenced address is its reference until the value is at hand."""
    reference = SecretRef(scheme=Scheme.ENV, name="HOOK")
    hidden = generic(url=reference)

    assert destination(hidden) == "generic env HOOK"
    assert destination(hidden, {reference: Secret("https://u:p@h.example.com/x?y=z")}) == (
        "generic https://h.example.com/***"
    )
    assert destination(hidden, {reference: Secret("nonsense")}) == "generic ***"


@pytest.mark.parametrize(
    ("value", "text"), [("ops", "#ops"), ("#ops", "#ops"), ("C0123", "C0123"), ("@me", "@me")]
)
def test_a_channel_is_written_as_people_write_it(value: str, text: str):
    """A `#` for names, none for ids and people."""
    assert channel_text(value) == text


@pytest.mark.parametrize("value", ["a", "a*b", "xx", True, 0])
def test_ordinary_values_are_plausible(value: str | bool | int):
    """Two stars are not a mask."""
    assert plausible(value)


def test_another_type_is_told_field_by_field():
    """Nothing of the old configuration carries over, so everything declared is new."""
    retyped = replace(slack("Pager", events=("value_created",)), id="id-9")

    (update,) = made(desired(retyped), live_generic("Old"), secrets={}).updates

    assert update.fields == (
        ValueChange(path=("name",), before="Old", after="Pager"),
        ValueChange(path=("type",), before="generic", after="slack"),
        SetChange(path=("event_types",), added=(), removed=("value_updated",), unchanged=1),
        ValueChange(path=("configuration", "channel"), before=None, after="#deploys"),
        ValueChange(path=("configuration", "username"), before=None, after="CloudTruth"),
        SecretChange(
            path=("configuration", "token"),
            after=TOKEN_REF,
            cause=SecretCause.ADDED,
            destination="slack #deploys",
        ),
    )


def test_an_address_behind_a_reference_is_told_by_its_origin():
    """Before and after, and never the path, which may be a secret."""
    reference = SecretRef(scheme=Scheme.ENV, name="HOOK")
    secrets = {reference: Secret("https://new.example.com/secret")}

    (update,) = made(desired(generic(url=reference)), live_generic(), secrets=secrets).updates

    assert update.fields == (
        SecretChange(
            path=("configuration", "url"),
            after=reference,
            cause=SecretCause.DIFFERS,
            before="https://hooks.example.com/***",
            destination="generic https://new.example.com/***",
            moved=True,
        ),
    )


@pytest.mark.parametrize(
    ("field", "shown", "lost"),
    [
        *(("token", shown, bool(shown)) for shown in (None, "", "***", "a real one")),
        *(("username", shown, bool(shown)) for shown in (None, "", "someone")),
    ],
)
def test_a_field_is_lost_only_if_one_may_be_there(field: str, shown: str | None, lost: bool):
    """Null and empty text are what a server shows of a field that is not set."""
    found = live_generic(verify=True, **{field: shown})
    (update,) = made(desired(generic(verify=False)), found, secrets={}).updates

    assert (KeyLost(path=("configuration", field)) in update.fields) is lost


MISTAKEN = [
    "SLACK_BOT_TOKEN",
    "${SLACK_BOT_TOKEN}",
    "env:SLACK_BOT_TOKEN",
    "<token>",
    "changeme",
    "xoxb-your-token",
    '"xoxb-0123456789-example"',
    " xoxb-0123456789-example",
    "xoxb-0123456789-example\n",
]


@pytest.mark.parametrize("shown", MISTAKEN)
def test_text_in_place_of_a_live_token_is_warned_of(shown: str) -> None:
    """A live token that is shown and is none is no match without a word: the plan has the fix."""
    result = made(desired(slack("My ops")), live_slack("My ops", token=shown))

    (note,) = result.notes
    assert (note.rule, result.operations) == ("live-secret-mistaken", ())
    assert result.uncertain == ()  # whether it differs is known
    assert "`webhooks apply --resend-secret 'My ops'`" in (note.hint or "")
    assert shown not in repr(result).replace("name='SLACK_BOT_TOKEN'", "")
    asked = PlanOptions(resend=("My ops",))
    again = plan(desired(slack("My ops")), live(live_slack("My ops", token=shown)), SECRETS, asked)
    assert (len(again.operations), again.notes) == (1, ())


@pytest.mark.parametrize("shown", [*HIDDEN.values(), TOKEN, OTHER_TOKEN, "a1b2c3d4", "hidden"])
def test_a_hidden_or_real_token_is_no_mistake(shown: object) -> None:
    """What may be masked, encrypted or the value itself is not warned of."""
    result = made(desired(slack()), live_slack(token=shown))

    assert result.notes == ()
