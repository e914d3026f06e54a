"""What may be referred to, as whoever runs a command meets it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import GOOD, SECRETS, Cloud, File, Shell


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
