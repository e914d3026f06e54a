"""`webhooks slack`: create and check the Slack app of the webhooks."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final

import click

from reconciler import workflow
from reconciler.api.origin import Credential, Network, Origin
from reconciler.cli.connection import Progress
from reconciler.cli.options import Group, Option, command
from reconciler.cli.session import Session
from reconciler.deliveries.manifest import APP_NAME, STEPS, link, manifest, rendered
from reconciler.errors import ConfigurationError
from reconciler.findings import has_errors
from reconciler.model import Secret
from reconciler.planning.names import Globs, unmatched
from reconciler.render.quote import prose
from reconciler.render.words import plural

_SLACK: Final = "https://slack.com/api"


@command(
    summary="Print the manifest of the Slack app, and how to get its token.",
    formats=("yaml", "json"),
    options=(
        Option("--name", group="Slack app", metavar="NAME", default=APP_NAME, show_default=True,
               help="Name the app and its bot."),
        Option("--see-channels", group="Slack app", is_flag=True,
               help="Add the scope channels:read, so that slack check sees public channels."),
        Option("--url", group="Output", is_flag=True, help="Print the link, not the manifest."),
    ),
)  # fmt: skip
def _manifest(session: Session, format: str, url: bool, name: str, see_channels: bool) -> None:
    """The manifest goes to standard output; the link that creates the app, and the steps after it,
    go to standard error. Makes no request.

    Examples:
        # create the app: open the link, follow the steps
        webhooks slack manifest
        # print the link only
        webhooks slack manifest --url
        # change an existing app: paste this as its manifest, reinstall it
        webhooks slack manifest --format json
        # let slack check see public channels
        webhooks slack manifest --see-channels
    """
    console = session.console
    app = manifest(name, see_channels=see_channels)
    address = link(app)
    if url:
        console.result(address, essential=True)
        return
    console.result(rendered(app, format), essential=True)
    console.info(f"\nCreate the app:\n\n  {address}\n\nThen:")
    shown, width = app["display_information"]["name"], session.view().width
    for number, step in enumerate(STEPS, start=1):
        first = f"  {number}. "
        text = prose(step.format(app=shown))
        console.info(click.wrap_text(text, width, first, " " * len(first)))


@command(
    summary="Check each Slack webhook's token, scopes and channel.",
    paths=True,
    connects=True,
    formats=("text", "json"),
    options=(
        Option("--only", group="Check", multiple=True, metavar="GLOB",
               help="Limit to webhooks whose name matches GLOB."),
        Option("--send", group="Check", is_flag=True,
               help="Post a message for each webhook, visible to everyone in the channel."),
        Option("--slack-url", group="Check", metavar="URL", env="WEBHOOKS_SLACK_URL",
               default=_SLACK, show_default=True,
               help="Send the tokens to this Web API."),
    ),
)  # fmt: skip
def _check(session: Session, only: tuple[str, ...], send: bool, slack_url: str, format: str) -> int:
    """For each declared Slack webhook, checks that the token is set, is the right kind, has the
    scopes and is known to Slack, and that the bot can post in the channel. A check that needs a
    missing scope is unknown, not failed. Makes no request to CloudTruth. Exits with 1 if a check
    failed.

    Examples:
        # check, without posting
        webhooks slack check
        # post a message for each webhook
        webhooks slack check --send
        # one webhook
        webhooks slack check --only Deploys --send
    """
    session.only_organization("slack check")
    checked = session.load()
    settings = session.settings
    gathered = workflow.gather(checked, settings.key and settings.key.value)
    wanted = Globs(only or ("*",))
    chosen = [each for each in checked.desired.webhooks if wanted.match(each.name)]
    names = {each.name for each in checked.desired.webhooks}
    unused = session.inputs.graded(unmatched(only, names, "declared webhook"))
    if has_errors(unused):
        raise ConfigurationError("warnings are treated as errors (--strict)", findings=unused)
    session.warn(unused)
    # Imported here, so that an error before does not load the HTTP library.
    from reconciler.api.transport import Transport
    from reconciler.deliveries.slack import check

    where = Origin.parse(
        slack_url, "the Slack URL (--slack-url, WEBHOOKS_SLACK_URL)", example=_SLACK
    )
    if slack_url != _SLACK:
        session.console.info(f"The tokens are sent to {where}, not to Slack.")
    clock = session.process.time()
    end = clock.monotonic() + settings.deadline.value
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(session))
        progress.phase(f"checking {plural(len(chosen), 'webhook')} with {where}")

        def connect(token: Secret) -> Any:
            transport = Transport(
                origin=where,
                credential=Credential.of("Bearer", token, "Slack token"),
                network=Network(
                    clock=clock,
                    timeout=settings.timeout.value,
                    deadline=max(0.0, end - clock.monotonic()),
                    environment=session.process.environ,
                    observer=progress.observe,
                ),
            )
            stack.callback(transport.close)
            return transport

        result = check(chosen, gathered.secrets, connect, send=send)
    return session.show_checks(result, format)


run = Group(
    name=None,
    commands={"manifest": _manifest, "check": _check},
    help="""Examples:
    # create the app
    webhooks slack manifest
    # check whether Slack accepts the declared webhooks
    webhooks slack check""",
)
