"""`webhooks check`: check whether messages arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Final

from reconciler import deliveries, workflow
from reconciler.api.client import Client
from reconciler.api.origin import Credential, Network, Origin
from reconciler.api.parameters import Parameters
from reconciler.api.transport import Transport
from reconciler.cli.connection import Progress, connected_all, only_target, show_problems
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.deliveries.proof import Proof, Scratch, cause_events, prepare, received, watch
from reconciler.errors import Interrupted, NoKeyError, ReconcilerError, UsageError
from reconciler.execute.workers import ThreadWorkers
from reconciler.findings import plural
from reconciler.model import Live, LiveWebhook, Secret
from reconciler.planning.names import Globs, require_matches
from reconciler.planning.readback import live_destination
from reconciler.planning.run import OrganizationResult
from reconciler.render.quote import quote
from reconciler.report import Checklist, Section, fail, unknown
from reconciler.workflow.planning import plan_listed

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
    """For each declared webhook, shows whether its last delivery failed. For Slack, checks the
    token, its scopes, and whether the bot can post in the channel. Sends nothing to the URL of a
    generic webhook. Without an API key, the deliveries are not read. Exits with 1 if a check
    failed.

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
    targets = [workflow.Target(source) for source in session.load_all()]
    names = {webhook.name for target in targets for webhook in target.checked.desired.webhooks}
    require_matches(only, names, "declared webhook")
    with connected_all(session, targets) as connected:
        if deliver is not None:
            only_target(connected, "--deliver")
        lives = workflow.read_all(connected)
        results = [
            _cases(target, live, only) for target, live in zip(connected, lives, strict=True)
        ]
        read_code = show_problems(session, results)
        cases, posted = _look_up(session, _together(results), slack_url, send=send)
        proof = None
        if deliver is not None:
            watched = [case.live for case in cases if isinstance(case.live, LiveWebhook)]
            proof = prove(session, connected[0].connection, lives[0], watched, deliver, yes=yes)
    notes: tuple[str, ...] = ()
    if not cases and not read_code:
        notes = ("There is no webhook to check.",)
    sections = (*_unread(results), *deliveries.check(cases, proof), *posted)
    return session.show_checks(Checklist("check", sections, notes, read_code), format)


def _unread(results: Sequence[OrganizationResult[list[deliveries.Case]]]) -> tuple[Section, ...]:
    """Return a section with the organizations that could not be checked, if any."""
    failed = []
    for result in results:
        problem = result.problem
        if problem is not None:
            detail = f"organization {quote(result.name)} could not be checked"
            fix = problem.hint or "see the error above"
            failed.append(fail(problem.code, detail, fix=fix, private=quote(problem.message)))
    if not failed:
        return ()
    return (Section("Organizations", tuple(failed)),)


def _cases(
    target: workflow.Target, live: Live | ReconcilerError, only: tuple[str, ...]
) -> OrganizationResult[list[deliveries.Case]]:
    """Return the cases of an organization, or why there are none."""
    name = target.source.name
    try:
        return OrganizationResult(name, target.paths, _declared_cases(target, live, only))
    except ReconcilerError as problem:
        return OrganizationResult(name, target.paths, problem=problem)


def _declared_cases(
    target: workflow.Target, live: Live | ReconcilerError, only: tuple[str, ...]
) -> list[deliveries.Case]:
    """Return what is known about the declared webhooks of an organization that `only` selects.

    Without a key, their deliveries are not read, which is not a problem.
    """
    globs = Globs(only or ("*",))
    declared = target.checked.desired.webhooks
    webhooks = [webhook for webhook in declared if globs.match(webhook.name)]
    # A value that cannot be used must not hide the checks of the other webhooks.
    gathered = workflow.gather(target.checked, target.key, checking=True)
    secrets, name = gathered.secrets, target.source.name
    # Slack can be checked without CloudTruth's key.
    if isinstance(live, NoKeyError):
        unread = unknown("state", f"not read: {live.message}", fix=live.hint)
        cases = [
            deliveries.Case(webhook, secrets, unread, organization=name) for webhook in webhooks
        ]
    elif isinstance(live, ReconcilerError):
        raise live
    else:
        plan = plan_listed(gathered, live, workflow.PlanOptions())
        cases = deliveries.cases(webhooks, secrets, plan, live)
    return [case._replace(wrong_values=gathered.wrong_values) for case in cases]


def _together(
    results: Sequence[OrganizationResult[list[deliveries.Case]]],
) -> list[deliveries.Case]:
    """Return all cases. Names of organizations only tell several apart."""
    cases = [case for result in results for case in result.value or ()]
    if len(results) == 1:
        return [case._replace(organization=None) for case in cases]
    return cases


def _look_up(
    session: Session, cases: list[deliveries.Case], slack_url: str, *, send: bool
) -> tuple[list[deliveries.Case], tuple[Section, ...]]:
    """Look up the Slack tokens; with `send`, post messages and return their checks."""
    with _slack(session, slack_url) as connect, closing(ThreadWorkers(10)) as workers:
        cases = deliveries.look_up(cases, connect, workers)
        if not send or connect is None:
            return cases, ()
        return cases, deliveries.post(cases, connect)


def prove(
    session: Session,
    connection: workflow.Connection | None,
    live: Live | ReconcilerError,
    watched: Sequence[LiveWebhook],
    project: str,
    *,
    yes: bool,
) -> Proof:
    """Cause events in a scratch project and watch some of the live webhooks.

    Raises UsageError if none of `watched` receives messages, ReconcilerError for a project that
    cannot be used and if `live` is one, NotConfirmedError, Interrupted. In each case the parameter
    does not exist, or is named.
    """
    if isinstance(live, ReconcilerError):  # there is no key
        raise live
    assert connection is not None
    api, clock, console = connection.api, connection.clock, session.console
    assert isinstance(api, Client)
    ids = {webhook.id for webhook in watched if received(webhook)}
    if not ids:
        raise UsageError(
            "none of the webhooks listens to events of parameters or values: nothing was sent",
            hint="apply a webhook that does, or select one with --only",
        )
    # Everything that can be wrong with the project is found before the question.
    parameters = Parameters(api.transport)
    scratch = prepare(parameters, live.organization, clock, project)
    console.write_stderr(_announcement(live, scratch))
    if not yes:
        session.confirm("Create, change and delete this parameter?")
    connection.restart()  # the user may have taken a while to confirm
    # Listed again, because a webhook may have run while the question was on the screen.
    before = api.list()
    name, cleanup = quote(scratch.name), scratch.delete_command(scratch.name)
    # Before the create, and also with --quiet: nothing can be printed after `kill -9`.
    console.write_stderr(f"Creating parameter {name}. If this run is killed: `{cleanup}`")
    with connection.stop as stop:
        proof = cause_events(parameters, scratch, clock, stop, connection.restart)
        listening = [
            webhook
            for webhook in before
            if webhook.id in ids and not webhook.event_types.isdisjoint(proof.events)
        ]
        observations = watch(api.list, listening, clock, stop)
        code = stop.requested()
    if code is not None:
        left = f"may still exist: `{cleanup}`" if proof.remains else "was deleted"
        raise Interrupted(f"stopped by a signal; parameter {name} {left}", signal_exit=code)
    if scratch.leftovers:
        # Only named: deleting them causes messages, too.
        commands = "; ".join(map(scratch.delete_command, scratch.leftovers))
        shown = ", ".join(map(quote, scratch.leftovers))
        console.message("note", f"left by earlier runs: {shown}; to delete: `{commands}`")
    return proof._replace(observations=observations)


def _announcement(live: Live, scratch: Scratch) -> str:
    """Return the text about every webhook that receives messages of a proof."""
    total, lines = 0, []
    for webhook in live.webhooks:
        count = received(webhook)
        if count:
            where = quote(live_destination(webhook))
            lines.append(f"  {quote(webhook.name)}  {where}  {plural(count, 'message')}")
            total += count
    project, organization = quote(scratch.project.name), quote(live.organization.name)
    head = (
        f"Parameter {quote(scratch.name)} in project {project} of organization {organization} "
        f"causes {plural(total, 'message')}. Receivers may act on them:"
    )
    return "\n".join([head, *lines])


@contextmanager
def _slack(session: Session, slack_url: str) -> Iterator[Callable[[Secret], Transport] | None]:
    """Yield a function that connects to Slack with a token; None with --local.

    Raises UsageError for a bad URL.
    """
    # --local promises that nothing is sent; a URL on the command line asks for it.
    if session.local and slack_url == _SLACK:
        yield None
        return
    where = Origin.parse(
        slack_url, "the Slack URL (--slack-url, WEBHOOKS_SLACK_URL)", example=_SLACK
    )
    if slack_url != _SLACK:
        session.console.info(f"The tokens are sent to {where}, not to Slack.")
    clock, settings = session.process.clock, session.settings
    # Each token has a separate connection, and all of them share one deadline.
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
                    redactor=session.redactor,
                ),
            )
            stack.callback(transport.close)
            return transport

        yield connect
