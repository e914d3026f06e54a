"""Comparison of a declared webhook with a live one, in particular secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.kinds import FIELDS
from reconciler.model import UNKNOWN, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.compare import compare
from reconciler.planning.plan import FieldRemoved, SecretChange, ValueChange
from reconciler.planning.readback import (
    Evidence,
    Reading,
    declared_destination,
    gather_evidence,
    is_hidden,
    live_destination,
    plausible,
    snapshot,
)
from reconciler.workflow import show
from tests.goldens import rows
from tests.planning.builders import (
    SECRETS,
    TOKEN,
    desired,
    generic,
    live_generic,
    live_slack,
    make_plan,
    slack,
    unshown,
)

TABLES = rows(Path(__file__).with_suffix(".yaml"))

HIDDEN = {
    "stars": "*****", "stars inside": "xoxb*****AAAA", "an ellipsis": "xoxb-…AAAA",
    "bullets": "•••••", "encrypted": "gAAAAA" + "b" * 60, "marked as encrypted": "enc:abcd",
    "empty": "", "blank": "  ", "null": None, "missing": ...,
}  # fmt: skip
PASSWORD, HOOK = (SecretRef(scheme="env", name=name) for name in ("PAGER_PASSWORD", "HOOK"))


PAGER = generic(username="ct", password=PASSWORD)
OTHER_PAGER = live_generic(username="ct", password="something else")
VALUES = {**SECRETS, PASSWORD: Secret("hunter22")}


@pytest.mark.parametrize(
    ("declared", "found", "secrets", "unread"),
    [
        *((slack(), live_slack(token=shown), VALUES, {"token": Reading.UNKNOWN})
          for shown in HIDDEN.values()),
        # missing, null and {} become UNKNOWN: no field is compared
        (slack(), unshown(live_slack()), VALUES,
         dict.fromkeys(("token", "channel", "username"), Reading.UNKNOWN)),
        # a password has no pattern: any text may be an encrypted value
        (PAGER, OTHER_PAGER, VALUES, {"password": Reading.NOT_EQUAL}),
        # a secret whose value is not available is neither changed nor unreadable
        (slack(), live_slack(), {}, {"token": Reading.UNAVAILABLE}),
        (PAGER, OTHER_PAGER, {}, {"password": Reading.UNAVAILABLE}),
    ],
)  # fmt: skip
def test_a_secret_that_cannot_be_compared_is_unread(
    declared: Webhook, found: LiveWebhook, secrets: Any, unread: dict[str, Reading]
) -> None:
    """Such a value counts as neither changed nor equal."""
    comparison = compare(declared, found, Evidence(secrets))
    assert (comparison.fields, comparison.unread) == ((), unread)


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({}, {PASSWORD}),
        ({"apply_options": None}, set()),
        ({"redacted": lambda text: text.replace("apply", "***")}, set()),
    ],
)
def test_only_a_warning_with_a_command_offers_to_send_a_secret(
    options: dict[str, Any], offered: set[SecretRef]
) -> None:
    """A job on GitHub suggests no command, so the list of its drift has none either."""
    plan = make_plan(desired(PAGER), OTHER_PAGER, secrets=VALUES, **options)
    (warning,) = plan.notes
    assert (plan.offered, "--resend-secret" in str(warning.hint)) == (offered, bool(offered))


def test_a_plain_url_is_compared_and_shown_as_its_origin() -> None:
    """A URL may contain a credential, so a change shows only hosts."""
    found = live_generic(url="https://old.example.com/secret/path")

    (change,) = compare(generic(), found).fields

    assert isinstance(change, SecretChange)
    assert (change.before, change.after) == (
        "https://old.example.com/***",
        "https://hooks.example.com/ct",
    )


@pytest.mark.parametrize(
    "shown",
    [
        *HIDDEN.values(),
        *(["#deploys"], True, "General chat", "#dep**", "C-", "0f" * 32, "xxxxxxxx", "[hidden]"),
    ],
)
def test_a_live_value_that_cannot_be_a_channel_is_unknown(shown: object) -> None:
    """It is not a difference, and no snapshot or destination shows it."""
    found = live_slack(channel=shown)

    comparison = compare(slack(), found, Evidence(SECRETS))

    assert (comparison.fields, comparison.unread) == ((), {"channel": Reading.UNKNOWN})
    assert snapshot(found) == snapshot(live_slack(channel="*****"))
    assert snapshot(found).destination == "slack"
    assert is_hidden(FIELDS["slack"]["channel"], shown if shown is not ... else None)


@pytest.mark.parametrize("shown", [*HIDDEN.values(), 7, ["CloudTruth"], {"name": "a"}, True])
def test_a_user_name_cannot_be_hidden(shown: object) -> None:
    """Any other string is a different name; values that are not strings are not shown."""
    (change,) = compare(slack(), live_slack(username=shown), Evidence(SECRETS)).fields

    before: Any = None if shown in (None, "", ...) else shown
    if not isinstance(shown, str):
        before = "7" if shown == 7 else UNKNOWN if before else None
    path = ("configuration", "username")
    assert change == ValueChange(path=path, before=before, after="CloudTruth")


@pytest.mark.parametrize(("url", "differs"), TABLES["parts of a URL"])
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


@pytest.mark.parametrize(("shown", "differs"), TABLES["masked URLs"])
def test_the_host_that_a_masked_url_shows_is_compared(shown: str, differs: str | None) -> None:
    """Otherwise a webhook that moved would look unchanged; a host that is masked, too, is not."""
    url = "https://u:p@hooks.example.com:443/ct"
    for declared, secrets in ((generic(url=url), {}), (generic(url=HOOK), {HOOK: Secret(url)})):
        comparison = compare(declared, live_generic(url=shown), Evidence(secrets))
        if differs is None:
            assert (comparison.fields, comparison.unread) == ((), {"url": Reading.UNKNOWN})
            continue
        (change,) = comparison.fields
        assert isinstance(change, SecretChange)
        assert (change.before, change.moved) == (Secret(shown).shown_url(), not differs)
        assert " and ".join(change.differs) == differs
    assert compare(generic(url=HOOK), live_generic(url=shown)).fields == ()


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (generic(verify=True), live_generic()),
        (generic(), live_generic(verify=True, username="", token=None, password="", extra="x")),
        (slack(channel="123"), live_slack(channel=123)),
    ],
)
def test_no_difference(declared: Webhook, found: LiveWebhook) -> None:
    """A server that adds fields or converts text to numbers causes no permanent difference."""
    assert compare(declared, found, Evidence(SECRETS)).fields == ()


def test_undeclared_keys_are_a_difference() -> None:
    """A masked secret is a difference, too: a server masks only a secret that is set.

    A key that this version does not know is not a difference by itself.
    """
    found = live_generic(verify=False, username="u", password="*****", token="abc", also="x")
    lost = ("password", "token", "username", "verify")

    assert compare(generic(), found).fields == tuple(
        FieldRemoved(path=("configuration", name)) for name in lost
    )


def test_a_snapshot_contains_no_secret() -> None:
    """A snapshot has the destination, but neither the token nor the URL."""
    shots = [snapshot(each) for each in (live_slack(), live_generic(token="abc"))]
    shots.append(snapshot(live_generic(url=None)))

    declared = (generic(), generic(url="https://hooks.example.com/other"))
    urls = [snapshot(live_generic(), webhook).configuration.get("url") for webhook in declared]
    assert urls == ["https://hooks.example.com/ct", None]
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

    assert declared_destination(hidden) == "generic env HOOK"
    available = {HOOK: Secret("https://u:p@h.example.com/x?y=z")}
    assert declared_destination(hidden, available) == "generic https://h.example.com/***"
    assert declared_destination(hidden, {HOOK: Secret("nonsense")}) == "generic ***"


@pytest.mark.parametrize(("value", "text"), TABLES["channels"])
def test_a_channel_has_its_usual_form(value: Any, text: str) -> None:
    """A name has a `#`, also one that a user wrote wrongly; an id or a user has none."""
    assert declared_destination(slack(channel=value)) == f"slack {text}"
    assert live_destination(live_slack(channel=value)) == f"slack {text}"


def test_only_webhooks_of_the_declared_type_are_evidence() -> None:
    """Each field of a webhook that gets another type is new."""
    pairs = [(slack("Pager"), live_generic()), (slack(), live_slack())]
    assert gather_evidence(pairs, (), SECRETS).readable == {("slack", "token")}


def test_only_values_that_are_not_hidden_are_plausible() -> None:
    """A value is a mask only if it is hidden completely or in part; `a*b` is not."""
    assert all(map(plausible, ("a", "a*b", "xx", True, 0)))
    assert not any(map(plausible, HIDDEN.values()))  # type: ignore[arg-type]
