"""Check whether Slack accepts the messages of the declared webhooks.

Each distinct token is looked up once. Nothing is posted without `send`. A value that does not look
like a Slack token is never sent to Slack. A check that needs a missing scope is unknown, not
failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from reconciler.api.attempt import Reply
from reconciler.api.transport import MAX_LISTING_BYTES, Transport
from reconciler.checks import Check, Checklist, Section, Status, fail, ok, unknown, warn
from reconciler.deliveries.manifest import SCOPES
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    CredentialError,
    InvalidRequestError,
    ProtocolError,
    ReconcilerError,
)
from reconciler.kinds import FIELDS
from reconciler.kinds.slack import TOKEN, USE_A_BOT, non_bot_description
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.render.quote import quote
from reconciler.render.words import plural

_MAX_PAGES: Final = 50
_PAGE: Final = 900  # channels; Slack advises fewer than 1000
_BOT_TOKEN: Final = re.compile(r"xoxb-.*", re.DOTALL)
_WORD: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,79}")
_INVITE: Final = "type /invite @BOT in the channel, with the bot's name from above"
_FIND: Final = f"correct the channel; if it is private, {_INVITE}"
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
    "restricted_action": (
        "the workspace does not allow the app to post there",
        "ask a workspace administrator to allow it",
    ),
}


def check(
    webhooks: Sequence[Webhook],
    secrets: Mapping[SecretRef, Secret],
    connect: Callable[[Secret], Transport],
    *,
    send: bool = False,
) -> Checklist:
    """Check every Slack webhook; with `send` post one message for each that Slack accepts.

    `secrets` are the available values. `connect` returns a transport to Slack's Web API with the
    token as its credential, and may raise CredentialError.
    """
    tokens: list[_Token] = []
    sections = []
    for each in webhooks:
        if each.type != "slack":
            continue
        reference = each.configuration["token"]
        assert isinstance(reference, SecretRef)
        if (value := secrets.get(reference)) is None:
            fix = "set the variable in this command's environment, or put the token into the file"
            detail = f"{quote(str(reference))}: not set, empty or not usable"
            checks = [fail("secret", detail, fix=fix)]
        else:
            checks = [ok("secret", quote(str(reference)))]
            token = next((known for known in tokens if known.secret == value), None)
            if token is None:
                token = _Token(value, connect)
                tokens.append(token)
            checks += token.checks
            if token.accepted:
                channel, username = (str(each.configuration[k]) for k in ("channel", "username"))
                checks += [_scopes(token.scopes, username), _channel(channel, token)]
                checks += [_post(each.name, channel, username, token)] if send else []
        sections.append(Section(name=each.name, position=each.position, checks=tuple(checks)))
    notes = [] if sections else ["There is no Slack webhook to check."]
    if others := len(webhooks) - len(sections):
        notes.append(f"Not checked: {plural(others, 'webhook')} of other types.")
    return Checklist(command="slack check", sections=tuple(sections), notes=tuple(notes))


class _Token:
    """A token, whether Slack accepts it, its scopes, and the channels that it can see.

    `scopes` is None if they are not known.
    """

    def __init__(self, secret: Secret, connect: Callable[[Secret], Transport]) -> None:
        self.secret = secret
        self.checks = [_check_form(secret)]
        self.accepted = False
        self.scopes: frozenset[str] | None = None
        if self.checks[0].status is Status.FAIL:
            return
        try:
            self._transport = connect(secret)
            reply = self.call("GET", "auth.test")
        except (ApiError, CredentialError) as problem:
            self.checks.append(_failed("slack", problem))
            return
        self.accepted = True
        if (listed := reply.headers.get("x-oauth-scopes")) is not None:
            self.scopes = frozenset(_words(listed))
        team, bot = (quote(str(reply.data.get(key) or "(unnamed)")) for key in ("team", "user"))
        self.checks.append(ok("slack", f"team {team}, bot {bot}"))

    def call(self, verb: str, method: str, **arguments: str | int) -> Reply:
        """Call a method of Slack's Web API. Waits for the pause that Slack requests.

        Raises ApiError if there is no usable response or if it has an error; for a POST,
        AmbiguousWriteError if it may have been processed.
        """
        reply = self._transport.request(
            verb,
            f"/{method}",
            params=arguments if verb == "GET" else None,
            json=arguments if verb == "POST" else None,
            expect=200,
            accept=lambda found: isinstance(found, dict) and isinstance(found.get("ok"), bool),
            cap=MAX_LISTING_BYTES,
        )
        if reply.data["ok"]:
            return reply
        code = next(iter(_words(reply.data.get("error"))), "unknown_error")
        known = "restricted_action" if code.startswith("restricted_action") else code
        other = f"Slack returns the error {code}", "look up this code in Slack's documentation"
        message, hint = _ERRORS.get(known, other)
        raise InvalidRequestError(message, hint=hint)

    @property
    def types(self) -> str:
        """Return the types of channels that the token may list, in Slack's format."""
        kinds = (("channels:read", "public_channel"), ("groups:read", "private_channel"))
        return ",".join(kind for scope, kind in kinds if scope in (self.scopes or ()))

    @cached_property
    def channels(self) -> Mapping[str, Mapping[str, Any]] | ApiError:
        """Return the channels by name and by id, or the reason why Slack does not list them."""
        found: dict[str, Mapping[str, Any]] = {}
        page: dict[str, str | int] = {"types": self.types, "limit": _PAGE}
        for _ in range(_MAX_PAGES):
            try:
                data = self.call("GET", "conversations.list", **page).data
            except ApiError as problem:
                return problem
            rows, after = data.get("channels"), data.get("response_metadata")
            for each in rows if isinstance(rows, list) else ():
                if isinstance(each, dict):
                    found |= {str(each.get(key)): each for key in ("name", "id")}
            following = after.get("next_cursor") if isinstance(after, dict) else None
            if not following or not isinstance(following, str):
                return found
            page["cursor"] = following
        return ProtocolError("Slack lists too many channels")


def _check_form(token: Secret) -> Check:
    """Check the form of a token. A token that fails must not be sent to Slack."""
    if not token.matches(TOKEN):
        fix = "refer to the app's Bot User OAuth Token (xoxb-...)"
        return fail("token", "not a Slack token; it was not sent to Slack", fix=fix)
    if token.matches(_BOT_TOKEN):
        return ok("token", "a bot token")
    meaning = non_bot_description(token) or "an unrecognized Slack token type"
    return warn("token", meaning, fix=USE_A_BOT)


def _scopes(scopes: frozenset[str] | None, username: str) -> Check:
    if scopes is None:
        return unknown("scopes", "Slack does not report the token's scopes")
    if "chat:write" not in scopes:
        return fail("scopes", "chat:write is missing: nothing can be posted", fix=_REINSTALL)
    if "chat:write.customize" not in scopes:
        detail = "chat:write.customize is missing: messages appear under the app's name, not as "
        return warn("scopes", detail + quote(username), fix=_REINSTALL)
    return ok("scopes", ", ".join(sorted(scopes & SCOPES.keys())))


def _channel(channel: str, token: _Token) -> Check:
    """Check whether the bot can post in a channel."""
    shown, scopes = quote(channel), token.scopes or frozenset()
    if not token.types:
        detail = f"{shown}: not checked, requires channels:read"
        if token.scopes is not None and "chat:write.public" not in scopes:
            detail += "; without chat:write.public the bot must be invited"
        return unknown("channel", detail, fix="use --send to post a test message")
    listed = token.channels
    if isinstance(listed, ApiError):
        return unknown("channel", f"{shown}: {listed.message}", fix=listed.hint)
    found = listed.get(FIELDS["slack"]["channel"].normalize(channel))
    if found is None and {"channels:read", "groups:read"} <= scopes:
        return fail("channel", f"{shown}: no such channel, or a private one", fix=_FIND)
    if found is None:
        return warn(
            "channel", f"{shown}: not among the channels that this token can see", fix=_FIND
        )
    if found.get("is_archived") is True:
        return fail("channel", f"{shown}: {_ARCHIVED[0]}", fix=_ARCHIVED[1])
    if found.get("is_member") is True:
        return ok("channel", f"{shown}, the bot is in it")
    if "chat:write.public" in scopes:
        return ok("channel", f"{shown}, a public channel")
    detail = f"{shown}: the bot is not in it, and chat:write.public is missing"
    return fail("channel", detail, fix=f"{_INVITE}, or add the scope and reinstall the app")


def _post(name: str, channel: str, username: str, token: _Token) -> Check:
    # Slack reads mentions and links from these characters.
    name = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = f"Test: CloudTruth webhook {name} posts here. (Sent by webhooks slack check.)"
    try:
        token.call("POST", "chat.postMessage", channel=channel, username=username, text=text)
    except AmbiguousWriteError:
        return unknown("send", "incomplete response from Slack; the message may have been posted")
    except ApiError as problem:
        return _failed("send", problem)
    return ok("send", f"posted in {quote(channel)} as {quote(username)}")


def _failed(name: str, problem: ReconcilerError) -> Check:
    fix = problem.hint or "run again; status.slack.com lists outages"
    return fail(name, problem.message, fix=fix)


def _words(listed: Any) -> list[str]:
    """Return the parts of a string that are plain words, such as codes and scopes."""
    parts = listed.split(",") if isinstance(listed, str) else []
    return [word for part in parts if _WORD.fullmatch(word := part.strip())]
