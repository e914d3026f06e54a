"""Prove deliveries: announce the messages, ask for confirmation, cause them, watch the webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler import workflow
from reconciler.api.client import Client
from reconciler.api.parameters import Parameters
from reconciler.cli.session import Session
from reconciler.deliveries.proof import Proof, Scratch, cause_events, prepare, received, watch
from reconciler.errors import Interrupted, UsageError
from reconciler.model import Live, LiveWebhook
from reconciler.planning.plan import snapshot
from reconciler.render.quote import quote
from reconciler.render.words import plural


def prove(
    session: Session,
    connection: workflow.Connection,
    live: Live,
    watched: Sequence[LiveWebhook],
    project: str,
    *,
    yes: bool,
) -> Proof:
    """Cause events in a scratch project and watch some of the live webhooks.

    Raises UsageError if none of `watched` receives messages, ReconcilerError for a project that
    cannot be used, NotConfirmedError, Interrupted. In each case the parameter does not exist, or is
    named.
    """
    api, clock, console = connection.api, connection.clock, session.console
    assert isinstance(api, Client)
    ids = {webhook.id for webhook in watched if received(webhook)}
    if not ids:
        raise UsageError(
            "none of the webhooks listens to events of parameters or values: nothing was sent",
            hint="apply a webhook that does, or select one with --only",
        )
    parameters = Parameters(api.transport)
    scratch = prepare(parameters, live.organization, clock, project)
    console.write_stderr(_announcement(live, scratch))
    if not yes:
        session.confirm("Create, change and delete this parameter?")
    connection.restart()  # the user may have taken a while to confirm
    # Listed again, because a webhook may have run while the question was on the screen.
    before = [webhook for webhook in api.list() if webhook.id in ids]
    name, command = quote(scratch.name), scratch.delete_command(scratch.name)
    # Before the create, and also with --quiet: nothing can be printed after `kill -9`.
    console.write_stderr(f"Creating parameter {name}. If this run is killed: `{command}`")
    with connection.stop as stop:
        written = cause_events(parameters, scratch, clock, stop, connection.restart)
        heard = written.events
        listening = [webhook for webhook in before if not webhook.event_types.isdisjoint(heard)]
        observations = watch(api.list, listening, clock, stop)
        code = stop.requested()
    if code is not None:
        left = f"may still exist: `{command}`" if written.remains else "was deleted"
        raise Interrupted(f"stopped by a signal; parameter {name} {left}", signal_exit=code)
    _show_leftovers(session, scratch)
    return Proof(scratch, written, observations)


def _announcement(live: Live, scratch: Scratch) -> str:
    """Return the text about every webhook that receives messages of a proof."""

    def line(webhook: LiveWebhook) -> str:
        where = quote(snapshot(webhook).destination)
        return f"  {quote(webhook.name)}  {where}  {plural(received(webhook), 'message')}"

    receivers = [webhook for webhook in live.webhooks if received(webhook)]
    total = plural(sum(map(received, receivers)), "message")
    project, organization = quote(scratch.project.name), quote(live.organization.name)
    head = (
        f"Parameter {quote(scratch.name)} in project {project} of organization {organization} "
        f"causes {total}. Receivers may act on them:"
    )
    return "\n".join([head, *map(line, receivers)])


def _show_leftovers(session: Session, scratch: Scratch) -> None:
    """Name the parameters that earlier runs could not delete: deleting them causes messages."""
    names = [leftover.name for leftover in scratch.leftovers]
    if names:
        commands = "; ".join(map(scratch.delete_command, names))
        shown = ", ".join(map(quote, names))
        session.console.message("note", f"left by earlier runs: {shown}; to delete: `{commands}`")
