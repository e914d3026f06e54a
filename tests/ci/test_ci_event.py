"""Reading the event of a run."""

from __future__ import annotations

from typing import Any

import pytest
from reconciler.ci.event import Other, PullRequest, Push, read_event

REPOSITORY = "acme/hooks"


def pull(*, home: str | None = REPOSITORY, author: str = "ann", sender: str = "ann") -> Any:
    repo = None if home is None else {"full_name": home}
    return {
        "pull_request": {
            "number": 7,
            "head": {"sha": "a" * 40, "repo": repo},
            "base": {"sha": "b" * 40},
            "user": {"login": author},
        },
        "sender": {"login": sender},
    }


def test_a_pull_request_of_the_same_repository_is_trusted() -> None:
    """Number and commits are read, and nothing speaks against secrets."""
    event = read_event("pull_request", pull(home="Acme/Hooks"), repository=REPOSITORY)
    assert event == PullRequest(number=7, head="a" * 40, base="b" * 40, distrust=None)


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (pull(home="eve/hooks"), "fork"),
        (pull(home=None), "fork"),
        (pull(author="dependabot[bot]"), "Dependabot"),
        (pull(sender="dependabot[bot]"), "Dependabot"),
    ],
)
def test_who_gets_no_secrets_is_told_why(payload: Any, word: str) -> None:
    """Forks, deleted forks and Dependabot are distrusted, each with its reason."""
    event = read_event("pull_request", payload, repository=REPOSITORY)
    assert isinstance(event, PullRequest)
    assert word in (event.distrust or "")


def test_without_a_known_repository_nothing_is_trusted() -> None:
    """An environment that names no repository gives less, not more."""
    payload = pull(home="")
    event = read_event("pull_request", payload, repository="")
    assert isinstance(event, PullRequest)
    assert event.distrust is not None


@pytest.mark.parametrize("payload", [{}, {"pull_request": 3}, {"pull_request": {"number": True}}])
def test_a_pull_request_without_a_number_is_nobodys(payload: Any) -> None:
    """A payload that lacks what counts is an event that changes nothing."""
    assert read_event("pull_request", payload, repository=REPOSITORY) == Other(name="pull_request")


def test_a_push_names_its_commits_in_order_and_once() -> None:
    """The last commit is the one pushed to, also where the list leaves it out."""
    payload = {
        "ref": "refs/heads/team/main",
        "after": "c3",
        "commits": [{"id": "c1"}, {"id": "c2"}, {"id": "c1"}, "nonsense", {"id": 4}],
    }
    event = read_event("push", payload, repository=REPOSITORY)
    assert event == Push(branch="team/main", commits=("c2", "c1", "c3"))
    assert read_event("push", {"commits": None}, repository="") == Push(branch="", commits=())


def test_every_other_event_is_nobodys_change() -> None:
    """A schedule and a manual start are known by their names only."""
    assert read_event("schedule", {}, repository=REPOSITORY) == Other(name="schedule")
