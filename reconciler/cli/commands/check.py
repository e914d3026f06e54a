"""`webhooks check`: check whether messages arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Final

from reconciler import workflow
from reconciler.api.origin import Credential, Network, Origin
from reconciler.checks import Checklist, Section
from reconciler.cli.connection import Progress, connected
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ApiError, ConfigurationError, Interrupted, ReconcilerError
from reconciler.execute.workers import ThreadWorkers
from reconciler.findings import has_errors
from reconciler.model import Live, LiveWebhook, Secret, Webhook
from reconciler.planning.names import Globs, unmatched
from reconciler.planning.plan import snapshot
from reconciler.render.quote import quote
from reconciler.render.words import plural

if TYPE_CHECKING:
    from reconciler.api.parameters import Parameters
    from reconciler.api.transport import Transport
    from reconciler.deliveries.check import Apps
    from reconciler.deliveries.proof import Proof, Scratch

_SLACK: Final = "https://slack.com/api"


@command(
    paths=True,
    connects=True,
    formats=("text", "json"),
    options=(
        Option("--only", group="Check", multiple=True, metavar="GLOB",
               help="Limit to webhooks whose name matches GLOB."),
        Option("--deliver", group="Check", metavar="PROJECT",
               help="Cause six events in this scratch project, and watch the webhooks run."),
        Option("-y", "--yes", group="Check", is_flag=True,
               help="Do not ask for confirmation of --deliver."),
        Option("--send", group="Check", is_flag=True,
               help="Post a message for each Slack webhook, visible to everyone in the channel."),
        Option("--slack-url", group="Check", metavar="URL", env="WEBHOOKS_SLACK_URL",
               default=_SLACK, show_default=True,
               help="Send the tokens to this Web API."),
    ),
)  # fmt: skip
def run(
    session: Session,
    only: tuple[str, ...],
    deliver: str | None,
    yes: bool,
    send: bool,
    slack_url: str,
    format: str,
) -> int:
    """For each declared webhook, shows whether its last delivery failed. For Slack, checks that the
    token is set, is the right kind, has the scopes and is known to Slack, and that the bot can post
    in the channel. Sends nothing to the URL of a generic webhook. Without an API key, the
    deliveries are not read. Exits with 1 if a check failed.

    --deliver makes CloudTruth itself deliver: it creates, changes and deletes one parameter in a
    scratch project, and reports which webhooks ran within a minute. Every webhook of the
    organization that listens receives these messages.

    Examples:
        # check, without sending anything
        webhooks check
        # prove that CloudTruth delivers
        webhooks check --deliver Scratch
        # post a message for each Slack webhook
        webhooks check --send
        # one webhook
        webhooks check --only Deploys --send
    """
    session.only_organization("check")
    checked = session.load()
    key = session.settings.key
    gathered = workflow.gather(checked, key and key.value)
    chosen = _chosen(session, checked, only)
    # Imported here, so that an error before does not load the HTTP library.
    from reconciler.deliveries.check import check, match

    apps, posted = _look_up(session, chosen, gathered, slack_url, send=send)
    matched = proof = None
    if session.local or deliver is not None or key is not None:
        progress = Progress(session)
        with connected(session, progress=progress) as connection:
            live = workflow.read_live(connection.api, session.organization)
            _, plan = workflow.status(live, checked)
            assert plan is not None
            matched = match(plan, live)
            if deliver is not None:
                progress.phase("")
                watched = [webhook for webhook in map(matched.of, chosen) if webhook is not None]
                proof = _prove(session, connection, live, watched, deliver, yes=yes)
    sections = (*check(chosen, gathered.secrets, apps, matched, proof), *posted)
    notes = () if chosen else ("There is no webhook to check.",)
    return session.show_checks(Checklist("check", sections, notes), format)


def _chosen(
    session: Session, checked: workflow.Checked, only: tuple[str, ...]
) -> tuple[Webhook, ...]:
    """Return the declared webhooks that `only` selects. Warn about globs that match nothing."""
    declared = checked.desired.webhooks
    unused = unmatched(only, {webhook.name for webhook in declared}, "declared webhook")
    findings = session.inputs.graded(unused)
    if has_errors(findings):
        raise ConfigurationError("warnings are treated as errors (--strict)", findings=findings)
    session.warn(findings)
    globs = Globs(only or ("*",))
    return tuple(webhook for webhook in declared if globs.match(webhook.name))


def _look_up(
    session: Session,
    webhooks: Sequence[Webhook],
    gathered: workflow.Gathered,
    slack_url: str,
    *,
    send: bool,
) -> tuple[Apps, tuple[Section, ...]]:
    """Look up the Slack tokens of webhooks; with `send` post a message for each accepted one."""
    from reconciler.deliveries.check import look_up, post, slack_tokens

    tokens = slack_tokens(webhooks, gathered.secrets)
    if not tokens:
        return {}, ()
    with closing(ThreadWorkers(10)) as workers:
        if session.local and slack_url == _SLACK:
            return look_up(tokens, None, workers), ()
        with _slack(session, slack_url) as connect:
            apps = look_up(tokens, connect, workers)
            return apps, post(webhooks, tokens, apps, connect) if send else ()


@contextmanager
def _slack(session: Session, slack_url: str) -> Iterator[Callable[[Secret], Transport]]:
    """Yield a function that connects to Slack with a token. Raises UsageError for a bad URL."""
    from reconciler.api.transport import Transport

    where = Origin.parse(
        slack_url, "the Slack URL (--slack-url, WEBHOOKS_SLACK_URL)", example=_SLACK
    )
    if slack_url != _SLACK:
        session.console.info(f"The tokens are sent to {where}, not to Slack.")
    clock, settings = session.process.time(), session.settings
    end = clock.monotonic() + settings.deadline.value
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(session))
        progress.phase(f"checking Slack tokens with {where}")

        def connect(token: Secret) -> Transport:
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

        yield connect


def _prove(
    session: Session,
    connection: workflow.Connection,
    live: Live,
    watched: Sequence[LiveWebhook],
    project: str,
    *,
    yes: bool,
) -> Proof:
    """Announce the messages, ask for confirmation, cause them and watch the webhooks.

    Raises ReconcilerError if none of `watched` receives messages, NotConfirmedError, Interrupted.
    """
    from reconciler.api.client import Client
    from reconciler.api.parameters import Parameters
    from reconciler.deliveries.proof import Proof, cause_events, prepare, received, watch

    api, clock, console = connection.api, connection.clock, session.console
    assert isinstance(api, Client)
    parameters = Parameters(api.transport)
    scratch = prepare(parameters, live.organization, clock, project)
    if not any(map(received, watched)):
        raise ReconcilerError(
            "none of the webhooks listens to events of parameters or values: nothing was sent",
            hint="apply a webhook that does, or select one with --only",
        )
    _announce(session, live, scratch)
    if not yes:
        session.confirm("Create, change and delete this parameter?")
    connection.restart()  # the user may have taken a while to confirm
    ids = {webhook.id for webhook in watched}
    before = {webhook.id: webhook for webhook in api.list() if webhook.id in ids}
    name, command = quote(scratch.name), scratch.delete_command(scratch.name)
    console.write_stderr(f"Creating parameter {name}. If this run is killed: `{command}`")
    with connection.stop as stop:
        written = cause_events(parameters, scratch, clock, stop, connection.restart)
        listening = {
            id_: webhook
            for id_, webhook in before.items()
            if not webhook.event_types.isdisjoint(written.events)
        }
        observations = watch(api.list, listening, clock, stop) if listening else {}
        code = stop.requested()
    if code is not None:
        left = f"may still exist: `{command}`" if written.remains else "was deleted"
        raise Interrupted(f"stopped by a signal; parameter {name} {left}", signal_exit=code)
    _offer_leftovers(session, parameters, scratch, yes=yes)
    return Proof(scratch, written, observations)


def _announce(session: Session, live: Live, scratch: Scratch) -> None:
    """Print every webhook that receives messages of a proof, and their number."""
    from reconciler.deliveries.proof import received

    receivers = [webhook for webhook in live.webhooks if received(webhook)]
    total = sum(map(received, receivers))
    lines = [
        f"Parameter {quote(scratch.name)} in project {quote(scratch.project.name)} of organization "
        f"{quote(live.organization.name)} causes {plural(total, 'message')}. Receivers may act on "
        "them:"
    ]
    for webhook in receivers:
        where = quote(snapshot(webhook).destination)
        lines.append(f"  {quote(webhook.name)}  {where}  {plural(received(webhook), 'message')}")
    session.console.write_stderr("\n".join(lines))


def _offer_leftovers(
    session: Session, parameters: Parameters, scratch: Scratch, *, yes: bool
) -> None:
    """Delete the parameters that earlier runs could not delete, if the user agrees."""
    console, leftovers = session.console, scratch.leftovers
    if not leftovers:
        return
    names = ", ".join(quote(leftover.name) for leftover in leftovers)
    if yes or not console.interactive:
        commands = "; ".join(scratch.delete_command(leftover.name) for leftover in leftovers)
        console.message("note", f"left by earlier runs: {names}; to delete: `{commands}`")
        return
    question = f"Earlier runs left {names}. Deleting causes more messages. Type `yes` to delete: "
    if console.ask(question) != "yes":
        return
    try:
        for leftover in leftovers:
            parameters.delete(scratch.project.id, leftover.id)
    except ApiError as problem:
        console.message("warning", f"not all were deleted: {problem.message}")
