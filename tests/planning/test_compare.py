"""Comparison of a declared webhook with a live one, in particular secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.kinds import FIELDS
from reconciler.model import UNKNOWN, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.compare import compare
from reconciler.planning.plan import (
    FieldRemoved,
    FieldResent,
    SecretCause,
    SecretChange,
    SetChange,
    ValueChange,
)
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.readback import (
    Evidence,
    Reading,
    destination,
    is_hidden,
    plausible,
    snapshot,
)
from reconciler.workflow import show
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

HIDDEN = {
    "stars": "*****",
    "stars inside": "xoxb*****AAAA",
    "an ellipsis": "xoxb-…AAAA",
    "bullets": "•••••",
    "encrypted": "gAAAAA" + "b" * 60,
    "marked as encrypted": "enc:abcd",
    "empty": "",
    "blank": "  ",
    "null": None,
    "missing": ...,
}
KEEP = PlanOptions(prune=False)
PASSWORD, HOOK = (SecretRef(scheme="env", name=name) for name in ("PAGER_PASSWORD", "HOOK"))


@pytest.mark.parametrize("shown", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_token_is_unknown(shown: object) -> None:
    """A hidden token counts as neither changed nor equal, and is reported as unreadable."""
    comparison = compare(slack(), live_slack(token=shown), SECRETS, Evidence())

    assert (comparison.fields, comparison.unread) == ((), {"token": Reading.UNKNOWN})
    assert not plausible(shown)  # type: ignore[arg-type]


def test_a_hidden_configuration_is_completely_unknown() -> None:
    """Missing, null and {} become UNKNOWN: no field is compared."""
    comparison = compare(slack(), unshown(live_slack()), SECRETS, Evidence())

    assert (comparison.fields, comparison.unread) == (
        (),
        dict.fromkeys(("token", "channel", "username"), Reading.UNKNOWN),
    )


def test_a_password_has_no_pattern_and_stays_unknown_without_evidence() -> None:
    """Any text may be an encrypted value."""
    declared = generic(username="ct", password=PASSWORD)
    found = live_generic(username="ct", password="something else")

    comparison = compare(declared, found, {PASSWORD: Secret("hunter22")}, Evidence())

    assert (comparison.fields, comparison.unread) == ((), {"password": Reading.UNKNOWN})


def test_another_equal_password_is_evidence() -> None:
    """One password in plain text proves that the server shows them all."""
    zero, one, two = (
        generic(name, username="ct", password=PASSWORD) for name in ("Zero", "One", "Two")
    )
    found = live(
        unshown(live_generic("Zero", "id-0")),
        live_generic("One", "id-1", username="ct", password="hunter22"),
        live_generic("Two", "id-2", username="ct", password="rotated!"),
    )

    result = make_plan(desired(zero, one, two), found, secrets={PASSWORD: Secret("hunter22")})

    assert [(each.name, each.fields[0].path[-1]) for each in result.updates] == [
        ("Two", "password")
    ]


def test_a_missing_secret_is_added_where_others_are_shown() -> None:
    """On a server that shows passwords, a missing one is not set."""
    one = generic("One", username="ct", password=PASSWORD)
    two = generic("Two", username="ct", password=PASSWORD)
    found = live(
        unshown(live_generic("Zero", "id-0")),
        live_generic("One", "id-1", username="ct", password="hunter22"),
        live_generic("Two", "id-2", username=None),
    )

    (update,) = make_plan(desired(one, two), found, secrets={PASSWORD: Secret("hunter22")}).updates

    assert {getattr(each, "cause", None) for each in update.fields} == {None, SecretCause.ADDED}


def test_a_plain_url_is_compared_and_shown_as_its_origin() -> None:
    """A URL may contain a credential, so a change shows only hosts."""
    found = live_generic(url="https://old.example.com/secret/path")

    (change,) = compare(generic(), found, {}, Evidence()).fields

    assert isinstance(change, SecretChange)
    assert (change.before, change.after) == (
        "https://old.example.com/***",
        "https://hooks.example.com/ct",
    )


@pytest.mark.parametrize(
    "shown",
    [
        *HIDDEN.values(),
        ["#deploys"],
        True,
        "General chat",
        "#dep**",
        "C-",
        "0f" * 32,
        "xxxxxxxx",
        "[hidden]",
    ],
)
def test_a_live_value_that_cannot_be_a_channel_is_unknown(shown: object) -> None:
    """It is no difference, and no snapshot or destination shows it."""
    found = live_slack(channel=shown)

    comparison = compare(slack(), found, SECRETS, Evidence())

    assert (comparison.fields, comparison.unread) == ((), {"channel": Reading.UNKNOWN})
    assert snapshot(found) == snapshot(live_slack(channel="*****"))
    assert snapshot(found).destination == "slack"
    assert is_hidden(FIELDS["slack"]["channel"], shown if shown is not ... else None)


@pytest.mark.parametrize("shown", [*HIDDEN.values(), 7, ["CloudTruth"], {"name": "a"}, True])
def test_a_user_name_cannot_be_hidden(shown: object) -> None:
    """Any other string is a different name; values that are not strings are not shown."""
    (change,) = compare(slack(), live_slack(username=shown), SECRETS, Evidence()).fields

    before: Any = None if shown in (None, "", ...) else shown
    if not isinstance(shown, str):
        before = "7" if shown == 7 else UNKNOWN if before else None
    path = ("configuration", "username")
    assert change == ValueChange(path=path, before=before, after="CloudTruth")


@pytest.mark.parametrize(
    ("url", "differs"),
    [
        ("https://hooks.example.com/other", "path"),
        ("https://hooks.example.com/ct?a=1", "query"),
        ("https://u:p@hooks.example.com:8443/ct#x", "user and port and fragment"),
        ("https://other.example.com/ct2", ""),
    ],
)
def test_a_change_behind_the_shown_host_names_the_parts_that_differ(url: str, differs: str) -> None:
    """Otherwise both sides look the same; the value of a reference is not in the digest."""
    hook = SecretRef(scheme="env", name="HOOK")
    for declared, secrets in ((generic(url=url), {}), (generic(url=hook), {hook: Secret(url)})):
        plans = [
            make_plan(desired(declared), live_generic(url=before), secrets=secrets)
            for before in ("https://hooks.example.com/ct", "https://hooks.example.com/ct?b=2")
        ]
        change = plans[0].updates[0].fields[0]
        assert isinstance(change, SecretChange)
        assert " and ".join(change.differs) == differs
        assert (f"({differs} differ" in " ".join(show(plans[0]).split())) == bool(differs)
    hidden = compare(
        generic(url=url), live_generic(url="https://hooks.example.com/***"), {}, Evidence()
    )
    assert hidden.fields == ()


@pytest.mark.parametrize(
    ("found", "resent"),
    [
        (live_slack(username="old"), ()),
        (live_slack(username="old", token="*****"), ("token",)),
        (live_slack(username="old", channel="*****"), ("channel",)),
        (live_slack(username="old", token=None, channel=None), ("token", "channel")),
    ],
)
def test_an_update_names_each_hidden_field_that_it_sends(
    found: LiveWebhook, resent: tuple[str, ...]
) -> None:
    """A reviewer sees that another value may be replaced, with and without the values here."""
    plans = [make_plan(desired(slack()), found, secrets=secrets) for secrets in (SECRETS, {})]

    for result in plans:
        (update,) = result.updates
        hidden = [each.path[-1] for each in update.fields if isinstance(each, FieldResent)]
        assert (tuple(hidden), result.unreadable) == (resent, ())
    assert plans[0].digest == plans[1].digest
    shown = make_plan(desired(slack()), live_slack(username="old")).digest
    assert (plans[0].digest == shown) == (resent == ())


@pytest.mark.parametrize("witness", [(), (live_generic("B", username="b", verify=False),)])
def test_a_configuration_that_gains_keys_is_an_update(witness: tuple[LiveWebhook, ...]) -> None:
    """Each key is a change, regardless of other webhooks."""
    declared = generic(username="ct", password=PASSWORD, verify=False)
    found = live(live_generic(), *witness)

    (update,) = plan(desired(declared), found, {PASSWORD: Secret("hunter22")}, KEEP).updates

    assert update.fields == (
        ValueChange(path=("configuration", "username"), before=None, after="ct"),
        ValueChange(path=("configuration", "verify"), before=None, after=False),
        FieldResent(path=("configuration", "password"), after=PASSWORD),
    )
    assert update.sent_fields == {"configuration"}


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (generic(verify=True), live_generic()),
        (generic(), live_generic(verify=True, username="", token=None, password="", extra="x")),
        (slack(channel="123"), live_slack(channel=123)),
    ],
    ids=["a default", "what servers add", "a number that was text"],
)
def test_no_difference(declared: Webhook, found: LiveWebhook) -> None:
    """A server that adds fields or converts text to numbers causes no permanent difference."""
    assert compare(declared, found, SECRETS, Evidence()).fields == ()


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (slack(), live_slack()),
        (
            generic(username="ct", password=PASSWORD),
            live_generic(username="ct", password="something"),
        ),
    ],
)
def test_a_secret_without_a_value_is_not_compared(declared: Webhook, found: LiveWebhook) -> None:
    """A secret whose value is not available is neither changed nor unreadable."""
    comparison = compare(declared, found, {}, Evidence())
    secret = "token" if declared.type == "slack" else "password"
    assert (comparison.fields, comparison.unread) == ((), {secret: Reading.UNAVAILABLE})


def test_undeclared_keys_are_a_difference() -> None:
    """A masked secret is a difference, too: a server masks only a secret that is set.

    A key that this version does not know is no difference by itself.
    """
    found = live_generic(verify=False, username="u", password="*****", token="abc", also="x")
    lost = ("password", "token", "username", "verify")

    assert compare(generic(), found, {}, Evidence()).fields == tuple(
        FieldRemoved(path=("configuration", name)) for name in lost
    )


def test_an_unknown_key_is_listed_when_it_is_removed() -> None:
    """The configuration is sent completely, which removes undeclared keys, except defaults."""
    found = live_generic(url="https://old.example.com/", verify=True, extra="y", more=None)

    (update,) = make_plan(desired(generic()), found, secrets={}).updates

    assert update.fields[1:] == (FieldRemoved(path=("configuration", "extra")),)


def test_a_snapshot_contains_no_secret() -> None:
    """A snapshot has the destination, but neither the token nor the URL."""
    shots = [snapshot(each) for each in (live_slack(), live_generic(token="abc"))]
    shots.append(snapshot(live_generic(url=None)))

    assert TOKEN not in repr(shots)
    assert "ct" not in repr(shots[1].configuration)
    assert [shot.destination for shot in shots] == [
        "slack #deploys",
        "generic https://hooks.example.com/***",
        "generic",
    ]


def test_a_destination_does_not_show_the_url() -> None:
    """A referenced URL is shown as its reference until the value is available."""
    hidden = generic(url=HOOK)

    assert destination(hidden) == "generic env HOOK"
    assert destination(hidden, {HOOK: Secret("https://u:p@h.example.com/x?y=z")}) == (
        "generic https://h.example.com/***"
    )
    assert destination(hidden, {HOOK: Secret("nonsense")}) == "generic ***"


@pytest.mark.parametrize(
    ("value", "text"), [("ops", "#ops"), ("#ops", "#ops"), ("C0123", "C0123"), ("@me", "@me")]
)
def test_a_channel_has_its_usual_form(value: str, text: str) -> None:
    """A name has a `#`; an id or a user has none."""
    assert destination(slack(channel=value)) == f"slack {text}"


@pytest.mark.parametrize("value", ["a", "a*b", "xx", True, 0])
def test_ordinary_values_are_plausible(value: str | bool | int) -> None:
    """A value is a mask only if it is hidden completely or in part; `a*b` is not."""
    assert plausible(value)


def test_a_change_of_type_lists_every_field() -> None:
    """Nothing of the old configuration is kept, so every declared field is new."""
    retyped = replace(slack("Pager", events=("value_created",)), id="id-9")

    (update,) = make_plan(desired(retyped), live_generic("Old"), secrets={}).updates

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
        FieldRemoved(path=("configuration", "url")),
    )
    base = desired(generic(token=TOKEN_REF))
    (update,) = make_plan(desired(generic()), unshown(live_slack("Pager")), previous=base).updates
    assert {type(each) for each in update.fields} == {ValueChange, SecretChange}
    assert not any(getattr(each, "hidden", False) for each in update.fields)


def test_a_referenced_url_is_shown_as_its_origin() -> None:
    """A change shows both hosts and never the path, which may be a secret."""
    secrets = {HOOK: Secret("https://new.example.com/secret")}

    (update,) = make_plan(desired(generic(url=HOOK)), live_generic(), secrets=secrets).updates

    assert update.fields == (
        SecretChange(
            path=("configuration", "url"),
            after=HOOK,
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
def test_an_unset_field_is_not_removed(field: str, shown: str | None, lost: bool) -> None:
    """A server shows null or an empty string for an unset field."""
    found = live_generic(verify=True, **{field: shown})
    (update,) = make_plan(desired(generic(verify=False)), found, secrets={}).updates

    assert (FieldRemoved(path=("configuration", field)) in update.fields) is lost


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
def test_an_invalid_live_token_gives_a_warning(shown: str) -> None:
    """A readable, invalid live token never matches silently: the warning suggests the fix."""
    result = make_plan(
        desired(slack("My ops")), live_slack("My ops", token=shown), apply_options=("-f", "a b")
    )

    (note,) = result.notes
    assert (note.rule, result.operations) == ("live-secret-malformed", ())
    assert result.unreadable == ()  # the value to compare with is known
    assert "`webhooks apply -f 'a b' --resend-secret 'My ops'`" in (note.hint or "")
    assert shown not in repr(result).replace("name='SLACK_BOT_TOKEN'", "")
    options = PlanOptions(resend=("My ops",))
    again = plan(
        desired(slack("My ops")), live(live_slack("My ops", token=shown)), SECRETS, options
    )
    assert (len(again.operations), again.notes) == (1, ())


@pytest.mark.parametrize("shown", [*HIDDEN.values(), TOKEN, OTHER_TOKEN, "a1b2c3d4", "hidden"])
def test_a_hidden_or_valid_token_gives_no_warning(shown: object) -> None:
    """A token that may be masked or encrypted, or is correct, gives no warning."""
    result = make_plan(desired(slack()), live_slack(token=shown))

    assert result.notes == ()
