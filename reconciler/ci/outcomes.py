"""Decide and record what became of each reviewed operation, in comments beside the reviews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import Marker, MarkerKind, Outcome, Subject, find
from reconciler.ci.reviews import EDITED, Merged
from reconciler.ci.run import Run
from reconciler.model import Desired, Value, frozen
from reconciler.planning.plan import Delete, Operation, OperationDigest, Reason
from reconciler.planning.review import mentions, resends
from reconciler.render.markdown import code
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.report import Applied, Report

_MAX_RECORDED: Final = 800
"""The number of settled operations that fit into the comment of a review in progress."""

_Field = tuple[str, str]
"""A webhook by its name, and a field of its configuration."""
_IsAbout = Callable[[str | None, str], bool]


@frozen
class _Effects:
    """What a run did and left in an organization.

    `applied` are digests. `differs` returns whether a webhook still differs, `written` whether an
    apply by digest wrote it. `sent` are the fields that were sent, `declared` those of the files.
    """

    applied: frozenset[str]
    differs: _IsAbout
    written: _IsAbout
    sent: Mapping[_Field, Value | None]
    declared: Mapping[_Field, Value | None]


def settle(
    reviews: Sequence[Merged], report: Report, desired: Desired, *, by_digest: bool
) -> tuple[Merged, ...]:
    """Return the reviews, updated with the operations that a run settled.

    `report` has the plan of all operations pending before the run. A plan that was applied
    `by_digest` includes the reviewed changes of the webhooks that it wrote, with other digests,
    and, if it was applied completely, those of a comment edited after the merge.
    """
    effects = _effects(report, desired, by_digest=by_digest)
    is_complete = by_digest and bool(report.outcomes)
    is_complete = is_complete and len(report.applied) == len(report.outcomes)
    settled: list[Merged] = []
    for review in reviews:
        known = dict(review.settled)
        for operation in review.pending:
            applied = _was_applied(review, operation, effects)
            if applied is not None:
                known[operation.digest] = applied
        problem = review.problem
        # What an edited comment had approved is not known, but a complete plan includes it.
        if is_complete and problem == EDITED:
            problem = ""
        settled.append(replace(review, settled=known, problem=problem))
    return tuple(settled)


def _effects(report: Report, desired: Desired, *, by_digest: bool) -> _Effects:
    applied: set[str] = set()
    written: list[OperationDigest] = []
    left: list[OperationDigest] = []
    sent: dict[_Field, Value | None] = {}
    for outcome, digests in zip(report.outcomes, report.plan.digests, strict=True):
        if not isinstance(outcome, Applied):
            left += digests
            continue
        applied.update(digest.digest for digest in digests)
        sent |= _sent(outcome.operation)
        if by_digest:
            # The last digests are those of resends, which only their own digest settles.
            written += digests[: len(digests) - len(resends((outcome.operation,)))]
    # A kept webhook has no operation, although its declaration is not applied.
    for kept in report.plan.kept:
        if kept.reason is not Reason.PROTECTED:
            left += [OperationDigest("", webhook.id, webhook.name) for webhook in kept.webhooks]
    declared: dict[_Field, Value | None] = {
        (webhook.name, name): value
        for webhook in desired.webhooks
        for name, value in webhook.configuration.items()
    }
    return _Effects(
        applied=frozenset(applied),
        differs=mentions(left),
        written=mentions(written),
        sent=sent,
        declared=declared,
    )


def _sent(operation: Operation) -> Mapping[_Field, Value | None]:
    """Return the fields that an operation sent: always a whole configuration, or none of it.

    So it also sent the secret of a separately reviewed resend.
    """
    if isinstance(operation, Delete) or "configuration" not in operation.sent_fields:
        return {}
    fields = operation.after.configuration.items()
    return {(operation.name, name): value for name, value in fields}


def _was_applied(review: Merged, operation: OperationDigest, effects: _Effects) -> bool | None:
    """Return whether a settled operation was applied, None if it is pending."""
    digest = operation.digest
    if digest in effects.applied:
        return True
    if digest in review.replaced:
        return False
    resend = review.resends.get(digest)
    if resend is None:
        # While the webhook still differs, the reviewed operation was not applied.
        webhook = operation.id, operation.name
        if effects.differs(*webhook):
            return None
        return effects.written(*webhook)
    secret = resend.webhook, resend.field
    if resend.value is not None and effects.sent.get(secret) == resend.value:
        return True
    # The files may no longer declare it: then nothing is left to send.
    if effects.declared.get(secret) != resend.value:
        return False
    return None


class Settled(NamedTuple):
    """An organization of an apply: its reviews before the run and after it, newest first.

    Both are empty if it is not concerned, which means that none of its reviews is pending.
    """

    subject: Subject
    before: Sequence[Merged] = ()
    after: Sequence[Merged] = ()
    by_digest: bool = False


def record(run: Run, organizations: Sequence[Settled]) -> None:
    """Post what became of each review that changed, in one comment for each environment.

    The comment of an earlier run keeps what it says about organizations that did not change.
    """
    github = run.github
    if github is None:
        return
    pending: set[Subject] = set()
    read = [organization for organization in organizations if organization.before]
    longest = max((organization.before for organization in read), key=len, default=())
    # The oldest first: a later comment says that the earlier reviews are settled.
    for index in reversed(range(len(longest))):
        outcomes = [
            _outcome(run, organization, index, pending, len(read)) for organization in organizations
        ]
        changed = [
            organization.after[index]
            for organization, outcome in zip(organizations, outcomes, strict=True)
            if outcome.text
        ]
        pending |= {outcome.subject for outcome in outcomes if not outcome.complete}
        if changed:
            _post(run, github, longest[index].pull, changed[-1].plan, outcomes)


def _post(run: Run, github: GitHub, pull: Pull, plan: Marker, outcomes: Sequence[Outcome]) -> None:
    """Comment on a pull request, or edit the comment of an earlier run in this environment."""
    marker = plan._replace(kind=MarkerKind.OUTCOME, environment=run.environment)
    existing = find(pull.comments, marker)
    if existing:
        outcomes = [_kept(outcome, existing[0].marker) for outcome in outcomes]
    marker = marker._replace(outcomes=tuple(outcomes))
    text = _outcomes_text(outcomes, is_named=bool(run.environment))
    github.comment(pull.number, marker, text, existing)


def _outcome(
    run: Run, organization: Settled, index: int, pending: set[Subject], count: int
) -> Outcome:
    """Return what became of a review, with a text if it changed; `count` organizations have one.

    `pending` are the organizations with earlier reviews that are pending.
    """
    subject = organization.subject
    if not organization.before:
        return Outcome(subject)
    old, new = organization.before[index], organization.after[index]
    outcome = Outcome(subject, complete=not new.pending, earlier_settled=subject not in pending)
    if new.pending:
        # The resends first: no plan shows whether they were sent. All organizations share the room.
        settled = sorted(new.settled.items(), key=lambda pair: pair[0] not in new.resends)
        outcome = outcome._replace(settled=tuple(settled[: _MAX_RECORDED // count]))
    if (old.settled, old.problem) == (new.settled, new.problem):
        return outcome
    return outcome._replace(text=_outcome_text(new, run.link, by_digest=organization.by_digest))


def _kept(outcome: Outcome, earlier: Marker) -> Outcome:
    """Return an outcome with the text of an earlier run, if this run did not change it."""
    # A comment has several organizations, and a later run may change only some of them.
    if not outcome.text:
        for known in earlier.outcomes:
            if known.subject.is_same(outcome.subject):
                return outcome._replace(text=known.text)
    return outcome


def _outcomes_text(outcomes: Sequence[Outcome], *, is_named: bool) -> str:
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


def _outcome_text(review: Merged, link: str, *, by_digest: bool) -> str:
    """Return the outcome of a review as text."""
    # A change and the resends of a webhook are one operation for a reader.
    webhooks: dict[tuple[str | None, str], list[str]] = {}
    for operation in review.operations:
        webhooks.setdefault((operation.id, operation.name), []).append(operation.digest)
    applied = f"of {plural(len(webhooks), 'operation')} applied"
    replaced = "replaced by a newer review, see its pull request"
    done, left = "no longer pending", "left"

    def state(digests: Iterable[str]) -> str:
        if not review.settled.keys() >= set(digests):
            return left
        if any(review.settled[digest] for digest in digests):
            return applied
        return done if review.replaced.isdisjoint(digests) else replaced

    counts = Counter(map(state, webhooks.values()))
    if counts[applied]:
        heading = f"**{'Partially applied' if counts[left] else 'Applied'}** by {link}"
    elif counts[left]:
        heading = f"**Not applied** according to {link}"
    else:
        finished = "Replaced" if counts[replaced] else "Nothing left to apply"
        heading = f"**{finished}** according to {link}"
    states = (applied, replaced, done, left)
    counted = "; ".join(f"{counts[name]} {name}" for name in states if counts[name])
    how = " (this run applied a plan by its digest)" if by_digest else ""
    return f"{heading}{': ' if counted else ''}{counted}{how}."
