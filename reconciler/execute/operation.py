"""Carry out one operation: send it and confirm it.

After a lost response, the live webhooks are read before a write is repeated.

- A create has no id, and the API has no idempotency keys. A create whose response was lost may have
  happened, happen a little later, or never happen. After a pause the listing is read, up to three
  times. A new webhook with that name that matches what was sent is the result; a different one with
  that name belongs to another user. If no listing shows it, the create is sent a second and last
  time.
- An update or a delete applies to one id. That webhook is read: if it is as desired, the operation
  is done; if it is unchanged, the request is sent again, up to three times in total; otherwise
  another user changed it, and it is not changed again.

A value that the server hides is confirmed only by the response to a request of this run. After a
lost one, the visible part of an update could be the work of a user who made it by hand, and a
webhook that looks like the created one could be another user's: so the update is sent again, and
the configuration of the webhook once. The second could replace the hidden values of that user; then
the user created, within these seconds, a webhook that these files declare.

An operation whose outcome stays unknown is unconfirmed until the final verification finds its
result (`execute.verify`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from reconciler.errors import (
    RUN_AGAIN,
    AmbiguousWriteError,
    ApiError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    UnreachableError,
)
from reconciler.execute.ledger import Ledger, failed, interrupted, unconfirmed
from reconciler.findings import plural
from reconciler.model import LiveWebhook, SecretRef, SecretValues, Webhook, frozen
from reconciler.planning.check import CheckResult, Listing, OperationState
from reconciler.planning.names import lookalike_key
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldChange,
    FieldRemoved,
    Operation,
    Plan,
    Update,
)
from reconciler.ports import Clock, Draft, WebhookAPI
from reconciler.report import (
    NOT_CONVERGED,
    Applied,
    Failed,
    FieldMessage,
    Outcome,
    Skipped,
    Unconfirmed,
)

_SENDS: Final = {Create: 2, Update: 3, Delete: 3}
SPACING: Final = 1.0
"""Seconds before a write is read back, and between listings of the final verification."""

# A lost create is assumed to happen within two seconds or never; the list may lag behind it.
_WAITS: Final = (2.0, SPACING, SPACING)  # seconds before each listing after a lost create
_STILL_EXISTS: Final = "the webhook still exists"
# Many frameworks reject a taken name with 400 and a text, and not with 409.
_TAKEN: Final = re.compile(r"exist|unique|already|taken|duplicate", re.IGNORECASE)


@frozen
class Apply:
    """The context of all operations of one apply.

    `before` is the listing before the first write: webhooks with other ids were created later.
    """

    plan: Plan
    secrets: SecretValues
    api: WebhookAPI
    clock: Clock
    ledger: Ledger
    before: Listing

    def listing(self) -> Listing:
        """Read the live webhooks, which can be checked like those before the first write."""
        return Listing(self.plan, self.api.list(), self.secrets, self.before.by_id)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the run's deadline."""
        self.clock.sleep(min(seconds, max(0.0, self.api.left())))

    def new(self, operation: Create, listing: Listing) -> list[LiveWebhook]:
        """Return the new webhooks with the create's name, smallest id first.

        The name was free when the run started, so one of them may be the created one.
        """
        named = listing.named(operation.name)
        new = [webhook for webhook in named if webhook.id not in self.before.by_id]
        return sorted(new, key=lambda webhook: webhook.id)

    def new_equal(self, operation: Create, listing: Listing) -> list[LiveWebhook]:
        """Return the new webhooks that equal what was sent, as far as the server shows it."""
        new = self.new(operation, listing)
        return [
            webhook for webhook in new if not listing.check_against(operation, webhook).differing
        ]

    def has_no_visible_effect(self, operation: Operation) -> bool:
        """Return whether an operation is an update before which the server shows no difference."""
        if not isinstance(operation, Update) or operation.before.id not in self.before.by_id:
            return False
        before = self.before.by_id[operation.before.id]
        return not self.before.check_against(operation, before).differing


class _NotSeen(NamedTuple):
    """No effect of the requests of an operation can be seen, or no more of it."""

    why: str


def perform(operation: Operation, run: Apply) -> Outcome:
    """Send an operation until its outcome is known. Raises ApiError if it was not applied.

    A conflict may be caused by an earlier request of this run, so the live webhooks are read after
    the first one; a second conflict is final. After a lost response, a later error is not final:
    the lost write may still happen.
    """
    errors: list[ApiError] = []
    try:
        outcome = _send_until_known(operation, run, errors)
    except ApiError as error:
        if not _lost(errors):
            raise
        why = "whether it arrived is unknown"
        # Of a request that was not sent, the message would seem to be about the lost one.
        if not isinstance(error, UnreachableError | RateLimitedError):
            why = f"{why}; then: {error.message}"
        outcome = _NotSeen(why)
    if not isinstance(outcome, _NotSeen):
        return outcome
    if not _lost(errors):
        # A conflict and then a signal: the server accepted no request of this operation.
        return interrupted(operation)
    stopped = "; the run was interrupted" if run.ledger.stopping else ""
    return unconfirmed(operation, f"{_attempts(errors)}; {outcome.why}{stopped}")


def _send_until_known(
    operation: Operation, run: Apply, errors: list[ApiError]
) -> Outcome | _NotSeen:
    """Send and confirm an operation. Lost responses and a conflict are added to `errors`.

    Raises ApiError.
    """
    outcome: Outcome | _NotSeen = _NotSeen("")
    # A create is sent less often: each lost one may still appear later, and would be a duplicate.
    for _ in range(_SENDS[type(operation)]):
        try:
            return _with_late_creates(_send(operation, run), _lost(errors))
        except AmbiguousWriteError as error:
            run.ledger.record_lost(operation)
            errors.append(error)
        except ApiError as error:
            if _has_conflict(errors) or not _is_conflict(operation, error):
                raise
            errors.append(error)
        outcome = _confirmed(operation, run, errors)
        if not isinstance(outcome, _NotSeen):
            # One of the lost requests created the webhook that is live.
            return _with_late_creates(outcome, _lost(errors) - 1)
        # The name of a create is taken, and not by this run: sending it again changes nothing.
        if _has_conflict(errors) and isinstance(operation, Create):
            raise errors[-1]
        if run.ledger.stopping:
            break
    return outcome


def _confirmed(operation: Operation, run: Apply, errors: Sequence[ApiError]) -> Outcome | _NotSeen:
    """Read the outcome of an operation. Raises its conflict, if there was one, or ApiError."""
    try:
        return _confirm(operation, run, errors)
    except ApiError as error:
        if _lost(errors):
            raise
        # The conflict explains more than a read that failed after it.
        raise errors[-1] from error


def _lost(errors: Sequence[ApiError]) -> int:
    """Return the number of requests without a response."""
    return sum(isinstance(error, AmbiguousWriteError) for error in errors)


def _with_late_creates(outcome: Outcome, lost: int) -> Outcome:
    """Return the outcome, with a note if a lost request may still create a second webhook."""
    if lost < 1 or not isinstance(outcome, Applied) or not isinstance(outcome.operation, Create):
        return outcome
    return outcome.with_note("sent twice: a duplicate may appear; plan again in a minute")


def _has_conflict(errors: Sequence[ApiError]) -> bool:
    return _lost(errors) < len(errors)


def _is_conflict(operation: Operation, error: ApiError) -> bool:
    """Return whether an error may be a conflict: for a create, that its name is taken."""
    if isinstance(operation, Create) and isinstance(error, InvalidRequestError):
        texts = (error.detail, *(text for _, text in error.fields))
        return any(text and _TAKEN.search(text) for text in texts)
    return isinstance(error, ConflictError)


def _attempts(errors: Sequence[ApiError]) -> str:
    """Return the results of the attempts of one write, as in `HTTP 500 (3 attempts)`."""
    results = [f"HTTP {error.status}" if error.status else "no response" for error in errors]
    return f"{', '.join(dict.fromkeys(results))} ({plural(len(results), 'attempt')})"


# Write


def _send(operation: Operation, run: Apply) -> Outcome:
    """Make one request. Raises ApiError."""
    match operation:
        case Create(after=after):
            run.ledger.record_create_sent(operation)
            created = run.api.create(draft(after, run.secrets), run.plan.organization.id)
            run.ledger.count_write()
            # Counted first: it was created, whatever the response contains.
            if created.id in run.before.by_id:
                return _not_created(operation, created.id)
            return _delete_misnamed(_from_response(operation, created, run), created, run)
        case Update(before=before, after=after):
            try:
                sent = draft(after, run.secrets)._replace(unplanned=run.before.unplanned(operation))
                # One that is gone is not created again: the plan shows an update.
                live = run.api.update(before.id, sent, operation.sent_fields)
            except NotFoundError:
                return _vanished(operation)
            run.ledger.count_write()
            return _from_response(operation, live, run)
        case Delete(before=before):
            if operation.kept_id is not None:
                # Delete a duplicate only while the webhook to keep still exists.
                keeper = run.api.get(operation.kept_id)
                if keeper is None or keeper.name != before.name:
                    why = "the webhook to keep was deleted"
                    return Skipped(operation, "changed", why)
            if run.api.delete(before.id):
                run.ledger.count_write()
                return Applied(operation, id=before.id)
            if _is_live_duplicate(operation, run):
                raise ConflictError(
                    "CloudTruth reports that the duplicate does not exist, but still shows it",
                    hint=RUN_AGAIN,
                )
            note = "it was already deleted"
            return Applied(operation, id=before.id, note=note, already_made=True)


def _is_live_duplicate(operation: Delete, run: Apply) -> bool:
    """Return whether a duplicate is still live, according to its row by id or to the listing.

    The webhook that stays is updated next. If the next plan showed the duplicate, they would
    differ, and no later run could choose one of them.
    """
    if operation.kept_id is None:
        return False
    id_ = operation.before.id
    return run.api.get(id_) is not None or id_ in {row.id for row in run.api.list()}


def draft(webhook: Webhook, secrets: SecretValues) -> Draft:
    """Return a webhook with the values of its secrets; no configuration if one is missing."""
    values = {
        name: secrets.get(value) if isinstance(value, SecretRef) else value
        for name, value in sorted(webhook.configuration.items())
    }
    available = {name: value for name, value in values.items() if value is not None}
    return Draft(
        name=webhook.name,
        type=webhook.type,
        event_types=webhook.event_types,
        configuration=available if len(available) == len(values) else None,
    )


def _from_response(
    operation: Create | Update, live: LiveWebhook, run: Apply
) -> Applied | Failed | Unconfirmed:
    """Return the outcome of a write from its response.

    If the response differs from what was sent, the webhook is read, because some servers return
    less than they store. The final verification resolves the rest.
    """
    if run.before.check_against(operation, live).differing:
        try:
            again = run.api.get(live.id)
        except ApiError:
            # The write happened; the final verification shows whether as it was sent.
            return Unconfirmed(operation, "the response differs from what was sent")
        differing = run.before.check_against(operation, again).differing
        if differing:
            return stored_differently(operation, differing)
    return Applied(operation, id=live.id)


def stored_differently(operation: Create | Update, differing: Sequence[FieldChange]) -> Failed:
    """Return the outcome if the stored values differ from those sent, with the fields."""
    hint = (
        "if someone changed it since, run `webhooks plan`; else declare the value that CloudTruth "
        "stores: the next apply sends it again"
    )
    if all(isinstance(change, FieldRemoved) for change in differing):
        hint = (
            "CloudTruth keeps a field that is no longer declared: delete the webhook with "
            "`state: absent`, then declare it again"
        )
    return Failed(
        operation,
        code=NOT_CONVERGED,
        message=f"CloudTruth stored different values: {field_names(differing)}",
        hint=hint,
        fields=tuple(
            FieldMessage(path=change.path, message="differs from what was sent")
            for change in differing
        ),
    )


def field_names(differing: Sequence[FieldChange]) -> str:
    """Return the names of changed fields, as in `event_types, configuration.channel`."""
    return ", ".join(".".join(change.path) for change in differing)


def _not_created(operation: Create, id: str) -> Failed:
    """Return the outcome of a create whose response is about a webhook that existed before.

    The plan may delete that webhook. If another one was created, the final verification shows it.
    """
    message = f"CloudTruth responded with a webhook that existed before, with the id {id}"
    return Failed(operation, code=NOT_CONVERGED, message=message, hint="plan again")


def _delete_misnamed(
    outcome: Applied | Failed | Unconfirmed, created: LiveWebhook, run: Apply
) -> Applied | Failed | Unconfirmed:
    """Delete a webhook that CloudTruth created under another name, according to its response.

    No file declares that name, so each run would create another webhook. If only a later read shows
    the other name, another user may have renamed the webhook, and it is kept.
    """
    if not isinstance(outcome, Failed) or created.name == outcome.operation.name:
        return outcome
    # A proxy that repeats a response returns the webhook of another request. The server may also
    # shorten the name or change its case, and change other fields.
    is_ours = all(field.path == ("name",) for field in outcome.fields)
    stored, sent = lookalike_key(created.name), lookalike_key(outcome.operation.name)
    if not (is_ours or sent.startswith(stored)) or created.name in {
        create.name for create in run.plan.creates
    }:
        return outcome
    left = f"it still exists, with the id {created.id}"
    try:
        run.api.delete(created.id)
        left = "the new webhook was deleted"
    except AmbiguousWriteError:
        left = f"it may still exist, with the id {created.id}"
    except ApiError:
        pass
    return outcome._replace(
        message=f"{outcome.message}; {left}",
        hint="declare the name as CloudTruth stores it",
    )


def _vanished(operation: Update) -> Skipped:
    return Skipped(operation, code="vanished", message="it was deleted since the plan")


# Confirm


def _confirm(operation: Operation, run: Apply, errors: Sequence[ApiError]) -> Outcome | _NotSeen:
    """Read the outcome of an operation, if it can be seen. Raises ApiError."""
    if isinstance(operation, Create):
        return _find_created(operation, run, errors) or _NotSeen("not listed yet")
    # The request may still be in progress on the server.
    run.pause(SPACING)
    live = run.api.get(operation.before.id)
    if live is None:
        if isinstance(operation, Update):
            return _vanished(operation)
        if _is_live_duplicate(operation, run):
            return _NotSeen(_STILL_EXISTS)
    now = run.before.check_against(operation, live)
    match now.state:
        case OperationState.DONE:
            end = "was deleted" if isinstance(operation, Delete) else "is live"
            note = f"{_attempts(errors)}; it {end}"
            return Applied(operation, id=operation.before.id, note=note)
        case OperationState.PENDING:
            return _NotSeen(_why_pending(operation, now))
        case OperationState.STALE:
            return Failed(operation, code="conflict", message=now.reason, hint="plan again")


def _why_pending(operation: Update | Delete, now: CheckResult) -> str:
    """Return what is known of an operation of which nothing, or no more, can be seen."""
    if isinstance(operation, Delete):
        return _STILL_EXISTS
    if not now.unread:
        return "it has not changed yet"
    # The next plan has a resend only with the same options, and no other hidden value.
    again = "the same options send it again"
    if not any(change.not_shown for change in operation.fields):
        again = f"--resend-secret {shlex.quote(operation.name)} sends it again"
    names = ", ".join(now.unread)
    return f"whether it arrived is unknown: {names} cannot be compared; {again}"


def _find_created(
    operation: Create, run: Apply, errors: Sequence[ApiError]
) -> Applied | Failed | None:
    """Find a created webhook: in up to three listings after a lost response, one after a rejection.

    Raises ApiError if a listing failed and no other listing shows it.
    """
    waits = _WAITS if isinstance(errors[-1], AmbiguousWriteError) else (0.0,)
    failure: ApiError | None = None
    for seconds in waits:
        run.pause(seconds)
        try:
            listing = run.listing()
        except ApiError as error:
            # The next listing may still show it, so a failed one is no reason to give up.
            failure = error
        else:
            outcome = _created_in(listing, operation, run, errors)
            if outcome is not None:
                return outcome
    if failure is not None:
        raise failure
    return None


def _created_in(
    listing: Listing, operation: Create, run: Apply, errors: Sequence[ApiError]
) -> Applied | Failed | None:
    """Return the outcome of a create according to a listing, None if it has no such webhook."""
    equal = run.new_equal(operation, listing)
    if not _lost(errors):
        # No request of this run was accepted, so a hidden value is another user's.
        equal = [webhook for webhook in equal if not listing.unread(operation, webhook)]
    if equal:
        return confirm_created(operation, equal[0], f"{_attempts(errors)}; it is live", run)
    others = run.new(operation, listing)
    if others:
        return name_conflict(operation, others[0].id)
    return None


def confirm_created(
    operation: Create, webhook: LiveWebhook, note: str, run: Apply
) -> Applied | Failed:
    """Return the outcome of a create that a listing shows, but no response of this run.

    If the server hides a value, the listing does not prove that the webhook has the sent one, so
    its configuration is sent once.
    """
    if run.before.unread(operation, webhook):
        values = draft(operation.after, run.secrets)
        try:
            run.api.update(webhook.id, values, frozenset({"configuration"}))
        except ApiError as error:
            if isinstance(error, AmbiguousWriteError):
                run.ledger.count_write()
            message = f"{note}, but sending its hidden configuration again failed: {error.message}"
            hint = f"apply again with --resend-secret {shlex.quote(operation.name)}"
            return failed(operation, error)._replace(message=message, hint=hint)
        run.ledger.count_write()
        note = f"{note}; its configuration is hidden and was sent again"
    return Applied(operation, id=webhook.id, note=note)


def name_conflict(operation: Operation, id: str) -> Failed:
    """Return the failure of an operation whose name another user's webhook has, too."""
    return Failed(
        operation,
        code="conflict",
        message=f"another webhook with this name was created since the plan (id {id})",
        hint="plan again to update it; to keep several with this name, set `id` on each",
    )
