"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

    check the files -> read the merged reviews -> require the tip -> apply what was reviewed
    -> settle and record each review (`outcomes`) -> offer the rest, report a failure (`failures`)

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Final

from reconciler.ci import NO_PLANS, JobResult
from reconciler.ci.failures import (
    Ended,
    can_continue,
    conclude,
    explained,
    is_of_environment,
    next_step,
    rerun,
)
from reconciler.ci.github import GitHubError, Pull, reporting
from reconciler.ci.marker import MarkerKind, ShownOperation, Subject
from reconciler.ci.organizations import (
    Unresolved,
    check,
    concerned_by_push,
    input_matcher,
    merge_matcher,
    of_environment,
    unresolved,
)
from reconciler.ci.outcomes import Attempt, Reviewed, record, settle
from reconciler.ci.reviews import (
    NO_PLAN,
    NO_TOKEN,
    MergedReview,
    contained_pulls,
    pending_review,
    pushed_commits,
    read_reviews,
    subject_of,
    subject_of_key,
    unapproved,
    unreviewed,
)
from reconciler.ci.run import Run
from reconciler.errors import (
    SIGNALS,
    BlockedError,
    ConfigurationError,
    ExitCode,
    Interrupted,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.findings import Finding, warning
from reconciler.model import Webhook
from reconciler.planning.plan import Plan, SecretChange, Update
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resends
from reconciler.planning.review import compare_with_review, operation_digest
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.report import Applied, Report, RunReport, Skipped, exit_code_of
from reconciler.workflow import Source, Target, apply_all, gather, plan_all, previous
from reconciler.workflow.revisions import changed_fields
from reconciler.workflow.run import identify, with_own_resends

_REFUSED: Final = (StalePlanError, BlockedError, UnresolvedSecretsError)
"""After these an organization is planned again, to settle its reviews and to show the rest."""


class _NotTheTipError(StalePlanError, code="not-the-tip"):
    """The branch has newer files than the checkout; nothing was written."""


class _NothingPlannedError(StalePlanError, code="nothing-planned"):
    """An expected plan may lack a resend, which no later plan shows; nothing was written."""


def apply(run: Run) -> JobResult:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if run.pull is not None or run.merge_queue is not None:
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    if run.other_branch is not None:
        return JobResult(problem=run.other_branch)
    sources: Sequence[Source] = ()
    mine: Sequence[Source] = ()
    try:
        sources = check(run, writing=True)
        mine = of_environment(run, sources)
        ended = _run(run, sources, mine)
    except SIGNALS as signal:
        # Once something may be written, `_run` handles a signal, and returns the report.
        problem = Interrupted.by(signal, "stopped by a signal: nothing was written")
        ended = Ended(JobResult(problem=problem), rerun(run))
    except ReconcilerError as problem:
        # The same inputs would find the same.
        step = None if isinstance(problem, _NothingPlannedError) else rerun(run)
        ended = Ended(JobResult(problem=problem), step)
    organizations = tuple(map(subject_of, mine))
    ended = ended._replace(
        organizations=organizations,
        others=[subject_of(source) for source in sources if source not in mine],
        # A run that ended early has read none of them.
        subjects=ended.subjects or organizations,
    )
    return conclude(run, ended)


def _run(run: Run, sources: Sequence[Source], in_environment: Sequence[Source]) -> Ended:
    """Apply the plans, or raise the error that prevents it before any write."""
    subjects = [subject_of(source) for source in in_environment]
    everywhere = [subject_of(source) for source in sources]
    pulls = _contained_pulls(run, everywhere)
    # Without the reviews nothing is approved, so nothing may be written.
    if run.by_review:
        run.require_github(*NO_TOKEN)
    with _optional(run):
        _require_tip(run, sources)
    # Only reviews and failures record what an earlier push left.
    failures = unresolved(run, pulls, everywhere)
    concerned = concerned_by_push(run, sources, pulls, failures) if run.by_review else sources
    run = _with_earlier_pushes(run, failures, subjects)
    paths = {source.files.paths for source in concerned}
    # Also of other environments, so that no later run searches all earlier pull requests for them.
    unread = [subject_of(source) for source in sources if source.files.paths not in paths]
    # All of the environment: a digest that is offered covers those that this push does not concern.
    requested = PlanOptions(resend=run.resend)
    all_targets = [Target(source, options=requested) for source in in_environment]
    with run.connect(all_targets) as connected:
        targets = identify([target for target in connected if target.paths in paths])
        # Outcomes for another organization may have ended the search too early.
        pulls = _contained_pulls(run, map(subject_of_key, targets), pulls)
        # Refused ones are planned again without the others, which may have their requests.
        organizations = [_reviewed(run, target, pulls) for target in with_own_resends(targets)]
        report = _apply_reviewed(run, organizations)
        _require_planned(run, report, pulls)
        ended = _concluded(run, connected, organizations, report, pulls, unread)
        return ended._replace(base=run.base_commit)


def _with_earlier_pushes(run: Run, failures: Unresolved, subjects: Sequence[Subject]) -> Run:
    """Return the run with the base of the first push of which no run knew which secrets to send.

    No later plan shows what was not sent. `subjects` are the organizations of the run.
    """
    heads = {post.marker.head for post in failures.posts if is_of_environment(run, post, subjects)}
    # Others are of another branch, or of before a force push.
    heads = set(filter(run.is_contained, heads))
    if run.expect_digest or not heads:
        return run
    base = run.merge_base(*filter(run.merge_base, {run.base_commit, *heads}))
    return replace(run, base_commit=base or run.base_commit)


def _optional(run: Run) -> suppress:
    """Return a context in which an apply without a review continues without GitHub."""
    return suppress(*(() if run.by_review else (GitHubError, UsageError)))


def _contained_pulls(
    run: Run, subjects: Iterable[Subject], known: Sequence[Pull] = ()
) -> Sequence[Pull]:
    if run.github is not None:
        with _optional(run):
            return contained_pulls(run, run.branch, subjects, known)
    return known


def _require_tip(run: Run, sources: Iterable[Source]) -> None:
    """Raise an error if the files are not those of the branch's newest commit.

    So a late run cannot undo what a newer one applied. Other files of a newer commit do not matter:
    their push may start no run.
    """
    head = (run.inputs.git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
    if run.github is None or not head:
        return
    changed = run.github.changed_files(head, run.branch)
    # None: the branch was rewritten, or the list is cut. Either may hide a newer file.
    if changed is None or any(map(input_matcher(run, sources), run.relative(changed))):
        raise _NotTheTipError(
            f"this checkout of {head[:12]} does not have the newest files of {run.branch}; "
            "nothing was written",
            hint="the run for the newest commit applies the change; if it did not start, "
            "re-run this job",
        )


def _reviewed(run: Run, target: Target, pulls: Sequence[Pull]) -> Reviewed:
    """Return an organization with its reviews, and how it is planned."""
    subject = subject_of_key(target)
    reviews = read_reviews(run, pulls, subject, target.checked.desired)
    review = pending_review(subject, reviews)
    before = None
    if run.base_commit and not run.expect_digest:
        with suppress(ConfigurationError):  # it is unknown or was invalid
            before = previous((run.base_commit,), target.checked)
    options = target.options._replace(
        reviewed=review.resends if run.by_review else (),
        # It sends changed references.
        previous=None if run.requires_review else before,
    )
    return Reviewed(target._replace(options=options), reviews, review, before)


def _apply_reviewed(run: Run, organizations: Sequence[Reviewed]) -> RunReport:
    """Apply what was reviewed. The problem of another digest is that of each organization."""
    if not organizations:
        return RunReport(())
    try:
        return apply_all(
            [
                organization.target._replace(
                    review=organization.review if run.requires_review else None
                )
                for organization in organizations
            ],
            # Whoever merged, or started a run with a digest, has confirmed.
            confirm=lambda plans: True,
            allow_deletes=run.allow_deletes,
            expect_digest=run.expect_digest,
            # A digest is of all organizations: without one of them it is another plan.
            keep_going=run.expect_digest is None,
        )
    except StalePlanError as problem:
        return RunReport(
            tuple(
                OrganizationResult(
                    organization.subject.name, organization.target.paths, problem=problem
                )
                for organization in organizations
            )
        )


def _require_planned(run: Run, report: RunReport, pulls: Iterable[Pull]) -> None:
    """Raise _NothingPlannedError if an expected plan is not planned, and may not be applied."""
    is_idle = all(result.value and not result.value.outcomes for result in report.organizations)
    if run.expect_digest is None or not is_idle:
        return
    posts = chain.from_iterable(pull.comments for pull in pulls)
    outcomes = (post.marker for post in posts if post.marker.kind is MarkerKind.OUTCOME)
    if all(marker.digest != run.expect_digest for marker in outcomes):
        raise _NothingPlannedError(
            "the expected plan is not planned, and no comment says that it was applied",
            hint="if it was not, start the run with all inputs of the command that was shown, "
            "such as `environment` and `resend-secret`; without them no plan shows a secret that "
            "was not sent",
        )


def _concluded(
    run: Run,
    connected: Sequence[Target],
    organizations: Sequence[Reviewed],
    report: RunReport,
    pulls: Sequence[Pull],
    unread: Sequence[Subject],
) -> Ended:
    """Record what the run did, and return how to continue."""
    findings: list[Finding] = []
    try:
        # Before, a signal would be reported as one before the first write.
        for target in connected:
            if target.connection is not None:
                target.connection.release()
        attempts = _attempts(run, organizations, report)
        findings += _review_findings(run, attempts)
        with reporting(findings, "could not post the outcome on the pull request"):
            confirmed = run.expect_digest if report.exit_code is ExitCode.OK else None
            record(run, attempts, unread, confirmed)
        return _ended(run, connected, attempts, report, pulls, findings)
    except SIGNALS:  # what was written must still be reported
        message = "a signal stopped the run before it posted the outcome on the pull request"
        findings.append(warning("not-reported", message, "re-run the job"))
        plans = _plans([(result, result.value) for result in report.organizations])
        return Ended(JobResult(findings=findings, plan=plans, report=report), rerun(run), pulls)


def _attempts(run: Run, organizations: Sequence[Reviewed], report: RunReport) -> list[Attempt]:
    """Return what the run did; organizations that were refused are planned again."""
    refused = [
        organization.target
        for organization, result in zip(organizations, report.organizations, strict=True)
        if isinstance(result.problem, _REFUSED)
    ]
    plans = iter(plan_all(refused, allow_deletes=run.allow_deletes, reviewed=True))
    # Without a client of GitHub there are no reviews.
    pushed = pushed_commits(run) if run.github else ()
    attempts: list[Attempt] = []
    for organization, result in zip(organizations, report.organizations, strict=True):
        pending, reviews = result.value, organization.reviews
        # Some reviewed operations of a refused organization may be done: a plan shows which.
        if isinstance(result.problem, _REFUSED):
            pending = _as_skipped(next(plans).plan, result.problem)
        if pending is not None:
            by_digest = run.expect_digest is not None
            desired = organization.target.checked.desired
            reviews = settle(reviews, pending, desired, by_digest=by_digest)
            if reviews and result.problem is None and pending.exit_code is ExitCode.OK:
                reviews = _with_applied(reviews, pushed)
        rotated = _rotated(run, organization, pending)
        attempts.append(Attempt(organization, result, pending, reviews, rotated))
    return attempts


def _as_skipped(plan: Plan | None, problem: ReconcilerError) -> Report | None:
    """Return the report of a plan that a problem prevents, None without a plan."""
    if plan is None:
        return None
    skipped = [
        Skipped(operation=operation, code=problem.code, message=problem.message)
        for operation in plan.operations
    ]
    return Report(plan=plan, outcomes=tuple(skipped))


def _with_applied(
    reviews: Sequence[MergedReview], pushed: Collection[str]
) -> tuple[MergedReview, ...]:
    """Return the reviews; the newest, if its plan had no operations, is now known to be applied.

    `pushed` are the commits that this run applies.
    Nothing else tells later runs that the files of its merge are those that are live.
    """
    newest, *others = reviews
    is_empty = not newest.operations and newest.problem in (None, *NO_PLAN)
    if is_empty and newest.pull.merge_commit in pushed:
        newest = replace(newest, is_applied=True)
    return (newest, *others)


def _rotated(run: Run, organization: Reviewed, report: Report | None) -> tuple[str, ...]:
    """Return the webhooks whose secrets this or a newer push changes without an approved plan.

    No later plan contains what CloudTruth hides, and none approves a value that it shows.
    """
    before, target = organization.before, organization.target
    if not run.by_review or before is None or report is None:
        return ()
    approved = {
        (resend.id, resend.field, resend.value)
        for review in organization.reviews
        for resend in review.resends.values()
    }
    resent = Resends(target.checked.desired, before)
    unsent = changed_fields(resent, gather(target.checked, target.key), report.plan)
    unsent += _skipped_resends(report, resent)
    names = {
        webhook.name
        for webhook, field in unsent
        if (webhook.id, field, webhook.configuration[field]) not in approved
    }
    return tuple(sorted(names))


def _skipped_resends(report: Report, resent: Resends) -> Iterator[tuple[Webhook, str]]:
    """Yield each webhook and field of the secrets that were not sent although they changed."""
    for outcome in report.outcomes:
        operation = outcome.operation
        if isinstance(outcome, Skipped) and isinstance(operation, Update):
            webhook = replace(operation.after, id=operation.before.id)
            changed = resent.causes(webhook, operation.before.id, operation.before.name)
            secrets = (change for change in operation.fields if isinstance(change, SecretChange))
            fields = (change.path[-1] for change in secrets)
            yield from ((webhook, field) for field in fields if field in changed)


def _review_findings(run: Run, attempts: Iterable[Attempt]) -> list[Finding]:
    """Return why merged pull requests approve nothing, and what was applied without a review."""
    findings: list[Finding] = []
    for attempt in attempts:
        organization, report = attempt.organization, attempt.report
        if not run.by_review or report is None or not report.plan.operations:
            continue
        changes_files = merge_matcher(run, organization.target.source)
        findings += unapproved(organization.reviews, changes_files)
        if run.reviewing == "warn":
            comparison = compare_with_review(
                report.plan, organization.review, allow_value_changes=False
            )
            findings += unreviewed(report.plan, comparison)
    return list(dict.fromkeys(findings))


def _ended(
    run: Run,
    connected: Sequence[Target],
    attempts: Sequence[Attempt],
    report: RunReport,
    pulls: Sequence[Pull],
    findings: Sequence[Finding],
) -> Ended:
    """Return what was applied, and how to continue with the rest."""
    step, left = next_step(run, connected, attempts)
    plans = _plans([(attempt.result, attempt.report) for attempt in attempts])
    attempts = [attempt._replace(result=explained(attempt, left)) for attempt in attempts]
    report = report._replace(organizations=tuple(attempt.result for attempt in attempts))
    failed = [attempt for attempt in attempts if exit_code_of(attempt.result) is not ExitCode.OK]
    # Only other files, or a live edit, help a declaration that cannot be applied.
    if failed and not any(can_continue(attempt.result) for attempt in failed):
        step = None
    # An apply by digest refuses all of them before the repair, and has another plan after.
    offered = NO_PLANS if left.problems else left
    return Ended(
        _result(report, plans, offered, findings),
        step,
        pulls,
        pending=_newest_pending(pulls, attempts),
        since=_known_since(run, attempts, report),
        subjects=tuple(attempt.organization.subject for attempt in failed),
        sent=_sent(attempts),
        rotated=[_named(attempt, name) for attempt in attempts for name in attempt.rotated],
    )


def _known_since(run: Run, attempts: Iterable[Attempt], report: RunReport) -> str:
    """Return the commit since which each changed secret was sent or is reported, empty if none."""
    if run.expect_digest or any(attempt.report is None for attempt in attempts):
        return ""
    # Without a review no later run knows what this one has sent.
    is_known = run.requires_review or report.exit_code is ExitCode.OK
    return run.base_commit if is_known else ""


def _result(
    report: RunReport, plans: RunPlan, offered: RunPlan, findings: Sequence[Finding]
) -> JobResult:
    """Return the result: `plans` are those of the run, `offered` can be applied by their digest."""
    result = JobResult(findings=findings, plan=plans, report=report, remaining=offered)
    if report.has_operations:
        return result
    # Nothing was to be applied, or it was refused: the plan is what a reader needs. That of an
    # unreviewed rotation is only among the offered ones.
    if offered.plans:
        return replace(result, plan=offered)
    if not report.reports:
        return replace(result, remaining=plans)
    return result


def _plans(reports: Iterable[tuple[OrganizationResult[Report], Report | None]]) -> RunPlan:
    return RunPlan(
        tuple(
            OrganizationResult(result.name, result.files, report and report.plan)
            for result, report in reports
        )
    )


def _newest_pending(pulls: Iterable[Pull], attempts: Iterable[Attempt]) -> Pull | None:
    """Return the newest pull request with a pending operation."""
    numbers: set[int] = set()
    for attempt in attempts:
        numbers |= {review.pull.number for review in attempt.reviews if review.pending}
    return next((pull for pull in pulls if pull.number in numbers), None)


def _sent(attempts: Iterable[Attempt]) -> list[ShownOperation]:
    """Return the webhooks to which the run sent another secret."""
    return [
        _named(attempt, applied.operation.name)
        for attempt in attempts
        for applied in filter(_sent_a_secret, attempt.applied)
    ]


def _named(attempt: Attempt, webhook: str) -> ShownOperation:
    """Return a webhook of an organization, by its name, as the comment about a failure has it."""
    return ShownOperation(attempt.organization.subject, operation_digest("", None, webhook))


def _sent_a_secret(applied: Applied) -> bool:
    operation = applied.operation
    if not isinstance(operation, Update) or applied.already_made:
        return False
    return any(isinstance(change, SecretChange) for change in operation.fields)
