"""Checks of declared Slack webhooks, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.connections import InProcess
from reconciler.api.origin import Credential, Network, Origin
from reconciler.api.transport import Transport
from reconciler.deliveries import Case, check, look_up, post
from reconciler.emulator.messages import Request, bytes_response
from reconciler.errors import CredentialError
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.report import Check, Checklist, Status
from tests.deliveries.fake_slack import GOOD, SCOPES, SEEING, FakeSlack
from tests.goldens import rows
from tests.planning.builders import TOKEN_REF, slack as hook
from tests.ports import InlineWorkers, VirtualClock

OTHER = SecretRef(scheme="env", name="SAME_TOKEN")


def check_slack(
    slack: FakeSlack,
    *found: Webhook,
    clock: VirtualClock | None = None,
    breaking: str = "",
    value: str | None = GOOD,
    send: bool = False,
) -> Checklist:
    """Check webhooks whose references have `value` against a fake Slack."""
    slack.breaking = breaking
    connect = partial(connect_to, slack, clock=clock)
    secrets = {} if value is None else dict.fromkeys((TOKEN_REF, OTHER), Secret(value))
    return checklist(found or (hook(),), secrets, connect, send=send)


def connect_to(slack: FakeSlack, token: Secret, *, clock: VirtualClock | None = None) -> Transport:
    return Transport(
        origin=Origin.parse("https://slack.com/api"),
        credential=Credential.of("Bearer", token, "Slack token"),
        network=Network(
            clock=clock or VirtualClock(), adapter=InProcess(slack.handle, request=Request)
        ),
    )


def checklist(
    webhooks: Sequence[Webhook],
    secrets: Mapping[SecretRef, Secret],
    connect: Callable[[Secret], Transport],
    *,
    send: bool = False,
) -> Checklist:
    """Return the checks of Slack, without those of CloudTruth."""
    cases = [Case(webhook, secrets, live=None) for webhook in webhooks]
    cases = look_up(cases, connect, InlineWorkers())
    about_slack = [section for section in check(cases) if section.name.startswith("Slack")]
    sent = post(cases, connect) if send else ()
    return Checklist("check", (*about_slack, *sent))


def checks(result: Checklist) -> list[Check]:
    return [check for section in result.sections for check in section.checks]


def statuses(result: Checklist) -> dict[str, str]:
    return {each.name: str(each.status) for each in checks(result)}


def row(result: Checklist, name: str) -> Check:
    return next(each for each in checks(result) if each.name == name)


def test_a_valid_token() -> None:
    """A token with all scopes passes; a channel that it cannot see is unknown."""
    slack = FakeSlack()
    result = check_slack(slack)
    passed = dict.fromkeys(("token", "slack", "scopes"), "ok")
    assert statuses(result) == {**passed, "channel": "unknown"}
    assert "team Acme, bot cloudtruth" in row(result, "slack").detail
    assert result.exit_code == 0
    assert slack.posted == []


@pytest.mark.parametrize(
    ("name", "status", "detail", "given"), rows(Path(__file__).with_name("slack.yaml"))
)
def test_each_check(name: str, status: str, detail: str, given: dict[str, Any]) -> None:
    """Each result has its status, a failure has a fix; an invalid token is never sent to Slack."""
    value = given.get("value", GOOD)
    errors = {"auth.test": given.get("auth"), "chat.postMessage": given.get("post")}
    slack = FakeSlack(
        tokens={value: given.get("scopes", SCOPES)},
        errors={method: code for method, code in errors.items() if code},
    )
    token = SecretRef(**given["token"]) if "token" in given else TOKEN_REF
    declared = hook(channel=given.get("channel", "#deploys"), token=token)
    result = check_slack(slack, declared, value=value, send=name == "send")
    found = row(result, name)
    assert (str(found.status), detail in found.detail) == (status, True)
    assert found.fix or status in ("ok", "unknown")
    assert result.exit_code == ("fail" in statuses(result).values())
    if name in ("secret", "token") and status == "fail":
        assert slack.log == []
    if name == "slack":
        assert slack.methods() == ["auth.test"]


def test_channels_are_listed_once_and_completely() -> None:
    """Several webhooks need one listing, with any number of pages."""
    slack = FakeSlack(tokens={GOOD: SEEING})
    check_slack(slack, hook(channel="#deploys"), hook(channel="#secret"), hook(channel="#x"))
    assert slack.methods() == ["auth.test", "conversations.list", "conversations.list"]


@pytest.mark.parametrize(
    ("slack", "channel", "breaking", "calls"),
    [
        (FakeSlack(page=0), "#deploys", "", 50),  # a cursor that never ends
        (FakeSlack(errors={"conversations.list": "fatal_error"}), "#deploys", "", 1),
        (FakeSlack(), "#deploys", "conversations.list", 4),  # attempts
    ],
)
def test_an_unlisted_channel_is_unknown(
    slack: FakeSlack, channel: str, breaking: str, calls: int
) -> None:
    """An unlisted channel is not a failure; the list is requested once for two webhooks."""
    slack.tokens = {GOOD: SEEING}
    result = check_slack(slack, hook(channel=channel), hook(channel=channel), breaking=breaking)
    assert (row(result, "channel").status, len(row(result, "channel").webhooks)) == ("unknown", 2)
    assert len(slack.methods()) == 1 + calls


def test_send_posts_one_message_for_each_webhook() -> None:
    """The message has the declared channel and username."""
    slack = FakeSlack()
    result = check_slack(slack, hook("a"), hook("<b> & c", channel="#audit"), send=True)
    assert [(each["channel"], each["username"]) for each in slack.posted] == [
        ("#deploys", "CloudTruth"),
        ("#audit", "CloudTruth"),
    ]
    assert "&lt;b&gt; &amp; c" in slack.posted[1]["text"]
    assert statuses(result)["send"] == "ok"


def test_a_rate_limit_is_respected() -> None:
    """After a 429 the request is sent again after Slack's pause, for a minute; a message is posted
    once."""
    slack, clock = FakeSlack(throttle=2), VirtualClock()
    result = check_slack(slack, clock=clock, send=True)
    assert (statuses(result)["slack"], len(slack.posted)) == ("ok", 1)
    assert (slack.methods().count("auth.test"), sum(clock.slept) >= 6) == (3, True)
    limited = row(check_slack(FakeSlack(throttle=99), clock=clock), "slack")
    assert (limited.fix, sum(clock.slept) < 70) == ("run again later", True)


def test_a_message_that_may_have_been_posted_is_unknown() -> None:
    """After a lost response the message is not posted again."""
    slack = FakeSlack()
    result = check_slack(slack, breaking="chat.postMessage", send=True)
    assert row(result, "send").status is Status.UNKNOWN
    assert slack.methods().count("chat.postMessage") == 1


def test_a_token_that_is_not_a_valid_header_value() -> None:
    """A credential that cannot be sent is a failure."""

    def connect(token: Secret) -> Transport:
        raise CredentialError("the Slack token contains spaces")

    assert statuses(checklist((hook(),), {TOKEN_REF: Secret(GOOD)}, connect))["slack"] == "fail"


@pytest.mark.parametrize("size", [20, 500])
def test_requests_depend_on_the_number_of_tokens_only(size: int) -> None:
    """20 tokens need 20 `auth.test` and their pages of channels, for any number of webhooks."""
    tokens = {f"T{number}": f"xoxb-canary-{number:06}" for number in range(20)}
    slack = FakeSlack(tokens=dict.fromkeys(tokens.values(), SEEING), page=10)
    references = [SecretRef("env", name) for name in tokens]
    secrets = {ref: Secret(tokens[ref.name]) for ref in references}
    hooks = [hook(f"h{number}", token=references[number % 20]) for number in range(size)]
    result = checklist(hooks, secrets, partial(connect_to, slack))
    assert sorted(slack.methods()) == ["auth.test"] * 20 + ["conversations.list"] * 20
    assert (len(result.sections), result.exit_code) == (20, 0)
    assert {len(check.webhooks) for check in checks(result)} == {size // 20}


def test_a_revoked_token_is_one_failure() -> None:
    """All webhooks of a rejected token are in one entry; other tokens are not affected."""
    slack = FakeSlack()
    other = {OTHER: Secret("xoxb-" + "canary-bad-0002"), TOKEN_REF: Secret(GOOD)}
    hooks = [hook(f"bad-{number}", token=OTHER) for number in range(30)]
    result = checklist((hook("good"), *hooks), other, partial(connect_to, slack))
    (failed,) = (check for check in checks(result) if check.status is Status.FAIL)
    assert (failed.name, len(failed.webhooks)) == ("slack", 30)


@pytest.mark.parametrize(
    ("status", "body", "kind", "detail"), rows(Path(__file__).with_name("answers.yaml"))
)
def test_answers_that_prove_nothing(status: int, body: str, kind: str, detail: str) -> None:
    """A token is not accepted without Slack's answer."""
    slack = FakeSlack()
    response = bytes_response(status, body.encode(), kind)
    slack.handle = lambda request: response  # type: ignore[method-assign]
    found = row(check_slack(slack), "slack")
    assert (found.status, detail in found.detail) == (Status.FAIL, True)
    assert found.fix
