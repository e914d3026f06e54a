"""`webhooks slack check`: whether Slack will take what the webhooks send."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from reconciler import workflow
from reconciler.checks import strict
from reconciler.cli.connection import observer, settings_of
from reconciler.cli.context import Context
from reconciler.cli.options import Option, Paths, command, format_option
from reconciler.cli.session import load, result_view
from reconciler.model import Secret
from reconciler.planning.names import Globs
from reconciler.render.checks import RENDER_CHECKS
from reconciler.settings.resolve import Settings
from reconciler.slack.check import check, subjects

_CHECK: Final = "Check"


@command(
    "For each declared Slack webhook: is its token set, of the right kind and known to Slack, "
    "does it have the scopes, can the bot post in the channel. What the token may not read is "
    "unknown, which is no failure. Makes no request to CloudTruth. Exits with 1 if a check failed.",
    examples=(
        ("check, without posting", "webhooks slack check"),
        ("post a message for each webhook", "webhooks slack check --send"),
        ("one webhook", "webhooks slack check --only Deploys --send"),
    ),
    reads=True,
    connects=True,
    options=(
        Paths(),
        Option("--only", group=_CHECK, multiple=True, metavar="GLOB",
               help="Limit to webhooks whose name matches."),
        Option("--send", group=_CHECK, is_flag=True,
               help="Post a message for each webhook; everybody in the channel sees it."),
        Option("--slack-url", group=_CHECK, metavar="URL", env="WEBHOOKS_SLACK_URL",
               default="https://slack.com/api", show_default=True,
               help="Send the tokens to this Web API."),
        format_option("text", "json"),
    ),
)  # fmt: skip
def run(context: Context, only: tuple[str, ...], send: bool, slack_url: str, format: str) -> int:
    """Check each webhook and show what was found."""
    checked = load(context)
    settings = settings_of(context)
    gathered = workflow.gather(checked, None if settings.key is None else settings.key.value)
    wanted = Globs(only or ("*",))
    chosen = [each for each in checked.desired.webhooks if wanted.match(each.name)]
    found = subjects(chosen, gathered.secrets)
    with ExitStack() as stack:
        connect = _connect(context, settings, slack_url, stack)
        result = check(found, connect, send=send, others=len(chosen) - len(found))
    if context.options.get("strict"):
        result = strict(result)
    shown = RENDER_CHECKS[format](result, result_view(context))
    context.console.result(shown, essential=format != "text" or result.exit_code != 0)
    return result.exit_code


def _connect(
    context: Context, settings: Settings, url: str, stack: ExitStack
) -> Callable[[Secret], Any]:
    """Return what connects to Slack with a token, until `stack` is closed."""
    # Here, so that a run that is refused before does not load the HTTP library.
    from reconciler.slack.web import DEFAULT_URL, Slack, origin_of

    console = context.console
    where = origin_of(url)
    if url != DEFAULT_URL:
        console.note(f"The tokens are sent to {where}, not to Slack.")
    clock = context.process.time()
    end = clock.monotonic() + settings.deadline.value

    def connect(token: Secret) -> Slack:
        slack = Slack(
            token,
            url=url,
            clock=clock,
            timeout=settings.timeout.value,
            deadline=max(0.0, end - clock.monotonic()),
            environment=context.process.environ,
            observer=observer(context, clock, console.note),
        )
        return stack.enter_context(slack)

    return connect
