"""The methods of Slack's Web API that the checks use.

The token is sent only to the configured origin. Pauses that Slack requests are observed. Every
response is a value, whose error code is a short word or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.api.origin import Credential, Origin
from reconciler.api.transport import LARGE, Transport
from reconciler.errors import UsageError
from reconciler.model import Secret

DEFAULT_URL: Final = "https://slack.com/api"

_PAGE: Final = 900  # channels; Slack advises fewer than 1000
_WORD: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackReply:
    """A response of Slack.

    `error` is its error code, None for success. `scopes` are those of the token, None if Slack does
    not report them; `needed` is the scope that is missing.
    """

    error: str | None
    scopes: frozenset[str] | None
    needed: str | None = None
    data: Mapping[str, Any] = field(repr=False)

    def text(self, key: str) -> str | None:
        """Return a text of the response, None if it has none."""
        value = self.data.get(key)
        return value if isinstance(value, str) and value else None


class Slack:
    """A client of Slack with one token.

    Its methods raise ApiError if there is no usable response.
    """

    def __init__(self, token: Secret, *, url: str = DEFAULT_URL, **options: Any) -> None:
        """Create a client, without a request. `options` are those of `api.transport.Transport`.

        Raises UsageError for an unsafe URL, CredentialError for a token that cannot be sent in a
        header.
        """
        credential = Credential.of("Bearer", token, "Slack token")
        self._transport = Transport(origin=origin_of(url), credential=credential, **options)

    def identity(self) -> SlackReply:
        """Return the owner of the token (auth.test). Needs no scope."""
        return self._call("POST", "auth.test")

    def channel(self, id: str) -> SlackReply:
        """Return one channel by its id (conversations.info)."""
        return self._call("GET", "conversations.info", params={"channel": id})

    def channels(self, types: str, cursor: str) -> SlackReply:
        """Return a page of channels (conversations.list); `types` has Slack's format."""
        params: dict[str, str | int] = {"types": types, "limit": _PAGE, "exclude_archived": "false"}
        if cursor:
            params["cursor"] = cursor
        return self._call("GET", "conversations.list", params=params)

    def post(self, channel: str, *, username: str, text: str) -> SlackReply:
        """Post a message (chat.postMessage).

        Raises AmbiguousWriteError if it may have been posted.
        """
        body = {"channel": channel, "username": username, "text": text}
        return self._call("POST", "chat.postMessage", json=body)

    def _call(
        self,
        verb: str,
        method: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
    ) -> SlackReply:
        reply = self._transport.request(
            verb, f"/{method}", params=params, json=json, expect=200, accept=_is_reply, cap=LARGE
        )
        data: dict[str, Any] = reply.data
        listed = reply.headers.get("x-oauth-scopes")
        return SlackReply(
            error=None if data["ok"] else next(iter(_words(data.get("error"))), "unknown_error"),
            scopes=None if listed is None else frozenset(_words(listed)),
            needed=next(iter(_words(data.get("needed"))), None),
            data=data,
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


def origin_of(url: str) -> Origin:
    """Return the server that receives the tokens. Raises UsageError for an unsafe URL."""
    try:
        return Origin.parse(url)
    except UsageError:
        raise UsageError(
            "the URL of Slack cannot be used",
            hint=f"set --slack-url or WEBHOOKS_SLACK_URL to a URL such as {DEFAULT_URL}",
        ) from None


def _is_reply(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("ok"), bool)


def _words(listed: Any) -> list[str]:
    """Return the parts of a text that are plain words, such as codes and scopes."""
    parts = listed.split(",") if isinstance(listed, str) else []
    return [word for part in parts if _WORD.fullmatch(word := part.strip())]
