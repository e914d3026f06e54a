"""The organizations that a change concerns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.ci.workflows import CALLER
from tests.cli.conftest import Shell
from tests.folders import commit, git, write
from tests.goldens import rows

FILE = (
    "extends: ../base.yaml\norganization: {}\ngithub: {{environment: {}}}\n"
    "webhooks: [{{name: A, add: true, configuration: {{channel: general}}}}]\n"
)
TOKENS = (
    "defaults: {type: slack, event_types: ['*'], configuration: "
    "{token: {file: secrets/token}, username: b}}\nwebhooks: []\n"
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three organizations with an environment each; two of them read a base and a secret."""
    write(
        tmp_path,
        {
            "base.yaml": TOKENS,
            "orgs/one.yaml": FILE.format("One", "one"),
            "orgs/two.yaml": FILE.format("Two", "two"),
            "other.yaml": "organization: Other\nwebhooks: []\n",
            "secrets/token": "x",
            "policy.json": "{}",
            CALLER: "on: push",
        },
    )
    (tmp_path / "orgs" / "other.yaml").symlink_to("../other.yaml")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return tmp_path


ALL = ["one", "other", "two"]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"), rows(Path(__file__).with_name("concerned.yaml"))
)
def test_a_job_for_each_environment_that_a_push_concerns(
    shell: Shell, repository: Path, file: str, old: str, new: str, expected: list[str]
) -> None:
    """By effective configuration, secret files, keys and policies; invalid files have one job."""
    before = git(repository, "rev-parse", "HEAD")
    path = repository / file
    text = path.read_text() if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)
    commit(repository)
    assert environments(shell, repository, before) == expected
    dropped = git(repository, "commit-tree", "-p", "HEAD", "-m", "x", f"{before}^{{tree}}")
    for unknown in ("f" * 40, dropped):  # a shallow clone, and a force push
        assert set(expected) <= set(environments(shell, repository, unknown))


def environments(shell: Shell, folder: Path, before: str) -> list[str]:
    """Return the matrix of a push; `before` is the commit before it."""
    write(folder, {".git/event.json": json.dumps({"before": before}), ".git/output": ""})
    done = shell(
        "ci", "matrix", "-f", "orgs", "--policy", "policy.json",
        GITHUB_EVENT_NAME="push",
        GITHUB_EVENT_PATH=str(folder / ".git/event.json"),
        GITHUB_OUTPUT=str(folder / ".git/output"),
        WEBHOOKS_ENVIRONMENTS="other one two",
    )  # fmt: skip
    assert done.code == 0, done.out + done.err
    written = (folder / ".git/output").read_text()
    lines = [line for line in written.splitlines() if line.startswith('{"include"')]
    return sorted(each["environment"] for line in lines for each in json.loads(line)["include"])
