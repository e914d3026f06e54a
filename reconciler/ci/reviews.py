"""Find the reviews of merged pull requests, and record the state of each reviewed operation.

For each webhook the newest merged review applies. A review is settled when each of its operations
was applied, is no longer pending, or was replaced by a newer review. Settled operations are
recorded in a separate comment, so that the review itself is not edited after the merge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.ci.github import Pull
from reconciler.ci.marker import Marker, MarkerKind, find
from reconciler.ci.run import Run
from reconciler.errors import UsageError
from reconciler.findings import Finding, note, warning
from reconciler.model import Desired
from reconciler.planning.plan import Delete, Operation, OperationDigest, Plan, Reason
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review, ReviewComparison, mentions
from reconciler.ports import WebhookReader
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.report import Applied, Report

_NO_COMMENT: Final = "it has no plan comment from this workflow"
_EDITED: Final = "its plan comment was edited after the merge"
_STALE: Final = "it differs from the reviewed operation"
_MAX_RECORDED: Final = 800
"""The number of settled operations that fit into the comment of a review in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merged pull request, its review and its settled operations.

    `subject` is the subject of its plan. `resends` are the resends of secrets, by digest;
    `replaced` has the digests of operations that newer reviews replace. `problem` is why the pull
    request approves nothing, else empty. `settled` has the digests of operations that are no longer
    pending, each with whether a run applied it.
    """

    pull: Pull
    subject: Marker
    operations: tuple[OperationDigest, ...] = ()
    resends: Mapping[str, Resend] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()
    problem: str = ""
    settled: Mapping[str, bool] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[OperationDigest, ...]:
        """Return the operations that are not settled."""
        return tuple(each for each in self.operations if each.digest not in self.settled)


def merged_pulls(run: Run, branch: str) -> tuple[Pull, ...]:
    """Return the pull requests merged into `branch` that the checked-out commit contains.

    They are sorted newest first, without their comments. Raises UsageError if git does not have the
    history, GitHubError.
    """
    message = "there is no GitHub token to read the reviewed plans"
    github = run.require_github(message, "set expect-digest to the plan's digest")
    order = {commit: index for index, commit in enumerate(history(run))}
    pulls = [pull for pull in github.merged_pulls(branch) if pull.merge_commit in order]
    return tuple(sorted(pulls, key=lambda pull: order[pull.merge_commit]))


def with_comments(
    run: Run, pulls: Sequence[Pull], subjects: Iterable[Marker], known: Iterable[Pull] = ()
) -> tuple[Pull, ...]:
    """Return the newest of `pulls` with their comments, as far back as their reviews can matter.

    For each subject this is the newest outcome that says that all earlier reviews are settled. To
    stop sooner, where the changed webhooks are decided, would lose a resend, which no plan shows.
    Pull requests of the push itself are always included: they may approve its changed secrets.
    `known` already have their comments. Raises GitHubError.
    """
    github = run.github
    if github is None:
        return ()
    pushed = _commits(run, f"{run.base_commit}..HEAD") if run.base_commit else ()
    comments = {pull.number: pull.comments for pull in known}
    unsettled, read = list(subjects), list[Pull]()
    for pull in pulls:
        if not unsettled and pull.merge_commit not in pushed:
            break
        if pull.number not in comments:
            comments[pull.number] = github.comments(pull.number)
        pull = pull._replace(comments=comments[pull.number])
        read.append(pull)
        unsettled = [
            subject
            for subject in unsettled
            if not _outcome(pull, _planned_subject(run, pull, subject)).earlier_settled
        ]
    return tuple(read)


def history(run: Run) -> Collection[str]:
    """Return the checked-out commit and its ancestors, newest first."""
    shallow = run.inputs.git(["rev-parse", "--is-shallow-repository"])
    commits = _commits(run, "HEAD")
    if not commits or shallow != b"false\n":
        raise UsageError(
            "this checkout lacks the full git history, which lists the merged pull requests",
            hint="check out with fetch-depth: 0",
        )
    return commits


def _commits(run: Run, revisions: str) -> Collection[str]:
    """Return commits newest first, each before its parents; none if git does not know them."""
    listed = run.inputs.git(["rev-list", "--topo-order", revisions]) or b""
    return dict.fromkeys(listed.decode("ascii").split()).keys()


def read_reviews(run: Run, pulls: Iterable[Pull], subject: Marker) -> tuple[Merged, ...]:
    """Return the review of each pull request about a subject, newest first.

    The operations of a newer review replace those of older ones for the same webhook; a resend
    replaces only resends of the same field.
    """
    found: list[Merged] = []
    newer: list[OperationDigest] = []
    resent: set[tuple[str, str]] = set()
    for pull in pulls:
        review = _read(pull, _planned_subject(run, pull, subject))
        mentioned = mentions(newer)
        others = [each for each in review.operations if each.digest not in review.resends]
        replaced = [each.digest for each in others if mentioned(each.id, each.name)]
        fields = {digest: (each.webhook, each.field) for digest, each in review.resends.items()}
        replaced += [digest for digest, each in fields.items() if each in resent]
        found.append(replace(review, replaced=frozenset(replaced)))
        newer += others
        resent.update(fields.values())
    return tuple(found)


def _planned_subject(run: Run, pull: Pull, subject: Marker) -> Marker:
    """Return the subject of the plan of a pull request.

    If no plan is about `subject`, but one is about the same organization and files that do not
    exist any more, these files were moved. Then the result has their label and names.
    """
    plans = [post.marker for post in pull.comments if post.marker.kind is MarkerKind.PLAN]
    if not subject.origin or any(each.same_subject(subject) for each in plans):
        return subject
    for each in plans:
        if (each.organization, each.origin) != (subject.organization, subject.origin):
            continue
        exist = any((run.inputs.directory / name).exists() for name in each.file.split(", "))
        if not exist and set("*?[").isdisjoint(each.file):  # a glob is not looked up
            return subject._replace(label=each.label, file=each.file)
    return subject


def _outcome(pull: Pull, subject: Marker) -> Marker:
    """Return the marker of the outcome of a pull request, an empty one if there is none."""
    none = subject._replace(kind=MarkerKind.OUTCOME)
    return next((post.marker for post in find(pull.comments, none)), none)


def _read(pull: Pull, subject: Marker) -> Merged:
    """Return the review of a pull request from its comments.

    A comment that was edited after the merge is ignored.
    """
    parts = find(pull.comments, subject._replace(kind=MarkerKind.PLAN))
    found = Merged(pull=pull, subject=subject)
    if not parts:
        return replace(found, problem=_NO_COMMENT)
    outcome = _outcome(pull, subject)
    if pull.merged_at and any(each.updated > pull.merged_at for each in parts):
        return found if outcome.complete else replace(found, problem=_EDITED)
    first = parts[0].marker
    shown = [each.marker for each in parts if each.marker.digest is not None]
    places = [(each.part, each.total, each.digest) for each in shown]
    if places != [(part + 1, first.total, first.digest) for part in range(first.total)]:
        return replace(found, problem="its last plan failed or was not completed")
    known = (subject.organization, subject.origin)
    if subject.origin and (first.organization, first.origin) != known:
        return replace(found, problem="its plan is for another organization or server")
    operations = tuple(each for marker in shown for each in marker.operations)
    settled = dict(outcome.settled)
    if outcome.complete:
        settled = dict.fromkeys((each.digest for each in operations), False)
    return replace(
        found,
        operations=operations,
        resends={digest: each for marker in shown for digest, each in marker.resends},
        settled=settled,
    )


def unapproved(reviews: Sequence[Merged]) -> list[Finding]:
    """Return a note for each pull request that has a plan, but approves nothing.

    Most pull requests without a plan do not change the configuration: only the newest is named.
    """
    return [
        note("no-review", f"pull request {each.pull.number} has no approved plan: {each.problem}")
        for index, each in enumerate(reviews)
        if each.problem and (index == 0 or each.problem != _NO_COMMENT)
    ]


def unreviewed(plan: Plan, comparison: ReviewComparison) -> list[Finding]:
    """Return a warning for each operation that no review approves."""
    return [
        warning("not-reviewed", f"{quote(each.name)}: {comparison.unreviewed.get(index, _STALE)}")
        for index, each in enumerate(plan.operations)
        if index not in comparison.reviewed
    ]


def subject_of(run: Run, api: WebhookReader) -> Marker:
    """Return the subject of a run, with the organization of the API key."""
    organization = api.organization().id
    return run.marker(MarkerKind.PLAN)._replace(organization=organization, origin=api.origin)


def collect(run: Run, pulls: Iterable[Pull], subject: Marker) -> tuple[tuple[Merged, ...], Review]:
    """Return the reviews about a subject, and one review of all pending operations."""
    reviews = read_reviews(run, pulls, subject)
    left = [
        (each, review.resends.get(each.digest))
        for review in reviews
        for each in review.pending
        if each.digest not in review.replaced
    ]
    combined = Review(
        origin=subject.origin,
        organization=subject.organization,
        operations=frozenset(each for each, _ in left),
        resends=tuple(resend for _, resend in left if resend is not None),
    )
    return reviews, combined


def settle(
    run: Run, reviews: Sequence[Merged], report: Report, desired: Desired
) -> tuple[Merged, ...]:
    """Return the reviews, updated with the operations that a run settled.

    `report` has the plan of all operations pending before the run. A plan that was applied by its
    digest includes the reviewed changes of the webhooks that it wrote, with other digests, and, if
    it was applied completely, those of a comment edited after the merge.
    """
    done, left = list[tuple[Operation, Sequence[OperationDigest]]](), list[OperationDigest]()
    for outcome, found in zip(report.outcomes, report.plan.digests, strict=True):
        if isinstance(outcome, Applied):
            done.append((outcome.operation, found))
        else:
            left += found
    applied = {each.digest for _, found in done for each in found}
    by_digest = run.expect_digest is not None
    is_complete = by_digest and bool(applied) and not left
    left += [
        OperationDigest(digest="", id=each.id, name=each.name)
        for kept in report.plan.kept
        if kept.reason is not Reason.PROTECTED
        for each in kept.webhooks
    ]
    differs = mentions(left)
    declared = {each.name: each.configuration for each in desired.webhooks}
    # Fields that were sent with their webhook: the configuration is sent completely, with the
    # secret of a separately reviewed resend.
    sent = {
        (operation.name, name): value
        for operation, _ in done
        if not isinstance(operation, Delete) and "configuration" in operation.sent_fields
        for name, value in operation.after.configuration.items()
    }
    written = mentions(
        each
        for operation, found in done
        for each in found[: len(found) - len(resends((operation,)))]
        if by_digest
    )

    def was_applied(review: Merged, operation: OperationDigest) -> bool | None:
        """Return whether a settled operation was applied, None if it is pending."""
        if operation.digest in applied or operation.digest in review.replaced:
            return operation.digest in applied
        resend = review.resends.get(operation.digest)
        if resend is None:
            # While the webhook still differs, the reviewed operation was not applied.
            webhook = operation.id, operation.name
            return None if differs(*webhook) else written(*webhook)
        if sent.get((resend.webhook, resend.field)) == resend.value is not None:
            return True
        now = declared.get(resend.webhook, {}).get(resend.field)
        return None if now == resend.value else False

    settled = []
    for review in reviews:
        outcomes = {it.digest: was_applied(review, it) for it in review.pending}
        known = {digest: each for digest, each in outcomes.items() if each is not None}
        problem = "" if is_complete and review.problem == _EDITED else review.problem
        settled.append(replace(review, settled={**review.settled, **known}, problem=problem))
    return tuple(settled)


def record(run: Run, before: Sequence[Merged], after: Sequence[Merged], report: Report) -> None:
    """Post the outcome of each review that changed, in a separate comment.

    The reviews are sorted newest first, and none before them is pending.
    """
    github = run.github
    if github is None:
        return
    by_digest = ""
    if report.applied and run.expect_digest:
        by_digest = " (this run applied a plan by its digest)"
    earlier_settled = True
    # The oldest first: a later comment says that the earlier reviews are settled.
    for old, new in zip(reversed(before), reversed(after), strict=True):
        if (old.settled, old.problem) != (new.settled, new.problem):
            resends_first = sorted(new.settled.items(), key=lambda each: each[0] not in new.resends)
            marker = new.subject._replace(
                kind=MarkerKind.OUTCOME,
                settled=tuple(resends_first[:_MAX_RECORDED]) if new.pending else (),
                complete=not new.pending,
                earlier_settled=earlier_settled,
            )
            text = _outcome_text(new, run.link, by_digest)
            github.comment(new.pull.number, marker, text, find(new.pull.comments, marker))
        if new.pending:
            earlier_settled = False


def _outcome_text(review: Merged, link: str, by_digest: str) -> str:
    """Return the outcome of a review as text."""
    by_webhook: dict[tuple[str | None, str], list[str]] = {}  # a change and resends are one update
    for each in review.operations:
        by_webhook.setdefault((each.id, each.name), []).append(each.digest)
    applied = f"of {plural(len(by_webhook), 'operation')} applied"
    replaced = "replaced by a newer review, see its pull request"
    done, left = "no longer pending", "left"

    def state(digests: Sequence[str]) -> str:
        if not review.settled.keys() >= set(digests):
            return left
        if any(review.settled[each] for each in digests):
            return applied
        return done if review.replaced.isdisjoint(digests) else replaced

    counts = Counter(map(state, by_webhook.values()))
    heading = f"**{'Partially applied' if counts[left] else 'Applied'}** by {link}"
    if not counts[applied]:
        finished = "Replaced" if counts[replaced] else "Nothing left to apply"
        heading = f"**{'Not applied' if counts[left] else finished}** according to {link}"
    states = (applied, replaced, done, left)
    counted = "; ".join(f"{counts[each]} {each}" for each in states if counts[each])
    return f"{heading}{': ' if counted else ''}{counted}{by_digest}.\n"
