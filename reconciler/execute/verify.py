"""The final verification: compare the live webhooks with the plan after the last write.

If the listing does not yet show a write that the server confirmed, it is read again a few times,
and then the webhook is read by id. Only then is the operation reported as failed. A second webhook
under the name of a written one is a conflict. Changes by others to webhooks that the run does not
write show in the next plan.

The verification also removes duplicates, which a lost response or a concurrent apply may have left.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import AmbiguousWriteError, ApiError, IncompleteListingError
from reconciler.execute.operation import (
    SPACING,
    Run,
    name_conflict,
    stored_differently,
)
from reconciler.model import LiveWebhook
from reconciler.planning.check import Listing, State
from reconciler.planning.plan import Create, Delete, snapshot
from reconciler.report import Applied, Failed, Outcome, RemovedDuplicate, Report, Unconfirmed


def verify(run: Run) -> Report:
    """Read the listing, remove duplicates, and correct the outcomes in the ledger.

    The report has no outcomes yet.
    """
    tried: dict[str, RemovedDuplicate] = {}
    left: set[str] = set()
    verified, problem = True, None
    try:
        for last in (False, False, False, True):
            try:
                listing = Listing(run.plan, run.api.list(), run.secrets)
            except IncompleteListingError:
                if last or run.ledger.stopping:
                    raise
                run.clock.sleep(SPACING)
                continue
            extra = _duplicates(listing, run)
            waiting = _unconfirmed(listing, run)
            if last or not (extra or waiting) or (run.ledger.stopping and not extra):
                break
            for gone, kept in extra:
                if _remove(gone, kept, run):
                    tried[gone.id] = RemovedDuplicate(name=gone.name, removed=gone.id, kept=kept.id)
                    _reassign(gone, kept, listing, run)
            if not extra:
                run.clock.sleep(SPACING)
        for index, outcome in waiting:
            run.ledger.correct(index, _verify_by_id(outcome, listing, run))
        left = {gone.id for gone, _ in extra if run.api.get(gone.id) is not None}
        if left:
            problem = f"duplicates still exist: {', '.join(sorted(left))}"
    except ApiError as error:
        verified, problem = False, f"final verification failed: {error}"
    removed = tuple(each for each in tried.values() if each.removed not in left)
    return Report(run.plan, duplicates_removed=removed, verified=verified, problem=problem)


def _reassign(gone: LiveWebhook, kept: LiveWebhook, listing: Listing, run: Run) -> None:
    """Assign the kept webhook to the create whose webhook was removed as a duplicate."""
    for index, outcome in run.ledger.recorded():
        operation = outcome.operation
        if not isinstance(outcome, Applied) or not isinstance(operation, Create):
            continue
        if outcome.id == gone.id:
            if listing.compare(operation, kept).differing:
                run.ledger.correct(index, name_conflict(operation, kept.id))
            else:
                run.ledger.correct(index, replace(outcome, id=kept.id))


def _unconfirmed(listing: Listing, run: Run) -> list[tuple[int, Applied | Unconfirmed]]:
    """Record the operations that the listing shows as done, and return the others."""
    left: list[tuple[int, Applied | Unconfirmed]] = []
    for index, outcome in run.ledger.recorded():
        if not isinstance(outcome, Applied | Unconfirmed):
            continue
        operation = outcome.operation
        mine = outcome.id if isinstance(outcome, Applied) else None
        if not isinstance(operation, Create):
            mine = operation.before.id
        found = listing.by_id.get(mine or "")
        if isinstance(operation, Create) and found is None:
            found = next(iter(run.new_equal(operation, listing)), None)
        now = listing.compare(operation, found)
        # For a value that cannot be read, only the response to the write confirms it.
        written = isinstance(outcome, Applied) and not isinstance(operation, Delete)
        if now.state is not State.DONE and (now.differing or found is None or not written):
            left.append((index, outcome))
            continue
        if isinstance(outcome, Unconfirmed):
            outcome = Applied(operation=operation, note="confirmed by the final verification")
        outcome = replace(outcome, id=mine if found is None else found.id)
        run.ledger.correct(index, outcome)
        if _others(outcome, listing, run):
            left.append((index, outcome))
    return left


def _others(outcome: Applied, listing: Listing, run: Run) -> list[LiveWebhook]:
    """Return other webhooks under the name of a created or updated one."""
    if isinstance(outcome.operation, Delete):
        return []
    found = [each for each in listing.not_in_plan(outcome.operation.name) if each.id != outcome.id]
    if not found:
        return []
    mine = {
        each.id
        for _, each in run.ledger.recorded()
        if isinstance(each, Applied) and isinstance(each.operation, Create)
    }
    return [each for each in found if each.id not in mine]


def _verify_by_id(outcome: Applied | Unconfirmed, listing: Listing, run: Run) -> Outcome:
    """Return the outcome after reading by id a webhook that no listing shows as desired."""
    operation = outcome.operation
    if isinstance(outcome, Unconfirmed) or outcome.id is None:
        return outcome
    found = run.api.get(outcome.id)
    if isinstance(operation, Delete):
        if found is None:
            return outcome
        return Failed(
            operation=operation,
            code="does-not-converge",
            message="it still exists",
            hint="run the same command again",
        )
    if found is None:
        return Failed(
            operation=operation,
            code="vanished",
            message="it was deleted after it was written",
            hint="plan again",
        )
    if differing := listing.compare(operation, found).differing:
        return stored_differently(operation, differing)
    for other in _others(outcome, listing, run):
        again = run.api.get(other.id)  # a listing may be stale
        if again is not None and again.name == operation.name:
            return name_conflict(operation, other.id)
    return outcome


# Remove duplicates
#
# Only webhooks with a name that this run sent, that did not exist before the run and that equal
# what was sent are deleted; the webhook with the smallest id stays. Every run follows this rule, so
# concurrent runs all keep the same webhook. These deletes are not in the plan.


def _duplicates(listing: Listing, run: Run) -> list[tuple[LiveWebhook, LiveWebhook]]:
    """Return the duplicates to remove, each with the webhook of the same name that stays.

    They are at most all but one of each name that was sent.
    """
    pinned = {each.before.id for each in run.plan.updates} | run.plan.matched.keys()
    found: list[tuple[LiveWebhook, LiveWebhook]] = []
    for name, operation in sorted(run.ledger.sent.items()):
        same = [each for each in listing.named(name) if each.id not in pinned]
        keeper = min(same, key=lambda each: each.id, default=None)
        for each in run.new_equal(operation, listing):
            if keeper is not None and each.id not in pinned and each.id != keeper.id:
                found.append((each, keeper))
    return found


def _remove(gone: LiveWebhook, kept: LiveWebhook, run: Run) -> bool:
    """Delete a duplicate; return whether this run removed it or may have.

    Both webhooks are read first: one that has changed since the listing is not a duplicate any
    more. Raises ApiError if it was not removed.
    """
    if run.ledger.closed:
        return False
    live, keeper = run.api.get(gone.id), run.api.get(kept.id)
    if live is None or keeper is None or keeper.name != kept.name:
        return False
    if snapshot(live) != snapshot(gone):
        return False
    try:
        removed = run.api.delete(live.id)
    except AmbiguousWriteError:
        removed = True  # or may be removed: the next listing shows it
    if removed:
        run.ledger.count_write()
    return removed
