"""Carrying a plan out.

Promises: nothing is written before the listing has been read once more and every change compared
with it; surplus copies of a webhook that stays go first, then come updates and renames, then
creates, then deletes, and these only if nothing before them failed, was skipped or is in doubt;
independent changes do not wait for each other and do not stop each other; after the last write the
listing is read and compared again. Each change ends as exactly one outcome, whatever happens on
the way. Nothing here loops.

Refuses: to decide anything that a plan decides. Files, organization, secrets, guards and consent
are settled before this is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    StalePlanError,
)
from reconciler.execute.context import Context
from reconciler.execute.create_once import create_once
from reconciler.execute.draft import require_secrets
from reconciler.execute.fresh import fits, missed
from reconciler.execute.ledger import Ledger, failed, is_done
from reconciler.execute.settle import Settle
from reconciler.execute.verify import Verification, verify
from reconciler.execute.workers import Halted
from reconciler.execute.write_once import delete_once, update_once
from reconciler.model import LiveWebhook, Secret, SecretRef
from reconciler.planning.changes import Change, Create, Delete, Reason, Update
from reconciler.planning.plan import Plan
from reconciler.planning.standing import Fit, evidence_in
from reconciler.ports import Clock, Stop, Watcher, WebhookAPI, Workers
from reconciler.report import Applied, Outcome, Report, Skipped

_DEFAULT = Settle()

# What the next change would meet as well: a refused key, a pause that is too long, a retry budget
# that is empty.
_FINAL = (AuthenticationError, PermissionDeniedError, RateLimitedError, ServerError)


def execute(
    plan: Plan,
    secrets: Mapping[SecretRef, Secret],
    api: WebhookAPI,
    *,
    clock: Clock,
    workers: Workers,
    stop: Stop,
    watcher: Watcher,
    reviewed: bool,
    settle: Settle = _DEFAULT,
) -> Report:
    """Make live what `plan` says, and report what became of each change.

    `reviewed`: exactly this plan was agreed to, so a change that no longer fits refuses the whole.
    An empty plan makes no request. Raises StalePlanError, UnresolvedSecretsError and what the
    first look raises; in each of these cases nothing was written.
    """
    if not plan.changes:
        return Report(plan=plan, verified=True)
    require_secrets(plan, secrets)
    ledger = Ledger(plan, stop, watcher)
    verification = Verification(verified=False)
    try:
        listing = _look(plan, api, workers)
        context = Context(
            plan=plan,
            secrets=secrets,
            api=api,
            clock=clock,
            settle=settle,
            ledger=ledger,
            reviewed=reviewed,
            known={each.id: each for each in listing},
            evidence=evidence_in(plan, listing, secrets),
            duplicates=_duplicates(plan),
        )
        _compare(context, listing)
        _write(context, workers)
        if ledger.writes or ledger.claims:
            verification = workers.run([lambda: verify(context)])[0]
        else:
            verification = Verification(verified=True)
    except Halted:
        pass
    return _report(plan, ledger, stop, verification, reviewed=reviewed)


def _duplicates(plan: Plan) -> Mapping[str, Sequence[int]]:
    """Map the id of each webhook that has duplicates to the places of their deletes."""
    found: dict[str, list[int]] = {}
    for index, change in enumerate(plan.changes):
        if isinstance(change, Delete) and change.keeps is not None:
            found.setdefault(change.keeps, []).append(index)
    return found


def _look(plan: Plan, api: WebhookAPI, workers: Workers) -> tuple[LiveWebhook, ...]:
    """List what is live, and ask by id for what the plan changes and the list does not show."""
    listing = workers.run([api.list])[0]
    found = workers.run([partial(api.get, each) for each in missed(plan, listing)])
    return (*listing, *(each for each in found if each is not None))


def _report(
    plan: Plan, ledger: Ledger, stop: Stop, verification: Verification, *, reviewed: bool
) -> Report:
    outcomes = ledger.close()
    stale = [each for each in outcomes if isinstance(each, Skipped) and each.code == "stale"]
    if reviewed and stale and not ledger.writes:
        raise _stale(stale)
    cut = not verification.verified or not all(is_done(each) for each in outcomes)
    return Report(
        plan=plan,
        outcomes=outcomes,
        healed=verification.healed,
        writes=ledger.writes,
        verified=verification.verified,
        stopped=stop.requested() if cut else None,
        problem=verification.problem,
    )


def _stale(skipped: Sequence[Skipped]) -> StalePlanError:
    return StalePlanError(
        "what was reviewed is not what would happen now; nothing was written",
        differences=[f"{each.change.name}: {each.message}" for each in skipped],
        hint="plan and review again",
    )


def _compare(context: Context, listing: Sequence[LiveWebhook]) -> None:
    """Note which changes are done already and which no longer fit."""
    changed: list[tuple[int, Skipped]] = []
    for index, (change, standing) in enumerate(
        zip(context.plan.changes, fits(context.plan, listing, context.secrets), strict=True)
    ):
        match standing.fit:
            case Fit.HOLDS:
                pass
            case Fit.DONE:
                done = Applied(change=change, id=standing.id, note=standing.why)
                context.ledger.finish(index, done)
            case Fit.CHANGED:
                changed.append(
                    (index, Skipped(change=change, code="changed", message=standing.why))
                )
    if changed and context.reviewed:
        raise _stale([each for _, each in changed])
    for index, skipped in changed:
        context.ledger.finish(index, skipped)


def _write(context: Context, workers: Workers) -> None:
    """Do what is left to do, stage by stage."""
    changes = context.plan.changes
    first = [index for places in context.duplicates.values() for index in places]
    workers.run([partial(_attempt, context, index) for index in first])
    updates = [i for i, change in enumerate(changes) if isinstance(change, Update)]
    workers.run([partial(_attempt, context, index) for index in updates])
    creates = [i for i, change in enumerate(changes) if isinstance(change, Create)]
    workers.run([partial(_attempt, context, index) for index in creates])
    deletes = [i for i, change in enumerate(changes) if isinstance(change, Delete)]
    hindrance = _hindrance(context)
    if hindrance is None:
        workers.run([partial(_attempt, context, index) for index in deletes])
        return
    for index in deletes:
        if context.ledger.outcome(index) is None:
            context.ledger.finish(
                index, Skipped(change=changes[index], code="after-failure", message=hindrance)
            )


def _hindrance(context: Context) -> str | None:
    """Say what forbids every delete, None if nothing does."""
    for index, change in enumerate(context.plan.changes):
        if isinstance(change, Delete) and change.reason is not Reason.DUPLICATE:
            continue
        if not is_done(context.ledger.outcome(index)):
            return f"nothing is deleted, as {change.name!r} is not done"
    return None


def _attempt(context: Context, index: int) -> None:
    """Do one change, if it may be begun, and note what came of it."""
    ledger, change = context.ledger, context.plan.changes[index]
    if ledger.outcome(index) is not None:
        return
    # Interrupted in between, the duplicates would differ, and no run could tell which one counts.
    before = context.duplicates.get(change.before.id, ()) if isinstance(change, Update) else ()
    if not all(is_done(ledger.outcome(other)) for other in before):
        why = "duplicates of it are still live"
        ledger.finish(index, Skipped(change=change, code="after-failure", message=why))
        return
    if not ledger.start(index):
        return
    try:
        outcome = _do(change, context)
    except ApiError as error:
        outcome = failed(change, error)
        if isinstance(error, ProtocolError) and not 400 <= (error.status or 0) < 500:
            ledger.wrote()  # an answer that nobody understands may come from a write that happened
        if isinstance(error, _FINAL):
            ledger.end(f"the run ended with the failure of {change.name!r}")
    ledger.finish(index, outcome)


def _do(change: Change, context: Context) -> Outcome:
    match change:
        case Create():
            return create_once(change, context)
        case Update():
            return update_once(change, context)
        case Delete():
            return delete_once(change, context)
