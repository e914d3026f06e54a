"""The few things asked of GitHub: who am I, which comments are mine, write this one.

Whatever goes wrong there is a `GitHubError` that names the permission to give. Lists are read to
their last page by page number; an address that an answer contains is never followed. What others
wrote is never taken for ours, whatever it says: author and marker must both be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from reconciler.ci.issue import Issue
from reconciler.ci.marker import Marker, decode
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    AuthenticationError,
    PermissionDeniedError,
    ReconcilerError,
)
from reconciler.values import dataclass

ACTIONS_LOGIN: Final = "github-actions[bot]"
"""Who writes with a workflow's own token."""

PAGE: Final = 100
_MOST_PAGES: Final = 300
_COMMENTS: Final = "pull-requests: write"
_ISSUES: Final = "issues: write"
_QUERY: Final = "query { viewer { login } }"
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")


class Rest(Protocol):
    """GitHub's API over HTTP."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request and return the JSON of the answer. Raises ApiError."""
        ...


class GitHubError(ReconcilerError):
    """GitHub did not do what was asked; `ambiguous` says that it may have."""

    code = "github"

    def __init__(self, message: str, *, hint: str | None = None, ambiguous: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.ambiguous = ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment of ours with a marker that can be read."""

    id: int
    body: str
    marker: Marker


class GitHub:
    """One repository on GitHub, seen with one token."""

    def __init__(self, rest: Rest, *, repository: str) -> None:
        self._rest = rest
        self._repository = f"/repos/{repository}"
        self._login: str | None = None

    def login(self) -> str:
        """Return who writes with this token."""
        if self._login is None:
            self._login = self._viewer() or ACTIONS_LOGIN
        return self._login

    def merged_pulls(self, commit: str, *, branch: str) -> tuple[int, ...]:
        """Return the pull requests that brought `commit` into `branch`, oldest first."""
        if not _COMMIT.fullmatch(commit):
            return ()
        rows = self._pages(f"/commits/{commit}/pulls", need=_COMMENTS)
        return tuple(
            sorted(
                row["number"]
                for row in rows
                if isinstance(row.get("number"), int)
                and row.get("merged_at")
                and _inner(row, "base", "ref") == branch
            )
        )

    def comments(self, number: int) -> tuple[Comment, ...]:
        """Return our comments on an issue or pull request that have a marker, oldest first."""
        found: list[Comment] = []
        for row in self._pages(f"/issues/{number}/comments", need=_COMMENTS):
            body = row.get("body")
            if _inner(row, "user", "login") != self.login() or not isinstance(body, str):
                continue
            marker = decode(body)
            if marker is not None and isinstance(row.get("id"), int):
                found.append(Comment(id=row["id"], body=body, marker=marker))
        return tuple(found)

    def create_comment(self, number: int, body: str) -> None:
        """Comment on an issue or pull request."""
        self._send("POST", f"/issues/{number}/comments", {"body": body}, need=_COMMENTS)

    def edit_comment(self, id: int, body: str) -> None:
        """Replace a comment's text."""
        self._send("PATCH", f"/issues/comments/{id}", {"body": body}, need=_COMMENTS)

    def open_issues(self) -> tuple[Issue, ...]:
        """Return our open issues, oldest first; pull requests are none."""
        found: list[Issue] = []
        query = {"state": "open", "sort": "created", "direction": "asc"}
        for row in self._pages("/issues", query, need=_ISSUES):
            number, body = row.get("number"), row.get("body")
            if "pull_request" in row or _inner(row, "user", "login") != self.login():
                continue
            if isinstance(number, int) and isinstance(body, str):
                found.append(Issue(number=number, body=body))
        return tuple(found)

    def open_issue(self, title: str, body: str) -> None:
        """Open an issue."""
        self._send("POST", "/issues", {"title": title, "body": body}, need=_ISSUES)

    def edit_issue(self, number: int, title: str, body: str) -> None:
        """Replace an issue's title and text."""
        self._send("PATCH", f"/issues/{number}", {"title": title, "body": body}, need=_ISSUES)

    def close_issue(self, number: int, comment: str) -> None:
        """Say why, and close an issue."""
        self.create_comment(number, comment)
        self._send("PATCH", f"/issues/{number}", {"state": "closed"}, need=_ISSUES)

    def _viewer(self) -> str | None:
        """Ask who this token is; a token that may not ask is a workflow's own."""
        try:
            answer = self._rest.request("POST", "/graphql", body={"query": _QUERY})
        except ApiError:
            return None
        login = _inner(answer, "data", "viewer", "login")
        return login if isinstance(login, str) and login else None

    def _send(self, method: str, path: str, body: Mapping[str, Any], *, need: str) -> None:
        self._ask(method, path, body=body, need=need)

    def _pages(
        self, path: str, query: Mapping[str, str] | None = None, *, need: str
    ) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            pages = {"per_page": str(PAGE), "page": str(page)}
            rows = self._ask("GET", path, query={**(query or {}), **pages}, need=need)
            if not isinstance(rows, list):
                raise GitHubError("GitHub answered with something else than a list")
            yield from (row for row in rows if isinstance(row, Mapping))
            if len(rows) < PAGE:
                return
        raise GitHubError(f"GitHub's list has more than {_MOST_PAGES} pages")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        need: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return self._rest.request(method, self._repository + path, query=query, body=body)
        except (AuthenticationError, PermissionDeniedError) as refused:
            raise GitHubError(
                refused.message, hint=f"give the job `permissions: {need}` and its own token"
            ) from refused
        except ApiError as failed:
            ambiguous = isinstance(failed, AmbiguousWriteError)
            raise GitHubError(failed.message, hint=failed.hint, ambiguous=ambiguous) from failed


def _inner(value: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
