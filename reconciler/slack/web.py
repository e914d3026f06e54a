"""The few methods of Slack's Web API that a check needs, seen with one token.

Promises: the token goes to the configured origin alone; a pause that Slack asks for is kept; an
answer is a value whatever Slack says, and its error code is a short word or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from reconciler.errors import UsageError
from reconciler.model import Secret

if TYPE_CHECKING:
    from reconciler.api.origin import Origin

DEFAULT_URL: Final = "https://slack.com/api"
SLACK_URL: Final = "WEBHOOKS_SLACK_URL"
"""The variable that names another address, such as that of a proxy."""

PAGE: Final = 900
"""Channels on a page; Slack advises fewer than 1000."""
MOST_PAGES: Final = 50

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,79}")
_SCOPE: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Slack answers.

    `error` is its error code, None for success. `scopes` are those of the token, None where Slack
    does not tell; `needed` is the one that was missing.
    """

    error: str | None
    scopes: frozenset[str] | None
    needed: str | None = None
    data: Mapping[str, Any] = field(repr=False)

    def text(self, key: str) -> str | None:
        """Return a text of the answer, None if there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) and value else None


class Slack:
    """Slack, seen with one token. Every method raises ApiError if Slack gives no answer."""

    def __init__(self, token: Secret, *, url: str = DEFAULT_URL, **options: Any) -> None:
        """Connect; no request is made yet. `options` are those of `api.transport.Transport`.

        Raises UsageError for an address to which no token may go, CredentialError for a token
        that cannot be one.
        """
        from reconciler.api.origin import Credential
        from reconciler.api.transport import Transport

        credential = Credential.bearer(token, "Slack token")
        self._transport = Transport(origin=origin_of(url), credential=credential, **options)

    def identity(self) -> Answer:
        """Ask whose token this is (auth.test). It needs no scope."""
        return self._ask("POST", "auth.test")

    def channel(self, id: str) -> Answer:
        """Ask about one channel by its id (conversations.info)."""
        return self._ask("GET", "conversations.info", params={"channel": id})

    def channels(self, types: str, cursor: str) -> Answer:
        """Ask for a page of channels (conversations.list); `types` as Slack writes them."""
        params: dict[str, str | int] = {"types": types, "limit": PAGE, "exclude_archived": "false"}
        if cursor:
            params["cursor"] = cursor
        return self._ask("GET", "conversations.list", params=params)

    def post(self, channel: str, *, username: str, text: str) -> Answer:
        """Post a message (chat.postMessage).

        Raises AmbiguousWriteError if it may have been posted.
        """
        body = {"channel": channel, "username": username, "text": text}
        return self._ask("POST", "chat.postMessage", json=body)

    def _ask(
        self,
        verb: str,
        method: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
    ) -> Answer:
        from reconciler.api.transport import LARGE

        reply = self._transport.request(
            verb, f"/{method}", params=params, json=json, expect=200, accept=_is_answer, cap=LARGE
        )
        data: dict[str, Any] = reply.data
        listed = reply.headers.get("x-oauth-scopes")
        return Answer(
            error=None if data["ok"] else _word(data.get("error")) or "unknown_error",
            scopes=None if listed is None else _scopes(listed),
            needed=_first_scope(data.get("needed")),
            data=data,
        )

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def origin_of(url: str) -> Origin:
    """Return the server that tokens would go to. Raises UsageError for a bad address."""
    from reconciler.api.origin import Origin

    try:
        return Origin.parse(url)
    except UsageError:
        raise UsageError(
            "the address of Slack is none that a token may go to",
            hint=f"correct --slack-url or {SLACK_URL}: https, a host, and maybe a path, as in "
            f"{DEFAULT_URL}",
        ) from None


def _is_answer(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("ok"), bool)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _scopes(listed: str) -> frozenset[str]:
    parts = (part.strip() for part in listed.split(","))
    return frozenset(part for part in parts if _SCOPE.fullmatch(part))


def _first_scope(value: Any) -> str | None:
    first = value.split(",")[0].strip() if isinstance(value, str) else ""
    return first if _SCOPE.fullmatch(first) else None
