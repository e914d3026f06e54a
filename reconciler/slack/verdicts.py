"""What Slack's answers mean for a webhook: pure, from answers to checks.

Only what was seen is called a failure. What a token may not look at is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.errors import AmbiguousWriteError, ApiError
from reconciler.kinds.slack import BOT_TOKEN, OTHER_TOKENS, TOKEN
from reconciler.model import Secret
from reconciler.render.quote import quote
from reconciler.slack.manifest import POST, POST_ANYWHERE, POST_AS, SEE_CHANNELS, SEE_PRIVATE
from reconciler.slack.web import Answer

_INVITE: Final = "say /invite @bot in the channel, with the name of the bot above"
_REINSTALL: Final = (
    "add it under OAuth & Permissions and reinstall the app; "
    "`webhooks slack manifest` has all that is needed"
)
_COPY_AGAIN: Final = "copy the app's Bot User OAuth Token (xoxb-...) again, and store it anew"

_ERRORS: Final = {
    "invalid_auth": ("Slack does not know the token", _COPY_AGAIN),
    "not_authed": ("Slack saw no token", _COPY_AGAIN),
    "token_revoked": ("the token was revoked", _COPY_AGAIN),
    "token_expired": (
        "the token has expired: it is one that rotates",
        "make an app without token rotation: `webhooks slack manifest`",
    ),
    "account_inactive": ("the app was removed, or its user is deactivated", "install it again"),
    "channel_not_found": (
        "Slack finds no such channel, or a private one without the bot",
        f"correct the channel; if it is private, {_INVITE}",
    ),
    "not_in_channel": ("the bot is not in the channel", _INVITE),
    "is_archived": ("the channel is archived", "unarchive it, or choose another"),
    "missing_scope": ("the token lacks a scope", _REINSTALL),
    "ratelimited": ("Slack asks to slow down", "run again in a minute"),
    "rate_limited": ("Slack asks to slow down", "run again in a minute"),
}
_RESTRICTED: Final = (
    "the workspace does not let the app post there",
    "ask an administrator of the workspace to allow it",
)


def of_token(token: Secret) -> Check:
    """Judge a token by its looks. A failed one must not be sent to Slack: it is something else."""
    if token.matches(BOT_TOKEN) and token.matches(TOKEN):
        return ok("token", "a bot token")
    for shape, meaning, cure in OTHER_TOKENS:
        if token.matches(shape) and token.matches(TOKEN):
            return warn("token", meaning, fix=cure)
    if token.matches(TOKEN):
        return warn("token", "a Slack token of an unusual kind", fix=_COPY_AGAIN)
    return fail(
        "token",
        "this is no Slack token, and was not sent to Slack",
        fix="refer to the app's Bot User OAuth Token (xoxb-...)",
    )


def of_identity(answer: Answer) -> Check:
    """Say whose token it is."""
    if answer.error is not None:
        return _refused("slack", answer)
    team = quote(answer.text("team") or "of unknown name")
    bot = quote(answer.text("user") or "of unknown name")
    return ok("slack", f"team {team}, bot {bot}")


def of_scopes(scopes: frozenset[str] | None, username: str) -> Check:
    """Hold a token's scopes against what a webhook needs."""
    if scopes is None:
        return unknown("scopes", "Slack does not tell the token's scopes")
    if POST not in scopes:
        return fail("scopes", f"{POST} is missing: nothing can be posted", fix=_REINSTALL)
    if POST_AS not in scopes:
        return warn(
            "scopes",
            f"{POST_AS} is missing: messages appear under the app's name, not as {quote(username)}",
            fix=_REINSTALL,
        )
    return ok("scopes", ", ".join(sorted(scopes & {POST, POST_AS, POST_ANYWHERE})))


def types_to_see(scopes: frozenset[str] | None) -> str:
    """Return the kinds of channels that a token may list, as Slack writes them; maybe none."""
    kinds = ((SEE_CHANNELS, "public_channel"), (SEE_PRIVATE, "private_channel"))
    return ",".join(kind for scope, kind in kinds if scope in (scopes or ()))


def of_unseen_channel(channel: str, scopes: frozenset[str] | None) -> Check:
    """Say that a channel cannot be looked at with this token."""
    need = ""
    if scopes is not None and POST_ANYWHERE not in scopes:
        need = f"; without {POST_ANYWHERE} the bot must have been invited"
    return unknown(
        "channel",
        f"{quote(channel)}: looking needs {SEE_CHANNELS}{need}",
        fix="--send finds out by posting a message",
    )


def of_missing_channel(channel: str, scopes: frozenset[str] | None) -> Check:
    """Say that no channel of this name is among those that can be seen."""
    wanted = quote(channel)
    cure = f"correct the channel; if it is private, {_INVITE}"
    if scopes is not None and {SEE_CHANNELS, SEE_PRIVATE} <= scopes:
        return fail("channel", f"{wanted}: no such channel, or a private one", fix=cure)
    return warn("channel", f"{wanted}: not among the channels that this token may see", fix=cure)


def of_channel(channel: str, found: Mapping[str, Any], scopes: frozenset[str] | None) -> Check:
    """Say whether the bot can post in a channel, as Slack describes it."""
    shown = quote(channel)
    if found.get("is_archived") is True:
        detail, cure = _ERRORS["is_archived"]
        return fail("channel", f"{shown}: {detail}", fix=cure)
    if found.get("is_member") is True:
        return ok("channel", f"{shown}, the bot is in it")
    if found.get("is_private") is True:
        return fail("channel", f"{shown}: private, and the bot is not in it", fix=_INVITE)
    if scopes is not None and POST_ANYWHERE in scopes:
        return ok("channel", f"{shown}, a public channel")
    return fail(
        "channel",
        f"{shown}: the bot is not in it, and {POST_ANYWHERE} is missing",
        fix=f"{_INVITE}, or add the scope and reinstall the app",
    )


def of_refused_channel(channel: str, answer: Answer, scopes: frozenset[str] | None) -> Check:
    """Say what it means that Slack does not describe a channel."""
    match answer.error:
        case "channel_not_found":
            return of_missing_channel(channel, scopes)
        case "missing_scope":
            return of_unseen_channel(channel, scopes)
        case error:
            return unknown("channel", f"{quote(channel)}: Slack answers {error}")


def of_post(channel: str, username: str, answer: Answer) -> Check:
    """Say what became of a message."""
    if answer.error is None:
        return ok("send", f"posted in {quote(channel)} as {quote(username)}")
    return _refused("send", answer)


def of_silence(name: str, problem: ApiError) -> Check:
    """Say that Slack gave no usable answer to the check called `name`."""
    ambiguous = isinstance(problem, AmbiguousWriteError)
    if ambiguous and name == "send":
        return unknown(name, "no whole answer from Slack; the message may have been posted")
    status = f" (HTTP {problem.status})" if problem.status is not None else ""
    message = f"no whole answer from Slack{status}" if ambiguous else problem.message
    return fail(name, message, fix=problem.hint or "run again; status.slack.com tells of outages")


def _refused(name: str, answer: Answer) -> Check:
    code = answer.error or ""
    detail, cure = _ERRORS.get(code, (f"Slack answers {code}", "look the word up in Slack's docs"))
    if code.startswith("restricted_action"):
        detail, cure = _RESTRICTED
    if code == "missing_scope" and answer.needed is not None:
        detail = f"the scope {answer.needed} is missing"
    return fail(name, detail, fix=cure)
