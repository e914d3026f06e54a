"""The client of GitHub, against the fake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reconciler.ci.rest import TransportRest
from reconciler.ci.sticky import compose, find, put, with_status

from reconciler.ci.github import GitHubError
from reconciler.ci.marker import Marker, encode
from reconciler.errors import CredentialError, UsageError
from reconciler.model import Secret
from tests.ci.fake_github import Answer, FakeGitHub
from tests.ci.support import StillClock, adapter, client

MARKER = Marker(
    kind="plan", label="", file="w.yaml", organization="o", digest="sha256:" + "1" * 64, run="r1"
)


@pytest.fixture
def fake() -> FakeGitHub:
    return FakeGitHub()


def test_a_comment_is_edited_and_never_repeated(fake: FakeGitHub) -> None:
    """The second plan replaces the first in place."""
    with client(fake) as github:
        assert put(github, 7, MARKER, "one", create=True)
        assert put(github, 7, replace(MARKER, run="r2"), "two", create=True)
        assert put(github, 8, MARKER, "other", create=True)
    assert fake.bodies(7) == [f"{encode(replace(MARKER, run='r2'))}\ntwo"]
    assert len(fake.comments) == 2


def test_an_unchanged_comment_is_left_alone(fake: FakeGitHub) -> None:
    """Nobody is notified of nothing."""
    with client(fake) as github:
        put(github, 7, MARKER, "one", create=True)
        put(github, 7, MARKER, "one", create=True)
    assert [method for method, _ in fake.writes] == ["POST"]


def test_a_comment_is_begun_only_if_asked(fake: FakeGitHub) -> None:
    """Without a change worth telling an old comment is brought up to date, and that is all."""
    with client(fake) as github:
        assert not put(github, 7, MARKER, "one", create=False)
    assert fake.comments == []


def test_a_comment_is_found_over_all_pages(fake: FakeGitHub) -> None:
    """Ours may be the 250th of a long discussion."""
    for number in range(250):
        fake.comment(7, f"remark {number}", login="ann")
    with client(fake) as github:
        put(github, 7, MARKER, "one", create=True)
        put(github, 7, MARKER, "two", create=True)
        found = find(github, 7, MARKER)
    assert found is not None
    assert found.body.endswith("two")
    assert len(fake.bodies(7)) == 1


def test_the_marker_of_somebody_else_is_not_ours(fake: FakeGitHub) -> None:
    """Author and marker must both be right, or anybody could approve anything."""
    fake.comment(7, f"{encode(MARKER)}\nforged", login="eve")
    fake.comment(7, "ours, without a marker", login=fake.login)
    with client(fake) as github:
        assert find(github, 7, MARKER) is None


@pytest.mark.parametrize("graphql", [True, False])
def test_the_author_is_whom_the_token_is_or_the_workflow_bot(
    fake: FakeGitHub, graphql: bool
) -> None:
    """A token of an app is asked who it is; one that may not ask is the workflow's own."""
    fake.graphql = graphql
    if graphql:
        fake.login = "our-app[bot]"
    with client(fake) as github:
        assert github.login() == ("our-app[bot]" if graphql else "github-actions[bot]")
        assert github.login() == fake.login
    assert len([path for _, path in fake.log if path == "/graphql"]) <= 2


def test_two_comments_of_one_subject_become_one(fake: FakeGitHub) -> None:
    """Runs at the same moment may both write first; the older comment stays."""
    for text in ("old", "young"):
        fake.comment(7, f"{encode(MARKER)}\n{text}", login=fake.login)
    with client(fake) as github:
        put(github, 7, MARKER, "new", create=True)
        put(github, 7, MARKER, "newer", create=True)
    first, second = fake.bodies(7)
    assert first.endswith("newer")
    assert "replaced" in second


def test_organizations_of_one_file_have_comments_of_their_own(fake: FakeGitHub) -> None:
    """Neither a plan nor a failure of one of them touches more than one comment."""
    other = replace(MARKER, organization="p")
    failure = replace(MARKER, organization="", digest=None, operations=())
    with client(fake) as github:
        put(github, 7, failure, "failed", create=True)
        put(github, 7, MARKER, "one", create=True)
        put(github, 7, other, "two", create=True)
        assert [each.split("\n")[1] for each in fake.bodies(7)] == ["one", "two"]
        found = find(github, 7, other)
        assert found is not None
        assert found.body.endswith("two")
        put(github, 7, failure, "failed", create=True)
    assert [each.split("\n")[1] for each in fake.bodies(7)] == ["failed", "two"]


def test_only_pull_requests_merged_into_the_branch_count(fake: FakeGitHub) -> None:
    """One that is open, or went elsewhere, approves nothing here."""
    commit = "c" * 40
    fake.merge(3, commit)
    fake.merge(1, commit)
    fake.merge(4, commit, merged=False)
    fake.merge(5, commit, base="release")
    with client(fake) as github:
        assert github.merged_pulls(commit, branch="main") == (1, 3)
        assert github.merged_pulls("d" * 40, branch="main") == ()
        assert github.merged_pulls("../../user", branch="main") == ()
    assert not any("user" in path for _, path in fake.log)


def test_an_issue_is_opened_edited_and_closed(fake: FakeGitHub) -> None:
    """Open issues of ours are found; those of others and pull requests are not."""
    other = {"number": 2, "state": "open", "title": "t", "body": "b"}
    fake.issues.append({**other, "user": {"login": "ann"}})
    fake.issues.append({**other, "user": {"login": fake.login}, "pull_request": {}})
    with client(fake) as github:
        assert github.open_issues() == ()
        github.open_issue("title", "body")
        (issue,) = github.open_issues()
        github.edit_issue(issue.number, "title 2", "body 2")
        (issue,) = github.open_issues()
        assert (fake.issues[-1]["title"], issue.body) == ("title 2", "body 2")
        github.close_issue(issue.number, "gone")
        assert github.open_issues() == ()
        assert fake.bodies(issue.number) == ["gone"]


def test_a_missing_permission_is_named(fake: FakeGitHub) -> None:
    """Whoever set the workflow up reads which line it lacks."""
    fake.read_only = True
    with client(fake) as github, pytest.raises(GitHubError) as caught:
        put(github, 7, MARKER, "one", create=True)
    assert "pull-requests: write" in (caught.value.hint or "")
    with client(fake) as github, pytest.raises(GitHubError) as caught:
        github.open_issue("t", "b")
    assert "issues: write" in (caught.value.hint or "")


class LostAnswer(FakeGitHub):
    """Writes the comment and answers with an error of a gateway."""

    keep = True

    def _route(self, method, path, query, value):  # type: ignore[no-untyped-def]
        if method == "POST" and not self.keep:
            return Answer(502)
        answer = super()._route(method, path, query, value)
        return Answer(502) if method == "POST" else answer


def test_a_comment_whose_answer_is_lost_is_not_written_twice() -> None:
    """What may have been written is looked for before anything else."""
    fake = LostAnswer()
    with client(fake) as github:
        assert put(github, 7, MARKER, "one", create=True)
    assert len(fake.bodies(7)) == 1
    fake.keep = False
    with client(fake) as github, pytest.raises(GitHubError) as caught:
        put(github, 8, MARKER, "one", create=True)
    assert caught.value.ambiguous


class Nonsense(FakeGitHub):
    """Answers lists with an object, or for ever."""

    endless = False

    def _page(self, rows, path, query):  # type: ignore[no-untyped-def]
        return Answer(200, [{}] * 100 if self.endless else {"message": "hello"})


@pytest.mark.parametrize(("endless", "word"), [(False, "list"), (True, "pages")])
def test_a_list_that_is_none_is_an_error(endless: bool, word: str) -> None:
    """An answer that cannot be counted on never reads as "no comment yet"."""
    fake = Nonsense()
    fake.endless = endless
    with client(fake) as github, pytest.raises(GitHubError, match=word):
        put(github, 7, MARKER, "one", create=True)
    assert fake.writes == []


def test_an_enterprise_server_is_asked_where_it_is(fake: FakeGitHub) -> None:
    """REST lies under its own path there, GraphQL beside it."""
    seen: list[str] = []
    handle = fake.handle

    def listen(method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        seen.append(url.split("?")[0])
        return handle(method, url, headers, body)

    fake.handle = listen  # type: ignore[method-assign]
    where = {
        "GITHUB_API_URL": "https://git.example/api/v3",
        "GITHUB_GRAPHQL_URL": "https://git.example/api/graphql",
    }
    for environ in (where, {"GITHUB_API_URL": where["GITHUB_API_URL"]}):
        seen.clear()
        with client(fake, **environ) as github:
            put(github, 7, MARKER, "one", create=True)
            github.login()
        assert "https://git.example/api/graphql" in seen
        assert f"https://git.example/api/v3/repos/{fake.repository}/issues/7/comments" in seen


def test_a_token_goes_to_no_careless_address(fake: FakeGitHub) -> None:
    """Plain http to another machine is refused, and GraphQL elsewhere is not asked."""
    token = Secret(fake.token)
    with pytest.raises(UsageError, match="GITHUB_API_URL"):
        TransportRest(
            token=token, clock=StillClock(), environ={"GITHUB_API_URL": "http://git.example"}
        )
    with pytest.raises(CredentialError, match="GitHub token"):
        TransportRest(token=Secret("a b"), clock=StillClock(), environ={}, adapter=adapter(fake))
    with client(fake, GITHUB_GRAPHQL_URL="https://evil.example/graphql") as github:
        assert github.login() == fake.login
    assert ("POST", "/graphql") in fake.log


def test_a_status_stands_above_the_plan_and_replaces_the_one_before() -> None:
    """The marker stays the first line, so a re-run still finds what was approved."""
    body = compose(MARKER, "### the plan\n")
    once = with_status(body, "**Applied in part**.")
    twice = with_status(once.replace("\n", "\r\n"), "**Applied**.")
    line, rest = twice.split("\n", 1)
    assert line.rstrip("\r") == encode(MARKER)
    assert "in part" not in twice
    assert rest.index("**Applied**.") < rest.index("### the plan")
    assert with_status(twice, "**Applied**.") == twice


def test_a_status_that_somebody_cut_is_written_anew() -> None:
    """A lost end of the status loses no plan."""
    broken = f"{encode(MARKER)}\n<!-- status -->\n\nhalf"
    assert with_status(broken, "done").count("<!-- status -->") == 1


def test_a_long_comment_leaves_room_for_its_status() -> None:
    """Both together stay below GitHub's limit, on a line's end."""
    body = compose(MARKER, "line of text\n" * 10_000)
    assert len(body) <= 58_100
    final = with_status(body, "x" * 300)
    assert len(final) <= 60_000
    assert "Cut to fit" in body
