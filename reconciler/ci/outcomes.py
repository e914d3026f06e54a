"""What became of each reviewed operation, in comments beside the reviews.

settle -> record
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, NamedTuple

from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import Marker, MarkerKind, Outcome, Subject, find_posts
from reconciler.ci.reviews import MergedReview, NotApproved, subject_of_key
from reconciler.ci.run import Run
from reconciler.findings import plural, shorten
from reconciler.model import Desired, Value, frozen
from reconciler.planning.plan import Delete, Operation, OperationDigest, Reason, webhook_key
from reconciler.planning.resend import resent_references
from reconciler.planning.review import Review, mentions
from reconciler.planning.run import OrganizationResult
from reconciler.render.markdown import code
from reconciler.render.quote import prose, quote
from reconciler.report import Applied, Report
from reconciler.workflow import Target

_MAX_RECORDED: Final = 800
"""The number of settled operations that fit into the comment of a review in progress."""

_WebhookField = tuple[str, str]
"""A webhook by its id, or the name of a new one, and a field of its configuration."""
_IsAbout = Callable[[str | None, str], bool]
"""Whether a webhook is meant, given its id, None if it is not live, and its name."""


class Reviewed(NamedTuple):
    """An organization with its merged reviews; `review` combines what is pending of them.

    `before` is its configuration before the push, None if that is unknown.
    """

    target: Target
    reviews: tuple[MergedReview, ...]
    review: Review
    before: Desired | None = None

    @property
    def subject(self) -> Subject:
        """Return the organization."""
        return subject_of_key(self.target)


class Attempt(NamedTuple):
    """What a run did in an organization.

    `report` has all operations that were pending, also those of an organization that was refused;
    it is None if no plan could be made. `reviews` are those after the run. `rotated` are the
    webhooks whose secrets the push changes without an approved plan.
    """

    organization: Reviewed
    result: OrganizationResult[Report]
    report: Report | None
    reviews: tuple[MergedReview, ...]
    rotated: tuple[str, ...]

    @property
    def applied(self) -> tuple[Applied, ...]:
        """Return the operations that were applied."""
        return () if self.report is None else self.report.applied


@frozen
class _Effects:
    """What a run did and left in an organization.

    `applied` has digests, each with whether a run applied it. `differs` returns whether a webhook
    still differs, `written` whether an apply by digest wrote it. `sent` are the fields that were
    sent, by the id of the webhook.
    """

    applied: Mapping[str, bool]
    differs: _IsAbout
    written: _IsAbout
    sent: Mapping[_WebhookField, Value | None]
    desired: Desired


def settle(
    reviews: Sequence[MergedReview], report: Report, desired: Desired, *, by_digest: bool
) -> tuple[MergedReview, ...]:
    """Return the reviews, updated with the operations that a run settled.

    `report` has the plan of all operations pending before the run. A plan that was applied
    `by_digest` includes the reviewed changes of the webhooks that it wrote, with other digests,
    and, if it was applied completely, those of a comment edited after the merge.
    """
    effects = _effects(report, desired, by_digest=by_digest)
    is_complete = by_digest and 0 < len(report.applied) == len(report.outcomes)
    settled: list[MergedReview] = []
    for review in reviews:
        known = {**review.settled, **dict(_settled_now(review, effects))}
        problem = review.problem
        # What an edited comment had approved is not known, but a complete plan includes it.
        if is_complete and problem is NotApproved.EDITED:
            problem = None
        settled.append(replace(review, settled=known, problem=problem))
    return tuple(settled)


def _effects(report: Report, desired: Desired, *, by_digest: bool) -> _Effects:
    applied: dict[str, bool] = {}
    written: list[OperationDigest] = []
    left: list[OperationDigest] = []
    sent: dict[_WebhookField, Value | None] = {}
    for outcome, digests in zip(report.outcomes, report.plan.digests, strict=True):
        if not isinstance(outcome, Applied):
            left += digests
            continue
        for digest in digests:
            # No run sent a secret that was live before: it may be the old one.
            applied[digest.digest] = digest.resent is None or not outcome.already_made
        sent |= _sent(outcome.operation)
        if by_digest:
            # Only its own digest settles a resend.
            written += [digest for digest in digests if digest.resent is None]
    # A kept webhook has no operation, although its declaration is not applied.
    for kept in report.plan.kept:
        if kept.reason is not Reason.PROTECTED:
            left += [OperationDigest("", webhook.id, webhook.name) for webhook in kept.webhooks]
    return _Effects(
        applied=applied,
        differs=mentions(left),
        written=mentions(written),
        sent=sent,
        desired=desired,
    )


def _sent(operation: Operation) -> Mapping[_WebhookField, Value | None]:
    """Return the fields that an operation sent: always a whole configuration, or none of it.

    So it also sent the secret of a separately reviewed resend.
    """
    if isinstance(operation, Delete) or not operation.sends_configuration:
        return {}
    fields = operation.after.configuration.items()
    return {(webhook_key(operation), name): value for name, value in fields}


def _settled_now(review: MergedReview, effects: _Effects) -> Iterator[tuple[str, bool]]:
    """Yield the digests of pending operations that are now settled, each with whether applied."""
    for operation in review.pending:
        digest, webhook = operation.digest, (operation.id, operation.name)
        resend = review.resends.get(digest)
        # What a resend sends along has the same digest for another version.
        is_sent = resend is None or effects.sent.get((resend.id, resend.field)) == resend.value
        if is_sent and digest in effects.applied:
            yield digest, effects.applied[digest]
        elif digest in review.replaced:
            yield digest, False
        elif resend is None:
            # While the webhook still differs, the reviewed operation was not applied.
            if not effects.differs(*webhook):
                yield digest, effects.written(*webhook)
        elif is_sent and resend.value is not None:
            yield digest, True
        # The files may no longer declare it: then nothing is left to send.
        elif not resend.is_declared(effects.desired):
            yield digest, False


def record(
    run: Run, attempts: Sequence[Attempt], unread: Sequence[Subject], digest: str | None
) -> None:
    """Post what became of each review that changed, in one comment for each environment.

    The comment of an earlier run keeps what it says about organizations that did not change. It
    confirms the `digest` of a plan that the run applied completely, if it was one. `unread` are the
    organizations that this run does not concern: none of their reviews is pending.
    """
    github = run.github
    if github is None or not attempts:
        return
    # All organizations share the room of a comment.
    room = _MAX_RECORDED // len(attempts)
    # All of them have a review for each of the same pull requests. The oldest first: a later
    # comment says that the earlier reviews are settled.
    of_organizations = [_outcomes(run, attempt, room) for attempt in attempts]
    for of_pull in zip(*of_organizations, strict=True):
        changed = [review for review, outcome in of_pull if outcome.text]
        if changed:
            # One of them is as good as another: they are of the same pull request and setup.
            setup = changed[-1].marker._replace(digest=digest)
            outcomes = [outcome for _, outcome in of_pull]
            _post(run, github, changed[-1].pull, setup, [*outcomes, *map(Outcome, unread)])


def _post(run: Run, github: GitHub, pull: Pull, setup: Marker, outcomes: Sequence[Outcome]) -> None:
    """Comment on a pull request, or edit the comment of an earlier run in this environment."""
    marker = setup._replace(kind=MarkerKind.OUTCOME, environment=run.environment)
    if not all(outcome.complete for outcome in outcomes):
        marker = marker._replace(digest=None)
    existing = find_posts(pull.comments, marker)
    if existing:
        outcomes = [_with_earlier_text(outcome, existing[0].marker) for outcome in outcomes]
    marker = marker._replace(outcomes=tuple(outcomes))
    text = _comment_text(outcomes, is_named=bool(run.environment))
    github.comment(pull.number, marker, text, existing)


def _outcomes(run: Run, attempt: Attempt, room: int) -> Iterator[tuple[MergedReview, Outcome]]:
    """Yield the reviews of an organization, oldest first, each with what became of it.

    `room` is the number of settled operations that a comment keeps of a pending review.
    """
    subject, earlier_settled = attempt.organization.subject, True
    for old, new in reversed([*zip(attempt.organization.reviews, attempt.reviews, strict=True)]):
        outcome = Outcome(subject, complete=not new.pending, earlier_settled=earlier_settled)
        if new.pending:
            # The resends first: no plan shows whether they were sent.
            settled = sorted(new.settled.items(), key=lambda pair: pair[0] not in new.resends)
            outcome = outcome._replace(settled=tuple(settled[:room]))
            earlier_settled = False
        if old != new:
            outcome = outcome._replace(text=_text_of_change(run, attempt, old, new))
        yield new, outcome


def _text_of_change(run: Run, attempt: Attempt, old: MergedReview, new: MergedReview) -> str:
    """Return what became of a review that a run changed."""
    by_digest = run.expect_digest is not None and bool(attempt.applied)
    text = _outcome_text(new, run.link, by_digest=by_digest)
    for note, names in _unsent(old, new, attempt.applied).items():
        text += f" Not sent to {shorten(names, 3)}: {code(prose(note))}."
    return text


def _unsent(
    old: MergedReview, new: MergedReview, applied: Iterable[Applied]
) -> Mapping[str, list[str]]:
    """Return the webhooks whose resends a run settled without sending them, by the reason."""
    reasons = {
        outcome.id: outcome.note or ""
        for outcome in applied
        if outcome.already_made and resent_references([outcome.operation])
    }
    names: dict[str, list[str]] = {}
    for digest, resend in new.resends.items():
        is_settled_now = digest not in old.settled and digest in new.settled
        if is_settled_now and not new.settled[digest] and resend.id in reasons:
            webhooks = names.setdefault(reasons[resend.id], [])
            name = code(quote(resend.webhook))
            # A webhook may have several secrets.
            if name not in webhooks:
                webhooks.append(name)
    return names


def _with_earlier_text(outcome: Outcome, earlier: Marker) -> Outcome:
    """Return an outcome with the text of an earlier run, if this run did not change it."""
    # A comment has several organizations, and a later run may change only some of them.
    if not outcome.text:
        for known in earlier.outcomes:
            if known.subject.is_same(outcome.subject):
                return outcome._replace(text=known.text)
    return outcome


def _comment_text(outcomes: Sequence[Outcome], *, is_named: bool) -> str:
    """Return the comment: equal outcomes once, with their organizations.

    Only of a single organization they have no name, unless there are other environments.
    """
    texts: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.text:
            name = outcome.subject.name or outcome.subject.declared
            texts.setdefault(outcome.text, []).append(code(quote(name)))
    if len(outcomes) == 1 and not is_named:
        return "".join(f"{text}\n" for text in texts)
    return "".join(f"- {', '.join(names)}: {text}\n" for text, names in texts.items())


class _State(Enum):
    """What became of the reviewed operations of a webhook, in the order and words of a comment."""

    APPLIED = "applied"
    REPLACED = "replaced by a newer review, see its pull request"
    DONE = "no longer pending"
    LEFT = "left"


def _outcome_text(review: MergedReview, link: str, *, by_digest: bool) -> str:
    """Return the outcome of a review as text."""
    # A change and the resends of a webhook are one operation for a reader.
    webhooks: dict[tuple[str | None, str], list[str]] = {}
    for operation in review.operations:
        webhooks.setdefault((operation.id, operation.name), []).append(operation.digest)
    counts = Counter(_state(review, digests) for digests in webhooks.values())
    text = _heading(counts, link, by_digest=by_digest)
    counted = [f"{counts[state]} {state.value}" for state in _State if counts[state]]
    if counts[_State.APPLIED]:
        total = plural(len(webhooks), "reviewed operation")
        counted[0] = f"{counts[_State.APPLIED]} of {total} applied"
    if counted:
        text += f": {'; '.join(counted)}"
    if by_digest:
        text += " (this run applied a plan by its digest)"
    return f"{text}."


def _heading(counts: Counter[_State], link: str, *, by_digest: bool) -> str:
    # Of a merge without an approved plan no operation is known.
    if counts[_State.APPLIED] or (by_digest and not counts):
        state = "Partially applied" if counts[_State.LEFT] else "Applied"
        return f"**{state}** by {link}"
    state = "Nothing left to apply"
    if counts[_State.LEFT]:
        state = "Not applied"
    elif counts[_State.REPLACED]:
        state = "Replaced"
    return f"**{state}** according to {link}"


def _state(review: MergedReview, digests: Collection[str]) -> _State:
    if not review.settled.keys() >= set(digests):
        return _State.LEFT
    if any(review.settled[digest] for digest in digests):
        return _State.APPLIED
    return _State.DONE if review.replaced.isdisjoint(digests) else _State.REPLACED
