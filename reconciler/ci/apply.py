"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

    check the files -> read the merged reviews -> require the tip -> apply what was reviewed
    -> settle and record each review -> offer the rest by its digest -> report a failure

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from reconciler.ci.github import GitHubError, Pull
from reconciler.ci.marker import MarkerKind, Subject
from reconciler.ci.organizations import (
    check,
    concerned_by_push,
    files_only,
    input_matcher,
    of_environment,
)
from reconciler.ci.outcomes import (
    Ended,
    NothingPlannedError,
    Settled,
    UnreviewedRotationError,
    conclude,
    record,
    settle,
)
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
from reconciler.ci.run import NO_PLANS, JobResult, Run, reporting
from reconciler.errors import (
    SIGNALS,
    BlockedError,
    ConfigurationError,
    ExitCode,
    Interrupted,
    NoKeyError,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.findings import Finding, plural, warning
from reconciler.model import Desired, Webhook
from reconciler.planning.plan import Reason, SecretChange, Update
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resends, resends, resent_references
from reconciler.planning.review import Review, compare_with_review
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render.quote import quote
from reconciler.render.rows import one_line
from reconciler.render.words import shorten
from reconciler.report import Applied, Outcome, Report, RunReport, Skipped, exit_code_of
from reconciler.workflow import Source, Target, apply_all, gather, plan_all, previous
from reconciler.workflow.revisions import changed_fields
from reconciler.workflow.run import identify, with_own_resends

_REFUSED: Final = (StalePlanError, BlockedError, UnresolvedSecretsError)
"""After these an organization is planned again, to settle its reviews and to show the rest."""


class _NotTheTipError(StalePlanError, code="not-the-tip"):
    """The branch has newer files than the checkout; nothing was written."""


class _Reviewed(NamedTuple):
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


class _Outcome(NamedTuple):
    """What a run did in an organization.

    `report` has all operations that were pending, also those of an organization that was refused;
    it is None if no plan could be made. `reviews` are those after the run. `rotated` are the
    webhooks whose secrets the push changes without an approved plan.
    """

    organization: _Reviewed
    result: OrganizationResult[Report]
    report: Report | None
    reviews: tuple[MergedReview, ...]
    rotated: tuple[str, ...]


def apply(run: Run) -> JobResult:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if run.pull is not None or run.merge_queue is not None:
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    try:
        ended = _run(run)
    except SIGNALS as signal:
        # Once something may be written, `_run` handles a signal, and returns the report.
        problem = Interrupted.by(signal, "stopped by a signal: nothing was written")
        ended = Ended(JobResult(problem=problem), command=run.rerun_command)
    except ReconcilerError as problem:
        # The same inputs would find the same.
        command = None if isinstance(problem, NothingPlannedError) else run.rerun_command
        ended = Ended(JobResult(problem=problem), command=command)
    return conclude(run, ended)


def _run(run: Run) -> Ended:
    """Apply the plans, or raise the error that prevents it before any write."""
    sources = check(run, writing=True)
    in_environment = of_environment(run, sources)
    subjects = [subject_of(source) for source in in_environment]
    pulls = _contained_pulls(run, map(subject_of, sources))
    findings: list[Finding] = []
    why = run.files_only_reason(in_environment)
    if why is not None:
        _require_not_set_up(run, pulls, why)
        return Ended(
            files_only(in_environment, why, status="skipped"), pulls, organizations=subjects
        )
    # Without the reviews nothing is approved, so nothing may be written.
    if run.by_review:
        run.require_github(*NO_TOKEN)
    with _optional(run):
        _require_tip(run, sources)
    # Only reviews and failures record what an earlier push left.
    concerned = concerned_by_push(run, sources, pulls) if run.by_review else sources
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
        try:
            ended = _concluded(run, connected, organizations, report, pulls, unread, findings)
            return ended._replace(organizations=subjects)
        except SIGNALS:  # what was written must still be reported
            message = "a signal stopped the run before it posted the outcome on the pull request"
            findings.append(warning("not-reported", message, "re-run the job"))
            plans = _plans([(result, result.value) for result in report.organizations])
            result = JobResult(findings=findings, plan=plans, report=report)
            return Ended(result, pulls, command=run.rerun_command)


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


def _require_not_set_up(run: Run, pulls: Iterable[Pull], why: Finding) -> None:
    """Raise NoKeyError if keys are missing although plans were merged.

    Before the keys are set, the run only checks the files. Later it needs them.
    """
    posts = chain.from_iterable(pull.comments for pull in pulls)
    if run.expect_digest or any(post.marker.kind is MarkerKind.PLAN for post in posts):
        message = why.message.partition(":")[0]
        raise NoKeyError(f"nothing was applied: {message}", hint=why.hint)


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


def _reviewed(run: Run, target: Target, pulls: Sequence[Pull]) -> _Reviewed:
    """Return an organization with its reviews, and how it is planned."""
    subject = subject_of_key(target)
    reviews = read_reviews(run, pulls, subject)
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
    return _Reviewed(target._replace(options=options), reviews, review, before)


def _apply_reviewed(run: Run, organizations: Sequence[_Reviewed]) -> RunReport:
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
    """Raise NothingPlannedError if an expected plan is not planned, and may not be applied."""
    is_idle = all(result.value and not result.value.outcomes for result in report.organizations)
    if run.expect_digest is None or not is_idle:
        return
    posts = chain.from_iterable(pull.comments for pull in pulls)
    outcomes = (post.marker for post in posts if post.marker.kind is MarkerKind.OUTCOME)
    if all(marker.digest != run.expect_digest for marker in outcomes):
        raise NothingPlannedError(
            "the expected plan is not planned, and no comment says that it was applied",
            hint="if it was not, start the run with all inputs of the command that was shown, "
            "such as `resend-secret`; without them no plan shows a secret that was not sent",
        )


def _concluded(
    run: Run,
    connected: Sequence[Target],
    organizations: Sequence[_Reviewed],
    report: RunReport,
    pulls: Sequence[Pull],
    unread: Iterable[Subject],
    findings: list[Finding],
) -> Ended:
    """Settle and record the reviews, and offer what is left. No review of `unread` is pending."""
    outcomes = _outcomes(run, organizations, report)
    findings += _review_findings(run, outcomes)
    settled = [_settled(run, outcome) for outcome in outcomes]
    with reporting(findings, "could not post the outcome on the pull request"):
        applied = run.expect_digest if report.exit_code is ExitCode.OK else None
        record(run, [*settled, *map(Settled, unread)], applied)
    command, offered = run.rerun_command, NO_PLANS
    if any(map(_needs_digest, outcomes)):
        command, offered = _offer(run, connected, outcomes)
    plans = _plans([(outcome.result, outcome.report) for outcome in outcomes])
    outcomes = [outcome._replace(result=_with_problem(outcome)) for outcome in outcomes]
    failed = [outcome for outcome in outcomes if exit_code_of(outcome.result) is not ExitCode.OK]
    report = report._replace(organizations=tuple(outcome.result for outcome in outcomes))
    # Only other files, or a live edit, help a declaration that cannot be applied.
    if failed and not any(_can_continue(outcome.result) for outcome in failed):
        command = None
    result = JobResult(findings=findings, plan=plans, report=report, remaining=offered)
    if not report.reports:  # nothing was applied: the plan is what a reader needs
        shown = plans
        if offered.plans:
            shown = offered
        result = replace(result, plan=shown, remaining=shown)
    return Ended(
        result,
        pulls,
        pending=_newest_pending(pulls, outcomes),
        subjects=tuple(outcome.organization.subject for outcome in failed),
        sent=_sent_to(outcomes),
        has_rotated=any(outcome.rotated for outcome in outcomes),
        command=command,
        offered=offered,
    )


def _can_continue(result: OrganizationResult[Report]) -> bool:
    """Return whether another run may change something, also after a signal at the last write."""
    report = result.value
    if report is None or result.problem is not None or not report.complete:
        return True
    return Reason.LATER in {kept.reason for kept in report.plan.unapplied}


def _newest_pending(pulls: Iterable[Pull], outcomes: Iterable[_Outcome]) -> Pull | None:
    """Return the newest pull request with a pending operation."""
    numbers: set[int] = set()
    for outcome in outcomes:
        numbers |= {review.pull.number for review in outcome.reviews if review.pending}
    return next((pull for pull in pulls if pull.number in numbers), None)


def _plans(reports: Iterable[tuple[OrganizationResult[Report], Report | None]]) -> RunPlan:
    return RunPlan(
        tuple(
            OrganizationResult(result.name, result.files, report and report.plan)
            for result, report in reports
        )
    )


def _outcomes(run: Run, organizations: Sequence[_Reviewed], report: RunReport) -> list[_Outcome]:
    """Return what the run did; organizations that were refused are planned again."""
    refused = [
        organization.target
        for organization, result in zip(organizations, report.organizations, strict=True)
        if isinstance(result.problem, _REFUSED)
    ]
    plans = iter(plan_all(refused, allow_deletes=run.allow_deletes, reviewed=True))
    # Without a client of GitHub there are no reviews.
    pushed = pushed_commits(run) if run.github else ()
    outcomes: list[_Outcome] = []
    for organization, result in zip(organizations, report.organizations, strict=True):
        # Some reviewed operations of a refused organization may be done: a plan shows which.
        problem, pending = result.problem, result.value
        if isinstance(problem, _REFUSED):
            plan = next(plans).plan
            if plan is not None:
                skipped = tuple(
                    Skipped(operation=operation, code=problem.code, message=problem.message)
                    for operation in plan.operations
                )
                pending = Report(plan=plan, outcomes=skipped)
        reviews = organization.reviews
        if pending is not None:
            by_digest = run.expect_digest is not None
            desired = organization.target.checked.desired
            reviews = settle(reviews, pending, desired, by_digest=by_digest)
            if reviews and problem is None and pending.exit_code is ExitCode.OK:
                reviews = _with_applied(reviews, pushed)
        rotated = _rotated(run, organization, pending)
        outcomes.append(_Outcome(organization, result, pending, reviews, rotated))
    return outcomes


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


def _rotated(run: Run, organization: _Reviewed, report: Report | None) -> tuple[str, ...]:
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


def _sent_to(outcomes: Iterable[_Outcome]) -> list[Subject]:
    """Return the organizations to a webhook of which the run sent another secret."""
    return [
        outcome.organization.subject
        for outcome in outcomes
        if outcome.report is not None and any(map(_sent_a_secret, outcome.report.applied))
    ]


def _sent_a_secret(applied: Applied) -> bool:
    operation = applied.operation
    if not isinstance(operation, Update) or applied.already_made:
        return False
    return any(isinstance(change, SecretChange) for change in operation.fields)


def _review_findings(run: Run, outcomes: Iterable[_Outcome]) -> list[Finding]:
    """Return why merged pull requests approve nothing, and what was applied without a review."""
    findings: list[Finding] = []
    for outcome in outcomes:
        organization, report = outcome.organization, outcome.report
        if not run.by_review or report is None or not report.plan.operations:
            continue
        findings += unapproved(organization.reviews)
        if run.reviewing == "warn":
            comparison = compare_with_review(
                report.plan, organization.review, allow_value_changes=False
            )
            findings += unreviewed(report.plan, comparison)
    return list(dict.fromkeys(findings))


def _settled(run: Run, outcome: _Outcome) -> Settled:
    report, organization = outcome.report, outcome.organization
    done = report.applied if report is not None else ()
    by_digest = run.expect_digest is not None and bool(done)
    live: dict[str, str] = {}
    for applied in done:
        if applied.already_made and resent_references([applied.operation]):
            live[applied.id or ""] = applied.note or ""
    return Settled(organization.subject, organization.reviews, outcome.reviews, by_digest, live)


def _needs_digest(outcome: _Outcome) -> bool:
    """Return whether only an apply by digest continues."""
    report, problem = outcome.report, outcome.result.problem
    if isinstance(problem, StalePlanError | BlockedError):
        return True
    if problem is not None or report is None:
        return False
    # The rest of an apply by digest that broke off has another digest.
    broke_off = report.needs_plan and not report.complete
    return report.needs_review or bool(outcome.rotated) or broke_off


def _offer(
    run: Run, connected: Sequence[Target], outcomes: Sequence[_Outcome]
) -> tuple[str | None, RunPlan]:
    """Plan the pending operations, and return the command that applies them by their digest.

    It covers all organizations of the environment, and names each pending resend: the run's, those
    of rotated secrets, and those that were not sent. If one cannot be planned, it is a re-run.
    """
    requests = set(run.resend)
    for outcome in outcomes:
        report, target = outcome.report, outcome.organization.target
        names = set(outcome.rotated)
        if report is not None:
            left = [item.operation for item in report.outcomes if not isinstance(item, Applied)]
            names.update(resend.webhook for resend in resends(left))
        # Another organization may have a webhook of this name, whose secret was not reviewed.
        prefix = ""
        if len(connected) > 1:
            prefix = f"{subject_of_key(target).name or target.source.name}: "
        requests.update(f"{prefix}{name}" for name in names)
    ordered = tuple(sorted(requests))
    with suppress(ReconcilerError, *SIGNALS):  # the writes must still be reported
        targets = [
            target._replace(options=PlanOptions(resend=ordered)) for target in identify(connected)
        ]
        plans = RunPlan(tuple(planned.result for planned in plan_all(targets, reviewed=True)))
        if plans.problems:
            # An apply by digest refuses all of them before the repair, and has another plan after.
            _require_repair(outcomes, plans)
            return run.rerun_command, NO_PLANS
        command = run.digest_command(plans, ordered)
        if command is None:
            return None, NO_PLANS
        return command, plans
    return run.rerun_command, NO_PLANS


def _require_repair(outcomes: Iterable[_Outcome], plans: RunPlan) -> None:
    """Say in the hints that a digest needs the organizations that cannot be planned."""
    broken = [
        f"{quote(result.name)} ({result.problem.message})"
        for result in plans.organizations
        if result.problem is not None
    ]
    for outcome in outcomes:
        problem = outcome.result.problem
        if problem is not None and _needs_digest(outcome):
            names = shorten(broken, 3)
            problem.hint = f"first repair {names}: a digest is of all organizations"


def _with_problem(outcome: _Outcome) -> OrganizationResult[Report]:
    """Return the result; it fails if reviewed operations were applied, and others are left."""
    refusal, report, rotated = outcome.result.problem, outcome.result.value, outcome.rotated
    if isinstance(refusal, NotReviewedError) and rotated:
        report = outcome.report
    if report is None or not (rotated or report.needs_review):
        return outcome.result
    problem = _review_problem(report, rotated)
    # The same codes as for an apply of a saved plan (docs/guarantees.md).
    written = ExitCode.STALE
    if report.writes:
        written = ExitCode.PARTIAL
    problem.exit_code = report.exit_code or written
    result = outcome.result._replace(problem=problem)
    if refusal is None:
        return result._replace(value=_explained(report, rotated))
    problem.differences = _other_reasons(refusal, report, rotated)
    return result


def _other_reasons(
    refusal: ReconcilerError, report: Report, rotated: Collection[str]
) -> tuple[str, ...]:
    """Return the reasons of a refusal, without those that ask for what the push did."""
    known = [item.operation for item in report.outcomes if item.operation.name in rotated]
    lines = tuple(map(one_line, known))
    return tuple(text for text in refusal.differences if not text.startswith(lines))


def _explained(report: Report, rotated: Collection[str]) -> Report:
    """Return a report whose reasons do not ask to increment what the push incremented."""
    outcomes: list[Outcome] = []
    for outcome in report.outcomes:
        if isinstance(outcome, Skipped) and outcome.operation.name in rotated:
            why = "a push changed its reference or `version` without an approved plan"
            outcome = outcome._replace(message=why)
        outcomes.append(outcome)
    return report._replace(outcomes=tuple(outcomes))


def _review_problem(report: Report, rotated: Sequence[str]) -> NotReviewedError:
    """Return the error for what was not applied; `rotated` are webhooks with unreviewed secrets."""
    if rotated:
        names = shorten([quote(name) for name in rotated], 3)
        return UnreviewedRotationError(
            f"a push changed a reference or `version` of {names} without an approved plan, "
            "so this run did not send the secret, and no later plan approves it",
            hint="to have it reviewed, increment its `version` again",
        )
    left = plural(len(report.outcomes) - len(report.applied), "operation")
    message = f"{left} not applied for lack of a review"
    return NotReviewedError(message, hint="see the reasons of the rest")
