"""The final verification: compare the live webhooks with the plan after the last write.

The listing decides, because the next plan is made from it. If it does not yet show a write that the
server confirmed, it is read again, after pauses. If it still differs then, the webhook is read by
id, and the operation fails: `does-not-converge` if only the listing differs. A signal ends the
pauses; the listing may then lag, so an operation that only the listing contradicts is unconfirmed.
A second webhook under the name of a written one is a conflict. Changes by others to webhooks that
the run does not write show in the next plan.

The verification also removes duplicates, which a lost response or a concurrent apply may have left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Final, NamedTuple

from reconciler.errors import (
    RUN_AGAIN,
    AmbiguousWriteError,
    ApiError,
    IncompleteListingError,
)
from reconciler.execute.ledger import is_verifiable, unconfirmed
from reconciler.execute.operation import (
    SPACING,
    Apply,
    confirm_created,
    field_names,
    name_conflict,
    stored_differently,
)
from reconciler.model import LiveWebhook
from reconciler.planning.check import Listing, OperationState
from reconciler.planning.plan import Create, Delete, Operation, Update, live_id
from reconciler.planning.readback import hides_destination, snapshot
from reconciler.report import (
    NOT_CONVERGED,
    Applied,
    Failed,
    Outcome,
    RemovedDuplicate,
    Report,
    Skipped,
    Unconfirmed,
)

_PAUSES: Final = 3  # before a listing that contradicts the responses to writes is believed
_MAX_LISTINGS: Final = 12  # each removed duplicate needs another listing

_Waiting = list[tuple[int, Outcome]]


class _Duplicate(NamedTuple):
    """A webhook to remove, and the one of the same name that stays."""

    gone: LiveWebhook
    kept: LiveWebhook


class _LastListing(NamedTuple):
    """The last listing, and what it does not show as expected.

    `extra` are duplicates, `waiting` operations. `settled` means that they were still there after
    all pauses; a signal ends the verification earlier.
    """

    listing: Listing
    extra: Sequence[_Duplicate]
    waiting: _Waiting
    settled: bool


def verify(run: Apply) -> Report:
    """Read the listing, remove duplicates, and correct the outcomes in the ledger.

    The report has no outcomes yet.
    """
    tried: dict[str, RemovedDuplicate] = {}
    left: set[str] = set()
    hidden, problem, verified = 0, None, True
    try:
        last = _last_listing(run, tried)
        for index, outcome in last.waiting:
            run.ledger.correct(index, _final_outcome(outcome, last, run))
        hidden = _hidden(last.listing, run)
        left = {duplicate.gone.id for duplicate in last.extra}
        if left:
            problem = f"the last listing still shows duplicates: {', '.join(sorted(left))}"
    except ApiError as error:
        problem, verified = f"final verification failed: {error}", False
    removed = tuple(duplicate for id_, duplicate in tried.items() if id_ not in left)
    return Report(run.plan, (), removed, verified=verified, hidden=hidden, problem=problem)


def _last_listing(run: Apply, tried: dict[str, RemovedDuplicate]) -> _LastListing:
    """Read listings until one shows everything as expected, or all pauses are over.

    Duplicates are removed and recorded in `tried`. Raises ApiError.
    """
    # A listing may lag behind writes that the server has confirmed.
    pauses, remaining = _PAUSES, _MAX_LISTINGS
    while True:
        remaining -= 1
        settled = not (pauses and remaining)
        try:
            listing = run.listing()
        except IncompleteListingError:
            if settled or run.ledger.stopping:
                raise
        else:
            extra = _duplicates(listing, run)
            waiting = _record_shown(listing, run)
            # Another listing must follow, which shows whether they are gone.
            if remaining and _remove_all(extra, listing, run, tried, repeat=pauses > 0):
                pauses = _PAUSES  # the listing may lag behind these deletes, too
                continue
            if settled or run.ledger.stopping or not (extra or waiting):
                return _LastListing(listing, extra, waiting, settled)
        pauses -= 1
        run.pause(SPACING)


def _record_shown(listing: Listing, run: Apply) -> _Waiting:
    """Record the operations that the listing shows as done. Return those to verify again.

    These are the others, and those with other webhooks of the same name.
    """
    waiting: _Waiting = []
    for index, outcome in run.ledger.recorded():
        if not is_verifiable(outcome):
            continue
        webhook = _listed(outcome, listing, run)
        if webhook is None and isinstance(outcome, Skipped):
            continue  # it is gone, as the response to the write said
        if not _is_shown(outcome, webhook, listing, run):
            waiting.append((index, outcome))
            continue
        verified = _verified(outcome, webhook, run)
        run.ledger.correct(index, verified)
        if isinstance(verified, Applied) and _others(verified, listing, run):
            waiting.append((index, verified))
    return waiting


def _is_shown(outcome: Outcome, webhook: LiveWebhook | None, listing: Listing, run: Apply) -> bool:
    """Return whether a listing shows that an operation is done."""
    operation = outcome.operation
    # A listing that lags behind a write without a visible effect looks like its result.
    if isinstance(outcome, Failed) and run.has_no_visible_effect(operation):
        return False
    now = listing.check_against(operation, webhook)
    if now.state is OperationState.DONE:
        return True
    if isinstance(operation, Delete) or webhook is None or now.differing:
        return False
    # For a value that cannot be read, only the response to the write confirms it. A create is then
    # confirmed by sending the value.
    return isinstance(outcome, Applied | Failed) or isinstance(operation, Create)


def _verified(outcome: Outcome, webhook: LiveWebhook | None, run: Apply) -> Applied | Failed:
    """Return the outcome of an operation that a listing shows as done."""
    operation = outcome.operation
    id_ = _webhook_id(outcome) if webhook is None else webhook.id
    if isinstance(outcome, Applied) and outcome.id == id_:
        return outcome
    note = "confirmed by the final verification"
    if isinstance(operation, Create) and webhook is not None:
        # Also if the response had another id: a concurrent run has kept its own webhook.
        return confirm_created(operation, webhook, note, run)
    return Applied(operation, id=id_, note=note)


def _webhook_id(outcome: Outcome) -> str | None:
    """Return the id of the webhook of an operation, None for a create whose id is not known."""
    if isinstance(outcome.operation, Create) and isinstance(outcome, Applied):
        return outcome.id
    return live_id(outcome.operation)


def _listed(outcome: Outcome, listing: Listing, run: Apply) -> LiveWebhook | None:
    """Return the webhook of an operation as the listing shows it."""
    id_ = _webhook_id(outcome)
    if id_ in listing.by_id:
        return listing.by_id[id_]
    if not isinstance(outcome.operation, Create):
        return None
    candidates = run.new_equal(outcome.operation, listing)
    if isinstance(outcome, Applied):
        # The response has another id, so one with a hidden destination may be another user's.
        candidates = [webhook for webhook in candidates if not hides_destination(webhook)]
    return next(iter(candidates), None)


def _others(outcome: Applied, listing: Listing, run: Apply) -> list[LiveWebhook]:
    """Return other webhooks under the name of a created or updated one."""
    if isinstance(outcome.operation, Delete):
        return []
    named = listing.not_in_plan(outcome.operation.name)
    others = [webhook for webhook in named if webhook.id != outcome.id]
    if not others:
        return []
    # Several declarations may have one name; what this run created for them is no conflict.
    created = {
        _webhook_id(recorded)
        for _, recorded in run.ledger.recorded()
        if isinstance(recorded.operation, Create)
    }
    return [webhook for webhook in others if webhook.id not in created]


def _final_outcome(outcome: Outcome, last: _LastListing, run: Apply) -> Outcome:
    """Return the outcome of an operation that the last listing does not show as done."""
    match outcome:
        case Skipped():
            return _record_missing(outcome, last, run) if last.settled else outcome
        case Failed():
            return _final_failure(outcome, last, run)
        case Applied(operation=Delete(), id=str(id_)):
            return _final_delete(outcome, id_, last, run)
        case Applied(operation=Create() | Update() as operation, id=str(id_)):
            return _final_write(outcome, operation, id_, last, run)
    return outcome


def _final_failure(outcome: Failed, last: _LastListing, run: Apply) -> Failed:
    """Return the outcome of a failed operation, with the fields that the last listing shows."""
    operation = outcome.operation
    listed = _listed(outcome, last.listing, run)
    differing = last.listing.check_against(operation, listed).differing
    if not differing or isinstance(operation, Delete):
        return outcome
    return stored_differently(operation, differing)


# The webhook by its id shows what is wrong: the write, or only the listing.


def _final_delete(outcome: Applied, id_: str, last: _LastListing, run: Apply) -> Outcome:
    """Return the outcome of a delete that the last listing contradicts."""
    if run.api.get(id_) is not None:
        return Failed(outcome.operation, NOT_CONVERGED, "it still exists", RUN_AGAIN)
    return _record_missing(outcome, last, run)


def _final_write(
    outcome: Applied, operation: Create | Update, id_: str, last: _LastListing, run: Apply
) -> Outcome:
    """Return the outcome of a create or an update that the last listing contradicts."""
    listed, live = _listed(outcome, last.listing, run), run.api.get(id_)
    if live is None and listed is None:
        message = "it was deleted after it was written"
        return Failed(operation, code="vanished", message=message, hint="plan again")
    if live is None:
        return _record_missing(outcome, last, run)
    differing = last.listing.check_against(operation, live).differing
    if differing:
        return stored_differently(operation, differing)
    if listed is None:
        return _unlisted(operation, live.id, last)
    differing = last.listing.check_against(operation, listed).differing
    if differing:
        names = field_names(differing)
        message = f"the listing shows other values than CloudTruth confirmed: {names}"
        return _contradicted(operation, message, last)
    return _with_conflict(outcome, last, run)


def _with_conflict(outcome: Applied, last: _LastListing, run: Apply) -> Outcome:
    """Return the outcome of a write, or its conflict with another webhook of its name."""
    operation = outcome.operation
    others = _others(outcome, last.listing, run)
    for other in others:
        again = run.api.get(other.id)
        if again is not None and again.name == operation.name:
            return name_conflict(operation, other.id)
    if others:
        message = f"only the listing shows another webhook with this name: {others[0].id}"
        return _contradicted(operation, message, last, RUN_AGAIN)
    return outcome


_ASK: Final = "until its listing is right, each plan has this change: report the id to CloudTruth"


def _contradicted(
    operation: Operation, message: str, last: _LastListing, hint: str = _ASK
) -> Failed | Unconfirmed:
    """Return the outcome of an operation that only the last listing contradicts."""
    if not last.settled:
        return Unconfirmed(operation, message)
    return Failed(operation, code=NOT_CONVERGED, message=message, hint=hint)


def _record_missing(
    outcome: Applied | Skipped, last: _LastListing, run: Apply
) -> Failed | Unconfirmed:
    """Return the outcome of a write to a webhook that is listed, but has no row by id."""
    # A response without the webhook counted no write, but the listing contradicts that response.
    if isinstance(outcome, Skipped) or outcome.already_made:
        run.ledger.count_write()
    message = (
        f"the listing shows it, but CloudTruth has no webhook with its id {_webhook_id(outcome)}"
    )
    return _contradicted(outcome.operation, message, last)


def _unlisted(operation: Operation, id: str, last: _LastListing) -> Failed | Unconfirmed:
    """Return the outcome of a webhook that exists by its id, and that no listing shows."""
    message = f"no listing shows it, although CloudTruth returns it by its id {id}"
    if not last.settled:
        return unconfirmed(operation, message)
    hint = (
        f"look up {id} before the next apply, which creates it again: nothing else remembers the id"
    )
    if not isinstance(operation, Create):
        hint = _ASK
    return Failed(operation, NOT_CONVERGED, message, hint)


def _hidden(listing: Listing, run: Apply) -> int:
    """Return how many values that were sent, or may have been, could not be compared."""
    hidden = 0
    for _, outcome in run.ledger.recorded():
        operation = outcome.operation
        if isinstance(outcome, Applied | Unconfirmed) and not isinstance(operation, Delete):
            webhook = listing.by_id.get(_webhook_id(outcome) or "")
            if webhook is not None:
                hidden += len(listing.unread(operation, webhook))
    return hidden


# Remove duplicates
#
# Only webhooks with a name that this run sent, that did not exist before the run and that equal
# what was sent are deleted; the webhook with the smallest id stays. Every run follows this rule, so
# concurrent runs all keep the same webhook. If the server hides where they deliver to, equal ones
# may belong to another user, so they are deleted only after a lost response of this run. These
# deletes are not in the plan.


def _duplicates(listing: Listing, run: Apply) -> list[_Duplicate]:
    """Return the duplicates to remove: at most all but one of each name that was sent."""
    # Those of other declarations are not copies, although they may have the name.
    paired = run.plan.paired.keys()
    duplicates: list[_Duplicate] = []
    for operation in sorted(run.ledger.sent.values(), key=lambda create: create.name):
        duplicates += _copies(operation, listing, run, paired)
    return duplicates


def _copies(
    operation: Create, listing: Listing, run: Apply, paired: Set[str]
) -> Iterator[_Duplicate]:
    """Yield the duplicates of a create that are not `paired`."""
    named = [webhook for webhook in listing.named(operation.name) if webhook.id not in paired]
    if operation.name not in run.ledger.lost and any(map(hides_destination, named)):
        return  # this run created one of them, and the others may deliver elsewhere
    keeper = min(named, key=lambda webhook: webhook.id, default=None)
    for webhook in run.new_equal(operation, listing):
        if keeper is not None and webhook.id not in paired and webhook.id != keeper.id:
            yield _Duplicate(webhook, keeper)


def _remove_all(
    extra: Sequence[_Duplicate],
    listing: Listing,
    run: Apply,
    tried: dict[str, RemovedDuplicate],
    *,
    repeat: bool,
) -> bool:
    """Remove duplicates, and return whether one was tried for the first time.

    After the pauses, those that were tried before are left: they must not `repeat` for ever.
    """
    tried_before = set(tried)
    for duplicate in extra:
        if repeat or duplicate.gone.id not in tried_before:
            _remove(duplicate, listing, run, tried)
    return tried.keys() > tried_before


def _remove(
    duplicate: _Duplicate, listing: Listing, run: Apply, tried: dict[str, RemovedDuplicate]
) -> None:
    """Delete a duplicate, and record it in `tried` if this run removed it or may have.

    Both webhooks are read first: one that has changed since the listing is not a duplicate any
    more. Raises ApiError if it was not removed.
    """
    if run.ledger.closed:
        return
    gone, kept = duplicate
    live, keeper = run.api.get(gone.id), run.api.get(kept.id)
    if live is None or keeper is None or keeper.name != kept.name:
        return
    if snapshot(live) != snapshot(gone):
        return
    try:
        if not run.api.delete(live.id):
            return
    except AmbiguousWriteError:
        pass  # it may be removed: the next listing shows it
    run.ledger.count_write()
    tried[gone.id] = RemovedDuplicate(name=gone.name, removed=gone.id, kept=kept.id)
    _reassign(duplicate, listing, run)


def _reassign(duplicate: _Duplicate, listing: Listing, run: Apply) -> None:
    """Assign the kept webhook to the create whose webhook was removed as a duplicate."""
    gone, kept = duplicate
    for index, outcome in run.ledger.recorded():
        create = outcome.operation
        if not isinstance(create, Create) or _webhook_id(outcome) != gone.id:
            continue
        if listing.check_against(create, kept).differing:
            run.ledger.correct(index, name_conflict(create, kept.id))
        else:
            note = "an equal webhook is kept"
            run.ledger.correct(index, confirm_created(create, kept, note, run))
