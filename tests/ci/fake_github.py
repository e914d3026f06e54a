"""A fake GitHub API in memory with the endpoints that `webhooks ci` uses, and GitHub's limits.

`FakeGitHub.handle` processes one request. Comments and issues have an author, lists are paged, a
body over 65,536 characters is rejected, and a read-only token cannot write.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from reconciler.emulator.messages import Request, Response, json_value
from tests.contract.published import violations
from tests.emulated.emulator import LogEntry

MAX_BODY = 65_536
BOT = "github-actions[bot]"


Faulty = Callable[[str, str], Response | None]
"""Returns a response, by method and path, in place of GitHub's, or None."""


def runner_environ(folder: Path, event: str, commit: str, run: int = 1) -> dict[str, str]:
    """Return the variables of a job that was started by `event` and has its files in `folder`."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "acme/hooks",
        "GITHUB_RUN_ID": str(run),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": commit,
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "RUNNER_TEMP": str(folder),
    }


def refusal(status: int, message: str, **more: Any) -> Response:
    """Return an error like GitHub's."""
    return json_value({"message": message, **more}, status=status)


MAX_PENDING = 100


@dataclass(eq=False)
class Job:
    """A job of a workflow run; `start` runs it. Reviewers of its environment may approve it."""

    environment: str
    start: Callable[[], Any]
    is_approved: bool = False


class FakeGitHub:
    """One repository on GitHub.

    `git` runs git in a clone with the repository's branches. Each event takes a second of `time`.
    `fault` may respond first. The environments in `reviewed` have required reviewers.
    `groups` are the concurrency groups: the first job of each runs, or waits for a reviewer.
    """

    def __init__(self, token: str = "gh-canary-token") -> None:
        self.repository = "acme/hooks"
        self.token = token
        self.login = BOT
        self.read_only = False
        self.pulls: dict[int, dict[str, Any]] = {}
        self.queue: dict[str, str] = {}
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.log: list[tuple[str, str]] = []
        self.received: list[LogEntry] = []
        self.git: Callable[..., str] | None = None
        self.fault: Faulty = lambda method, path: None
        self.reviewed: set[str] = set()
        self.groups: dict[str, list[Job]] = {}
        self.time = datetime.now(UTC)
        self._ids = 1000
        self._lock = threading.Lock()

    # Actions of a test.

    @contextmanager
    def failing(self, end: str, instead: Response, method: str = "") -> Iterator[None]:
        """Respond so to requests whose paths have this end, of a method or of all."""
        self.fault = lambda sent, path: (
            instead if path.endswith(end) and method in ("", sent) else None
        )
        yield
        self.fault = lambda sent, path: None

    def open(self, number: int, head: str, *, base: str = "main") -> None:
        """Open a pull request, or push another head to it."""
        now = self._now()
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "head": {"sha": head},
            "base": {"ref": base},
            "merged_at": None,
            "merge_commit_sha": None,
            "updated_at": now,
        }

    def merge(self, number: int, commit: str, *, base: str = "main") -> None:
        """Merge a pull request as `commit`."""
        if number not in self.pulls:
            self.open(number, commit, base=base)
        now = self._now()
        self.pulls[number] |= {"state": "closed", "merged_at": now, "merge_commit_sha": commit}
        self.pulls[number]["updated_at"] = now

    def comment(self, number: int, body: str, *, login: str) -> dict[str, Any]:
        """Write a comment as `login`."""
        now = self._now()
        comment = {
            "id": self._next(),
            "issue_url": f"https://api.github.com/repos/{self.repository}/issues/{number}",
            "body": body,
            "user": {"login": login},
            "created_at": now,
            "updated_at": now,
        }
        self.comments.append(comment)
        return comment

    def edit(self, comment: dict[str, Any], body: str) -> None:
        """Edit a comment without recording the editor."""
        comment.update(body=body, updated_at=self._now())

    def on(self, number: int) -> list[dict[str, Any]]:
        """Return the comments on an issue or pull request."""
        return [each for each in self.comments if each["issue_url"].endswith(f"/{number}")]

    def bodies(self, number: int) -> list[str]:
        """Return the texts of this workflow's comments on a pull request or issue."""
        return [each["body"] for each in self.on(number) if each["user"]["login"] == self.login]

    def enqueue(self, job: Job, group: str, *, queue: str = "single") -> None:
        """Add a job to a concurrency group.

        It cancels the job that is pending before it; with the queue "max", up to 100 are pending.
        """
        jobs = self.groups.setdefault(group.casefold(), [])
        if queue == "single":
            del jobs[1:]
        if len(jobs) <= MAX_PENDING:
            jobs.append(job)

    @property
    def waiting(self) -> list[Job]:
        """Return the jobs that wait for a reviewer, or behind another job."""
        return [job for jobs in self.groups.values() for job in jobs]

    def run_jobs(self) -> dict[str, Any]:
        """Run the jobs that wait for no other job and no reviewer; return each by environment."""
        results: dict[str, Any] = {}
        while ready := [jobs for jobs in self.groups.values() if jobs and self._may_start(jobs[0])]:
            results[ready[0][0].environment] = ready[0][0].start()
            del ready[0][0]
        return results

    def _may_start(self, job: Job) -> bool:
        return job.is_approved or job.environment not in self.reviewed

    def approve(self, environment: str) -> None:
        """Approve the job that waits for the reviewers of an environment."""
        first = [jobs[0] for jobs in self.groups.values() if jobs]
        (job,) = (job for job in first if job.environment == environment)
        job.is_approved = True

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Return method and path of each request that changes something."""
        return [
            (method, path)
            for method, path in self.log
            if method != "GET" and not path.endswith("graphql")
        ]

    def judge(self) -> None:
        """Check the requests by GitHub's own description of its REST API."""
        rest = [entry for entry in self.received if not entry.path.endswith("/graphql")]
        assert violations(rest) == []

    # GitHub's responses.

    def handle(self, request: Request) -> Response:
        """Process one request."""
        method, path = request.method, request.path.removeprefix("/api/v3")
        with self._lock:
            self.log.append((method, path))
            body = request.body.decode()
            self.received.append(LogEntry(method, path, request.query, 0, body, changed=None))
            instead = self.fault(method, path)
            if instead is not None:
                return instead
            if request.headers.get("authorization") not in (
                f"Bearer {self.token}",
                f"token {self.token}",  # of gh
            ):
                return refusal(401, "Bad credentials")
            if path.endswith("/graphql"):
                return json_value({"data": {"viewer": {"login": self.login}}})
            if method != "GET" and self.read_only:
                return refusal(403, "Resource not accessible by integration")
            value = json.loads(request.body or b"{}")
            query = dict(parse_qsl(request.query))
            response = self._route(method, path, query, value)
            if method == "GET" and response.body.startswith(b"[{"):
                url = f"http://{request.headers.get('host', '')}{request.path}"
                after = urlencode({**query, "page": int(query.get("page", "1")) + 1})
                response = response.with_headers(("link", f'<{url}?{after}>; rel="next"'))
            return response

    def _route(self, method: str, path: str, query: dict[str, str], value: Any) -> Response:
        prefix = f"/repos/{self.repository}"
        if not path.startswith(prefix):
            return refusal(404, "Not Found")
        rest = path.removeprefix(prefix)
        if len(str(value.get("body") or "")) > MAX_BODY:
            message = f"body is too long (maximum is {MAX_BODY} characters)"
            return refusal(422, "Validation Failed", errors=[{"message": message}])
        if method == "GET" and rest.startswith(("/git/", "/compare/", "/pulls")):
            return self._history(rest, query)
        if found := re.fullmatch(r"/issues/(\d+)/comments", rest):
            number = int(found[1])
            if method == "POST":
                return json_value(self.comment(number, value["body"], login=self.login), status=201)
            return self._page(self.on(number), query)
        if method == "PATCH" and (found := re.fullmatch(r"/issues/comments/(\d+)", rest)):
            for each in self.comments:
                if each["id"] == int(found[1]):
                    self.edit(each, value["body"])
                    return json_value(each)
        if rest == "/issues":
            return self._issues(method, query, value)
        if method == "PATCH" and (found := re.fullmatch(r"/issues/(\d+)", rest)):
            for each in self.issues:
                if each["number"] == int(found[1]):
                    each.update(value)
                    return json_value(each)
        return refusal(404, "Not Found")

    def _history(self, rest: str, query: dict[str, str]) -> Response:
        """Process requests for commits and pull requests."""
        if rest == "/pulls":
            rows = [
                each
                for each in self.pulls.values()
                if each["state"] == query["state"] and each["base"]["ref"] == query["base"]
            ]
            rows.sort(key=lambda each: str(each["updated_at"]), reverse=True)
            return self._page(rows, query)
        if (found := re.fullmatch(r"/pulls/(\d+)", rest)) and int(found[1]) in self.pulls:
            return json_value(self.pulls[int(found[1])])
        if rest.startswith("/git/matching-refs/"):
            rows = [{"ref": name, "object": {"sha": commit}} for name, commit in self.queue.items()]
            return json_value(rows)
        if self.git is None:
            return refusal(404, "Not Found")
        if found := re.fullmatch(r"/compare/([0-9a-f]+)\.\.\.(.+)", rest):
            old, new = found[1], self.git("rev-parse", found[2])
            fork = self.git("merge-base", old, new)
            status = {new: "behind", old: "ahead"}.get(fork, "diverged")
            names = self.git("diff", "--name-only", fork, new).splitlines()
            files = [{"filename": each} for each in names]
            return json_value({"status": status, "files": files})
        return refusal(404, "Not Found")

    def _issues(self, method: str, query: dict[str, str], value: Any) -> Response:
        if method == "POST":
            issue = {
                "number": self._next(),
                "state": "open",
                "title": value["title"],
                "body": value["body"],
                "user": {"login": self.login},
            }
            self.issues.append(issue)
            return json_value(issue, status=201)
        return self._page(
            [
                issue
                for issue in self.issues
                if issue["state"] == query.get("state", "open")
                if query.get("creator") in (None, issue["user"]["login"])
            ],
            query,
        )

    def _page(self, rows: list[Any], query: dict[str, str]) -> Response:
        size, page = int(query.get("per_page", "30")), int(query.get("page", "1"))
        return json_value(rows[(page - 1) * size : page * size])

    def _now(self) -> str:
        self.time += timedelta(seconds=1)
        return self.time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _next(self) -> int:
        self._ids += 1
        return self._ids
