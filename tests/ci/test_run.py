"""Reading the inputs of the action, GitHub's variables and its event."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.ci.run import (
    Command,
    Commenting,
    Job,
    MergeGroup,
    Other,
    PullRequest,
    Reviewing,
    lines,
    read_event,
    read_job,
    read_run,
)
from reconciler.errors import UsageError

DIGEST = "sha256:" + "0" * 64
REPOSITORY = "acme/hooks"


def test_empty_inputs_are_not_given() -> None:
    """An action passes every input, most of them empty."""
    given = dict.fromkeys(
        ("label", "comment", "reviewed-plan", "expect-digest", "allow-deletes", "resend-secret"),
        "",
    )
    assert read_job({"command": "apply", **given}) == Job(command=Command.APPLY)


def test_every_input_is_read() -> None:
    """Spaces around values and the case of words do not matter."""
    job = read_job(
        {
            "command": " Plan ",
            "label": "eu",
            "comment": "changes-only",
            "reviewed-plan": "warn",
            "expect-digest": f" {DIGEST}\n",
            "allow-deletes": "12",
            "resend-secret": "env SLACK\n\n Audit \n",
        }
    )
    assert job == Job(
        command=Command.PLAN,
        label="eu",
        commenting=Commenting.CHANGES_ONLY,
        reviewing=Reviewing.WARN,
        expect_digest=DIGEST,
        allow_deletes=12,
        resend=("env SLACK", "Audit"),
    )


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("command", "destroy", "validate, plan, apply, drift"),
        ("command", "", "command"),
        ("comment", "yes", "changes-only"),
        ("reviewed-plan", "no", "require, warn, ignore"),
        ("expect-digest", "9c1e", "digest"),
        ("allow-deletes", "-1", "whole number"),
        ("allow-deletes", "1" * 30, "whole number"),
        ("label", "a\nb", "label"),
        ("label", "a`b", "label"),
    ],
)
def test_a_malformed_input_is_named(name: str, value: str, word: str) -> None:
    """The error names the input and what it may be."""
    with pytest.raises(UsageError, match=word):
        read_job({"command": "plan", name: value})


def test_inputs_of_several_lines() -> None:
    """Lines are trimmed, empty ones dropped."""
    assert lines(" a \n\n b\r\n") == ("a", "b")


def test_the_run_knows_its_address_workflow_and_branches() -> None:
    """A second attempt has an address of its own."""
    environ = {
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_RUN_ID": "12",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_REF_NAME": "main",
        "GITHUB_WORKFLOW_REF": "acme/hooks/.github/workflows/apply.yml@refs/heads/main",
    }
    run = read_run(environ, {"repository": {"default_branch": "trunk"}})
    assert run.url == "https://git.example/acme/hooks/actions/runs/12/attempts/2"
    assert (run.workflow, run.branch, run.applies, run.id) == ("apply.yml", "main", "trunk", "12")
    assert run.event == Other(name="workflow_dispatch")


def test_outside_github_nothing_is_known() -> None:
    """An empty environment is no error."""
    run = read_run({}, {})
    assert (run.url, run.workflow, run.repository, run.applies) == ("", "", "", "")


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


def test_a_pull_request_of_the_same_repository_is_trusted() -> None:
    """Number, branch and commits are read."""
    event = read_event("pull_request", pull(home="Acme/Hooks"), repository=REPOSITORY)
    assert event == PullRequest(
        number=7, head="a" * 40, branch="main", base="b" * 40, distrust=None
    )


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (pull(home="eve/hooks"), "fork"),
        (pull(home=None), "fork"),
        (pull(author="dependabot[bot]"), "Dependabot"),
        (pull(sender="dependabot[bot]"), "Dependabot"),
    ],
)
def test_a_run_without_secrets_says_why(payload: Any, word: str) -> None:
    """Forks, deleted forks and Dependabot are distrusted, each with its reason."""
    event = read_event("pull_request", payload, repository=REPOSITORY)
    assert isinstance(event, PullRequest)
    assert word in (event.distrust or "")


def test_without_a_known_repository_nothing_is_trusted() -> None:
    """An environment that names no repository allows less, not more."""
    event = read_event("pull_request", pull(home=""), repository="")
    assert isinstance(event, PullRequest)
    assert event.distrust is not None


@pytest.mark.parametrize("payload", [{}, {"pull_request": 3}, {"pull_request": {"number": True}}])
def test_a_pull_request_without_a_number_is_an_event_like_any_other(payload: Any) -> None:
    """A payload that lacks what counts allows nothing."""
    assert read_event("pull_request", payload, repository=REPOSITORY) == Other(name="pull_request")


def test_a_merge_group_names_its_branch() -> None:
    """With and without a payload."""
    name = "refs/heads/gh-readonly-queue/team/main/pr-7-abc"
    payload = {"merge_group": {"base_ref": "refs/heads/team/main", "head_ref": name}}
    event = read_event("merge_group", payload, repository=REPOSITORY)
    assert event == MergeGroup(branch="team/main", reference=name)
    assert read_event("merge_group", {}, repository="") == MergeGroup(branch="", reference="")


@pytest.mark.parametrize("name", ["push", "schedule"])
def test_every_other_event_is_known_by_its_name(name: str) -> None:
    """A push is no different: every run applies the tip of its branch."""
    assert read_event(name, {"after": "c"}, repository=REPOSITORY) == Other(name=name)
