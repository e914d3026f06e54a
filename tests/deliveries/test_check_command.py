"""`webhooks check` against a fake Slack over HTTP."""

from __future__ import annotations

import pytest

from tests.cli.conftest import SECRETS, File, Shell
from tests.deliveries.fake_slack import GOOD, FakeSlack
from tests.doctor.test_doctor_command import document
from tests.served import served


def test_json_matches_its_schema_without_tokens(shell: Shell, file: File) -> None:
    """The document is valid even when a check fails."""
    file()
    with served(FakeSlack()) as url:
        for token, code in ((GOOD, 0), ("xoxb-" + "canary-bad-0002", 1)):
            done = shell(
                "check", "--format", "json", "--debug",
                TOKEN=token, PASSWORD="x" * 9, WEBHOOKS_SLACK_URL=url,
            )  # fmt: skip
            found = document(done.out)
            assert (done.code, found["exit_code"], found["command"]) == (code, code, "check")
            assert token not in done.out + done.err
            assert "GET /auth.test 200" in done.err
            assert url in done.err


def test_send(shell: Shell, file: File) -> None:
    """`--send` posts a message, and `--only` selects the webhooks."""
    file()
    slack = FakeSlack()
    with served(slack) as url:
        environ = {**SECRETS, "TOKEN": GOOD, "WEBHOOKS_SLACK_URL": url}
        assert shell("check", "--send", "--only", "P*", **environ).code == 0
        assert slack.posted == []
        assert shell("check", "--send", "--only", "Dep*", **environ).code == 0
    assert len(slack.posted) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 64), (("--only", "Deploys"), 0), (("--only", "Deploys", "--strict"), 3)],
)
def test_a_glob_that_matches_nothing(
    shell: Shell, file: File, arguments: tuple[str, ...], code: int
) -> None:
    """A typo in `--only` is reported, and is an error if nothing else matches."""
    file()
    done = shell("check", "--local", "--only", "Deplyos", *arguments, **SECRETS)
    assert done.code == code
    assert "--only 'Deplyos' matches no declared webhook" in done.err


def test_the_api_key_is_not_a_slack_token(shell: Shell, file: File) -> None:
    """A reference to CloudTruth's own key is rejected before any request."""
    file()
    slack = FakeSlack()
    with served(slack) as url:
        done = shell("check", "--slack-url", url, TOKEN=GOOD, CLOUDTRUTH_API_KEY=GOOD)
    assert done.code == 3
    assert slack.log == []
