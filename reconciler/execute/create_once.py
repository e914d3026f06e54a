"""Creating exactly once, against an API that has no idempotency keys.

A create whose answer was lost may have happened, happen a little later, or never happen. So it is
never just repeated: after a pause the listing is read, up to three times. A copy that is as it
was sent is adopted; one that differs is somebody else's. Only when it is absent in every listing
is it sent once more, and that is the last time. Whatever remains in doubt is said to be so.

That the name was free before is known from the listing with which the run began; a copy that
turns up even later is removed by heal.py, or planned as a duplicate by the next run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    InvalidRequestError,
)
from reconciler.execute.context import Context
from reconciler.execute.draft import draft
from reconciler.execute.ledger import failed, in_doubt, returned
from reconciler.model import LiveWebhook
from reconciler.planning.changes import Create
from reconciler.report import Applied, Failed, Unconfirmed

_SENDS: Final = 2
_TAKEN: Final = re.compile(r"exist|unique|already|taken|duplicate", re.IGNORECASE)


def create_once(change: Create, context: Context) -> Applied | Failed | Unconfirmed:
    """Bring a webhook into being. Raises ApiError if it was surely not created."""
    sent = draft(change.after, context.secrets)
    answers: list[ApiError] = []
    for _ in range(_SENDS):
        context.ledger.sends(change)
        try:
            made = context.api.create(sent, context.plan.organization.id)
        except AmbiguousWriteError as error:
            context.ledger.wrote()
            answers.append(error)
            found = _look(change, context, answers)
            if found is not None:
                return found
        except (InvalidRequestError, ConflictError) as error:
            return _refused(change, context, error)
        except ApiError as error:
            if not answers:
                raise
            return in_doubt(change, answers, f"then: {error.message}")
        else:
            context.ledger.wrote()
            return _held(context.answered(change, made), made, context)
        if context.ledger.stopping:
            break
    return in_doubt(change, answers, "it is in no listing so far; the next apply looks again")


def _held(
    outcome: Applied | Failed | Unconfirmed, made: LiveWebhook, context: Context
) -> Applied | Failed | Unconfirmed:
    """Take back what CloudTruth has filed under another name, by its own answer to the create.

    Nothing declares that name, so each further run would create one more. A name that only shows
    when the webhook is read afterwards may be somebody's, who has renamed it: that one stays.
    """
    if not isinstance(outcome, Failed) or made.name == outcome.change.name:
        return outcome
    left = f"it is still there, with the id {made.id}"
    if made.id not in context.known:
        try:
            context.api.delete(made.id)
            left = "what was created was removed again"
        except AmbiguousWriteError:
            left = f"it may still be there, with the id {made.id}"
        except ApiError:
            pass
    return replace(
        outcome,
        message=f"{outcome.message}; {left}",
        hint="declare the name the way CloudTruth stores it",
    )


def _look(
    change: Create, context: Context, answers: Sequence[ApiError]
) -> Applied | Failed | Unconfirmed | None:
    """Find out what became of a create without an answer; None: it surely did not happen."""
    settle = context.settle
    blind = False
    context.clock.sleep(settle.wait)
    for look in range(settle.confirmations):
        if look:
            context.clock.sleep(settle.spacing)
        try:
            listing = context.api.list()
        except ApiError:
            blind = True
            continue
        if equal := context.equal(change, listing):
            note = f"{returned(answers)}; it is live"
            return Applied(change=change, id=equal[0].id, note=note)
        if copies := context.copies(change, listing):
            return overtaken(change, copies[0].id)
    if blind:
        return in_doubt(change, answers, "the listing that would show it failed, too")
    return None


def _refused(
    change: Create, context: Context, error: InvalidRequestError | ConflictError
) -> Applied | Failed:
    """A refusal because the name is taken may speak of our own webhook, or of its equal."""
    texts = (error.detail, *(text for _, text in error.fields))
    if isinstance(error, ConflictError) or any(text and _TAKEN.search(text) for text in texts):
        try:
            listing = context.api.list()
        except ApiError:
            return failed(change, error)
        if equal := context.equal(change, listing):
            return Applied(change=change, id=equal[0].id, note="it had just come into being")
        if copies := context.copies(change, listing):
            return overtaken(change, copies[0].id)
    return failed(change, error)


def overtaken(change: Create, id: str) -> Failed:
    """Say that somebody else's webhook of this name is there instead."""
    return Failed(
        change=change,
        code="conflict",
        message=f"a webhook of this name that differs has appeared meanwhile (id {id})",
        hint="plan again: it will be an update, or say `previously` or `id`",
    )
