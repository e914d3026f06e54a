"""`webhooks slack`: create the Slack app of the webhooks.

Its manifest and `webhooks check` share the scopes. Token rotation is off, because rotated tokens
expire within hours and CloudTruth does not refresh them.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

import click

from reconciler.cli.options import Group, Option, command
from reconciler.cli.session import Session
from reconciler.deliveries.slack import SCOPES
from reconciler.errors import UsageError
from reconciler.render.quote import prose
from reconciler.source.writer import yaml_text

_NAME: Final = "CloudTruth Webhook"
_MAX_NAME: Final = 35  # characters; Slack's limit for the name of an app
_STEPS: Final = (
    "Open the link, choose your workspace, review the scopes, and create the app.",
    "OAuth & Permissions: Install to workspace. After changing scopes: Reinstall.",
    "Copy the Bot User OAuth Token (xoxb-...) into the variable that your file names, such as "
    "SLACK_BOT_TOKEN. Keep it out of the file.",
    "In private channels, and in public ones without chat:write.public, type /invite @{app}.",
    "Check it: `webhooks check`, then `webhooks check --send`.",
)


@command(
    summary="Print the manifest of the Slack app, and how to get its token.",
    formats=("yaml", "json"),
    options=(
        Option("--name", group="Slack app", metavar="NAME", default=_NAME, show_default=True,
               help="Name the app and its bot."),
        Option("--see-channels", group="Slack app", is_flag=True,
               help="Add the scope channels:read, so that `check` sees public channels."),
    ),
)  # fmt: skip
def _manifest(session: Session, format: str, name: str, see_channels: bool) -> None:
    """The manifest goes to standard output; the link that creates the app, and the steps after it,
    go to standard error. Makes no request.

    Examples:
        # create the app: open the link, follow the steps
        webhooks slack manifest
        # change an existing app: paste this as its manifest, reinstall it
        webhooks slack manifest --format json
        # let `webhooks check` see public channels
        webhooks slack manifest --see-channels
    """
    # A line break or control character is not printable either.
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise UsageError(
            f"a Slack app name must be 1 to {_MAX_NAME} characters, on one line",
            hint=f"omit --name to use {_NAME!r}",
        )
    app = _app(name, see_channels=see_channels)
    text = yaml_text(app)
    if format == "json":
        text = json.dumps(app, indent=2, ensure_ascii=False) + "\n"
    console = session.console
    console.result(text, essential=True)
    compact = json.dumps(app, separators=(",", ":"), ensure_ascii=False)
    link = f"https://api.slack.com/apps?new_app=1&manifest_json={quote(compact, safe='')}"
    console.info(f"\nCreate the app:\n\n  {link}\n\nThen:")
    for number, step in enumerate(_STEPS, start=1):
        first = f"  {number}. "
        line = prose(step.format(app=name))
        console.info(click.wrap_text(line, session.view().width, first, " " * len(first)))


def _app(name: str, *, see_channels: bool) -> dict[str, Any]:
    """Return the manifest of an app."""
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


run = Group(
    name=None,
    commands={"manifest": _manifest},
    help="""Examples:
    # create the app
    webhooks slack manifest
    # check whether Slack accepts the declared webhooks
    webhooks check""",
)
