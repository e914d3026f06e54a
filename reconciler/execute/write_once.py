"""Updates and deletes, each by id, and the way out of a lost answer.

These say what is to be, not what is to be done, so sending one twice does no harm by itself; but
something else may have happened in between. So after a lost answer the webhook is read. It is as
it was to be: done. It is as it was before: sent again, a bounded number of times. It is neither:
somebody else is at work, and nothing more is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    NotFoundError,
)
from reconciler.execute.context import Context
from reconciler.execute.draft import draft
from reconciler.execute.ledger import in_doubt, interrupted
from reconciler.planning.changes import Delete, Reason, Update
from reconciler.planning.compare import snapshot
from reconciler.planning.standing import Fit
from reconciler.report import Applied, Failed, Outcome, Skipped

_SENDS: Final = 3


def update_once(change: Update, context: Context) -> Outcome:
    """Give a live webhook its declared values. Raises ApiError if it surely did not happen."""
    sent = draft(change.after, context.secrets)

    def send() -> Outcome:
        try:
            live = context.api.update(change.before.id, sent, change.sends)
        except NotFoundError:
            return _vanished(change, context)
        context.ledger.wrote()
        return context.answered(change, live)

    return _until_known(change, context, send, lambda: _read_update(change, context))


def delete_once(change: Delete, context: Context) -> Outcome:
    """Remove a webhook; one that is gone is done. Raises ApiError if it surely stays."""

    def send() -> Outcome:
        if change.reason is Reason.DUPLICATE and not _keeper_lives(change, context):
            return Skipped(
                change=change, code="changed", message="the copy that was to stay is gone"
            )
        if context.api.delete(change.before.id):
            context.ledger.wrote()
            return Applied(change=change, id=change.before.id)
        if change.reason is Reason.DUPLICATE and context.api.get(change.before.id) is not None:
            # The copy that stays is updated next: were this one still there, the two would differ.
            raise ConflictError("CloudTruth says that the copy is gone, and still shows it")
        return Applied(change=change, id=change.before.id, note="it was gone already")

    return _until_known(change, context, send, lambda: _read_delete(change, context))


def _until_known(
    change: Update | Delete,
    context: Context,
    send: Callable[[], Outcome],
    read: Callable[[], Outcome | None],
) -> Outcome:
    """Send, and read after each answer that says nothing; `read` gives None to have it sent again.

    A conflict is such an answer once; the second is what the server means. A refusal after a lost
    answer says nothing of the write whose answer was lost: that may still be carried out. So once
    an answer was lost, an error leaves the change in doubt; else it surely did not happen.
    """
    conflict = lost = False
    answers: list[ApiError] = []
    for _ in range(_SENDS):
        try:
            return send()
        except AmbiguousWriteError as error:
            context.ledger.wrote()
            answers.append(error)
            lost = True
        except ApiError as error:
            if isinstance(error, ConflictError) and not conflict:
                answers.append(error)
                conflict = True
            elif lost:
                return in_doubt(change, answers, f"then: {error.message}")
            else:
                raise
        try:
            outcome = read()
        except ApiError as error:
            if not lost:
                raise
            return in_doubt(change, answers, f"then: {error.message}")
        if outcome is not None:
            return outcome
        now = "the webhook still exists" if isinstance(change, Delete) else "it is unchanged so far"
        if context.ledger.stopping:
            if not lost:
                return interrupted(change)
            return in_doubt(change, answers, f"{now}; a signal ended the run")
    return in_doubt(change, answers, now)


def _read_update(change: Update, context: Context) -> Outcome | None:
    """Say what became of an update; None: it did not happen. Raises ApiError."""
    context.clock.sleep(context.settle.spacing)
    found = context.api.get(change.before.id)
    if found is None:
        return _vanished(change, context)
    standing = context.standing(change, found)
    match standing.fit:
        case Fit.DONE:
            return Applied(change=change, id=found.id, note="found done when it was read again")
        case Fit.HOLDS:
            return None
        case Fit.CHANGED:
            return Failed(
                change=change,
                code="conflict",
                message="somebody else has changed it meanwhile",
                hint="plan again",
            )


def _vanished(change: Update, context: Context) -> Skipped:
    return Skipped(
        change=change,
        code="stale" if context.reviewed else "vanished",
        message="it has vanished meanwhile",
    )


def _keeper_lives(change: Delete, context: Context) -> bool:
    """A copy goes only while the one that stays is there, so that never both are gone."""
    keeper = context.api.get(change.keeps or "")
    return keeper is not None and keeper.name == change.before.name


def _read_delete(change: Delete, context: Context) -> Outcome | None:
    """Say what became of a delete; None: it did not happen. Raises ApiError."""
    context.clock.sleep(context.settle.spacing)
    found = context.api.get(change.before.id)
    if found is None:
        return Applied(change=change, id=change.before.id, note="found gone when it was read again")
    if snapshot(found) != change.before:
        return Skipped(
            change=change, code="changed", message="somebody has changed it since the plan was made"
        )
    return None
