"""Apply the reviewed operations of merged pull requests, always from the tip of the branch.

If merged changes are not applied, the run comments on the newest affected pull request, or opens an
issue, with the command to run next.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

from reconciler.ci import reviews
from reconciler.ci.concerned import RESOLVED, concerned_by_push, input_matcher, is_failure
from reconciler.ci.github import GitHub, GitHubError, Pull
from reconciler.ci.marker import COMMENT_CHARACTERS, MarkerKind, Post, Subject, find
from reconciler.ci.organizations import identified, of_environment, subject_of
from reconciler.ci.run import JobResult, Run, reporting
from reconciler.ci.validate import check, files_only
from reconciler.errors import (
    BlockedError,
    ConfigurationError,
    CredentialError,
    ExitCode,
    Interrupted,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UnresolvedSecretsError,
    UsageError,
)
from reconciler.findings import Finding, warning
from reconciler.model import Desired, Secret
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resends, resends
from reconciler.planning.review import Review, compare_with_review
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render.markdown import code_block
from reconciler.render.quote import quote
from reconciler.render.words import plural, shorten
from reconciler.report import Applied, Report, RunReport, Skipped, exit_code_of
from reconciler.workflow import Source, Target, apply_all, gather, plan_all, previous
from reconciler.workflow.planning import changed_fields

_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""


class _NotTheTipError(StalePlanError, code="not-the-tip"):
    """The branch has newer files than the checkout; nothing was written."""


class _UnreviewedRotationError(NotReviewedError, code="rotation-not-reviewed"):
    """A reference or version was changed without an approved plan; the secret was not sent."""


class _Planned(NamedTuple):
    """An organization of an apply: how it is planned, and its merged reviews.

    `before` is its configuration before the push, None if that is unknown. `rotated` are the
    webhooks whose secrets the push changes without an approved plan.
    """

    target: Target
    subject: Subject
    reviews: tuple[reviews.Merged, ...]
    review: Review
    before: Desired | None = None
    report: Report | None = None
    rotated: tuple[str, ...] = ()

    @property
    def desired(self) -> Desired:
        """Return the configuration."""
        return self.target.checked.desired


@dataclass
class _Attempt:
    """What an apply has found so far, which is also reported after an error.

    `merged` are the merged pull requests, `pulls` the newest of them with their comments, as far as
    they could be read. `pending` is the newest one with a pending operation. `command` is the
    command to run next, None if there is none; if it applies plans by their digest, these are
    `offered`. `organizations` are those of the environment, `subjects` those that failed.
    """

    run: Run
    command: str | None = None
    merged: Sequence[Pull] = ()
    pulls: Sequence[Pull] = ()
    pending: Pull | None = None
    organizations: Sequence[Subject] = ()
    subjects: tuple[Subject, ...] = ()
    has_rotated: bool = False
    plan: RunPlan | None = None
    offered: RunPlan | None = None
    report: RunReport | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def by_review(self) -> bool:
        """Return whether merged reviews decide what is applied."""
        return self.run.expect_digest is None and self.run.reviewing != "ignore"

    def ignoring(self) -> suppress:
        """Return a context in which an apply without a review continues without GitHub."""
        return suppress(*(() if self.by_review else (GitHubError, UsageError)))


def apply(run: Run) -> JobResult:
    """Apply the reviewed operations, and record the outcome on each pull request."""
    if run.pull is not None or run.merge_queue is not None:
        raise UsageError(
            "apply does not run on pull requests or in merge queues: nothing is merged yet",
            hint="run apply on pushes to the applied branch; run plan on these events",
        )
    attempt = _Attempt(run, command=run.rerun_command)
    try:
        return _published(attempt, _run(attempt))
    except (ReconcilerError, KeyboardInterrupt) as problem:
        return _stopped(attempt, problem)


def _run(attempt: _Attempt) -> JobResult:
    """Apply the plans, or raise the error that prevents it."""
    run = attempt.run
    if run.github is not None:
        with attempt.ignoring():
            attempt.merged = reviews.merged_pulls(run, run.branch)
    every = check(run, writing=True)
    held = of_environment(run, every)
    attempt.organizations = subjects = [subject_of(source) for source in held]
    with attempt.ignoring():
        attempt.pulls = reviews.with_comments(run, attempt.merged, subjects)
    with attempt.ignoring():
        attempt.findings += reviews.planned_by_earlier_version(run, attempt.pulls)
    why = run.files_only_reason(held)
    if why is not None:
        # Before the keys are set, the run only checks the files. Later it needs them.
        posts = chain.from_iterable(pull.comments for pull in attempt.pulls)
        if run.expect_digest or any(post.marker.kind is MarkerKind.PLAN for post in posts):
            message = why.message.partition(":")[0]
            raise CredentialError(f"nothing was applied: {message}", hint=why.hint)
        return files_only(held, why, status="skipped")
    if run.github is None and attempt.by_review:
        reviews.merged_pulls(run, run.branch)  # raises the error of a missing token
    with attempt.ignoring():
        _require_tip(attempt, every)
    chosen = concerned_by_push(run, held, attempt.pulls) if attempt.by_review else held
    with run.connect([Target(source) for source in held]) as connected:
        _apply(attempt, connected, {source.files.paths for source in chosen})
        return _result(attempt)


def _require_tip(attempt: _Attempt, sources: Iterable[Source]) -> None:
    """Raise an error if the files are not those of the branch's newest commit."""
    run = attempt.run
    head = (run.inputs.git(["rev-parse", "HEAD"]) or b"").decode("ascii").strip()
    if run.github is None or not head:
        return
    changed = run.github.changed_files(head, run.branch)
    if changed is None or any(map(input_matcher(run, sources), run.relative(changed))):
        raise _NotTheTipError(
            f"this checkout of {head[:12]} does not have the newest files of {run.branch}; "
            "nothing was written",
            hint="the run for the newest commit applies the change; if it did not start, "
            "re-run this job",
        )


def _apply(
    attempt: _Attempt, connected: Sequence[Target], concerned: Collection[tuple[str, ...]]
) -> None:
    """Apply the reviewed operations of the organizations with the files in `concerned`.

    Also record what was done.
    """
    run = attempt.run
    chosen = [target for target in connected if target.paths in concerned]
    planned, failed = _with_reviews(attempt, chosen)
    is_required = run.reviewing == "require" and run.expect_digest is None
    targets = [
        each.target._replace(review=each.review if is_required else None) for each in planned
    ]
    report = _applied(attempt, planned, targets)
    others = tuple(failed.values())
    attempt.report = RunReport((*report.organizations, *others), report.digest, report.stopped)
    planned = _with_skipped(attempt, planned, report)
    attempt.plan = RunPlan(
        tuple(
            OrganizationResult(result.name, result.files, each.report and each.report.plan)
            for each, result in zip(planned, report.organizations, strict=True)
        )
    )
    unread = [subject_of(target.source) for target in connected if target.paths not in concerned]
    planned = _settled(attempt, planned, [*failed], unread)
    planned = [_with_rotations(attempt, each) for each in planned]
    attempt.has_rotated = any(each.rotated for each in planned)
    if any(map(_needs_digest, planned, report.organizations)):
        _offer(attempt, connected, planned)
    results = tuple(map(_with_problem, planned, report.organizations))
    attempt.report = attempt.report._replace(organizations=(*results, *others))
    subjects = (*(each.subject for each in planned), *failed)
    attempt.subjects = tuple(
        subject
        for subject, result in zip(subjects, attempt.report.organizations, strict=True)
        if exit_code_of(result) is not ExitCode.OK
    )


def _applied(
    attempt: _Attempt, planned: Sequence[_Planned], targets: Sequence[Target]
) -> RunReport:
    """Apply the targets. The problem of another digest is that of each organization."""
    run = attempt.run
    if not targets:
        return RunReport(())
    try:
        return apply_all(
            targets,
            confirm=lambda plans: True,
            allow_deletes=run.allow_deletes,
            expect_digest=run.expect_digest,
            keep_going=run.expect_digest is None,
        )
    except StalePlanError as problem:
        return RunReport(
            tuple(
                OrganizationResult(each.subject.name, each.target.paths, problem=problem)
                for each in planned
            )
        )


def _with_reviews(
    attempt: _Attempt, targets: Sequence[Target]
) -> tuple[list[_Planned], dict[Subject, OrganizationResult[Report]]]:
    """Return the organizations with their reviews, and those whose keys cannot be used."""
    run = attempt.run
    identities = identified(targets)
    known = [subject for subject in identities if isinstance(subject, Subject)]
    with attempt.ignoring():
        # Outcomes for another organization may have ended the search too early.
        attempt.pulls = reviews.with_comments(run, attempt.merged, known, attempt.pulls)
    planned: list[_Planned] = []
    failed: dict[Subject, OrganizationResult[Report]] = {}
    for target, subject in zip(targets, identities, strict=True):
        if isinstance(subject, ReconcilerError):
            result = OrganizationResult[Report](target.source.name, target.paths, problem=subject)
            failed[subject_of(target.source)] = result
            continue
        merged, review = reviews.collect(run, attempt.pulls, subject)
        before = None
        if run.base_commit and not run.expect_digest:
            with suppress(ConfigurationError):  # it is unknown or was invalid
                before = previous((run.base_commit,), target.checked)
        options = PlanOptions(
            resend=_resend(run, target, len(targets)),
            reviewed=review.resends if attempt.by_review else (),
            # It sends changed references.
            previous=None if run.reviewing == "require" else before,
        )
        target = target._replace(options=options)
        planned.append(_Planned(target, subject, merged, review, before))
    pending = [review.pull for each in planned for review in each.reviews if review.pending]
    order = {pull.number: index for index, pull in enumerate(attempt.pulls)}
    attempt.pending = min(pending, key=lambda pull: order[pull.number], default=None)
    return planned, failed


def _resend(run: Run, target: Target, count: int, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the resends that an organization has; each must belong to one of several."""
    names = tuple(sorted({*run.resend, *more}))
    if count == 1:
        return names
    desired = target.checked.desired
    return tuple(
        name for name in names if not any(Resends(desired, None, named=[name]).unmatched())
    )


def _with_skipped(
    attempt: _Attempt, planned: Sequence[_Planned], report: RunReport
) -> list[_Planned]:
    """Return the organizations with their reports; those that were refused are planned again."""
    refused = (StalePlanError, BlockedError, UnresolvedSecretsError)
    problems = [result.problem for result in report.organizations]
    again = [
        each.target
        for each, problem in zip(planned, problems, strict=True)
        if isinstance(problem, refused)
    ]
    plans = iter(plan_all(again, allow_deletes=attempt.run.allow_deletes, reviewed=True))
    found = []
    for each, result in zip(planned, report.organizations, strict=True):
        problem, known = result.problem, result.value
        made = next(plans).plan if isinstance(problem, refused) else None
        if problem is not None and made is not None:
            skipped = tuple(
                Skipped(operation=operation, code=problem.code, message=problem.message)
                for operation in made.operations
            )
            known = Report(plan=made, outcomes=skipped)
        found.append(each._replace(report=known))
    return found


def _settled(
    attempt: _Attempt,
    planned: Sequence[_Planned],
    failed: Iterable[Subject],
    unread: Iterable[Subject],
) -> list[_Planned]:
    """Record and post the outcome of each review. Return the organizations with what is left.

    Nothing changes for those that `failed`. No review of the `unread` ones is pending.
    """
    run = attempt.run
    held, found = [], []
    for each in planned:
        report = each.report
        if report is None:
            held.append(reviews.Held(each.subject, each.reviews, each.reviews))
            found.append(each)
            continue
        if attempt.by_review and report.plan.operations:
            attempt.findings += reviews.unapproved(each.reviews)
            if run.reviewing == "warn":
                comparison = compare_with_review(
                    report.plan, each.review, allow_value_changes=False
                )
                attempt.findings += reviews.unreviewed(report.plan, comparison)
        by_digest = run.expect_digest is not None
        after = reviews.settle(each.reviews, report, each.desired, by_digest=by_digest)
        by_digest = by_digest and bool(report.applied)
        held.append(reviews.Held(each.subject, each.reviews, after, by_digest))
        found.append(each._replace(reviews=after))
    attempt.findings[:] = dict.fromkeys(attempt.findings)
    for subject in failed:
        merged = reviews.read_reviews(run, attempt.pulls, subject)
        held.append(reviews.Held(subject, merged, merged))
    held += map(reviews.Held, unread)
    left = [review.pull.number for each in found for review in each.reviews if review.pending]
    attempt.pending = next((pull for pull in attempt.pulls if pull.number in left), None)
    with reporting(attempt.findings, "could not post the outcome on the pull request"):
        reviews.record(run, held)
    return found


def _with_rotations(attempt: _Attempt, planned: _Planned) -> _Planned:
    """Add the webhooks whose secrets this push changes without an approved plan.

    CloudTruth does not show them, so no later plan contains them.
    """
    report, before = planned.report, planned.before
    if not attempt.by_review or before is None or report is None:
        return planned
    approved = {
        (each.webhook, each.field, each.value)
        for review in planned.reviews
        for each in review.resends.values()
    }
    gathered = gather(planned.target.checked, _key(planned.target))
    found = {
        webhook.name
        for webhook, name in changed_fields(before, gathered, report.plan)
        if (webhook.name, name, webhook.configuration[name]) not in approved
    }
    return planned._replace(rotated=tuple(sorted(found)))


def _needs_digest(planned: _Planned, result: OrganizationResult[Report]) -> bool:
    """Return whether only an apply by digest continues."""
    if isinstance(result.problem, StalePlanError | BlockedError):
        return True
    report = planned.report
    if result.problem is not None or report is None:
        return False
    # The rest of an apply by digest that broke off has another digest.
    broke_off = report.plan_command is not None and not report.complete
    return report.needs_review or bool(planned.rotated) or broke_off


def _offer(attempt: _Attempt, connected: Sequence[Target], planned: Sequence[_Planned]) -> None:
    """Plan the pending operations, for a command that applies them by their digest.

    The command covers all organizations of the environment whose keys work. It passes
    --resend-secret for each pending resend: the run's, those of rotated secrets, and those that
    were not sent.
    """
    run = attempt.run
    unsent: set[str] = set()
    for each in planned:
        outcomes = () if each.report is None else each.report.outcomes
        rest = (it.operation for it in outcomes if not isinstance(it, Applied))
        unsent |= {*each.rotated, *(resend.webhook for resend in resends(rest))}
    with suppress(ReconcilerError, KeyboardInterrupt):  # the writes must still be reported
        targets = [
            target._replace(
                options=PlanOptions(resend=_resend(run, target, len(connected), unsent))
            )
            for target in connected
        ]
        organizations = plan_all(targets, reviewed=True)
        results = (each.result for each in organizations if each.plan is not None)
        offered = RunPlan(tuple(results))
        attempt.command = run.digest_command(offered, tuple(sorted({*run.resend, *unsent})))
        attempt.offered = offered if attempt.command is not None else None


def _with_problem(
    planned: _Planned, result: OrganizationResult[Report]
) -> OrganizationResult[Report]:
    """Return the result; it fails if reviewed operations were applied, and others are left."""
    report = result.value
    if report is None or not (planned.rotated or report.needs_review):
        return result
    problem: NotReviewedError
    if planned.rotated:
        names = shorten([quote(each) for each in planned.rotated], 3)
        problem = _UnreviewedRotationError(
            f"this push changes a reference or `version` of {names} without an approved plan, "
            "so this run did not send the secret, and no later plan shows it",
            hint="increment its `version` in a pull request",
        )
    else:
        left = plural(len(report.outcomes) - len(report.applied), "operation")
        message, hint = f"{left} not applied for lack of a review", "have the rest reviewed"
        problem = NotReviewedError(message, hint=hint)
    written = ExitCode.PARTIAL if report.writes else ExitCode.STALE
    problem.exit_code = report.exit_code or written
    return result._replace(problem=problem)


def _stopped(attempt: _Attempt, problem: ReconcilerError | KeyboardInterrupt) -> JobResult:
    """Report why the run failed, with the next command."""
    if isinstance(problem, KeyboardInterrupt):
        message = "stopped by a signal: nothing was written"
        problem = Interrupted(message, signal_exit=ExitCode.SIGINT)
    if attempt.report is not None:
        # A signal after the writes, which must be reported.
        why = "a signal stopped the run before it posted the outcome on the pull request"
        attempt.findings.append(warning("not-reported", why, "re-run the job"))
        return _result(attempt)
    return _published(attempt, _result(attempt, problem))


def _result(attempt: _Attempt, problem: ReconcilerError | None = None) -> JobResult:
    """Return the result. Each problem has the command to run next."""
    report = attempt.report
    problems = [] if problem is None else [problem]
    if report is not None:
        problems += [each.problem for each in report.organizations if each.problem is not None]
    if any(each.code == ConfigurationError.code for each in problems):
        inputs = attempt.run.inputs
        options = [("--allow-secret", each) for each in inputs.allow_secrets]
        options += [("--policy", each) for each in inputs.policies]
        options += [("-f", each) for each in attempt.run.paths]
        words = ["webhooks", "validate", "--strict", *chain.from_iterable(options)]
        attempt.command = shlex.join(words)
    if attempt.command is not None:
        for each in dict.fromkeys(problems):
            lead_in = "then run" if attempt.offered is None else "or apply this plan"
            lead_in = f"{each.hint}; {lead_in}: " if each.hint else ""
            each.hint = f"{lead_in}{attempt.command}"
    is_refused = report is not None and not report.reports
    return JobResult(
        problem=problem,
        findings=attempt.findings,  # shared: later warnings are included
        plan=(attempt.offered if is_refused else None) or attempt.plan,
        report=report,
        remaining=attempt.offered or (attempt.plan if is_refused else None),
    )


def _published(attempt: _Attempt, result: JobResult) -> JobResult:
    """Report a failure, or mark earlier ones as resolved. Return the result."""
    github = attempt.run.github
    if github is not None and result.exit_code is ExitCode.OK:
        _resolve_failures(attempt, github)
    elif github is not None:
        _report_failure(attempt, github, result)
    return result


def _resolve_failures(attempt: _Attempt, github: GitHub) -> None:
    """Close the issues of resolved failures, and replace the text of comments about them.

    Also those of another environment, if all of its failed organizations have moved to this one.
    """
    run = attempt.run

    def has_moved(subject: Subject) -> bool:
        return any(map(subject.is_same, attempt.organizations))

    def resolved(posts: Iterable[Post]) -> Iterator[Post]:
        for post in posts:
            failed = post.marker.subjects
            is_here = post.marker.environment == run.environment
            is_here = is_here or (bool(failed) and all(map(has_moved, failed)))
            is_mine = is_here and is_failure(run, post)
            # A later plan does not show an unsent secret: only an apply by digest sends it.
            is_shown = post.marker.code != _UnreviewedRotationError.code or run.expect_digest
            if is_mine and is_shown:
                yield post

    text = f"Resolved: {run.link} found nothing left to apply."
    with reporting(attempt.findings, "could not close an issue"):
        issues = github.open_issues()
        not_run = [issue for issue in issues if run.is_not_run(issue, "apply")]
        github.close_issues([*resolved(issues), *not_run], text)
    with reporting(attempt.findings, "could not edit a comment"):
        for post in resolved(post for pull in attempt.pulls for post in pull.comments):
            # With this code, the next failure is a new comment, which notifies.
            marker = post.marker._replace(code=RESOLVED)
            github.comment(post.number, marker, f"{text}\n", [post])


def _report_failure(attempt: _Attempt, github: GitHub, result: JobResult) -> None:
    """Comment on the newest pull request with pending operations, else on the newest one.

    If there is none, or it cannot be commented on, open an issue: once for each code. An existing
    comment or issue is updated, which sends no notification.
    """
    run = attempt.run
    code = _UnreviewedRotationError.code if attempt.has_rotated else result.reason
    marker = run.marker(MarkerKind.FAILURE)._replace(code=code, subjects=attempt.subjects)
    text = _failure_text(attempt, result)
    github.extend_deadline(_REPORT_SECONDS)
    with reporting(attempt.findings, "could not comment on the pull request"):
        pull = attempt.pending or next(iter(attempt.pulls), None)
        if pull is None:  # for example, without git's history
            merged = attempt.merged or github.merged_pulls(run.branch)
            for newest in merged[:1]:
                pull = newest._replace(comments=github.comments(newest.number))
        if pull is not None:
            github.comment(pull.number, marker, text, find(pull.comments, marker))
            return
    github.extend_deadline(_REPORT_SECONDS)
    with reporting(attempt.findings, "could not open or update the failure issue"):
        title = run.title(f"apply failed ({code})")
        github.issue(title, marker, text, find(github.open_issues(), marker))


def _failure_text(attempt: _Attempt, result: JobResult) -> str:
    """Return why nothing or not everything was applied, and what to do next, as Markdown."""
    head = "" if result.problems else f"### Failed: `{result.reason}`\n\n"
    end = f"\nThis is not retried automatically. See {attempt.run.link}."
    if attempt.command is not None:
        doing = "continue" if attempt.offered is None else "apply the plan above"
        end += f" To {doing}:\n\n{code_block(attempt.command)}\n"
    room = COMMENT_CHARACTERS - len(head) - len(end)
    return head + result.render("markdown", room) + end


def _key(target: Target) -> Secret | None:
    return target.key
