"""Deliveries to a Slack channel through a bot token."""

from __future__ import annotations

import re
from typing import Any, Final

from reconciler.kinds.base import Field, Kind
from reconciler.model import Secret

SCOPES: Final = ("chat:write", "chat:write.public", "chat:write.customize", "channels:read")
"""The scopes of the app of our manifest, which works without the last one."""


def app_manifest(name: str, *, see_channels: bool) -> dict[str, Any]:
    """Return the manifest of an app whose bot token a webhook can use.

    Token rotation is off, because rotated tokens expire within hours and CloudTruth does not
    refresh them.
    """
    # No webhook needs to see channels, so an app can only on request.
    scopes = [scope for scope in SCOPES if see_channels or scope != "channels:read"]
    return {
        "display_information": {"name": name, "description": "Posts CloudTruth changes to Slack."},
        "features": {"bot_user": {"display_name": name, "always_online": False}},
        "oauth_config": {"scopes": {"bot": scopes}},
        "settings": {
            "org_deploy_enabled": False,
            "socket_mode_enabled": False,
            "token_rotation_enabled": False,
        },
    }


def non_bot_description(token: Secret) -> str | None:
    """Return a description of a token that is not a bot token, None for any other text."""
    for prefix, description in _OTHER_TOKENS.items():
        if token.matches(re.compile(f"{re.escape(prefix)}(?s:.*)")):
            return description
    return None


def _with_hash(value: str) -> str:
    """Return a channel with its `#`, except for ids and other forms without one.

    Equal channels have the same form, because operations that look different must differ.
    """
    name = value.removeprefix("#")
    if not name or name.startswith("@") or _ID.fullmatch(name):
        return name
    return f"#{name}"


_ID: Final = re.compile(r"[A-Z][A-Z0-9]+")
"""Any id of Slack: a live webhook may have that of a user, which no file can have."""

TOKEN: Final = re.compile(
    r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-(?=[A-Za-z-]{0,40}[0-9])[A-Za-z0-9-]{8,}"
)
"""A complete Slack token, alone or inside other text. It always contains a digit."""

_OTHER_TOKENS: Final = {
    "xoxe.": "a rotated token, which expires within 12 hours",
    "xoxe-": "a refresh token, which cannot post",
    "xoxp-": "a user token: messages are posted as that user, and stop when the user leaves",
    "xapp-": "an app-level token, which cannot post",
}
USE_A_BOT: Final = (
    "use the Bot User OAuth Token (xoxb-...) of an app without token rotation: "
    "`webhooks slack manifest`"
)

_NOT_IN_NAMES: Final = (
    r"\x00-,./:-@\[-^`"  # control characters, space and ASCII punctuation, except - and _
    r"A-Z"
    r"{-\xa0"  # more punctuation, more control characters, the no-break space
    r"\u1680\u2000-\u206f\u3000\ufeff"  # other spaces, and invisible characters
)
_CHANNEL: Final = f"^(#?[^{_NOT_IN_NAMES}]+|[CG][A-Z0-9]{{2,30}})$"
"""A channel name by Slack's rules (lower case, no spaces), or its id.

Its length is limited apart, because a counted set takes a millisecond to compile.
"""

KIND: Final = Kind(
    type="slack",
    title="Slack",
    description="Sends messages to a Slack channel, with a bot token.",
    fields=(
        Field(
            name="token",
            title="Slack token",
            description="The bot token (`xoxb-`), as a reference such as "
            "`{env: SLACK_BOT_TOKEN}`. Never write the token itself into the file.",
            example="SLACK_BOT_TOKEN",
            required=True,
            secret=True,
            secret_pattern=TOKEN,
            noun="a Slack token",
        ),
        Field(
            name="channel",
            description="The channel's name (lower case, no spaces, at most 80 characters) or id. "
            'In YAML, `#` starts a comment, so use quotes: `"#deploys"`. The `#` is optional.',
            example="#deploys",
            required=True,
            schema_pattern=_CHANNEL,
            max_length=81,  # with `#`
            may_be_hidden=True,  # the published schema says "stored encrypted"
            noun="the name or id of a Slack channel",
            rule="bad-channel",
            hint='use up to 80 lower-case letters, digits, `-` and `_`, as in `"#deploys"`, or an '
            "id like C0123456789",
            normalize=lambda channel: channel.removeprefix("#"),  # Slack does not need it
            display=_with_hash,
        ),
        Field(
            name="username",
            description="The sender name of messages. Slack ignores it unless the app has "
            "the scope `chat:write.customize`.",
            example="CloudTruth",
            required=True,
        ),
    ),
    destination_field="channel",
)
