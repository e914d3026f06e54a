"""What is found out about declared Slack webhooks, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.checks import Check, Checklist, Status
from reconciler.errors import CredentialError
from reconciler.kinds.slack import TOKEN
from reconciler.model import Scheme, Secret, SecretRef, Webhook
from reconciler.slack.check import SlackApi, Subject, check, subjects
from reconciler.slack.web import Slack
from tests.api.support import VirtualClock
from tests.slack.fake_slack import GOOD, SCOPES, SEEING, FakeSlack, InProcessSlack

REF = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")


def subject(name: str = "Deploys", **changes: Any) -> Subject:
    values: dict[str, Any] = {
        "name": name,
        "position": None,
        "reference": REF,
        "token": Secret(GOOD),
        "channel": "#deploys",
        "username": "CloudTruth",
    }
    return Subject(**{**values, **changes})


def look(
    slack: FakeSlack, *found: Subject, clock: VirtualClock | None = None, **more: Any
) -> Checklist:
    """Check subjects against a fake Slack."""
    clock = clock or VirtualClock()

    def connect(token: Secret) -> SlackApi:
        return Slack(token, clock=clock, adapter=InProcessSlack(slack))

    return check(found or (subject(),), connect, **more)


def statuses(result: Checklist, section: int = 0) -> dict[str, str]:
    return {each.name: str(each.status) for each in result.sections[section].checks}


def row(result: Checklist, name: str, section: int = 0) -> Check:
    return next(each for each in result.sections[section].checks if each.name == name)


def test_all_is_well() -> None:
    """A good token with all scopes passes; a channel it may not look at is unknown, no failure."""
    result = look(FakeSlack())
    assert statuses(result) == {
        "secret": "ok",
        "token": "ok",
        "slack": "ok",
        "scopes": "ok",
        "channel": "unknown",
    }
    assert "team Acme, bot cloudtruth" in row(result, "slack").detail
    assert result.exit_code == 0


def test_each_distinct_token_is_asked_about_once() -> None:
    """Webhooks that share a token share what Slack says of it, whatever the reference is called."""
    slack = FakeSlack()
    other = SecretRef(scheme=Scheme.ENV, name="SAME_TOKEN_AGAIN")
    result = look(slack, subject("a"), subject("b"), subject("c", reference=other))
    assert slack.methods() == ["auth.test"]
    assert [statuses(result, at)["slack"] for at in range(3)] == ["ok", "ok", "ok"]


def test_a_missing_secret_is_a_failure_that_names_the_variable() -> None:
    """Without a value Slack is not asked, and the fix names what to set."""
    slack = FakeSlack()
    result = look(slack, subject(token=None))
    assert statuses(result) == {"secret": "fail"}
    assert "SLACK_BOT_TOKEN" in str(row(result, "secret").fix)
    assert slack.log == []
    assert result.exit_code == 1


def test_a_missing_file_is_a_failure() -> None:
    """A file without a usable value is named as such."""
    ref = SecretRef(scheme=Scheme.FILE, name="secrets/slack")
    result = look(FakeSlack(), subject(token=None, reference=ref))
    assert "file secrets/slack" in row(result, "secret").detail
    assert "file" in str(row(result, "secret").fix)


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
def test_other_kinds_of_tokens_are_warned_of(token: str, word: str) -> None:
    """Anything but a bot token is a warning that says what it is."""
    result = look(FakeSlack(tokens={token: SCOPES}), subject(token=Secret(token)))
    assert row(result, "token").status is Status.WARN
    assert word in row(result, "token").detail
    assert result.exit_code == 0


@pytest.mark.parametrize("value", ["hunter2-hunter2", "xoxb-", "https://hooks.example.com/x", " "])
def test_what_is_no_slack_token_never_goes_to_slack(value: str) -> None:
    """A value that does not look like a token is a failure, and stays here."""
    slack = FakeSlack()
    result = look(slack, subject(token=Secret(value)))
    assert statuses(result) == {"secret": "ok", "token": "fail"}
    assert slack.log == []


def test_a_token_that_slack_does_not_know() -> None:
    """A bad token fails at auth.test; nothing more is asked with it."""
    slack = FakeSlack()
    result = look(slack, subject(token=Secret("xoxb-" + "canary-bad-0001")), send=True)
    assert statuses(result)["slack"] == "fail"
    assert slack.methods() == ["auth.test"]
    assert result.exit_code == 1


@pytest.mark.parametrize("error", ["token_revoked", "account_inactive", "token_expired", "odd_one"])
def test_every_refusal_of_a_token_says_what_to_do(error: str) -> None:
    """Whatever Slack says of the token, there is a fix, also for a word nobody knows."""
    result = look(FakeSlack(errors={"auth.test": error}))
    assert row(result, "slack").status is Status.FAIL
    assert row(result, "slack").fix


def test_a_code_that_is_no_word_is_not_repeated() -> None:
    """Only a plain word of Slack's is shown."""
    result = look(FakeSlack(errors={"auth.test": "\x1b[31m::error::"}))
    assert row(result, "slack").detail == "Slack answers unknown_error"


def test_without_customize() -> None:
    """A token without chat:write.customize is warned of, since the username has no effect."""
    slack = FakeSlack(tokens={GOOD: ("chat:write", "chat:write.public")})
    result = look(slack)
    assert row(result, "scopes").status is Status.WARN
    assert "chat:write.customize" in row(result, "scopes").detail
    assert "CloudTruth" in row(result, "scopes").detail


def test_without_the_right_to_post() -> None:
    """A token that cannot post at all is a failure."""
    assert statuses(look(FakeSlack(tokens={GOOD: ("channels:read",)})))["scopes"] == "fail"


def test_scopes_that_are_not_told_are_unknown() -> None:
    """Without the header nothing is claimed about scopes or channel."""
    result = look(FakeSlack(tokens={GOOD: None}))
    assert statuses(result)["scopes"] == "unknown"
    assert statuses(result)["channel"] == "unknown"


def test_without_public_the_unseen_channel_needs_an_invitation() -> None:
    """What cannot be looked at is unknown, with the thing to know about it."""
    slack = FakeSlack(tokens={GOOD: ("chat:write", "chat:write.customize")})
    assert "invited" in row(look(slack), "channel").detail


@pytest.mark.parametrize(
    ("channel", "status"),
    [
        ("#deploys", "ok"),
        ("audit", "ok"),
        ("#old", "fail"),
        ("secret", "fail"),
        ("#not-there", "fail"),
        ("C00000001", "ok"),
        ("C00000003", "fail"),
        ("G00000004", "fail"),
        ("C99999999", "fail"),
        ("D00000001", "unknown"),
        ("@someone", "unknown"),
    ],
)
def test_a_channel_that_may_be_looked_at(channel: str, status: str) -> None:
    """With the scopes to look, a channel is found by name or id, or it is not there."""
    result = look(FakeSlack(tokens={GOOD: SEEING}), subject(channel=channel))
    assert statuses(result)["channel"] == status


def test_a_public_channel_without_the_scope_for_it() -> None:
    """Where the bot is not a member and may not post uninvited, nothing would arrive."""
    scopes = ("chat:write", "chat:write.customize", "channels:read")
    result = look(FakeSlack(tokens={GOOD: scopes}))
    assert row(result, "channel").status is Status.FAIL
    assert "/invite" in str(row(result, "channel").fix)


@pytest.mark.parametrize("channel", ["#not-there", "C99999999"])
def test_a_channel_that_is_not_among_the_public_ones(channel: str) -> None:
    """With channels:read alone it may still be a private one: a warning, no failure."""
    slack = FakeSlack(tokens={GOOD: (*SCOPES, "channels:read")})
    result = look(slack, subject(channel=channel))
    assert statuses(result)["channel"] == "warn"
    assert result.exit_code == 0


def test_a_private_channel_by_id_without_the_scope_is_unknown() -> None:
    """Slack's "missing_scope" about a channel is not a failure of the channel."""
    slack = FakeSlack(tokens={GOOD: (*SCOPES, "channels:read")})
    assert statuses(look(slack, subject(channel="G00000004")))["channel"] == "unknown"


def test_channels_are_listed_once_to_the_last_page() -> None:
    """Several webhooks need one listing, however many pages that has."""
    slack = FakeSlack(tokens={GOOD: SEEING})
    look(slack, subject(channel="#deploys"), subject(channel="#secret"), subject(channel="#x"))
    assert slack.methods() == ["auth.test", "conversations.list", "conversations.list"]


def test_an_endless_list_of_channels_ends() -> None:
    """A cursor that always leads on is given up, and the channel is unknown."""
    slack = FakeSlack(tokens={GOOD: SEEING}, page=0)
    assert statuses(look(slack))["channel"] == "unknown"
    assert slack.methods().count("conversations.list") == 50


def test_a_list_of_channels_that_slack_refuses_is_asked_for_once() -> None:
    """Several webhooks need one refusal."""
    slack = FakeSlack(
        tokens={GOOD: SEEING}, errors={"conversations.list": "team_access_not_granted"}
    )
    result = look(slack, subject("A"), subject("B", channel="#audit"))
    assert [row(result, "channel", number).status for number in (0, 1)] == [Status.UNKNOWN] * 2
    assert slack.methods().count("conversations.list") == 1


@pytest.mark.parametrize("method", ["conversations.list", "conversations.info"])
def test_a_refusal_to_look_is_unknown(method: str) -> None:
    """Slack not answering about channels is no failure of the channel."""
    slack = FakeSlack(tokens={GOOD: SEEING}, errors={method: "fatal_error"})
    channel = "C00000001" if method.endswith("info") else "#deploys"
    assert statuses(look(slack, subject(channel=channel)))["channel"] == "unknown"


def test_nothing_is_posted_unless_asked() -> None:
    """Looking never posts."""
    slack = FakeSlack(tokens={GOOD: SEEING})
    look(slack)
    assert slack.posted == []


def test_sending_posts_one_message_for_each_webhook() -> None:
    """A message goes to the declared channel under the declared username, once each."""
    slack = FakeSlack()
    result = look(slack, subject("a"), subject("<b> & c", channel="#audit"), send=True)
    assert [(each["channel"], each["username"]) for each in slack.posted] == [
        ("#deploys", "CloudTruth"),
        ("#audit", "CloudTruth"),
    ]
    assert "&lt;b&gt; &amp; c" in slack.posted[1]["text"]
    assert statuses(result)["send"] == "ok"


@pytest.mark.parametrize(
    ("channel", "scopes", "word"),
    [
        ("#not-there", SCOPES, "no such channel"),
        ("#old", SCOPES, "archived"),
        ("#deploys", ("chat:write",), "not in the channel"),
        ("#deploys", ("channels:read",), "chat:write is missing"),
    ],
)
def test_a_message_that_slack_does_not_take(
    channel: str, scopes: tuple[str, ...], word: str
) -> None:
    """Each reason of Slack's is a failure in plain words, with what to do."""
    result = look(FakeSlack(tokens={GOOD: scopes}), subject(channel=channel), send=True)
    assert row(result, "send").status is Status.FAIL
    assert word in row(result, "send").detail
    assert row(result, "send").fix


def test_a_workspace_that_restricts_posting() -> None:
    """All of Slack's restrictions are one explanation."""
    slack = FakeSlack(errors={"chat.postMessage": "restricted_action_read_only_channel"})
    assert "does not let" in row(look(slack, send=True), "send").detail


def test_a_rate_limit_is_waited_for() -> None:
    """A 429 is answered by the pause that Slack asks for, then asked again."""
    slack, clock = FakeSlack(throttle=2), VirtualClock()
    result = look(slack, clock=clock)
    assert statuses(result)["slack"] == "ok"
    assert slack.methods() == ["auth.test"] * 3
    assert sum(clock.slept) >= 6


def test_a_message_is_posted_once_however_often_slack_throttles() -> None:
    """A refused message was not posted and is sent again; it arrives once."""
    slack = FakeSlack()
    clock = VirtualClock()

    def connect(token: Secret) -> SlackApi:
        api = Slack(token, clock=clock, adapter=InProcessSlack(slack))
        api.identity()
        slack.throttle = 1
        return api

    check((subject(),), connect, send=True)
    assert len(slack.posted) == 1


def test_a_message_that_may_have_been_posted_is_unknown() -> None:
    """After a lost answer nothing is posted again, and nothing is claimed."""
    slack = FakeSlack()

    class Breaking(InProcessSlack):
        def handle_request(self, request: Any) -> Any:
            if request.url.path.endswith("chat.postMessage"):
                slack.broken = 1
            return super().handle_request(request)

    def connect(token: Secret) -> SlackApi:
        return Slack(token, clock=VirtualClock(), adapter=Breaking(slack))

    result = check((subject(),), connect, send=True)
    assert row(result, "send").status is Status.UNKNOWN
    assert slack.methods().count("chat.postMessage") == 1


def test_slack_out_of_order_is_a_failure_with_advice() -> None:
    """A token that could not be asked about is no token that is fine."""
    result = look(FakeSlack(broken=99))
    assert row(result, "slack").status is Status.FAIL
    assert "503" in row(result, "slack").detail
    assert "may have been" not in row(result, "slack").detail


def test_slack_that_breaks_while_channels_are_listed() -> None:
    """Looking at channels is repeated, then the channel is unknown."""
    slack = FakeSlack(tokens={GOOD: SEEING})

    class Breaking(InProcessSlack):
        def handle_request(self, request: Any) -> Any:
            slack.broken = int(request.url.path.endswith("conversations.list"))
            return super().handle_request(request)

    def connect(token: Secret) -> SlackApi:
        return Slack(token, clock=VirtualClock(), adapter=Breaking(slack))

    assert statuses(check((subject(),), connect))["channel"] == "unknown"
    assert slack.methods().count("conversations.list") == 4


def test_a_token_that_no_header_can_hold() -> None:
    """A credential that is refused before it is sent is a failure of its own."""

    def connect(token: Secret) -> SlackApi:
        raise CredentialError("the Slack token holds spaces")

    assert statuses(check((subject(),), connect))["slack"] == "fail"


def test_subjects_are_the_slack_webhooks() -> None:
    """Webhooks of other types are left out; a reference without a value stays without."""
    slack = Webhook(
        name="a",
        type="slack",
        event_types=frozenset({"value_created"}),
        configuration={"token": REF, "channel": "#x", "username": "CT"},
    )
    generic = Webhook(
        name="b",
        type="generic",
        event_types=frozenset({"value_created"}),
        configuration={"url": "https://x.example/"},
    )
    (without,) = subjects((slack, generic), {})
    assert (without.name, without.token) == ("a", None)
    (having,) = subjects((slack, generic), {REF: Secret(GOOD)})
    assert having.token is not None
    assert having.token.matches(TOKEN)
    assert GOOD not in repr(having)


def test_nothing_to_check() -> None:
    """Files without a Slack webhook are said to be such, and that is no failure."""
    result = check((), lambda token: pytest.fail("connected"), others=2)
    assert result.remarks == (
        "No Slack webhook is declared.",
        "2 webhooks of other types left out.",
    )
    assert result.exit_code == 0
