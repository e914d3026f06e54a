"""Look up Slack apps by their tokens, and check webhooks against Slack's answers.

`look_up` makes all requests for a token; nothing is posted except by `post`. A value that does not
look like a Slack token is never sent to Slack. A check that needs a missing scope is unknown, not
failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from reconciler.api.attempt import Reply
from reconciler.api.transport import MAX_LISTING_BYTES, Transport
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    CredentialError,
    InvalidRequestError,
    ProtocolError,
    ReconcilerError,
)
from reconciler.kinds import FIELDS
from reconciler.kinds.slack import SCOPES, TOKEN, USE_A_BOT, non_bot_description
from reconciler.model import Secret, Webhook
from reconciler.render.quote import quote
from reconciler.report import Check, Status, fail, ok, unknown, warn

_MAX_PAGES: Final = 50
_PAGE: Final = 900  # channels; Slack advises fewer than 1000
_PATIENCE: Final = 60.0
_BOT_TOKEN: Final = re.compile(r"xoxb-.*", re.DOTALL)
_WORD: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,79}")
_INVITE: Final = "type /invite @BOT in the channel, with the bot's name from above"
_FIND: Final = (
    f"correct the channel, or use the token of its workspace; if it is private, {_INVITE}"
)
_REINSTALL: Final = (
    "add it under OAuth & Permissions and reinstall the app; "
    "`webhooks slack manifest` lists all scopes"
)
_COPY_AGAIN: Final = "copy the app's Bot User OAuth Token (xoxb-...) again and store it"
_ARCHIVED: Final = ("the channel is archived", "unarchive it, or choose another channel")
_ERRORS: Final = {
    "invalid_auth": ("Slack rejected the token", _COPY_AGAIN),
    "token_revoked": ("the token was revoked", _COPY_AGAIN),
    "token_expired": (
        "the token expired: its app uses token rotation",
        "create an app without token rotation: `webhooks slack manifest`",
    ),
    "account_inactive": ("the app was removed, or its user is deactivated", "install it again"),
    "channel_not_found": (
        "Slack finds no such channel, or it is private and the bot is not in it",
        _FIND,
    ),
    "not_in_channel": ("the bot is not in the channel", _INVITE),
    "is_archived": _ARCHIVED,
    "missing_scope": ("the token lacks a scope", _REINSTALL),
    "ratelimited": ("Slack limits the request rate", "run again in a few minutes"),
    "restricted_action": (
        "the workspace does not allow the app to post there",
        "ask a workspace administrator to allow it",
    ),
}


class App(NamedTuple):
    """Slack's answers about a token.

    `checks` are those of the token itself; if one failed, the rest is not known. `scopes` is None
    if Slack does not report them. `channels` are the visible channels by name and by id, the error
    if Slack does not list them, or None if the token may not list any.
    """

    checks: tuple[Check, ...]
    team: str = ""
    scopes: frozenset[str] | None = None
    channels: Mapping[str, Mapping[str, Any]] | ApiError | None = None

    @property
    def accepted(self) -> bool:
        """Whether Slack accepts the token."""
        return all(check.status in (Status.OK, Status.WARN) for check in self.checks)


def cause(code: str) -> tuple[str, str] | None:
    """Return the meaning of an error code of Slack and its fix, None for an unknown code."""
    # Slack adds the setting that forbids it, as in `restricted_action_read_only_channel`.
    if code.startswith("restricted_action"):
        code = "restricted_action"
    return _ERRORS.get(code)


def look_up(token: Secret, connect: Callable[[Secret], Transport] | None) -> App:
    """Return Slack's answers about a token: one `auth.test`, and each page of channels once.

    `connect` returns a transport to Slack's Web API with the token as its credential, and may raise
    CredentialError. Without it, no request is made.
    """
    form = _check_form(token)
    if form.status is Status.FAIL:
        return App((form,))
    if connect is None:
        return App((form, unknown("slack", "not checked: --local makes no requests to Slack")))
    # A token that cannot be a header's value raises before a request.
    try:
        transport = connect(token)
        reply = _call(transport, "GET", "auth.test")
    except (ApiError, CredentialError) as problem:
        return App((form, _failed("slack", problem)))
    # Slack reports the scopes only in this header; a proxy may remove it.
    listed = reply.headers.get("x-oauth-scopes")
    scopes = None
    if listed is not None:
        scopes = frozenset(_words(listed))
    team, bot = (quote(str(reply.data.get(key) or "(unnamed)")) for key in ("team", "user"))
    checks = (form, ok("slack", f"team {team}, bot {bot}"))
    return App(checks, team, scopes, _list_channels(transport, scopes or frozenset()))


def _call(transport: Transport, verb: str, method: str, **arguments: str | int) -> Reply:
    """Call a method of Slack's Web API. Waits up to a minute for the pauses that Slack requests.

    Raises ApiError if there is no usable response or if it has an error; for a POST,
    AmbiguousWriteError if it may have been processed.
    """
    # Slack answers errors with status 200 and `ok: false`, so the document decides.
    reply = transport.request(
        verb,
        f"/{method}",
        params=arguments if verb == "GET" else None,
        json=arguments if verb == "POST" else None,
        expect=200,
        accept=lambda document: isinstance(document, dict) and isinstance(document.get("ok"), bool),
        cap=MAX_LISTING_BYTES,
        # One limited token must not delay the result of the others until the deadline.
        patience=_PATIENCE,
    )
    if reply.data["ok"]:
        return reply
    code = next(iter(_words(reply.data.get("error"))), "unknown_error")
    other = f"Slack returns the error {code}", "look up this code in Slack's documentation"
    message, hint = cause(code) or other
    raise InvalidRequestError(message, hint=hint)


def _list_channels(
    transport: Transport, scopes: frozenset[str]
) -> Mapping[str, Mapping[str, Any]] | ApiError | None:
    # Slack refuses the complete listing if a scope for one of the types is missing.
    kinds = (("channels:read", "public_channel"), ("groups:read", "private_channel"))
    types = ",".join(kind for scope, kind in kinds if scope in scopes)
    if not types:
        return None
    channels: dict[str, Mapping[str, Any]] = {}
    page: dict[str, str | int] = {"types": types, "limit": _PAGE}
    # Slack has no count, so the number of pages is limited against an endless cursor.
    for _ in range(_MAX_PAGES):
        try:
            data = _call(transport, "GET", "conversations.list", **page).data
        except ApiError as problem:
            return problem
        channels |= _by_name_and_id(data.get("channels"))
        after = data.get("response_metadata")
        following = after.get("next_cursor") if isinstance(after, dict) else None
        if not following or not isinstance(following, str):
            return channels
        page["cursor"] = following
    return ProtocolError("Slack lists too many channels")


def _by_name_and_id(rows: Any) -> dict[str, Mapping[str, Any]]:
    """Return channels by both, because files may declare either."""
    channels: dict[str, Mapping[str, Any]] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            channels |= {str(row.get("name")): row, str(row.get("id")): row}
    return channels


def check_webhook(webhook: Webhook, app: App) -> Iterator[Check]:
    """Yield the checks of a declared webhook with the token of `app`."""
    yield from app.checks
    # The scopes and channels of a rejected token are not known.
    if app.accepted:
        channel, username = (str(webhook.configuration[key]) for key in ("channel", "username"))
        yield _check_scopes(app.scopes, username)
        yield _check_channel(channel, app)


def post(webhook: Webhook, token: Secret, connect: Callable[[Secret], Transport]) -> Check:
    """Post a test message as a webhook would."""
    channel, username = (str(webhook.configuration[key]) for key in ("channel", "username"))
    # Slack reads mentions and links from these characters.
    name = webhook.name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = f"Test: CloudTruth webhook {name} posts here. (Sent by webhooks check.)"
    message = {"channel": channel, "username": username, "text": text}
    try:
        _call(connect(token), "POST", "chat.postMessage", **message)
    except AmbiguousWriteError:
        # It is not repeated: everyone in the channel would see it twice.
        return unknown("send", "incomplete response from Slack; the message may have been posted")
    except ApiError as problem:
        return _failed("send", problem)
    return ok("send", f"posted in {quote(channel)} as {quote(username)}")


def _check_form(token: Secret) -> Check:
    """Check the form of a token. A token that fails must not be sent to Slack."""
    if not token.matches(TOKEN):
        fix = "refer to the app's Bot User OAuth Token (xoxb-...)"
        return fail("token", "not a Slack token; it was not sent to Slack", fix=fix)
    if token.matches(_BOT_TOKEN):
        return ok("token", "a bot token")
    meaning = non_bot_description(token) or "an unrecognized Slack token type"
    return warn("token", meaning, fix=USE_A_BOT)


def _check_scopes(scopes: frozenset[str] | None, username: str) -> Check:
    if scopes is None:
        return unknown("scopes", "Slack does not report the token's scopes")
    if "chat:write" not in scopes:
        return fail("scopes", "chat:write is missing: nothing can be posted", fix=_REINSTALL)
    if "chat:write.customize" not in scopes:
        detail = "chat:write.customize is missing: messages appear under the app's name, not as "
        return warn("scopes", detail + quote(username), fix=_REINSTALL)
    return ok("scopes", ", ".join(sorted(scopes.intersection(SCOPES))))


def _check_channel(channel: str, app: App) -> Check:
    """Check whether the bot can post in a channel."""
    shown, scopes, listed = quote(channel), app.scopes or frozenset(), app.channels
    if listed is None:
        detail = f"{shown}: not checked, requires channels:read"
        if app.scopes is not None and "chat:write.public" not in scopes:
            detail += "; without chat:write.public the bot must be invited"
        return unknown("channel", detail, fix="use --send to post a test message")
    if isinstance(listed, ApiError):
        return unknown("channel", f"{shown}: {listed.message}", fix=listed.hint)
    row = listed.get(FIELDS["slack"]["channel"].normalize(channel))
    if row is None:
        # With both scopes, all channels are listed except private ones without the bot.
        if {"channels:read", "groups:read"} <= scopes:
            detail = f"{shown}: no such channel in team {app.team}, or a private one"
            return fail("channel", detail, fix=_FIND)
        detail = f"{shown}: not among the channels of team {app.team} that this token can see"
        return warn("channel", detail, fix=_FIND)
    return _check_access(row, shown, scopes)


def _check_access(row: Mapping[str, Any], shown: str, scopes: frozenset[str]) -> Check:
    """Check whether the bot can post in an existing channel."""
    if row.get("is_archived") is True:
        return fail("channel", f"{shown}: {_ARCHIVED[0]}", fix=_ARCHIVED[1])
    if row.get("is_member") is True:
        return ok("channel", "the bot is in the channel")
    if "chat:write.public" in scopes:
        return ok("channel", "a public channel")
    detail = f"{shown}: the bot is not in it, and chat:write.public is missing"
    return fail("channel", detail, fix=f"{_INVITE}, or add the scope and reinstall the app")


def _failed(name: str, problem: ReconcilerError) -> Check:
    fix = problem.hint or "run again; status.slack.com lists outages"
    return fail(name, problem.message, fix=fix)


def _words(listed: Any) -> list[str]:
    """Return the parts of a string that are plain words, such as codes and scopes."""
    if not isinstance(listed, str):
        return []
    # They are printed, and a proxy may answer with any text.
    return [word.strip() for word in listed.split(",") if _WORD.fullmatch(word.strip())]
