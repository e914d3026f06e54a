"""A fake Slack API with tokens, channels and messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from reconciler.emulator.messages import Request, Response, json_value

GOOD = "xoxb-" + "canary-good-0001"
SCOPES = ("chat:write", "chat:write.public", "chat:write.customize")
SEEING = (*SCOPES, "channels:read", "groups:read")


def channel(id: str, name: str, *which: str) -> dict[str, Any]:
    """Return a channel in Slack's format; `which` are its flags."""
    flags = ("is_private", "is_archived", "is_member")
    return {"id": id, "name": name, **{flag: flag in which for flag in flags}}


@dataclass
class FakeSlack:
    """Workspace "Acme". `tokens` maps a token to its scopes, None if they are unknown.

    The first `throttle` requests return 429; `breaking` is a method that always fails. `page` is
    the size of a page of channels.
    """

    tokens: dict[str, tuple[str, ...] | None] = field(default_factory=lambda: {GOOD: SCOPES})
    channels: list[dict[str, Any]] = field(
        default_factory=lambda: [
            channel("C00000001", "deploys"),
            channel("C00000002", "audit", "is_member"),
            channel("C00000003", "old", "is_archived"),
            channel("G00000004", "secret", "is_private"),
        ]
    )
    throttle: int = 0
    breaking: str = ""
    page: int = 2
    errors: dict[str, str] = field(default_factory=dict)
    """An error code by method."""
    log: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Method, token and arguments of each request."""
    posted: list[dict[str, Any]] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.log]

    def handle(self, request: Request) -> Response:
        """Process one request."""
        method = request.path.rpartition("/")[2]
        arguments = dict(parse_qsl(request.query)) or json.loads(request.body or b"{}")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.log.append((method, token, arguments))
        if self.throttle:
            self.throttle -= 1
            limited = json_value({"ok": False, "error": "ratelimited"}, status=429)
            return limited.with_headers(("retry-after", "3"))
        if method == self.breaking:
            return json_value({"ok": False}, status=503)
        if token not in self.tokens:
            return json_value({"ok": False, "error": "invalid_auth"})
        scopes = self.tokens[token]
        if method in self.errors:
            document = {"ok": False, "error": self.errors[method]}
        else:
            document = getattr(self, method.replace(".", "_"))(arguments, set(scopes or ()))
        response = json_value(document)
        if scopes is None:
            return response
        return response.with_headers(("x-oauth-scopes", ",".join(scopes)))

    def auth_test(self, arguments: dict[str, Any], scopes: set[str]) -> Any:
        return {"ok": True, "team": "Acme", "user": "cloudtruth", "url": "https://acme.slack.com/"}

    def conversations_list(self, arguments: dict[str, Any], scopes: set[str]) -> Any:
        types = arguments["types"].split(",")
        needs = {"public_channel": "channels:read", "private_channel": "groups:read"}
        if any(needs[each] not in scopes for each in types):
            return {"ok": False, "error": "missing_scope"}
        # Private channels are listed only for their members.
        rows = [
            each
            for each in self.channels
            if ("private_channel" if each["is_private"] else "public_channel") in types
            and (each["is_member"] or not each["is_private"])
        ]
        start = int(arguments.get("cursor") or 0)
        end = start + self.page
        following = str(end) if end < len(rows) else ""
        return {
            "ok": True,
            "channels": rows[start:end],
            "response_metadata": {"next_cursor": following},
        }

    def chat_postMessage(self, arguments: dict[str, Any], scopes: set[str]) -> Any:  # noqa: N802
        wanted = str(arguments["channel"]).removeprefix("#")
        found = [each for each in self.channels if wanted in (each["id"], each["name"])]
        if "chat:write" not in scopes:
            return {"ok": False, "error": "missing_scope"}
        if not found or (found[0]["is_private"] and not found[0]["is_member"]):
            return {"ok": False, "error": "channel_not_found"}
        if found[0]["is_archived"]:
            return {"ok": False, "error": "is_archived"}
        if not found[0]["is_member"] and "chat:write.public" not in scopes:
            return {"ok": False, "error": "not_in_channel"}
        self.posted.append(arguments)
        return {"ok": True, "ts": "1700000000.000100"}
