"""A small GitHub in memory: what `webhooks ci` asks of it, with GitHub's own limits and refusals.

`FakeGitHub.handle` is a pure request and answer; `serve` puts it behind HTTP on this machine.
Comments and issues remember their author, pages are pages, a body over 65,536 characters is
refused, and a token that only reads cannot write.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MAX_BODY = 65_536
BOT = "github-actions[bot]"


@dataclass(frozen=True)
class Answer:
    """A status, a JSON value and further headers."""

    status: int
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return b"" if self.value is None else json.dumps(self.value).encode()


class FakeGitHub:
    """One repository on GitHub."""

    def __init__(
        self, *, repository: str = "acme/hooks", token: str = "gh-canary-token", login: str = BOT
    ) -> None:
        self.repository = repository
        self.token = token
        self.login = login
        self.graphql = True
        self.read_only = False
        self.page_size = 100
        self.pulls: dict[int, dict[str, Any]] = {}
        self.pulls_of: dict[str, list[int]] = {}
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.log: list[tuple[str, str]] = []
        self._ids = 1000
        self._lock = threading.Lock()

    # What a test does by hand.

    def merge(self, number: int, *commits: str, base: str = "main", merged: bool = True) -> None:
        """Let `commits` belong to a pull request that is merged."""
        self.pulls[number] = {
            "number": number,
            "merged_at": "2026-01-02T03:04:05Z" if merged else None,
            "base": {"ref": base},
        }
        for commit in commits:
            self.pulls_of.setdefault(commit, []).append(number)

    def comment(self, number: int, body: str, *, login: str) -> dict[str, Any]:
        """Let somebody comment."""
        comment = {
            "id": self._next(),
            "issue": number,
            "body": body,
            "user": {"login": login},
            "created_at": "2026-01-02T03:04:05Z",
        }
        self.comments.append(comment)
        return comment

    def bodies(self, number: int, *, login: str | None = None) -> list[str]:
        """Return the comments on a pull request or issue, by default our own."""
        author = login or self.login
        return [
            each["body"]
            for each in self.comments
            if each["issue"] == number and each["user"]["login"] == author
        ]

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Return method and path of each request that changes something."""
        return [
            (method, path)
            for method, path in self.log
            if method != "GET" and not path.endswith("graphql")
        ]

    # What GitHub does.

    def handle(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request; `headers` have lower-case names."""
        parts = urlsplit(url)
        path = parts.path.removeprefix("/api/v3")
        query = dict(parse_qsl(parts.query))
        with self._lock:
            self.log.append((method, path))
            if headers.get("authorization") != f"Bearer {self.token}":
                return Answer(401, {"message": "Bad credentials"})
            if path.endswith("/graphql"):
                return self._viewer()
            if method != "GET" and self.read_only:
                return Answer(403, {"message": "Resource not accessible by integration"})
            value = json.loads(body) if body else {}
            return self._route(method, path, query, value)

    def _viewer(self) -> Answer:
        if not self.graphql:
            return Answer(403, {"message": "Resource not accessible by integration"})
        return Answer(200, {"data": {"viewer": {"login": self.login}}})

    def _route(self, method: str, path: str, query: dict[str, str], value: Any) -> Answer:
        prefix = f"/repos/{self.repository}"
        if not path.startswith(prefix):
            return Answer(404, {"message": "Not Found"})
        rest = path.removeprefix(prefix)
        if len(str(value.get("body") or "")) > MAX_BODY:
            message = f"body is too long (maximum is {MAX_BODY} characters)"
            return Answer(422, {"message": "Validation Failed", "errors": [{"message": message}]})
        if method == "GET" and (found := re.fullmatch(r"/commits/([0-9a-f]+)/pulls", rest)):
            numbers = self.pulls_of.get(found[1], [])
            return self._page([self.pulls[number] for number in numbers], path, query)
        if found := re.fullmatch(r"/issues/(\d+)/comments", rest):
            number = int(found[1])
            if method == "POST":
                return Answer(201, self.comment(number, value["body"], login=self.login))
            mine = [each for each in self.comments if each["issue"] == number]
            return self._page(mine, path, query)
        if method == "PATCH" and (found := re.fullmatch(r"/issues/comments/(\d+)", rest)):
            for each in self.comments:
                if each["id"] == int(found[1]):
                    each["body"] = value["body"]
                    return Answer(200, each)
        if rest == "/issues":
            return self._issues(method, path, query, value)
        if method == "PATCH" and (found := re.fullmatch(r"/issues/(\d+)", rest)):
            for each in self.issues:
                if each["number"] == int(found[1]):
                    each.update(value)
                    return Answer(200, each)
        return Answer(404, {"message": "Not Found"})

    def _issues(self, method: str, path: str, query: dict[str, str], value: Any) -> Answer:
        if method == "POST":
            issue = {
                "number": self._next(),
                "state": "open",
                "title": value["title"],
                "body": value["body"],
                "user": {"login": self.login},
            }
            self.issues.append(issue)
            return Answer(201, issue)
        state = query.get("state", "open")
        return self._page([each for each in self.issues if each["state"] == state], path, query)

    def _page(self, rows: list[Any], path: str, query: dict[str, str]) -> Answer:
        size = min(int(query.get("per_page", "30")), self.page_size)
        page = int(query.get("page", "1"))
        chosen = rows[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(rows):
            link = f"http://elsewhere.invalid{path}?per_page={size}&page={page + 1}"
            headers["Link"] = f'<{link}>; rel="next"'
        return Answer(200, chosen, headers)

    def _next(self) -> int:
        self._ids += 1
        return self._ids


@contextmanager
def serve(github: FakeGitHub) -> Iterator[str]:
    """Serve `github` on this machine and yield its address, as GITHUB_API_URL has it."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = github.handle(self.command, self.path, headers, self.rfile.read(length))
            body = answer.body()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
