"""CI jobs as doctor sees them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.doctor.pipeline import pipeline

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/hooks"}


def pull(home: str = "acme/hooks", login: str = "someone") -> dict[str, Any]:
    return {
        "sender": {"login": login},
        "pull_request": {
            "number": 7,
            "user": {"login": login},
            "head": {"sha": "a" * 40, "repo": {"full_name": home}},
            "base": {"sha": "b" * 40},
        },
    }


def said(environ: dict[str, str], payload: Any = None, needed: Any = ()) -> list[str]:
    checks = pipeline(environ, payload or {}, needed)
    return [f"{each.status} {each.detail}" for each in checks]


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        ({}, "not a CI job"),
        ({"CI": "false"}, "not a CI job"),
        ({"CI": "1"}, "a CI job of some kind"),
        ({"CI": "true", "GITLAB_CI": "true"}, "GitLab CI"),
        ({"JENKINS_URL": "https://canary"}, "Jenkins"),
    ],
)
def test_where(environ: dict[str, str], what: str) -> None:
    """Known services are named, others counted as some kind of CI."""
    assert said(environ) == [f"ok {what}"]


def test_a_push() -> None:
    """On GitHub the event is named."""
    environ = {**ACTIONS, "GITHUB_EVENT_NAME": "push"}
    assert said(environ) == ["ok GitHub Actions, event push"]
    assert said(ACTIONS) == ["ok GitHub Actions, event not told"]


def test_a_pull_request_of_this_repository() -> None:
    """A branch of the repository itself gets secrets: nothing to warn of."""
    environ = {**ACTIONS, "GITHUB_EVENT_NAME": "pull_request"}
    assert said(environ, pull()) == ["ok GitHub Actions, event pull_request"]


@pytest.mark.parametrize(
    ("payload", "word"),
    [(pull("stranger/hooks"), "fork"), (pull(login="dependabot[bot]"), "Dependabot")],
)
def test_runs_without_secrets(payload: Any, word: str) -> None:
    """A fork's and Dependabot's runs get no secrets, which explains much."""
    (found,) = said({**ACTIONS, "GITHUB_EVENT_NAME": "pull_request"}, payload)
    assert found.startswith("warn ")
    assert word in found


def test_pull_request_target() -> None:
    """The event that hands secrets to strangers is warned of."""
    (found,) = said({**ACTIONS, "GITHUB_EVENT_NAME": "pull_request_target"}, pull("x/y"))
    assert found.startswith("warn ")


def test_secrets_that_arrive_empty() -> None:
    """A variable that is wanted, there and empty is a failure that names it."""
    environ = {"CLOUDTRUTH_API_KEY": "", "TOKEN": " ", "OTHER": "", "FULL": "x"}
    needed = {"CLOUDTRUTH_API_KEY", "TOKEN", "FULL", "ABSENT"}
    assert said(environ, None, needed)[1] == "fail set, but empty: CLOUDTRUTH_API_KEY, TOKEN"
