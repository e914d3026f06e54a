"""`webhooks slack`: create the Slack app of the webhooks."""

from __future__ import annotations

import click

from reconciler.cli.options import Group, Option, command
from reconciler.cli.session import Session
from reconciler.deliveries.manifest import APP_NAME, STEPS, link, manifest, rendered
from reconciler.render.quote import prose


@command(
    summary="Print the manifest of the Slack app, and how to get its token.",
    formats=("yaml", "json"),
    options=(
        Option("--name", group="Slack app", metavar="NAME", default=APP_NAME, show_default=True,
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
    console = session.console
    app = manifest(name, see_channels=see_channels)
    console.result(rendered(app, format), essential=True)
    console.info(f"\nCreate the app:\n\n  {link(app)}\n\nThen:")
    shown, width = app["display_information"]["name"], session.view().width
    for number, step in enumerate(STEPS, start=1):
        first = f"  {number}. "
        text = prose(step.format(app=shown))
        console.info(click.wrap_text(text, width, first, " " * len(first)))


run = Group(
    name=None,
    commands={"manifest": _manifest},
    help="""Examples:
    # create the app
    webhooks slack manifest
    # check whether Slack accepts the declared webhooks
    webhooks check""",
)
