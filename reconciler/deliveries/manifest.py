"""The manifest of the Slack app whose token CloudTruth uses, and the steps to get the token.

The manifest and `webhooks check` share one table of scopes. Token rotation is off, because rotated
tokens expire within hours and CloudTruth does not refresh them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler.errors import UsageError
from reconciler.model import DataPath
from reconciler.source.rendered import yaml_text

APP_NAME: Final = "CloudTruth Webhook"


SCOPES: Final[Mapping[str, str]] = {
    "chat:write": "post messages",
    "chat:write.public": "post in public channels without an invitation",
    "chat:write.customize": "without it Slack silently ignores a webhook's username",
    "channels:read": "lets webhooks check see public channels",
}
"""The scopes of the app, each with its use. The app works without the last scope."""

_CREATE: Final = "https://api.slack.com/apps?new_app=1&manifest_json="
_MAX_NAME: Final = 35  # characters; Slack's limit for the name of an app
_INVALID: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")

STEPS: Final = (
    "Open the link, choose your workspace, review the scopes, and create the app.",
    "OAuth & Permissions: Install to workspace. After changing scopes: Reinstall.",
    "Copy the Bot User OAuth Token (xoxb-...) into the variable that your file names, such as "
    "SLACK_BOT_TOKEN. Keep it out of the file.",
    "In private channels, and in public ones without chat:write.public, type /invite @{app}.",
    "Check it: `webhooks check`, then `webhooks check --send`.",
)
"""The steps from the manifest to a working token."""


def manifest(name: str = APP_NAME, *, see_channels: bool = False) -> dict[str, Any]:
    """Return the manifest of the app `name`; `see_channels` adds the scope that shows channels.

    Raises UsageError for an invalid name.
    """
    if not name.strip() or len(name) > _MAX_NAME or _INVALID.search(name):
        raise UsageError(
            f"a Slack app name must be 1 to {_MAX_NAME} characters, on one line",
            hint=f"omit --name to use {APP_NAME!r}",
        )
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


def rendered(app: Mapping[str, Any], format: str) -> str:
    """Return a manifest as JSON, or as YAML with the use of each scope in a comment."""
    if format == "json":
        return json.dumps(app, indent=2, ensure_ascii=False) + "\n"
    listed = app["oauth_config"]["scopes"]["bot"]

    def use(path: DataPath) -> str:
        match path:
            case ("oauth_config", "scopes", "bot", int(index)):
                return SCOPES[listed[index]]
        return ""

    return yaml_text(app, use)


def link(app: Mapping[str, Any]) -> str:
    """Return the URL at which Slack offers to create this app."""
    text = json.dumps(app, separators=(",", ":"), ensure_ascii=False)
    return _CREATE + quote(text, safe="")
