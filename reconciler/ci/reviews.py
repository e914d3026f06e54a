"""Find the reviews of merged pull requests, and what may not be applied yet.

A review is about one organization. For each webhook the newest merged review applies. A review is
settled when each of its operations was applied, is no longer pending, or was replaced by a newer
review. Settled operations are recorded in a separate comment, so that the review itself is not
edited after the merge (`outcomes.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from itertools import islice
from typing import Final

from reconciler.ci.github import GitHub, GitHubError, Pull
from reconciler.ci.marker import (
    RESOLVED,
    Marker,
    MarkerKind,
    Outcome,
    Post,
    ShownOperation,
    Subject,
    find_posts,
)
from reconciler.ci.run import Run
from reconciler.errors import UsageError
from reconciler.findings import Finding, note, warning
from reconciler.model import Desired, frozen
from reconciler.planning.plan import OperationDigest, Plan
from reconciler.planning.resend import Resend
from reconciler.planning.review import Review, ReviewComparison, mentions
from reconciler.render.quote import quote
from reconciler.report import NOT_REVIEWED
from reconciler.source.history import is_shallow
from reconciler.workflow import Source, Target
from reconciler.workflow.drift import Base, MergedChanges, base_of

NO_TOKEN: Final = (
    "there is no GitHub token to read the reviewed plans",
    "set expect-digest to the plan's digest",
)
_DIFFERS: Final = "it differs from the reviewed operation"
_MAX_PULLS: Final = 100
"""The maximum number of pull requests to read."""
_MAX_LOOKUPS: Final = 100
"""The maximum number of commits whose pull request is looked up."""


class NotApproved(StrEnum):
    """Why a merged pull request approves nothing in an organization, as shown to the user."""

    NO_COMMENT = (
        "it has no plan comment from this workflow; it may be from a fork; if its plan had no "
        "changes, these are live changes since then"
    )
    OTHER_SETUP = (
        "its plan is for other files or another label; if files were added or renamed, open pull "
        "requests must be planned again: `gh pr update-branch NUMBER`"
    )
    EDITED = "its plan comment was edited after the merge"
    INCOMPLETE = "its last plan failed or was not completed"
    FAILED = "the plan of this organization failed"
    OTHER_ORGANIZATION = "its plan is for another organization or server"


NO_PLAN: Final = (NotApproved.NO_COMMENT, NotApproved.OTHER_SETUP)
"""The reasons of a pull request that has no plan of these files."""


@frozen
class MergedReview:
    """The review of one organization in a merged pull request, and its settled operations.

    `marker` names the setup of its plan comments. `resends` has, by digest, the resend of a secret
    that the digest is about; `replaced` has the digests of operations that newer reviews replace.
    `problem` is why the pull request approves nothing, if it does. `settled` has the digests of
    operations that are no longer pending, each with whether a run applied it. `is_applied` means
    that a run left nothing of the files to apply.
    """

    pull: Pull
    marker: Marker
    operations: tuple[OperationDigest, ...] = ()
    resends: Mapping[str, Resend] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()
    problem: NotApproved | None = None
    settled: Mapping[str, bool] = field(default_factory=dict)
    is_applied: bool = False

    @property
    def pending(self) -> tuple[OperationDigest, ...]:
        """Return the operations that are not settled."""
        return tuple(
            operation for operation in self.operations if operation.digest not in self.settled
        )


def contained_pulls(
    run: Run,
    branch: str,
    subjects: Iterable[Subject],
    known: Sequence[Pull] = (),
    *,
    requests: int = sys.maxsize,
) -> tuple[Pull, ...]:
    """Return the pull requests merged into `branch` that the checked-out commit contains.

    They are the newest ones with their comments, newest first, as far back as their reviews can
    matter. For each organization this is the newest outcome that says that all earlier reviews are
    settled. To stop sooner, where the changed webhooks are decided, would lose a resend: no plan
    shows it. Pull requests of the push itself are always included: they may approve its changed
    secrets. `known` already have their comments. With `requests`, the search ends when the run has
    sent so many.

    Raises UsageError without a token, or if git does not have the history; GitHubError.
    """
    github = run.require_github(*NO_TOKEN)
    pushed = pushed_commits(run)
    comments = {pull.number: pull.comments for pull in known}
    unsettled = list(subjects)
    pulls: list[Pull] = []

    def is_needed(commit: str) -> bool:
        return github.requests < requests and (bool(unsettled) or commit in pushed)

    for pull in islice(_merges(run, github, branch, known, is_needed), _MAX_PULLS):
        if pull.number not in comments:
            comments[pull.number] = github.comments(pull.number)
        pull = pull._replace(comments=comments[pull.number])
        pulls.append(pull)
        unsettled = [subject for subject in unsettled if not _ends_search(run, pull, subject)]
    return tuple(pulls)


def _merges(
    run: Run,
    github: GitHub,
    branch: str,
    known: Iterable[Pull],
    is_needed: Callable[[str], bool],
) -> Iterator[Pull]:
    """Yield the pull requests of the history, newest first, whose commits are needed then."""
    commits = history(run)
    listed, complete_since = github.merged_pulls(branch)
    by_commit = {pull.merge_commit: pull for pull in (*known, *listed)}
    # GitHub lists the pull requests that changed last; an older merge may not be among them.
    unlisted: set[str] = set()
    if complete_since:
        older = _commits(run, "--first-parent", f"--before={complete_since}", "HEAD")
        unlisted = set(islice(older, _MAX_LOOKUPS)).difference(by_commit)
    yielded: set[int] = set()
    for commit in filter(is_needed, commits):
        pull = by_commit.get(commit)
        if commit in unlisted:
            pull = github.pull_of(commit, branch)
        # Of a rebase, the checkout may contain the first commits only.
        if pull is None or pull.merge_commit not in commits:
            continue
        if pull.number not in yielded:
            yielded.add(pull.number)
            yield pull


def _ends_search(run: Run, pull: Pull, subject: Subject) -> bool:
    """Return whether no earlier review of an organization is pending."""
    outcomes = _outcomes(pull, _plan_marker(run, pull, subject), subject)
    return any(outcome.earlier_settled for outcome in outcomes)


def history(run: Run) -> KeysView[str]:
    """Return the checked-out commit and its ancestors, newest first."""
    # In a shallow clone a merged pull request would seem not to be merged.
    commits = _commits(run, "HEAD")
    if not commits or is_shallow(run.inputs.git):
        raise UsageError(
            "this checkout lacks the full git history, which lists the merged pull requests",
            hint="check out with fetch-depth: 0",
        )
    return commits


def pushed_commits(run: Run) -> KeysView[str]:
    """Return the commits of the push, newest first; of another event the checked-out one."""
    if run.base_commit:
        return _commits(run, f"{run.base_commit}..HEAD")
    return _commits(run, "--max-count=1", "HEAD")


def _commits(run: Run, *revisions: str) -> KeysView[str]:
    """Return commits newest first, each before its parents; none if git does not know them."""
    listed = run.inputs.git(["rev-list", "--topo-order", *revisions]) or b""
    # Keys are in order, and a commit is looked up among thousands.
    return dict.fromkeys(listed.decode("ascii").split()).keys()


def read_reviews(
    run: Run, pulls: Iterable[Pull], subject: Subject, desired: Desired
) -> tuple[MergedReview, ...]:
    """Return the review of each pull request about an organization, newest first.

    The operations of a newer review replace those of older ones for the same webhook; a resend
    replaces only resends of the same field, and none if it is not of what the files declare.
    """
    reviews: list[MergedReview] = []
    newer: list[OperationDigest] = []
    resent: set[tuple[str, str]] = set()
    for pull in pulls:
        review = _read(pull, _plan_marker(run, pull, subject), subject)
        # A resend neither replaces a change of the same webhook nor is replaced by one.
        is_replaced = mentions(newer)
        fields = {digest: (resend.id, resend.field) for digest, resend in review.resends.items()}
        replaced = {digest for digest, secret in fields.items() if secret in resent}
        for operation in review.operations:
            if operation.digest not in fields:
                newer.append(operation)
                if is_replaced(operation.id, operation.name):
                    replaced.add(operation.digest)
        # A plan may be older than the merge of another version before its own.
        resent.update(
            fields[digest]
            for digest, resend in review.resends.items()
            if resend.is_declared(desired)
        )
        reviews.append(replace(review, replaced=frozenset(replaced)))
    return tuple(reviews)


def _plan_marker(run: Run, pull: Pull, subject: Subject) -> Marker:
    """Return a marker with the setup of the plan comments of a pull request.

    If no plan is about these files, but one is about the same organization and files that do not
    exist any more, these files were moved. Then the result has their names.
    """
    here = run.marker(MarkerKind.PLAN)
    if find_posts(pull.comments, here):
        return here
    for marker in _plans_about(pull, subject):
        # What it approves must be planned here anyway.
        if run.has_moved(marker, rewritten=True):
            return here._replace(label=marker.label, file=marker.file)
    return here


def _plans_about(pull: Pull, subject: Subject) -> list[Marker]:
    """Return the plans of a pull request, of any setup, that are about an organization."""
    return [
        post.marker
        for post in pull.comments
        if (post.marker.kind, post.marker.code) == (MarkerKind.PLAN, "")
        and any(map(subject.is_same, post.marker.subjects))
    ]


def _outcomes(pull: Pull, plan: Marker, subject: Subject) -> list[Outcome]:
    """Return the outcomes in an organization, also of its former environments."""
    outcomes: list[Outcome] = []
    for post in pull.comments:
        # Of all environments, because an organization may have moved to another one.
        if post.marker.kind is MarkerKind.OUTCOME and post.marker.setup == plan.setup:
            known = post.marker.outcomes
            outcomes += [outcome for outcome in known if outcome.subject.is_same(subject)]
    return outcomes


def _read(pull: Pull, plan: Marker, subject: Subject) -> MergedReview:
    """Return the review of a pull request from its comments."""
    outcomes = _outcomes(pull, plan, subject)
    complete = [outcome for outcome in outcomes if outcome.complete]
    # Without a text, the run of the outcome did not read the organization.
    is_applied = any(outcome.text for outcome in complete)
    review = MergedReview(pull=pull, marker=plan, is_applied=is_applied)
    parts = find_posts(pull.comments, plan)
    problem = _why_not(pull, plan, subject, parts)
    if problem is NotApproved.EDITED and complete:  # an apply by digest settled it
        return review
    if problem is not None:
        return replace(review, problem=problem)
    operations = _shown(parts, subject)
    return replace(
        review,
        operations=tuple(shown.digest for shown in operations),
        resends={
            shown.digest.digest: shown.resend for shown in operations if shown.resend is not None
        },
        settled=_settled(operations, outcomes),
    )


def _settled(
    operations: Iterable[ShownOperation], outcomes: Sequence[Outcome]
) -> Mapping[str, bool]:
    """Return the digests of operations that are no longer pending, as `MergedReview` has them."""
    # To be short, a complete outcome has no digests.
    if any(outcome.complete for outcome in outcomes):
        return {shown.digest.digest: False for shown in operations}
    settled: dict[str, bool] = {}
    for outcome in outcomes:
        settled.update(outcome.settled)
    return settled


def _shown(parts: Iterable[Post], subject: Subject) -> list[ShownOperation]:
    """Return the operations in an organization that the parts of a plan approve."""
    operations: list[ShownOperation] = []
    for marker in _approving(parts):
        operations += [shown for shown in marker.operations if shown.subject.is_same(subject)]
    return operations


def _approving(parts: Iterable[Post]) -> list[Marker]:
    # A comment without a digest is of a plan that failed, or that is just being replaced.
    return [part.marker for part in parts if part.marker.digest is not None]


def _why_not(
    pull: Pull, plan: Marker, subject: Subject, parts: Sequence[Post]
) -> NotApproved | None:
    """Return why the comments of a plan approve nothing, if they do."""
    if not parts:
        if find_posts(pull.comments, plan._replace(code=RESOLVED)):  # the newer plan is missing
            return NotApproved.INCOMPLETE
        is_planned = bool(_plans_about(pull, subject))
        return NotApproved.OTHER_SETUP if is_planned else NotApproved.NO_COMMENT
    # First: an edit may also have changed the number of parts.
    if pull.merged_at and any(part.updated > pull.merged_at for part in parts):
        return NotApproved.EDITED
    first = parts[0].marker
    places = [(marker.part, marker.total, marker.digest) for marker in _approving(parts)]
    if places != [(part + 1, first.total, first.digest) for part in range(first.total)]:
        return NotApproved.INCOMPLETE
    return _other_organization(first, subject)


def _other_organization(plan: Marker, subject: Subject) -> NotApproved | None:
    """Return why a plan is not about an organization although the same files declare it."""
    same_files = [planned for planned in plan.subjects if planned.declared == subject.declared]
    identified = [planned for planned in plan.subjects if planned.id]
    if not same_files or any(planned.is_same(subject) for planned in identified):
        return None
    if any(planned.id for planned in same_files):
        return NotApproved.OTHER_ORGANIZATION
    return NotApproved.FAILED


def unapproved(
    reviews: Sequence[MergedReview], changes_files: Callable[[str], bool]
) -> list[Finding]:
    """Return a note for each pull request that has a plan, but approves nothing.

    Without a plan, only the newest is named of which `changes_files` is true for the merge commit,
    and none before an approved plan with operations: earlier ones were probably applied.
    """
    findings: list[Finding] = []
    names_unplanned = True
    for review in reviews:
        if review.problem is None:
            # Its plan had what earlier merges left. One without operations may be older than these.
            names_unplanned = names_unplanned and not review.operations
            continue
        if review.problem in NO_PLAN:
            if not (names_unplanned and changes_files(review.pull.merge_commit)):
                continue
            names_unplanned = False
        message = f"pull request {review.pull.number} has no approved plan: {review.problem}"
        findings.append(note("no-review", message))
    if len(reviews) >= _MAX_PULLS:
        message = f"only the newest {_MAX_PULLS} merged pull requests were read"
        findings.append(note("no-review", message))
    return findings


def unreviewed(plan: Plan, comparison: ReviewComparison) -> list[Finding]:
    """Return a warning for each operation that no review approves."""
    return [
        warning(
            NOT_REVIEWED, f"{quote(operation.name)}: {comparison.unreviewed.get(index, _DIFFERS)}"
        )
        for index, operation in enumerate(plan.operations)
        if index not in comparison.reviewed
    ]


def pending_review(subject: Subject, reviews: Iterable[MergedReview]) -> Review:
    """Return one review of an organization, with all operations of `reviews` that are pending."""
    operations: set[OperationDigest] = set()
    resends: list[Resend] = []
    for review in reviews:
        for operation in review.pending:
            if operation.digest in review.replaced:
                continue
            operations.add(operation)
            if operation.digest in review.resends:
                resends.append(review.resends[operation.digest])
    return Review(subject.origin, subject.id, frozenset(operations), tuple(resends))


def subject_of(source: Source) -> Subject:
    """Return an organization, before its key is used."""
    return Subject(declared=source.files.organization or "")


def subject_of_key(target: Target) -> Subject:
    """Return an organization with what its key says of it, if that was read."""
    declared, organization = subject_of(target.source), target.organization
    if organization is None or target.connection is None:
        return declared
    origin = target.connection.api.origin
    return declared._replace(origin=origin, id=organization.id, name=organization.name)


def bases(
    run: Run, targets: Sequence[Target], *, at: str = "", requests: int = sys.maxsize
) -> list[Base]:
    """Return the previous configuration of each organization, and what may not be applied yet.

    It is that of the last commit, or the one that the targets have, of the commit `at`. With
    `requests`, less may be known: the search ends when the run has sent so many.
    """
    known = [
        Base(target.options.previous, revision=at) if at else base_of(target.checked)
        for target in targets
    ]
    if run.github is None:
        return known
    subjects = [subject_of_key(target) for target in targets]
    try:
        pulls = contained_pulls(run, run.applied_branch or run.branch, subjects, requests=requests)
    except (GitHubError, UsageError) as problem:
        # A merge that waits for its reviewer must not be taken for drift.
        advice = f" ({problem.hint})" if problem.hint else ""
        unknown = f"the merged reviews cannot be read: {problem.message}{advice}"
        return [Base(unknown=unknown) for _ in targets]
    is_cut = run.github.requests >= requests
    return [
        _with_merged(run, base, target, pulls, is_cut=is_cut)
        for base, target in zip(known, targets, strict=True)
    ]


def _with_merged(
    run: Run, base: Base, target: Target, pulls: Sequence[Pull], *, is_cut: bool
) -> Base:
    """Return a base with what its reviews approve; with `is_cut`, there may be older ones."""
    subject = subject_of_key(target)
    reviews = read_reviews(run, pulls, subject, target.checked.desired)
    pending = pending_review(subject, reviews)
    # GitHub may never start an apply, or a reviewer may reject it: no run reports that. A replaced
    # merge counts, too. Otherwise daily merges would hide that nothing is applied.
    late = [review for review in reviews if review.pull.merged_at < run.day_ago]
    planned = [review.pull.merge_commit for review in reviews if review.operations]
    # Later pushes may have had no review.
    applied = [review.pull.merge_commit for review in reviews if review.is_applied]
    merged = MergedChanges(
        pending=pending.operations,
        late=[operation for review in late for operation in review.pending],
        applied=next(iter(applied), ""),
        newest=next(iter(planned), ""),
        resends=pending.resends,
    )
    if is_cut and not merged.applied:
        base = base._replace(unknown="it read only the newest merged pull requests")
    return base._replace(merged=merged, day_ago=run.day_ago)
