"""Apply a plan.

Nothing is written before the listing is read again and every operation is checked against it.
The order is: deletes of duplicates, updates and renames, creates, other deletes. The last stage is
skipped if any earlier operation failed, was skipped or is unconfirmed. Independent operations
neither wait for each other nor stop each other. After the last write the listing is read and
compared again. Each operation has exactly one outcome.

The plan makes all decisions. Files, organization, secrets, guards and confirmation are checked
before `execute` is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from functools import partial

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    DeadlineError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    StalePlanError,
    UnresolvedSecretsError,
)
from reconciler.execute.ledger import Ledger, failed
from reconciler.execute.operation import Apply, perform
from reconciler.execute.verify import verify
from reconciler.execute.workers import Halted
from reconciler.model import LiveWebhook, SecretValues
from reconciler.planning.check import Listing, OperationState
from reconciler.planning.plan import Delete, Operation, Plan, Update, stage
from reconciler.planning.resend import resent_references
from reconciler.ports import Clock, Stop, Watcher, WebhookAPI, Workers
from reconciler.report import STALE, Applied, Outcome, Report, Skipped

# Errors that every later operation would hit as well: a rejected key, a wait that is too long, the
# deadline, an empty retry budget.
_FINAL = (
    AuthenticationError,
    PermissionDeniedError,
    RateLimitedError,
    DeadlineError,
    ServerError,
)


def execute(
    plan: Plan,
    secrets: SecretValues,
    api: WebhookAPI,
    *,
    clock: Clock,
    workers: Workers,
    stop: Stop,
    watcher: Watcher,
    reviewed: bool,
    planned: Sequence[LiveWebhook] = (),
) -> Report:
    """Apply `plan` and return the outcome of each operation.

    With `reviewed`, one stale operation stops all of them. `planned` are the live webhooks from
    which the plan was made: an operation is stale if their secrets have changed. An empty plan
    makes no request. Raises StalePlanError, UnresolvedSecretsError and the errors of the first
    listing; in each of these cases nothing was written.
    """
    if not plan.operations:
        return Report(plan=plan, verified=True, stopped=stop.requested())
    _require_secrets(plan, secrets)
    ledger = Ledger(plan, stop, watcher)
    report = Report(plan)
    try:
        run = Apply(
            plan=plan,
            secrets=secrets,
            api=api,
            clock=clock,
            ledger=ledger,
            before=Listing(
                plan,
                _list(plan, api, workers),
                secrets,
                planned={webhook.id: webhook for webhook in planned},
            ),
        )
        _check(run, reviewed)
        _write(run, workers)
        if ledger.needs_verification:
            # By a worker, so that a second signal can abandon it like any other call.
            report = workers.run([lambda: verify(run)])[0]
        else:
            report = Report(plan, verified=True)
    except Halted:
        pass
    # Also after Halted: the ledger knows what was started.
    outcomes = ledger.close()
    if reviewed and not ledger.writes:
        _require_fresh(outcomes)
    # The signal is reported even if every operation was applied: its sender wants the run to end,
    # so no other organization may follow.
    return report._replace(outcomes=outcomes, writes=ledger.writes, stopped=stop.requested())


def _require_secrets(plan: Plan, secrets: SecretValues) -> None:
    missing = {str(use.reference) for use in plan.secrets if use.reference not in secrets}
    if missing:
        raise UnresolvedSecretsError(
            f"no value for {', '.join(sorted(missing))}; nothing was written",
            hint="set them where apply runs",
        )


def _list(plan: Plan, api: WebhookAPI, workers: Workers) -> tuple[LiveWebhook, ...]:
    """Return the live webhooks; those that the plan needs but the listing lacks are read by id.

    Such a webhook was deleted, or is missing from a paged listing; only reading it by id shows
    which.
    """
    listing = workers.run([api.list])[0]
    needed = {update.before.id for update in plan.updates}
    needed |= {delete.before.id for delete in plan.deletes}
    needed |= {delete.kept_id for delete in plan.deletes if delete.kept_id is not None}
    missed = sorted(needed - {webhook.id for webhook in listing})
    unlisted = workers.run([partial(api.get, id_) for id_ in missed])
    return (*listing, *filter(None, unlisted))


def _check(run: Apply, reviewed: bool) -> None:
    """Record which operations are already done, and skip the changed ones.

    Raises StalePlanError if the plan was `reviewed` and some have changed.
    """
    changed: list[tuple[int, Skipped]] = []
    for index, operation in enumerate(run.plan.operations):
        now = run.before.check(operation)
        if now.state is OperationState.DONE:
            note = now.reason
            # Whoever forgot to set a new value would revoke the old one, which is in use.
            references = " and ".join(map(str, resent_references([operation])))
            if references:
                note = f"the value of {references} was already live: if another one is meant, "
                note += "set that, and increment `version`"
            done = Applied(operation, id=now.id, note=note, already_made=True)
            run.ledger.finish(index, done)
        elif now.state is OperationState.STALE:
            changed.append((index, Skipped(operation, "changed", now.reason)))
    if reviewed:
        _require_fresh([skipped for _, skipped in changed])
    for index, skipped in changed:
        run.ledger.finish(index, skipped)


def _require_fresh(outcomes: Iterable[Outcome]) -> None:
    """Raise StalePlanError if operations were skipped because of a change since the review."""
    differences = [
        f"{outcome.operation.name}: {outcome.message}"
        for outcome in outcomes
        if isinstance(outcome, Skipped) and outcome.code in STALE
    ]
    if differences:
        raise StalePlanError.since_review(differences, "plan and review again")


def _write(run: Apply, workers: Workers) -> None:
    """Send pending operations, stage by stage."""
    stages: defaultdict[int, list[int]] = defaultdict(list)
    for index, operation in enumerate(run.plan.operations):
        stages[stage(operation)].append(index)
    undone: list[Operation] = []
    for _, indexes in sorted(stages.items()):
        held = {operation.kept_id for operation in undone if isinstance(operation, Delete)}
        first = undone[0].name if undone else None
        workers.run([partial(_attempt, run, index, held, first) for index in indexes])
        for index in indexes:
            if not run.ledger.applied(index):
                undone.append(run.plan.operations[index])


def _obstacle(operation: Operation, held: Set[str | None], undone: str | None) -> str | None:
    """Return why an operation must not be started, None if it may."""
    if isinstance(operation, Update) and operation.before.id in held:
        # After this update the duplicates would differ: if the run were then interrupted, no later
        # run could choose one.
        return "its duplicates are still live"
    if isinstance(operation, Delete) and undone is not None:
        return f"not deleted, because {undone!r} was not applied"
    return None


def _attempt(run: Apply, index: int, held: Set[str | None], undone: str | None) -> None:
    """Perform one operation, if it may be started, and record its outcome.

    `held` are the ids of webhooks whose duplicates could not be deleted. `undone` is the name of an
    operation of an earlier stage that was not applied.
    """
    ledger, operation = run.ledger, run.plan.operations[index]
    if not ledger.start(index, _obstacle(operation, held, undone)):
        return
    try:
        outcome = perform(operation, run)
    except ApiError as error:
        outcome = failed(operation, error)
        if isinstance(error, ProtocolError) and not 400 <= (error.status or 0) < 500:
            ledger.count_write()  # an unreadable response may belong to a write that happened
        if isinstance(error, _FINAL):
            ledger.end(f"the run stopped after {operation.name!r} failed")
    ledger.finish(index, outcome)
