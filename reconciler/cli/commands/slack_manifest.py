"""`webhooks slack manifest`: the Slack app as a document, a link that makes it, the way on."""

from __future__ import annotations

from typing import Final

import click

from reconciler.cli.command import command
from reconciler.cli.hyperlink import can_link, linked
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option
from reconciler.errors import ExitCode

_FORMATS: Final = ("yaml", "json")


@command(
    "manifest",
    "Print the manifest of the Slack app, and how to get its token.",
    text="The manifest goes to standard output, the link that makes the app and the steps after "
    "it to standard error. Nothing is asked of Slack.",
    examples=(
        ("make the app: open the link, follow the steps", "webhooks slack manifest"),
        ("the link alone", "webhooks slack manifest --url"),
        ("change an app you have: paste this as its manifest, reinstall it",
         "webhooks slack manifest --format json"),
        ("let slack check see public channels, too", "webhooks slack manifest --see-channels"),
    ),
    options=[
        Option("--format", type=click.Choice(_FORMATS), default="yaml",
               help="How to print the manifest: yaml, with comments, or json."),
        Option("--url", is_flag=True, help="Print the link instead of the manifest."),
        Option("--name", metavar="NAME", help="What to call the app and its bot; CloudTruth "
               "Webhook if nothing is said."),
        Option("--see-channels", is_flag=True, help="Ask for channels:read, too, by which slack "
               "check finds out whether a public channel exists."),
    ],
    connects=False,
)  # fmt: skip
def COMMAND(  # noqa: N802
    invocation: Invocation, format: str, url: bool, name: str | None, see_channels: bool
) -> int:
    """Print it."""
    from reconciler.cli.session import width
    from reconciler.render.quote import prose
    from reconciler.render.text.layout import flow, sentence
    from reconciler.slack.manifest import APP_NAME, STEPS, as_json, as_yaml, link, manifest

    console = invocation.console
    app = manifest(APP_NAME if name is None else name, see_channels=see_channels)
    address = link(app)
    if url:
        console.result(address)
        return ExitCode.OK
    console.result(as_json(app) if format == "json" else as_yaml(app))
    process = invocation.process
    clickable = can_link(process.environ, terminal=process.stderr.isatty())
    if clickable:
        console.note(f"\n{linked('Create the app with one click', address)}. Then:")
    else:
        console.note(f"\nCreate the app with one click:\n\n  {address}\n\nThen:")
    name = app["display_information"]["name"]
    for number, step in enumerate(STEPS, start=1):
        words = sentence(prose(step.format(app=name)))
        lines = flow(words, start=f"  {number}.", indent=5, width=width(invocation))
        console.note("\n".join(lines))
    return ExitCode.OK
