"""`webhooks slack`: the Slack app behind the webhooks."""

from __future__ import annotations

from typing import Final

from reconciler.cli.command import Entry, Group
from reconciler.cli.options import COMMON

_COMMANDS: Final = "reconciler.cli.commands"

COMMAND: Final = Group(
    table={
        "manifest": Entry(
            module=f"{_COMMANDS}.slack_manifest",
            summary="Print the manifest of the Slack app, and how to get its token.",
        ),
        "check": Entry(
            module=f"{_COMMANDS}.slack_check",
            summary="Check token, scopes and channel of each Slack webhook.",
        ),
    },
    name="slack",
    help="Make the Slack app that CloudTruth posts with, and find out why it stays silent.",
    short_help="Make and check the Slack app behind the webhooks.",
    examples=(
        ("make the app", "webhooks slack manifest"),
        ("see whether Slack will take what is declared", "webhooks slack check"),
    ),
    params=COMMON(),
    no_args_is_help=True,
)
