"""`webhooks slack check`: whether Slack will take what the webhooks send."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option, format_option
from reconciler.model import Secret


@command(
    "check",
    "Check token, scopes and channel of each Slack webhook.",
    text="For each declared Slack webhook: is its token at hand, of the right kind and known to "
    "Slack, does it have the scopes, can the bot post in the channel. What the token may not look "
    "at is unknown, which is no failure. CloudTruth is not asked. Exit code 1 if a check failed.",
    examples=(
        ("look, without posting", "webhooks slack check"),
        ("prove it: post a message for each webhook", "webhooks slack check --send"),
        ("one webhook", "webhooks slack check --only Deploys --send"),
    ),
    options=[
        Option("--send", is_flag=True, help="Post one message for each webhook whose token Slack "
               "takes. Everybody in the channel sees it."),
        Option("--only", multiple=True, metavar="GLOB",
               help="Look at webhooks of these names only; may be repeated."),
        Option("--slack-url", metavar="URL", env="WEBHOOKS_SLACK_URL",
               help="Where Slack's Web API is; https://slack.com/api. The tokens are sent there."),
        format_option("text", "json"),
    ],
)  # fmt: skip
def COMMAND(  # noqa: N802
    invocation: Invocation, send: bool, only: tuple[str, ...], slack_url: str | None, format: str
) -> int:
    """Look at each webhook and show what was found."""
    from reconciler.checks import strict
    from reconciler.cli.session import checked_files, result_view
    from reconciler.planning.globs import Globs
    from reconciler.render.checks import RENDER_CHECKS
    from reconciler.slack.check import check, subjects
    from reconciler.workflow import gather

    checked = checked_files(invocation)
    key = invocation.settings().key
    gathered = gather(checked, None if key is None else key.value)
    wanted = Globs(only or ("*",))
    asked = [each for each in checked.desired.webhooks if wanted.match(each.name)]
    found = subjects(asked, gathered.secrets)
    with ExitStack() as stack:
        connect = _connect(invocation, slack_url, stack)
        result = check(found, connect, send=send, others=len(asked) - len(found))
    if invocation.strict:
        result = strict(result)
    invocation.console.result(RENDER_CHECKS[format](result, result_view(invocation)))
    return result.exit_code


def _connect(invocation: Invocation, slack_url: str | None, stack: ExitStack) -> Any:
    """Return what connects to Slack with a token, until `stack` is closed."""
    from reconciler.cli.connection import exchange_line
    from reconciler.slack.web import DEFAULT_URL, SLACK_URL, Slack, origin_of

    settings = invocation.settings()
    environ = invocation.process.environ
    url = slack_url or environ.get(SLACK_URL) or DEFAULT_URL
    console = invocation.console
    where = origin_of(url)
    if url != DEFAULT_URL:
        console.note(f"Slack is looked for at {where}; the tokens go there.")
    clock = invocation.process.time()
    end = clock.monotonic() + settings.deadline.value

    def connect(token: Secret) -> Slack:
        slack = Slack(
            token,
            url=url,
            clock=clock,
            timeout=settings.timeout.value,
            deadline=max(0.0, end - clock.monotonic()),
            environment=environ,
            observer=(lambda each: console.block(exchange_line(each)))
            if invocation.debug
            else None,
        )
        return stack.enter_context(slack)

    return connect
