"""Looking again after the last write: is live what it was to become?

A write's own answer is trusted first. A listing that does not show it yet is read again, a few
times; what it still does not show is asked for by id. Only then is the change said to have failed.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from reconciler.errors import ApiError, IncompleteListingError
from reconciler.execute.context import Context, unlike
from reconciler.execute.create_once import overtaken
from reconciler.execute.heal import Surplus, remove, surplus
from reconciler.execute.meanwhile import Strangers, disturbed, living, strangers
from reconciler.model import LiveWebhook, Unknown
from reconciler.planning.changes import Create, Delete, SecretChange, Update, ValueChange
from reconciler.planning.readback import Evidence
from reconciler.report import Applied, Failed, Healed, Outcome, Unconfirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the listing after the last write showed; `problem` says why there is none."""

    verified: bool
    healed: tuple[Healed, ...] = ()
    problem: str | None = None


def verify(context: Context) -> Verification:
    """Read the listing, heal, and correct the ledger's outcomes by what is live."""
    tried: list[Surplus] = []
    try:
        rounds = context.settle.confirmations
        for last in (*(False for _ in range(rounds)), True):
            try:
                listing = context.api.list()
            except IncompleteListingError:
                if last or context.ledger.stopping:
                    raise
                context.clock.sleep(context.settle.spacing)
                continue
            extra = surplus(context, listing)
            others = strangers(context, listing)
            waiting = _open(context, listing, others)
            if last or not (extra or waiting) or (context.ledger.stopping and not extra):
                break
            for each in extra:
                if remove(context, each):
                    tried.append(each)
                    _hand_on(context, each, listing)
            if not extra:
                context.clock.sleep(context.settle.spacing)
        for index, outcome in waiting:
            context.ledger.correct(index, _by_id(context, outcome, listing, others))
        left = {each.copy.id for each in extra if _lives(context, each)}
        news = disturbed(context, listing, others)
    except ApiError as error:
        reason = f"the look at the end failed: {error}"
        return Verification(verified=False, healed=_healed(tried, frozenset()), problem=reason)
    problem = f"surplus copies are left: {', '.join(sorted(left))}" if left else None
    return Verification(
        verified=True,
        healed=_healed(tried, left),
        problem=problem or news,
    )


def _healed(tried: Sequence[Surplus], left: Set[str]) -> tuple[Healed, ...]:
    gone = {each.copy.id: each for each in tried if each.copy.id not in left}
    return tuple(
        Healed(name=each.copy.name, removed=each.copy.id, kept=each.keeper.id)
        for each in gone.values()
    )


def _hand_on(context: Context, gone: Surplus, listing: Sequence[LiveWebhook]) -> None:
    """Let the create whose copy was removed be judged by the copy that stays."""
    for index, outcome in context.ledger.settled():
        change = outcome.change
        if not isinstance(outcome, Applied) or not isinstance(change, Create):
            continue
        if outcome.id != gone.copy.id:
            continue
        keeper = gone.keeper
        if context.differences(change, keeper, context.evidence_in(listing)):
            context.ledger.correct(index, overtaken(change, keeper.id))
        else:
            context.ledger.correct(index, replace(outcome, id=keeper.id))


def _lives(context: Context, each: Surplus) -> bool:
    return context.api.get(each.copy.id) is not None


def _open(
    context: Context, listing: Sequence[LiveWebhook], others: Strangers
) -> list[tuple[int, Applied | Unconfirmed]]:
    """Return what this listing does not show to be done, after noting what it does show."""
    evidence = context.evidence_in(listing)
    by_id = {each.id: each for each in listing}
    left: list[tuple[int, Applied | Unconfirmed]] = []
    for index, outcome in context.ledger.settled():
        if not isinstance(outcome, Applied | Unconfirmed):
            continue
        found = by_id.get(_id(outcome) or "")
        if isinstance(outcome.change, Create) and found is None:
            equal = context.equal(outcome.change, listing)
            found = equal[0] if equal else None
        if not _shown(context, outcome, found, evidence):
            left.append((index, outcome))
            continue
        there = found.id if found is not None else _id(outcome)
        if isinstance(outcome, Unconfirmed):
            note = "confirmed by the listing at the end"
            outcome = Applied(change=outcome.change, id=there, note=note)
            context.ledger.correct(index, outcome)
        elif outcome.id != there:
            outcome = replace(outcome, id=there)
            context.ledger.correct(index, outcome)
        if isinstance(outcome, Applied) and _crowd(outcome, others):
            left.append((index, outcome))
    return left


def _crowd(outcome: Applied, others: Strangers) -> list[LiveWebhook]:
    """Return who else bears the name of a webhook that was created or updated."""
    if isinstance(outcome.change, Delete):
        return []
    return [each for each in others.get(outcome.change.name, ()) if each.id != outcome.id]


def _id(outcome: Applied | Unconfirmed) -> str | None:
    if isinstance(outcome, Applied):
        return outcome.id
    return None if isinstance(outcome.change, Create) else outcome.change.before.id


def _shown(
    context: Context,
    outcome: Applied | Unconfirmed,
    found: LiveWebhook | None,
    evidence: Evidence,
) -> bool:
    change = outcome.change
    if isinstance(change, Delete):
        return found is None
    if found is None or context.differences(change, found, evidence):
        return False
    # Of a value that cannot be read only an answer tells whether it has arrived.
    return isinstance(outcome, Applied) or not _hidden(change)


def _hidden(change: Create | Update) -> bool:
    return isinstance(change, Update) and any(
        isinstance(each, SecretChange)
        or (isinstance(each, ValueChange) and isinstance(each.before, Unknown))
        for each in change.fields
    )


def _by_id(
    context: Context,
    outcome: Applied | Unconfirmed,
    listing: Sequence[LiveWebhook],
    others: Strangers,
) -> Outcome:
    """Ask for one webhook that no listing shows as it was to become."""
    change = outcome.change
    if isinstance(outcome, Unconfirmed) or outcome.id is None:
        return outcome
    found = context.api.get(outcome.id)
    if isinstance(change, Delete):
        if found is None:
            return outcome
        return Failed(change=change, code="does-not-converge", message="it is still there")
    if found is None:
        return Failed(
            change=change, code="vanished", message="it is gone again: somebody else is at work"
        )
    if differing := context.differences(change, found, context.evidence_in(listing)):
        return unlike(change, differing)
    if other := living(context, change.name, _crowd(outcome, others)):
        return Failed(
            change=change,
            code="conflict",
            message=f"another webhook of this name has appeared meanwhile (id {other})",
            hint="plan again; where both are meant, pin each by its `id`",
        )
    return outcome
