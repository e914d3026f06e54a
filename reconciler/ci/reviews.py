"""Find the reviews of merged pull requests, and record the state of each reviewed operation.

A review is about one organization. For each webhook the newest merged review applies. A review is
settled when each of its operations was applied, is no longer pending, or was replaced by a newer
review. Settled operations are recorded in a separate comment, so that the review itself is not
edited after the merge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from reconciler.ci.github import Pull
from reconciler.ci.marker import Marker, MarkerKind, Outcome, Post, Subject, find
from reconciler.ci.run import Run
from reconciler.errors import UsageError
from reconciler.findings import Finding, note, warning
from reconciler.model import Desired
from reconciler.planning.plan import Delete, Operation, OperationDigest, Plan, Reason
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review, ReviewComparison, mentions
from reconciler.render.markdown import code
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.report import Applied, Report

_NO_COMMENT: Final = "it has no plan comment from this workflow"
_EARLIER: Final = "an earlier version of webhooks planned it"
_EDITED: Final = "its plan comment was edited after the merge"
_STALE: Final = "it differs from the reviewed operation"
_MAX_RECORDED: Final = 800
"""The number of settled operations that fit into the comment of a review in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merged pull request, its review of one organization, and its settled operations.

    `plan` is the subject of its plan comment. `resends` are the resends of secrets, by digest;
    `replaced` has the digests of operations that newer reviews replace. `problem` is why the pull
    request approves nothing, else empty. `settled` has the digests of operations that are no longer
    pending, each with whether a run applied it.
    """

    pull: Pull
    plan: Marker
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
    run: Run, pulls: Sequence[Pull], subjects: Iterable[Subject], known: Iterable[Pull] = ()
) -> tuple[Pull, ...]:
    """Return the newest of `pulls` with their comments, as far back as their reviews can matter.

    For each organization this is the newest outcome that says that all earlier reviews are settled.
    To stop sooner, where the changed webhooks are decided, would lose a resend: no plan shows it.
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
            if not any(
                outcome.earlier_settled
                for outcome in _outcomes(pull, _planned(run, pull, subject), subject)
            )
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


def read_reviews(run: Run, pulls: Iterable[Pull], subject: Subject) -> tuple[Merged, ...]:
    """Return the review of each pull request about an organization, newest first.

    The operations of a newer review replace those of older ones for the same webhook; a resend
    replaces only resends of the same field.
    """
    found: list[Merged] = []
    newer: list[OperationDigest] = []
    resent: set[tuple[str, str]] = set()
    for pull in pulls:
        review = _read(pull, _planned(run, pull, subject), subject)
        mentioned = mentions(newer)
        others = [each for each in review.operations if each.digest not in review.resends]
        replaced = [each.digest for each in others if mentioned(each.id, each.name)]
        fields = {digest: (each.webhook, each.field) for digest, each in review.resends.items()}
        replaced += [digest for digest, each in fields.items() if each in resent]
        found.append(replace(review, replaced=frozenset(replaced)))
        newer += others
        resent.update(fields.values())
    return tuple(found)


def _planned(run: Run, pull: Pull, subject: Subject) -> Marker:
    """Return the subject of the plan comments of a pull request.

    If no plan is about these files, but one is about the same organization and files that do not
    exist any more, these files were moved. Then the result has their names.
    """
    mine = run.marker(MarkerKind.PLAN)
    plans = [post.marker for post in pull.comments if post.marker.kind is MarkerKind.PLAN]
    if any(marker.same_subject(mine) for marker in plans):
        return mine
    for marker in plans:
        if not any(known.is_same(subject) for known in marker.subjects):
            continue
        exist = any((run.inputs.directory / name).exists() for name in marker.file.split(", "))
        if not exist and set("*?[").isdisjoint(marker.file):  # a glob is not looked up
            return mine._replace(label=marker.label, file=marker.file)
    return mine


def _outcomes(pull: Pull, plan: Marker, subject: Subject) -> list[Outcome]:
    """Return the outcomes in an organization, also of its former environments."""
    return [
        outcome
        for post in pull.comments
        if post.marker.kind is MarkerKind.OUTCOME
        if post.marker._replace(environment="").same_subject(plan)
        for outcome in post.marker.outcomes
        if outcome.subject.is_same(subject)
    ]


def _read(pull: Pull, plan: Marker, subject: Subject) -> Merged:
    """Return the review of a pull request from its comments.

    A comment that was edited after the merge is ignored.
    """
    outcomes = _outcomes(pull, plan, subject)
    is_complete = any(outcome.complete for outcome in outcomes)
    parts = find(pull.comments, plan)
    found = Merged(pull=pull, plan=plan)
    problem = _why_not(pull, parts, subject)
    if problem:
        return found if problem == _EDITED and is_complete else replace(found, problem=problem)
    shown = _approving(parts)
    operations = [
        each for marker in shown for each in marker.operations if each.subject.is_same(subject)
    ]
    settled = {digest: applied for outcome in outcomes for digest, applied in outcome.settled}
    if is_complete:
        settled = dict.fromkeys((each.digest.digest for each in operations), False)
    return replace(
        found,
        operations=tuple(each.digest for each in operations),
        resends={each.digest.digest: each.resend for each in operations if each.resend is not None},
        settled=settled,
    )


def _approving(parts: Iterable[Post]) -> list[Marker]:
    return [part.marker for part in parts if part.marker.digest is not None]


def _why_not(pull: Pull, parts: Sequence[Post], subject: Subject) -> str:
    """Return why the comments of a plan approve nothing, empty if they do."""
    if not parts:
        is_earlier = any(post.marker.kind is MarkerKind.EARLIER for post in pull.comments)
        return _EARLIER if is_earlier else _NO_COMMENT
    if pull.merged_at and any(part.updated > pull.merged_at for part in parts):
        return _EDITED
    first = parts[0].marker
    places = [(each.part, each.total, each.digest) for each in _approving(parts)]
    if places != [(part + 1, first.total, first.digest) for part in range(first.total)]:
        return "its last plan failed or was not completed"
    return _other_organization(first, subject)


def _other_organization(plan: Marker, subject: Subject) -> str:
    """Return why a plan is not about an organization although the same files declare it."""
    same_files = [each for each in plan.subjects if each.declared == subject.declared]
    if any(known.is_same(subject) for known in plan.subjects if known.id) or not same_files:
        return ""
    if any(known.id for known in same_files):
        return "its plan is for another organization or server"
    return "the plan of this organization failed"


def planned_by_earlier_version(run: Run, pulls: Iterable[Pull]) -> list[Finding]:
    """Return a note for each open pull request that must be planned again.

    They are listed only if `pulls` were merged with such plans, so only by the first runs.
    """

    def is_earlier(pull: Pull) -> bool:
        return any(post.marker.kind is MarkerKind.EARLIER for post in pull.comments)

    github = run.github
    if github is None or not any(map(is_earlier, pulls)):
        return []
    comments = ((pull, github.comments(pull.number)) for pull in github.open_pulls(run.branch))
    return [
        note(
            "no-review",
            f"pull request {pull.number} has no approved plan: {_EARLIER}",
            f"plan it again: gh pr update-branch {pull.number} --repo {run.repository}",
        )
        for pull, posts in comments
        if is_earlier(pull._replace(comments=posts))
    ]


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


def collect(run: Run, pulls: Iterable[Pull], subject: Subject) -> tuple[tuple[Merged, ...], Review]:
    """Return the reviews about an organization, and one review of all pending operations."""
    reviews = read_reviews(run, pulls, subject)
    left = [
        (each, review.resends.get(each.digest))
        for review in reviews
        for each in review.pending
        if each.digest not in review.replaced
    ]
    combined = Review(
        origin=subject.origin,
        organization=subject.id,
        operations=frozenset(each for each, _ in left),
        resends=tuple(resend for _, resend in left if resend is not None),
    )
    return reviews, combined


def settle(
    reviews: Sequence[Merged], report: Report, desired: Desired, *, by_digest: bool
) -> tuple[Merged, ...]:
    """Return the reviews, updated with the operations that a run settled.

    `report` has the plan of all operations pending before the run. A plan that was applied
    `by_digest` includes the reviewed changes of the webhooks that it wrote, with other digests,
    and, if it was applied completely, those of a comment edited after the merge.
    """
    done, left = list[tuple[Operation, Sequence[OperationDigest]]](), list[OperationDigest]()
    for outcome, found in zip(report.outcomes, report.plan.digests, strict=True):
        if isinstance(outcome, Applied):
            done.append((outcome.operation, found))
        else:
            left += found
    applied = {each.digest for _, found in done for each in found}
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


class Held(NamedTuple):
    """An organization of an apply: its reviews before the run and after it, newest first.

    Both are empty if it is not concerned, which means that none of its reviews is pending.
    """

    subject: Subject
    before: Sequence[Merged] = ()
    after: Sequence[Merged] = ()
    by_digest: bool = False


def record(run: Run, held: Sequence[Held]) -> None:
    """Post what became of each review that changed, in one comment for each environment.

    The comment of an earlier run keeps what it says about organizations that did not change.
    """
    github = run.github
    if github is None:
        return
    pending: set[Subject] = set()
    pulls = [review.pull for review in max((each.before for each in held), key=len, default=())]
    # The oldest first: a later comment says that the earlier reviews are settled.
    for index, pull in reversed(list(enumerate(pulls))):
        plan: Marker | None = None
        outcomes: list[Outcome] = []
        for organization in held:
            subject = organization.subject
            if not organization.before:
                outcomes.append(Outcome(subject))
                continue
            old, new = organization.before[index], organization.after[index]
            settled = sorted(new.settled.items(), key=lambda pair: pair[0] not in new.resends)
            outcome = Outcome(
                subject,
                complete=not new.pending,
                earlier_settled=subject not in pending,
                settled=tuple(settled[: _MAX_RECORDED // len(held)]) if new.pending else (),
            )
            if (old.settled, old.problem) != (new.settled, new.problem):
                plan = new.plan
                text = _outcome_text(new, run.link, by_digest=organization.by_digest)
                outcome = outcome._replace(text=text)
            outcomes.append(outcome)
            if new.pending:
                pending.add(subject)
        if plan is not None:
            marker = plan._replace(kind=MarkerKind.OUTCOME, environment=run.environment)
            existing = find(pull.comments, marker)
            if existing:
                outcomes = [_kept(outcome, existing[0].marker.outcomes) for outcome in outcomes]
            marker = marker._replace(outcomes=tuple(outcomes))
            text = _outcomes_text(outcomes, is_named=bool(run.environment))
            github.comment(pull.number, marker, text, existing)


def _kept(outcome: Outcome, earlier: Iterable[Outcome]) -> Outcome:
    """Return an outcome with the text of an earlier run, if this run did not change it."""
    if outcome.text:
        return outcome
    texts = (known.text for known in earlier if known.subject.is_same(outcome.subject))
    return outcome._replace(text=next(texts, ""))


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
    how = " (this run applied a plan by its digest)" if by_digest else ""
    return f"{heading}{': ' if counted else ''}{counted}{how}."
