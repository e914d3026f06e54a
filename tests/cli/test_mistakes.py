"""Common mistakes in a configuration file, and what `webhooks validate` prints for each.

mistakes.txt has the output; `--update-golden` writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

AGREED = Path(__file__).parent / "mistakes.txt"
BASE = """\
organization: Acme
prune: true
defaults:
  type: slack
  configuration: {token: {env: SLACK_BOT_TOKEN}, username: CloudTruth}
webhooks:
  - name: Deploys
    event_types: ["*_deleted"]
    configuration: {channel: "#deploys"}
  - name: Audit
    event_types: [value_created, value_updated]
    configuration: {channel: "#audit"}
  - name: Pager
    type: generic
    event_types: [parameter_deleted]
    configuration:
      url: https://hooks.example.com/ct
      username: cloudtruth
      password: {env: PAGER_PASSWORD}
"""
MISTAKES = (
    ("no space after a colon", "type: slack", "type:slack"),
    ("a channel without quotes", '"#deploys"', "#deploys"),
    ("no space after the last colon", "password: {env: PAGER_PASSWORD}", "password:x"),
    ("a key of the configuration indented too far", "      username: c", "        username: c"),
    ("a key of the configuration indented too little", "      username: c", "     username: c"),
    ("blanks around a url", "https://hooks.example.com/ct", '" https://hooks.example.com/ct "'),
    ("a star without quotes", '["*_deleted"]', "[*_deleted]"),
    ("a tab", "    type: generic", "\ttype: generic"),
    ("a key indented too far", "    type: generic", "     type: generic"),
    ("a key indented too little", "    type: generic", "   type: generic"),
    ("a dash without a space", "  - name: Audit", "  -name: Audit"),
    ("a bracket left open", "[value_created, value_updated]", "[value_created, value_updated"),
    ("a quote left open", '"#audit"', '"#audit'),
    ("a brace left open", "{env: PAGER_PASSWORD}", "{env: PAGER_PASSWORD"),
    ("the same key twice", "    type: generic", "    type: generic\n    type: slack"),
    ("a misspelled key of a webhook", "event_types: [param", "event_type: [param"),
    ("another tool's word for a key", "event_types: [param", "events: [param"),
    ("a misspelled key of the configuration", 'channel: "#audit"', 'chanel: "#audit"'),
    ("a key at the wrong level", '    configuration: {channel: "#audit"}', '    channel: "#audit"'),
    ("a misspelled event", "parameter_deleted", "parameter_delete"),
    ("an event glob that matches nothing", "parameter_deleted", '"param_*"'),
    ("one event, not a list", "[parameter_deleted]", "parameter_deleted"),
    ("no events", "[parameter_deleted]", "[]"),
    ("an unknown type", "type: generic", "type: teams"),
    ("a missing name", "  - name: Audit\n    event_types", "  - event_types"),
    ("a missing channel", '{channel: "#audit"}', "{}"),
    ("a name declared twice", "name: Audit", "name: Deploys"),
    ("an empty value", '{channel: "#audit"}', ""),
    ("a channel in upper case", '"#audit"', '"#Audit"'),
    ("a user instead of a channel", '"#audit"', '"@bob"'),
    ("a link instead of a channel", '"#audit"', "https://acme.slack.com/archives/C0123456789"),
    ("a token pasted into the file", "{env: SLACK_BOT_TOKEN}", "xoxb-1234567890-abcdefghijkl"),
    (
        "the name of a variable as a token",
        "token: {env: SLACK_BOT_TOKEN}",
        "token: SLACK_BOT_TOKEN",
    ),
    ("a shell variable as a token", "token: {env: SLACK_BOT_TOKEN}", "token: ${SLACK_BOT_TOKEN}"),
    ("a password as text", "{env: PAGER_PASSWORD}", "hunter2hunter2"),
    ("a reference with two sources", "{env: PAGER_PASSWORD}", "{env: PAGER_PASSWORD, file: pw}"),
    ("a secret of the CI", "PAGER_PASSWORD", "GITHUB_TOKEN"),
    ("a url without a scheme", "https://hooks.example.com/ct", "hooks.example.com/ct"),
    (
        "a url with a password",
        "https://hooks.example.com/ct",
        "https://me:secret@hooks.example.com/ct",
    ),
    ("a username without a password", "\n      password: {env: PAGER_PASSWORD}", ""),
    ("a Slack field in a generic webhook", "      username: cloudtruth", '      channel: "#audit"'),
    ("yes for a boolean", "prune: true", 'prune: "yes"'),
    ("a number for a name", "name: Audit", "name: 404"),
    (
        "a renamed webhook whose old name is declared",
        "name: Audit",
        "name: Audit\n    previously: [Deploys]",
    ),
    ("a name outside of the scope", "prune: true", 'prune: true\nscope: ["team-*"]'),
    ("no list of webhooks", "webhooks:", "hooks:"),
)
"""A title, a text of `BASE`, and its replacement."""


@pytest.fixture(scope="module")
def expected_outputs() -> dict[str, str]:
    """Return the expected output for each mistake by its title."""
    parts = AGREED.read_text("utf-8").split("### ")[1:] if AGREED.exists() else []
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each[0])
def test_the_output_is_as_expected(
    mistake: tuple[str, str, str],
    shell: Shell,
    file: Callable[[str], Path],
    expected_outputs: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    """The output equals that in mistakes.txt."""
    title, right, wrong = mistake
    assert right in BASE
    file(BASE.replace(right, wrong, 1))
    done = shell("validate")
    found = f"exit {done.code}\n{done.out}{done.err}\n"
    if request.config.getoption("--update-golden"):
        expected_outputs[title] = found
        AGREED.write_text(
            "".join(f"### {key}\n{text}" for key, text in expected_outputs.items()), "utf-8"
        )
    assert found == expected_outputs[title]


def test_every_expected_output_is_used(expected_outputs: dict[str, str]) -> None:
    assert list(expected_outputs) == [title for title, _, _ in MISTAKES]
