"""`webhooks slack`: the Slack app behind the webhooks."""

from __future__ import annotations

from reconciler.cli.options import COMMON, Group

run = Group(
    None,
    table={
        "manifest": "Print the manifest of the Slack app, and how to get its token.",
        "check": "Check token, scopes and channel of each Slack webhook.",
    },
    prefix="reconciler.cli.commands.slack_",
    examples=(
        ("create the app", "webhooks slack manifest"),
        ("check whether Slack accepts what is declared", "webhooks slack check"),
    ),
    params=list(COMMON),
)
