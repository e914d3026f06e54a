"""The GitHub client against the fake API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from reconciler.ci.github import GitHub, GitHubError
from reconciler.ci.marker import Marker, MarkerKind, Post, find_posts
from reconciler.ci.plan import _write_comments
from reconciler.emulator.messages import Request, Response, json_value
from reconciler.errors import CredentialError, UsageError
from tests.ci.fake_github import BOT, FakeGitHub, refusal
from tests.ci.support import client
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))

MARKER = Marker(kind=MarkerKind.PLAN, file="w.yaml", digest="sha256:" + "1" * 64)


def write(github: GitHub, number: int, *texts: str, marker: Marker = MARKER) -> None:
    """Write a plan of one or more parts."""
    found = find_posts(github.comments(number), marker)
    parts = [
        (marker._replace(part=part, total=len(texts)), text)
        for part, text in enumerate(texts, start=1)
    ]
    _write_comments(github, number, found, parts)


def texts(fake: FakeGitHub, number: int) -> list[str]:
    """Return the comments on a pull request without their markers."""
    return [each.partition("\n")[2] for each in fake.bodies(number)]


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    made = FakeGitHub()
    yield made
    made.judge()


def test_an_unchanged_comment_is_not_edited(fake: FakeGitHub) -> None:
    """An edit without a change would be a pointless write."""
    with client(fake) as github:
        write(github, 7, "one", "two")
        before = list(fake.writes)
        write(github, 7, "one", "two")
    assert fake.writes == before


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_plan_can_replace_any_other(plans: list[list[str]]) -> None:
    """The comments hold the parts of the last plan, in order; extra comments are emptied."""
    fake = FakeGitHub()
    with client(fake) as github:
        for plan in plans:
            write(github, 7, *plan)
    found = texts(fake, 7)
    assert len(found) == max(map(len, plans))
    assert found[: len(plans[-1])] == plans[-1]
    assert all("no longer needed" in each for each in found[len(plans[-1]) :])


def test_a_comment_is_cut_by_lines_to_the_limit_of_github(fake: FakeGitHub) -> None:
    """A failure must be reported, and no part of a command looks like one."""
    with client(fake) as github:
        write(github, 7, f"begin\n{'x' * 70_000}\nend")
    assert texts(fake, 7) == ["begin\n\n_Cut to GitHub's limit._\n"]


def test_a_comment_is_found_on_any_page(fake: FakeGitHub) -> None:
    """The comment may be the 250th of a long discussion."""
    for number in range(250):
        fake.comment(7, f"comment {number}", login="ann")
    with client(fake) as github:
        write(github, 7, "one")
        write(github, 7, "two")
    assert texts(fake, 7) == ["two"]


@pytest.mark.parametrize(
    ("fault", "login", "requests"),
    [
        (None, "our-app[bot]", 1),
        (refusal(502, "Bad Gateway"), "our-app[bot]", 2),
        (refusal(403, "Resource not accessible by integration"), BOT, 1),
        (json_value({"data": None, "errors": [{"type": "FORBIDDEN"}]}), BOT, 1),
    ],
)
def test_the_author_is_the_user_of_the_token_or_the_workflow_bot(
    fake: FakeGitHub, fault: Response | None, login: str, requests: int
) -> None:
    """A token that may not read its user is that of the workflow's bot; an outage is repeated."""
    fake.login = login
    faults = [fault]
    fake.fault = lambda method, path: faults.pop() if faults else None
    with client(fake) as github:
        assert github.login == github.login == login
    assert len(fake.log) == requests


def test_setups_and_environments_have_separate_comments(fake: FakeGitHub) -> None:
    """A plan or failure changes only the comment of its label, or without one of its files."""
    others = [{"label": "p"}, {"file": "other.yaml"}, {"environment": "eu"}]
    with client(fake) as github:
        write(github, 7, "one")
        for other in others:
            write(github, 7, str(other), marker=MARKER._replace(**other))
        write(github, 7, "failed", marker=MARKER._replace(digest=None))
    assert texts(fake, 7) == [
        "failed",
        *(f"**`p`**\n\n{others[0]}", str(others[1]), str(others[2])),
    ]


def test_an_invalid_list_is_an_error(fake: FakeGitHub) -> None:
    """An unreadable list of comments never means that there is no comment yet."""
    fake.fault = lambda method, path: json_value({"message": "hello"})
    with client(fake) as github, pytest.raises(GitHubError, match="unexpected response"):
        write(github, 7, "one")
    assert fake.writes == []


@pytest.mark.parametrize("value", TABLES["unexpected responses"])
def test_an_unexpected_response_is_never_an_internal_error(fake: FakeGitHub, value: object) -> None:
    """Each request returns what it could read, or reports GitHub's response."""
    fake.fault = lambda method, path: json_value(value) if method == "GET" else None
    with client(fake) as github:
        requests = (
            lambda: github.changed_files("a" * 40, "main"),
            lambda: github.merged_pulls("main"),
            lambda: github.pull(1),
            lambda: github.queue("main"),
            lambda: github.comments(1),
            lambda: github.open_issues(),
        )
        for request in requests:
            with suppress(GitHubError):
                request()
        if value == {"status": "ahead"}:
            assert github.changed_files("a" * 40, "main") is None


@pytest.mark.parametrize(("status", "text", "hint"), TABLES["reasons"])
def test_an_error_has_the_reason_that_github_gives(
    fake: FakeGitHub, status: int, text: str, hint: str
) -> None:
    """The status alone does not explain what to change; no workflow has options of a connection."""
    answer = refusal(status, text)
    if status == 429:
        answer = answer.with_headers(("retry-after", "1500"))
    fake.fault = lambda method, path: answer if method == "POST" else None
    with client(fake) as github, pytest.raises(GitHubError, match=text) as caught:
        write(github, 7, "one")
    assert hint in caught.value.hint
    assert "--" not in caught.value.hint
    with client(fake) as github, pytest.raises(GitHubError, match=text) as caught:
        github.close_issues([Post(7, 1, "", MARKER, "")], "Resolved")
    assert hint.replace("pull-requests", "issues") in caught.value.hint


def test_an_enterprise_server_has_its_own_urls(fake: FakeGitHub) -> None:
    """An enterprise server has another path for REST, and one for GraphQL."""
    seen: list[str] = []
    handle = fake.handle

    def listen(request: Request) -> Response:
        seen.append(request.headers["host"] + request.path)
        return handle(request)

    fake.handle = listen  # type: ignore[method-assign]
    with client(fake, GITHUB_API_URL="https://git.example/api/v3") as github:
        write(github, 7, "one")
        assert github.login
    assert "git.example/api/graphql" in seen
    assert f"git.example/api/v3/repos/{fake.repository}/issues/7/comments" in seen


def test_a_token_is_not_sent_to_an_unsafe_url(fake: FakeGitHub) -> None:
    """Plain http to another machine is rejected, and so is a malformed token."""
    with (
        pytest.raises(UsageError, match="GITHUB_API_URL"),
        client(fake, GITHUB_API_URL="http://git.example"),
    ):
        pytest.fail("connected")
    fake.token = "a b"
    with pytest.raises(CredentialError, match="GitHub token"), client(fake):
        pytest.fail("connected")
