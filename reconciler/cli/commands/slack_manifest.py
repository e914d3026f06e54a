"""`webhooks slack manifest`: the Slack app as a document, a link to it, the next steps."""

from __future__ import annotations

import click

from reconciler.cli.context import Context
from reconciler.cli.options import OUTPUT, Option, command, format_option
from reconciler.cli.session import width
from reconciler.errors import ExitCode
from reconciler.render.quote import prose
from reconciler.slack.manifest import APP_NAME, STEPS, as_json, as_yaml, link, manifest

_APP = "Slack app"


@command(
    "The manifest goes to standard output; the link that creates the app, and the steps after "
    "it, go to standard error. Makes no request.",
    examples=(
        ("create the app: open the link, follow the steps", "webhooks slack manifest"),
        ("print the link only", "webhooks slack manifest --url"),
        (
            "change an existing app: paste this as its manifest, reinstall it",
            "webhooks slack manifest --format json",
        ),
        ("let slack check see public channels", "webhooks slack manifest --see-channels"),
    ),
    options=(
        Option("--name", group=_APP, metavar="NAME", default=APP_NAME, show_default=True,
               help="Name the app and its bot."),
        Option("--see-channels", group=_APP, is_flag=True,
               help="Add the scope channels:read, so that slack check sees public channels."),
        format_option("yaml", "json"),
        Option("--url", group=OUTPUT, is_flag=True, help="Print the link, not the manifest."),
    ),
)  # fmt: skip
def run(context: Context, format: str, url: bool, name: str, see_channels: bool) -> int:
    """Print the manifest, and the steps."""
    console = context.console
    app = manifest(name, see_channels=see_channels)
    address = link(app)
    if url:
        console.result(address, essential=True)
        return ExitCode.OK
    console.result(as_json(app) if format == "json" else as_yaml(app), essential=True)
    console.note(f"\nCreate the app:\n\n  {address}\n\nThen:")
    shown = app["display_information"]["name"]
    for number, step in enumerate(STEPS, start=1):
        first = f"  {number}. "
        text = prose(step.format(app=shown))
        console.note(click.wrap_text(text, width(context), first, " " * len(first)))
    return ExitCode.OK
