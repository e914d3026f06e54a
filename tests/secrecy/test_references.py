"""What may be referred to, as whoever runs a command meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import GOOD, SECRETS, Cloud, Shell, cloud, file, shell

__all__ = ["cloud", "file", "shell"]

File = Callable[..., Path]


@pytest.mark.parametrize(
    ("old", "new", "arguments", "rule"),
    [
        ("{env: TOKEN}", "{env: CLOUDTRUTH_API_KEY}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: GITHUB_TOKEN}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: ACTIONS_ID_TOKEN_REQUEST_TOKEN}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: RUNNER_TEMP}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: AWS_SECRET_ACCESS_KEY}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: AZURE_CLIENT_SECRET}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: GOOGLE_CREDENTIALS}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{file: /proc/self/environ}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{file: a/../../../../../../../../proc/1/environ}", [],
         "secret-not-allowed"),
        ("{env: TOKEN}", "{file: /dev/stdin}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{file: /sys/kernel/notes}", [], "forbidden-secret"),
        ("{env: TOKEN}", "{env: OTHER}", ["--allow-secret", "env:TOKEN"], "secret-not-allowed"),
        ("{env: TOKEN}", "{file: a}", ["--allow-secret", "env:*"], "secret-not-allowed"),
        ("username: me", "username: {env: X}", [], "reference-not-allowed"),
        ("channel: \"#deploys\"", "channel: {env: X}", [], "reference-not-allowed"),
    ],
)  # fmt: skip
def test_refused_by_validate(
    shell: Shell, file: File, old: str, new: str, arguments: list[str], rule: str
) -> None:
    """A reference to what must not be sent makes the file invalid, value or no value at hand."""
    if rule == "secret-not-allowed" and not arguments:
        arguments = ["--allow-secret", "env:PASSWORD"]
    file(**{old: new})
    for environ in ({}, {"X": "x" * 9, "CLOUDTRUTH_API_KEY": "k" * 9, **SECRETS}):
        done = shell("validate", "--format", "json", *arguments, **environ)
        assert done.code == 3
        assert rule in {each["rule"] for each in json.loads(done.out)["findings"]}


def test_the_variable_narrows_too(shell: Shell, file: File) -> None:
    """WEBHOOKS_ALLOW_SECRETS is the same list, for workflows."""
    file()
    assert shell("validate", WEBHOOKS_ALLOW_SECRETS="env:TOKEN env:PASSWORD").code == 0
    assert shell("validate", WEBHOOKS_ALLOW_SECRETS="env:TOKEN").code == 3


def test_the_key_under_another_name(shell: Shell, file: File, cloud: Callable[..., Cloud]) -> None:
    """A value that is the API key, or holds it, is never sent."""
    there = cloud()
    file()
    key = there.environ["CLOUDTRUTH_API_KEY"]
    for value in (key, f"Bearer {key}"):
        for command in (["plan"], ["apply", "--yes"]):
            done = shell(*command, **{**there.environ, "PASSWORD": value})
            assert done.code == 3
            assert key not in done.out + done.err
    assert there.writes() == []


@pytest.mark.parametrize("read_back", ["plain", "mask", "omitted", "configuration-null"])
def test_a_plan_has_the_same_digest_with_and_without_secrets(
    shell: Shell, file: File, cloud: Callable[..., Cloud], read_back: str
) -> None:
    """So a job that reviews needs none of the secrets that the job that applies has."""
    there = cloud(read_back=read_back)
    bare = {name: value for name, value in there.environ.items() if name not in SECRETS}
    file()
    assert shell("apply", "--yes", "--only", "Deploys", **there.environ).code == 0
    file(GOOD, **{'channel: "#deploys"': 'channel: "#other"'})
    rotated = {**there.environ, "TOKEN": "xoxb-" + "9876543210-fedcba"}
    digests = set()
    for number, environ in enumerate((bare, there.environ, rotated)):
        done = shell("plan", "--format", "json", "--out", f"{number}.json", **environ)
        assert done.code == 0, done.err
        digests.add(json.loads(done.out)["digest"])
    assert len(digests) == 1
    # And each of them applies the plan of any other.
    done = shell("apply", "--yes", "--expect-digest", digests.pop(), **rotated)
    assert done.code == 0, done.out + done.err
