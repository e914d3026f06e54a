"""Checks of declared Slack webhooks, without a network."""

from __future__ import annotations

import pytest

from reconciler.checks import Check, Checklist, Status
from reconciler.errors import CredentialError
from reconciler.model import Scheme, Secret, SecretRef, Value, Webhook
from reconciler.slack.check import check
from reconciler.slack.web import Slack
from tests.api.support import VirtualClock
from tests.fakes import in_process
from tests.slack.fake_slack import GOOD, SCOPES, SEEING, FakeSlack

REF = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
OTHER = SecretRef(scheme=Scheme.ENV, name="SAME_TOKEN")
NO_PUBLIC = ("chat:write", "chat:write.customize")
PUBLIC_ONLY = (*SCOPES, "channels:read")


def hook(
    name: str = "Deploys", *, channel: str = "#deploys", token: Value = REF, type: str = "slack"
) -> Webhook:
    return Webhook(
        name=name,
        type=type,
        event_types=frozenset({"value_created"}),
        configuration={"token": token, "channel": channel, "username": "CloudTruth"},
    )


def look(
    slack: FakeSlack,
    *found: Webhook,
    clock: VirtualClock | None = None,
    breaking: str = "",
    value: str | None = GOOD,
    send: bool = False,
) -> Checklist:
    """Check webhooks whose references yield `value` against a fake Slack."""
    slack.breaking = breaking

    def connect(token: Secret) -> Slack:
        return Slack(token, clock=clock or VirtualClock(), adapter=in_process(slack))

    secrets = {} if value is None else dict.fromkeys((REF, OTHER), Secret(value))
    return check(found or (hook(),), secrets, connect, send=send)


def statuses(result: Checklist, section: int = 0) -> dict[str, str]:
    return {each.name: str(each.status) for each in result.sections[section].checks}


def row(result: Checklist, name: str, section: int = 0) -> Check:
    return next(each for each in result.sections[section].checks if each.name == name)


def test_a_good_token() -> None:
    """It passes with all scopes; a channel that it cannot see is unknown, and nothing is posted."""
    slack = FakeSlack()
    result = look(slack)
    assert statuses(result) == {
        "secret": "ok",
        "token": "ok",
        "slack": "ok",
        "scopes": "ok",
        "channel": "unknown",
    }
    assert "team Acme, bot cloudtruth" in row(result, "slack").detail
    assert result.exit_code == 0
    assert slack.posted == []


def test_each_distinct_token_is_looked_up_once() -> None:
    """Webhooks that share a token share what Slack says of it, whatever the reference is called."""
    slack = FakeSlack()
    result = look(slack, hook("a"), hook("b"), hook("c", token=OTHER))
    assert slack.methods() == ["auth.test"]
    assert [statuses(result, at)["slack"] for at in range(3)] == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("reference", "fix"),
    [
        (REF, "set SLACK_BOT_TOKEN"),
        (SecretRef(scheme=Scheme.FILE, name="secrets/slack"), "create the file"),
    ],
)
def test_a_missing_secret_says_what_to_set(reference: SecretRef, fix: str) -> None:
    """Slack is not contacted without a value."""
    slack = FakeSlack()
    result = look(slack, hook(token=reference), value=None)
    assert statuses(result) == {"secret": "fail"}
    assert reference.name in row(result, "secret").detail
    assert str(row(result, "secret").fix).startswith(fix)
    assert (slack.log, result.exit_code) == ([], 1)


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("xoxp-" + "canary-12345", "user token"),
        ("xapp-" + "canary-12345", "app-level"),
        ("xoxe-" + "canary-12345", "refresh"),
        ("xoxe.xoxb-" + "canary-12345", "12 hours"),
        ("xoxs-" + "canary-12345", "unusual"),
    ],
)
def test_other_kinds_of_tokens_are_warnings(token: str, word: str) -> None:
    """Anything but a bot token is a warning that says what it is."""
    result = look(FakeSlack(tokens={token: SCOPES}), value=token)
    assert row(result, "token").status is Status.WARN
    assert word in row(result, "token").detail
    assert result.exit_code == 0


@pytest.mark.parametrize("value", ["hunter2-hunter2", "xoxb-", "https://hooks.example.com/x", " "])
def test_other_values_never_go_to_slack(value: str) -> None:
    """A value that does not look like a token is a failure."""
    slack = FakeSlack()
    result = look(slack, value=value)
    assert statuses(result) == {"secret": "ok", "token": "fail"}
    assert slack.log == []


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        ("invalid_auth", "does not know the token"),
        ("token_revoked", "was revoked"),
        ("account_inactive", "deactivated"),
        ("token_expired", "rotation"),
        ("odd_one", "Slack returns the error odd_one"),
        ("\x1b[31m::error::", "Slack returns the error unknown_error"),
    ],
)
def test_a_token_that_slack_refuses(error: str, detail: str) -> None:
    """Each refusal has a fix, an unknown one too, and ends the calls with this token."""
    slack = FakeSlack(errors={"auth.test": error})
    result = look(slack, send=True)
    assert row(result, "slack").status is Status.FAIL
    assert detail in row(result, "slack").detail
    assert row(result, "slack").fix
    assert (slack.methods(), result.exit_code) == (["auth.test"], 1)


@pytest.mark.parametrize(
    ("scopes", "status", "detail"),
    [
        (("chat:write", "chat:write.public"), "warn", "not as CloudTruth"),
        (("channels:read",), "fail", "chat:write is missing"),
        (None, "unknown", "does not report"),
    ],
)
def test_missing_scopes(scopes: tuple[str, ...] | None, status: str, detail: str) -> None:
    """Without the right to post it fails, without that to a name it is a warning."""
    found = row(look(FakeSlack(tokens={GOOD: scopes})), "scopes")
    assert (str(found.status), detail in found.detail) == (status, True)


@pytest.mark.parametrize(
    ("scopes", "channel", "status"),
    [
        (SEEING, "#deploys", "ok"),
        (SEEING, "audit", "ok"),
        (SEEING, "#old", "fail"),
        (SEEING, "secret", "fail"),
        (SEEING, "#not-there", "fail"),
        (SEEING, "C00000001", "ok"),
        (SEEING, "C00000003", "fail"),
        (SEEING, "G00000004", "fail"),
        (SEEING, "C99999999", "fail"),
        (SEEING, "D00000001", "unknown"),
        (SEEING, "@someone", "unknown"),
        # It may be a private one, which this token cannot see.
        (PUBLIC_ONLY, "#not-there", "warn"),
        (PUBLIC_ONLY, "C99999999", "warn"),
        (PUBLIC_ONLY, "G00000004", "unknown"),
        ((*NO_PUBLIC, "channels:read"), "#deploys", "fail"),
        (NO_PUBLIC, "#deploys", "unknown"),
        (None, "#deploys", "unknown"),
    ],
)
def test_channels(scopes: tuple[str, ...] | None, channel: str, status: str) -> None:
    """With the scopes to see it, a channel is found by name or id, or it is missing."""
    result = look(FakeSlack(tokens={GOOD: scopes}), hook(channel=channel))
    assert statuses(result)["channel"] == status


def test_channels_are_listed_once_to_the_last_page() -> None:
    """Several webhooks need one listing, whatever the number of pages."""
    slack = FakeSlack(tokens={GOOD: SEEING})
    look(slack, hook(channel="#deploys"), hook(channel="#secret"), hook(channel="#x"))
    assert slack.methods() == ["auth.test", "conversations.list", "conversations.list"]


@pytest.mark.parametrize(
    ("slack", "channel", "breaking", "calls"),
    [
        (FakeSlack(page=0), "#deploys", "", 50),  # a cursor that always leads on
        (FakeSlack(errors={"conversations.list": "fatal_error"}), "#deploys", "", 1),
        (FakeSlack(errors={"conversations.info": "fatal_error"}), "C00000001", "", 2),
        (FakeSlack(), "#deploys", "conversations.list", 8),  # 4 attempts for each webhook
    ],
)
def test_a_channel_that_slack_does_not_show_is_unknown(
    slack: FakeSlack, channel: str, breaking: str, calls: int
) -> None:
    """That is not a failure of the channel; a refused list is requested once for two webhooks."""
    slack.tokens = {GOOD: SEEING}
    result = look(slack, hook(channel=channel), hook(channel=channel), breaking=breaking)
    assert [statuses(result, at)["channel"] for at in (0, 1)] == ["unknown", "unknown"]
    assert len(slack.methods()) == 1 + calls


def test_sending_posts_one_message_for_each_webhook() -> None:
    """A message goes to the declared channel under the declared username, once each."""
    slack = FakeSlack()
    result = look(slack, hook("a"), hook("<b> & c", channel="#audit"), send=True)
    assert [(each["channel"], each["username"]) for each in slack.posted] == [
        ("#deploys", "CloudTruth"),
        ("#audit", "CloudTruth"),
    ]
    assert "&lt;b&gt; &amp; c" in slack.posted[1]["text"]
    assert statuses(result)["send"] == "ok"


@pytest.mark.parametrize(
    ("channel", "scopes", "error", "detail"),
    [
        ("#not-there", SCOPES, "", "no such channel"),
        ("#old", SCOPES, "", "archived"),
        ("#deploys", ("chat:write",), "", "not in the channel"),
        ("#deploys", ("channels:read",), "", "chat:write is missing"),
        ("#deploys", SCOPES, "restricted_action_read_only_channel", "does not let"),
    ],
)
def test_a_message_that_slack_refuses(
    channel: str, scopes: tuple[str, ...], error: str, detail: str
) -> None:
    """Each reason of Slack's is a failure in plain words, with a fix."""
    errors = {"chat.postMessage": error} if error else {}
    slack = FakeSlack(tokens={GOOD: scopes}, errors=errors)
    found = row(look(slack, hook(channel=channel), send=True), "send")
    assert found.status is Status.FAIL
    assert detail in found.detail
    assert found.fix


def test_a_rate_limit_is_waited_for() -> None:
    """After a 429 the request is sent again when Slack's pause is over; a message arrives once."""
    slack, clock = FakeSlack(throttle=2), VirtualClock()
    result = look(slack, clock=clock, send=True)
    assert (statuses(result)["slack"], len(slack.posted)) == ("ok", 1)
    assert slack.methods().count("auth.test") == 3
    assert sum(clock.slept) >= 6


def test_a_message_that_may_have_been_posted_is_unknown() -> None:
    """After a lost response nothing is posted again."""
    slack = FakeSlack()
    result = look(slack, breaking="chat.postMessage", send=True)
    assert row(result, "send").status is Status.UNKNOWN
    assert slack.methods().count("chat.postMessage") == 1


def test_slack_out_of_order_is_a_failure() -> None:
    """A token that could not be looked up is not fine."""
    found = row(look(FakeSlack(broken=99)), "slack")
    assert found.status is Status.FAIL
    assert "503" in found.detail
    assert "may have been" not in found.detail


def test_a_token_that_no_header_can_hold() -> None:
    """A credential that is refused before it is sent is a failure."""

    def connect(token: Secret) -> Slack:
        raise CredentialError("the Slack token holds spaces")

    assert statuses(check((hook(),), {REF: Secret(GOOD)}, connect))["slack"] == "fail"


def test_nothing_to_check() -> None:
    """Files without a Slack webhook are not a failure; webhooks of other types are counted."""
    others = (hook("a", type="generic"), hook("b", type="generic"))
    result = check(others, {}, lambda token: pytest.fail("connected"))
    assert result.notes == (
        "No Slack webhook is declared.",
        "2 webhooks of other types not checked.",
    )
    assert result.exit_code == 0
