"""The inputs of the action, GitHub's variables and its event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.ci.run import (
    Commenting,
    MergeGroup,
    Reviewing,
    Run,
    read_run,
)
from reconciler.errors import UsageError
from reconciler.workflow import Inputs

DIGEST = "sha256:" + "0" * 64
REPOSITORY = "acme/hooks"
REACH: dict[str, Any] = {
    "inputs": Inputs(directory=Path(), environ={}, stdin=bytes),
    "connect": None,
    "github": None,
}


def test_every_input_and_variable_is_read() -> None:
    """Spaces and case make no difference."""
    values = {
        "label": "eu",
        "comment": " Changes-only",
        "reviewed-plan": "warn",
        "expect-digest": f" {DIGEST}\n",
        "allow-deletes": "12",
        "resend-secret": "env SLACK\n\n Audit \r\n*",
        "branch": "release",
    }
    environ = {
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_RUN_ID": "12",
        "GITHUB_REF_NAME": "main",
        "GITHUB_WORKFLOW_REF": "acme/hooks/.github/workflows/apply.yml@refs/heads/main",
    }
    payload = {"repository": {"default_branch": "trunk"}}
    assert read_run(values, environ, payload, **REACH) == Run(
        **REACH,
        label="eu",
        commenting=Commenting.CHANGES_ONLY,
        reviewing=Reviewing.WARN,
        expect_digest=DIGEST,
        allow_deletes=12,
        resend=("env SLACK", "Audit", "*"),
        repository=REPOSITORY,
        branch="main",
        applied_branch="release",
        id="12",
        url="https://git.example/acme/hooks/actions/runs/12",
        workflow="apply.yml",
    )


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("comment", "yes", "'yes' for the input `comment`"),
        ("reviewed-plan", "no", "'no' for the input `reviewed-plan`"),
        ("expect-digest", "9c1e", "digest"),
        ("allow-deletes", "-1", "'-1' for the input `allow-deletes`"),
        ("allow-deletes", "1" * 30, "for the input `allow-deletes`"),
        ("label", "a\nb", "label"),
        ("label", "a`b", "label"),
    ],
)
def test_a_malformed_input_is_named(name: str, value: str, word: str) -> None:
    """The error names the input and its valid values."""
    with pytest.raises(UsageError, match=word) as error:
        read_run({name: value}, {}, {}, **REACH)
    assert error.value.hint or name == "label"


def pull(*, home: str | None = REPOSITORY, author: str = "ann", sender: str = "ann") -> Any:
    repo = None if home is None else {"full_name": home}
    return {
        "pull_request": {
            "number": 7,
            "head": {"sha": "a" * 40, "repo": repo},
            "base": {"sha": "b" * 40, "ref": "main"},
            "user": {"login": author},
        },
        "sender": {"login": sender},
    }


def event(name: str, payload: Any, repository: str = REPOSITORY) -> Any:
    environ = {"GITHUB_EVENT_NAME": name, "GITHUB_REPOSITORY": repository}
    return read_run({}, environ, payload, **REACH).event


@pytest.mark.parametrize(
    ("payload", "repository", "word"),
    [
        (pull(home="Acme/Hooks"), REPOSITORY, ""),
        (pull(home="eve/hooks"), REPOSITORY, "fork"),
        (pull(home=None), REPOSITORY, "fork"),
        (pull(home=""), "", "fork"),
        ({}, REPOSITORY, "fork"),
        (pull(author="dependabot[bot]"), REPOSITORY, "Dependabot"),
        (pull(sender="dependabot[bot]"), REPOSITORY, "Dependabot"),
    ],
)
def test_a_run_without_secrets_has_a_reason(payload: Any, repository: str, word: str) -> None:
    """Forks, deleted forks, Dependabot and unknown authors get no secrets."""
    found = event("pull_request", payload, repository).no_secrets_reason
    assert word in found if word else found is None


def test_the_branch_of_a_merge_group_may_contain_a_slash() -> None:
    """A group for `team/main` is planned against `team/main`."""
    payload = {"merge_group": {"base_ref": "refs/heads/team/main"}}
    assert event("merge_group", payload) == MergeGroup(branch="team/main")
