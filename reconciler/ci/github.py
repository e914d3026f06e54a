"""Requests to GitHub: the login, merged pull requests, this workflow's comments and issues.

Every failure is a `GitHubError` that names the missing permission. Lists are read by page number up
to the last page; URLs in responses are never followed. A comment belongs to this workflow only if
both its author and its marker match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import count, islice
from math import inf
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from reconciler.api.origin import OPTION_HINTS, Credential, Network, Origin
from reconciler.ci.marker import MAX_BODY, Marker, Post, decode, encode, heading
from reconciler.errors import (
    SIGNALS,
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ReconcilerError,
)
from reconciler.findings import Finding, warning
from reconciler.model import Secret

_ACTIONS_LOGIN: Final = "github-actions[bot]"  # the author of comments with a workflow's token

_API: Final = "https://api.github.com"
_PAGE: Final = 100
_MAX_FILES: Final = 300
"""The maximum number of changed files that GitHub lists between two commits."""
_CUT: Final = "\n\n_Cut to GitHub's limit._\n"

_CONTENTS: Final = "contents: read"
_PULLS: Final = "pull-requests: read"
_COMMENTS: Final = "pull-requests: write"
_ISSUES: Final = "issues: write"
_QUEUE: Final = re.compile(r"/pr-([1-9][0-9]{0,9})-[0-9a-f]{40,64}\Z")


class GitHubError(ReconcilerError):
    """A request to GitHub failed; `__cause__` is the original error."""

    code = "github"


class Pull(NamedTuple):
    """A pull request. `merged_at` and `merge_commit` are empty if it is not merged.

    `branch` is its target branch. `comments` has the comments of this workflow, oldest first, where
    they are needed.
    """

    number: int
    is_open: bool
    head: str
    branch: str
    merged_at: str
    merge_commit: str
    comments: Sequence[Post] = ()

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Pull:
        """Return the pull request in a response or an event of GitHub."""
        return cls(
            number=_number_at(row, "number"),
            is_open=text_at(row, "state") == "open",
            head=text_at(row, "head", "sha"),
            branch=text_at(row, "base", "ref"),
            merged_at=text_at(row, "merged_at"),
            merge_commit=text_at(row, "merge_commit_sha"),
        )


class GitHub:
    """One repository on GitHub, accessed with one token.

    `requests` is the number of those that were sent, without that for the login.
    """

    def __init__(
        self, *, repository: str, token: Secret, network: Network, clean: Callable[[str], str]
    ) -> None:
        """Take the URL from GITHUB_API_URL in the environment of `network`.

        `clean` removes secrets from each text that is sent to GitHub. Raises UsageError,
        CredentialError.
        """
        from reconciler.api.transport import MAX_LISTING_BYTES, Transport

        url = network.environment.get("GITHUB_API_URL") or _API
        origin = Origin.parse(url, "GITHUB_API_URL", example=_API)
        self._repository = f"{origin.base}/repos/{repository}"
        self._graphql = origin.base.removesuffix("/v3") + "/graphql"
        self._clean = clean
        self._transport = Transport(
            # An enterprise server has GraphQL beside the base of the REST API, not under it.
            origin=origin._replace(base=""),
            credential=Credential.of("Bearer", token, "GitHub token"),
            network=network,
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
        )
        self._send = partial(self._transport.request, cap=MAX_LISTING_BYTES)
        self.requests = 0
        self._patience = inf

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Wait for no rate limit while the block reads what the run can do without."""
        self._patience = 0.0
        try:
            yield
        finally:
            self._patience = inf

    def extend_deadline(self, seconds: float) -> None:
        """Allow requests for `seconds` from now, even after the deadline."""
        self._transport.deadline_in(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @cached_property
    def login(self) -> str:
        """The login of this token; one that may not read it is the workflow's token.

        Raises GitHubError for any other failure: with a wrong login, reviews would not be found.
        """
        query = {"query": "query { viewer { login } }"}
        try:
            data = self._send("POST", self._graphql, json=query, is_query=True).data
        except PermissionDeniedError:
            return _ACTIONS_LOGIN
        except ApiError as failed:
            raise _failure(failed, _PULLS) from failed
        if login := text_at(data, "data", "viewer", "login"):
            return login
        errors = data.get("errors") if isinstance(data, Mapping) else None
        # GraphQL refuses with status 200.
        if isinstance(errors, list) and any(text_at(row, "type") == "FORBIDDEN" for row in errors):
            return _ACTIONS_LOGIN
        raise _unexpected("POST", "/graphql")

    def changed_files(self, commit: str, branch: str) -> tuple[str, ...] | None:
        """Return the files that differ between a commit and the newest commit of a branch.

        Return None if the branch does not contain the commit, or if GitHub does not list all
        changed files.
        """
        comparison = self._object(f"/compare/{quote(commit)}...{quote(branch)}", need=_CONTENTS)
        if comparison.get("status") == "identical":
            return ()
        rows = comparison.get("files")
        if comparison.get("status") != "ahead" or not isinstance(rows, list):
            return None
        if len(rows) >= _MAX_FILES:  # GitHub does not mark a list that it cut
            return None
        names = (text_at(row, key) for row in rows for key in ("filename", "previous_filename"))
        return tuple(filter(None, names))

    def merged_pulls(self, branch: str) -> tuple[tuple[Pull, ...], str]:
        """Return the pull requests merged into a branch, newest first, and since when all of them.

        Reads only the 100 most recently updated closed pull requests. The time is empty if there
        are fewer: then it is all of them.
        """
        query = {"state": "closed", "base": branch, "sort": "updated", "direction": "desc"}
        rows = list(islice(self._pages("/pulls", query, need=_PULLS), _PAGE))
        # A merge is an update, so an unlisted one is older than the last row.
        merged = [pull for pull in map(Pull.read, rows) if pull.merged_at]
        merged.sort(key=lambda pull: (pull.merged_at, pull.number), reverse=True)
        complete_since = ""
        if len(rows) == _PAGE:
            complete_since = text_at(rows[-1], "updated_at")
        return tuple(merged), complete_since

    def pull_of(self, commit: str, branch: str) -> Pull | None:
        """Return the pull request that merged a commit into a branch, None if there is none."""
        rows = self._list(f"/commits/{commit}/pulls", {}, need=_PULLS)
        # GitHub also lists open pull requests with this commit, and those to other branches.
        for pull in map(Pull.read, rows):
            if pull.merged_at and pull.branch == branch:
                return pull
        return None

    def pull(self, number: int) -> Pull:
        """Return a pull request."""
        return Pull.read(self._object(f"/pulls/{number}", need=_PULLS))

    def queue(self, branch: str) -> Mapping[str, int]:
        """Return the pull requests in a branch's merge queue, keyed by test commit."""
        path = f"/git/matching-refs/heads/gh-readonly-queue/{quote(branch)}/"
        pulls: dict[str, int] = {}
        for row in self._list(path, {}, need=_CONTENTS):
            # As in `refs/heads/gh-readonly-queue/main/pr-12-COMMIT`.
            if name := _QUEUE.search(text_at(row, "ref")):
                pulls[text_at(row, "object", "sha")] = int(name[1])
        return pulls

    def comments(self, number: int) -> tuple[Post, ...]:
        """Return this workflow's comments on an issue or pull request, oldest first."""
        posts = self._own_posts(f"/issues/{number}/comments", {}, need=_PULLS)
        return tuple(post._replace(number=number) for post in posts)

    def open_issues(self) -> tuple[Post, ...]:
        """Return this workflow's open issues without pull requests, oldest first."""
        order = {"sort": "created", "direction": "asc"}
        query = {"state": "open", "creator": self.login, **order}
        return self._own_posts("/issues", query, need=_ISSUES)

    def comment(self, number: int, marker: Marker, text: str, existing: Sequence[Post]) -> Post:
        """Comment on an issue or pull request, or replace the text of the first `existing` comment.

        An unchanged comment is not edited, because a review that is edited later is ignored.
        Return the comment.
        """
        body = self.body(marker, text)
        if existing:
            post = existing[0]
            if post.body != body:
                path = f"/issues/comments/{post.id}"
                self._request("PATCH", path, body={"body": body}, need=_COMMENTS)
            return post._replace(body=body, marker=marker)
        return Post(number, self._post(number, body, need=_COMMENTS), body, marker, updated="")

    def issue(self, title: str, marker: Marker, text: str, existing: Sequence[Post]) -> None:
        """Open an issue, or replace the text of the first `existing` one."""
        body = {"title": title, "body": self.body(marker, text)}
        if existing:
            path = f"/issues/{existing[0].number}"
            self._request("PATCH", path, body=body, need=_ISSUES)
        else:
            self._request("POST", "/issues", body=body, need=_ISSUES)

    def close_issues(self, issues: Iterable[Post], comment: str) -> None:
        """Close issues with a comment."""
        for issue in issues:
            # The comment first: a closed issue is not found again, to add it.
            self._post(issue.number, comment, need=_ISSUES)
            path = f"/issues/{issue.number}"
            self._request("PATCH", path, body={"state": "closed"}, need=_ISSUES)

    def body(self, marker: Marker, text: str) -> str:
        """Return the body of a comment or issue, with its label above the text."""
        body = f"{encode(marker, self._clean)}\n{self._clean(f'{heading(marker)}{text}')}"
        if len(body) <= MAX_BODY:
            return body
        # By whole lines, because a part of a command must not look like one.
        kept, _, _ = body[: MAX_BODY - len(_CUT)].rpartition("\n")
        return kept + _CUT

    def _post(self, number: int, body: str, *, need: str) -> int:
        """Comment on an issue or pull request. Return the id of the comment."""
        path = f"/issues/{number}/comments"
        row = self._request("POST", path, body={"body": body}, need=need)
        return _number_at(row, "id")

    def _own_posts(self, path: str, query: Mapping[str, str], *, need: str) -> tuple[Post, ...]:
        """Return this workflow's comments, or issues, in a list."""
        posts: list[Post] = []
        for row in self._pages(path, query, need=need):
            body = text_at(row, "body")
            # The list of issues contains pull requests. Anyone can write a marker.
            if "pull_request" in row or text_at(row, "user", "login") != self.login:
                continue
            marker = decode(body)
            if marker is None:
                continue
            # Only issues have a number and a title.
            number, id_ = _number_at(row, "number"), _number_at(row, "id")
            updated, title = text_at(row, "updated_at"), text_at(row, "title")
            posts.append(Post(number, id_, body, marker, updated, title))
        return tuple(posts)

    def _pages(
        self, path: str, query: Mapping[str, str], *, need: str
    ) -> Iterator[Mapping[str, Any]]:
        for page in count(1):  # the deadline ends an endless list
            pages = {"per_page": str(_PAGE), "page": str(page)}
            rows = self._list(path, {**query, **pages}, need=need)
            yield from rows
            if len(rows) < _PAGE:
                return

    def _list(self, path: str, query: Mapping[str, str], *, need: str) -> list[Any]:
        rows = self._request("GET", path, query=query, need=need)
        if isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows):
            return rows
        raise _unexpected("GET", path)

    def _object(self, path: str, *, need: str) -> Mapping[str, Any]:
        value = self._request("GET", path, need=need)
        if isinstance(value, Mapping):
            return value
        raise _unexpected("GET", path)

    def _request(
        self,
        method: str,
        path: str,
        *,
        need: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request under the repository's path. Return the response.

        `need` is the permission that the request requires. Raises GitHubError.
        """
        self.requests += 1
        try:
            return self._send(
                method, self._repository + path, params=query, json=body, patience=self._patience
            ).data
        except ApiError as failed:
            raise _failure(failed, need) from failed


@contextmanager
def reporting(findings: list[Finding], what: str) -> Iterator[None]:
    """Turn an error while the block writes to GitHub into a warning: webhooks are not affected."""
    try:
        yield
    except ReconcilerError as problem:
        findings.append(warning("not-reported", f"{what}: {problem.message}", problem.hint))
    except (Exception, *SIGNALS) as problem:
        name = type(problem).__name__
        findings.append(warning("not-reported", f"{what}: internal error ({name})"))


def _failure(failed: ApiError, need: str) -> GitHubError:
    """Return the error of a failed request that requires the permission `need`."""
    message, hint = failed.message, failed.hint
    if failed.detail:
        message += f": {failed.detail}"
    if isinstance(failed, AuthenticationError | PermissionDeniedError):
        hint = f"give the job `permissions: {need}` and pass `github.token`"
    elif failed.status == 410:
        hint = "enable issues in the repository's settings"
    elif isinstance(failed, NotFoundError):
        hint = f"the job may lack `permissions: {need}`, or it was deleted: run again later"
    elif isinstance(failed, InvalidRequestError):
        hint = "run again later; if GitHub rejects it again, its message has the reason"
    # The workflows have no options for timeouts.
    elif hint in OPTION_HINTS:
        hint = "run again later"
    return GitHubError(message, hint=hint)


def _unexpected(method: str, path: str) -> GitHubError:
    return GitHubError(f"unexpected response from GitHub to {method} {path}", hint="try again")


def _number_at(value: Mapping[str, Any], key: str) -> int:
    """Return the number at a key of a JSON object, 0 if there is none."""
    number = value.get(key)
    return number if isinstance(number, int) else 0


def text_at(value: Any, *keys: str) -> str:
    """Return the text at `keys` of a JSON value, empty if there is none."""
    for key in keys:
        # GitHub sends null in place of a fork or a user that was deleted.
        if not isinstance(value, Mapping):
            return ""
        value = value.get(key)
    if isinstance(value, str):
        return value
    return ""
