"""Why an apply did not do everything, and how to continue.

    next_step, explained -> conclude

What is left without a review is planned again and offered by its digest. A failed run comments on
the newest affected pull request, or opens an issue.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from reconciler.ci import NO_PLANS, JobResult
from reconciler.ci.github import GitHub, Pull, reporting
from reconciler.ci.marker import (
    MAX_COMMENT_LENGTH,
    RESOLVED,
    Marker,
    MarkerKind,
    Post,
    ShownOperation,
    Subject,
    encode,
    find_posts,
)
from reconciler.ci.outcomes import Attempt
from reconciler.ci.reviews import history, subject_of_key
from reconciler.ci.run import Run
from reconciler.errors import (
    RUN_AGAIN,
    SIGNALS,
    BlockedError,
    ConfigurationError,
    ExitCode,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
    UsageError,
)
from reconciler.findings import Finding, plural, shorten
from reconciler.planning.plan import Reason
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import requests_for, resends
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render.markdown import code_block
from reconciler.render.quote import quote, repeated
from reconciler.report import Applied, Outcome, Report, Skipped
from reconciler.workflow import Target, plan_all
from reconciler.workflow.run import identify

_REPORT_SECONDS: Final = 60.0
"""Seconds to report a failure after the run's deadline."""


_NOT_COMPARED: Final = (
    " If the push of the run that did not start rotated a secret without an approved plan, re-run "
    "that one: this run has not compared the secrets of earlier pushes."
)


_GONE: Final = (
    " The commit before that push is gone, so this run has not compared its secrets: increment the "
    "`version` of those that it rotated."
)


class _UnreviewedRotationError(NotReviewedError, code="rotation-not-reviewed"):
    """A reference or version was changed without an approved plan; the secret was not sent."""


class _Purpose(NamedTuple):
    """What a command is for: the words before it in a hint, and in the text above it."""

    lead: str
    heading: str


_CONTINUE: Final = _Purpose("then run", "continue")
_CHECK: Final = _Purpose("to check, run", "check")
# After the merge no pull request is left in which a new plan could be reviewed.
_APPLY: Final = _Purpose("open a new pull request, or apply this plan", "apply the plan above")


_NOT_OF_THE_FILES: Final = {
    "unknown-resend": "start a new run with the right `resend-secret`",
    # A re-run has the workflow of its commit, but the files of the tip.
    "secret-not-allowed": "see the errors; or start a new run, if the workflow of this one is "
    "older than the files",
}
"""How to continue after errors that have other causes than a mistake in a file, by rule."""


class _Step(NamedTuple):
    """The command to run next."""

    command: str
    purpose: _Purpose = _CONTINUE


class Ended(NamedTuple):
    """How an apply ended, and what the report of a failure needs.

    `pulls` are the merged pull requests that were read. `pending` is the newest one with a pending
    operation. `organizations` are those of the environment, `others` those of other environments,
    `subjects` those that failed. `sent` are the webhooks that got another secret, `rotated` those
    that did not for lack of a review: all whose secrets changed after the commit `since`, if it is
    not empty. `base` is the commit with which the run compared.
    """

    result: JobResult
    step: _Step | None
    pulls: Sequence[Pull] = ()
    pending: Pull | None = None
    organizations: Sequence[Subject] = ()
    others: Sequence[Subject] = ()
    subjects: tuple[Subject, ...] = ()
    sent: Collection[ShownOperation] = ()
    rotated: Collection[ShownOperation] = ()
    since: str = ""
    base: str = ""


def rerun(run: Run) -> _Step | None:
    """Return the step that runs this job again, None outside GitHub."""
    return _Step(run.rerun_command) if run.rerun_command else None


def next_step(
    run: Run, connected: Sequence[Target], attempts: Sequence[Attempt]
) -> tuple[_Step | None, RunPlan]:
    """Return how to continue after a run, and the plans of what is left if a digest applies them.

    A digest covers all organizations of the environment, and its command names each pending resend:
    the run's, those of rotated secrets, and those that were not sent. If one of them cannot be
    planned, the step is a re-run.
    """
    if not any(map(_needs_digest, attempts)):
        return rerun(run), NO_PLANS
    requests = _pending_requests(run, attempts, is_single=len(connected) == 1)
    options = PlanOptions(resend=requests)
    with suppress(ReconcilerError, *SIGNALS):  # the writes must still be reported
        targets = [target._replace(options=options) for target in identify(connected)]
        plans = RunPlan(tuple(planned.result for planned in plan_all(targets, reviewed=True)))
        if plans.problems:
            return rerun(run), plans
        command = run.digest_command(plans, requests)
        if command is None:
            return None, NO_PLANS
        return _Step(command, _APPLY), plans
    return rerun(run), NO_PLANS


def _needs_digest(attempt: Attempt) -> bool:
    """Return whether only an apply by digest continues."""
    report, problem = attempt.report, attempt.result.problem
    if isinstance(problem, StalePlanError | BlockedError):
        return True
    if problem is not None or report is None:
        return False
    # The rest of an apply by digest that broke off has another digest.
    broke_off = report.needs_plan and not report.complete
    return report.needs_review or bool(attempt.rotated) or broke_off


def _pending_requests(run: Run, attempts: Iterable[Attempt], *, is_single: bool) -> tuple[str, ...]:
    """Return the webhooks whose secrets are still to be sent, with those that the run requests."""
    requests = set(run.resend)
    for attempt in attempts:
        target = attempt.organization.target
        names = set(attempt.rotated)
        if attempt.report is not None:
            outcomes = attempt.report.outcomes
            left = [item.operation for item in outcomes if not isinstance(item, Applied)]
            names.update(resend.webhook for resend in resends(left))
        # Another organization may have a webhook of this name, whose secret was not reviewed.
        prefix = ""
        if not is_single:
            prefix = f"{subject_of_key(target).name or target.source.name}: "
        declared = target.checked.desired.webhooks
        requests.update(f"{prefix}{request}" for request in requests_for(declared, names))
    return tuple(sorted(requests))


def explained(attempt: Attempt, left: RunPlan) -> OrganizationResult[Report]:
    """Return the result; it fails if reviewed operations were applied, and others are `left`."""
    refusal, report, rotated = attempt.result.problem, attempt.result.value, attempt.rotated
    reasons: list[tuple[str, str]] = []
    if isinstance(refusal, NotReviewedError) and rotated:
        report = attempt.report
        # The others ask for what the push did.
        reasons += [(name, reason) for name, reason in refusal.reasons if name not in rotated]
    if report is None or not (rotated or report.needs_review):
        return _refused(attempt, left)
    problem = _review_problem(report, rotated, reasons)
    # The same codes as for an apply of a saved plan (docs/guarantees.md).
    if report.exit_code is not ExitCode.OK:
        problem.exit_code = report.exit_code
    elif report.writes:
        problem.exit_code = ExitCode.PARTIAL
    result = attempt.result._replace(problem=problem)
    if refusal is None:
        return result._replace(value=_without_request(report, rotated))
    return result


def _refused(attempt: Attempt, left: RunPlan) -> OrganizationResult[Report]:
    """Return the result of a refusal, whose hint says more.

    It names organizations that cannot be planned, if only a digest continues, and secrets that a
    new pull request lacks.
    """
    problem = attempt.result.problem
    if problem is None:
        return attempt.result
    hint = problem.hint
    if left.problems and _needs_digest(attempt):
        broken = [
            f"{quote(result.name)} ({result.problem.message})"
            for result in left.organizations
            if result.problem is not None
        ]
        hint = f"first repair {shorten(broken, 3)}: a digest is of all organizations"
    if attempt.rotated:
        names = shorten([quote(name) for name in attempt.rotated], 3)
        unsent = (
            f"a new pull request sends the secret of {names} only if it increments its `version`"
        )
        hint = f"{hint}; {unsent}" if hint else unsent
    if hint is not None:
        problem = problem.with_hint(hint)
    return attempt.result._replace(problem=problem)


def _without_request(report: Report, rotated: Collection[str]) -> Report:
    """Return a report whose reasons do not ask to increment what the push incremented."""
    outcomes: list[Outcome] = []
    for outcome in report.outcomes:
        if isinstance(outcome, Skipped) and outcome.operation.name in rotated:
            why = "a push changed its reference or `version` without an approved plan"
            outcome = outcome._replace(message=why)
        outcomes.append(outcome)
    return report._replace(outcomes=tuple(outcomes))


def _review_problem(
    report: Report, rotated: Sequence[str], reasons: Sequence[tuple[str, str]]
) -> NotReviewedError:
    """Return the error for what was not applied; `rotated` are webhooks with unreviewed secrets."""
    if rotated:
        names = shorten([quote(name) for name in rotated], 3)
        return _UnreviewedRotationError(
            f"a push changed a reference or `version` of {names} without an approved plan, "
            "so this run did not send the secret, and no later plan approves it",
            reasons=reasons,
            hint="to have it reviewed, increment its `version` again",
        )
    left = plural(len(report.outcomes) - len(report.applied), "operation")
    message = f"{left} not applied for lack of a review"
    return NotReviewedError(message, hint="see the reasons of the rest")


def can_continue(result: OrganizationResult[Report]) -> bool:
    """Return whether another run may change something, also after a signal at the last write."""
    report = result.value
    if report is None or result.problem is not None or not report.complete:
        return True
    return Reason.LATER in {kept.reason for kept in report.plan.unapplied}


def conclude(run: Run, ended: Ended) -> JobResult:
    """Report a failure with the command to run next, or that former failures are resolved."""
    ended = _after_check(run, ended)
    result = ended.result
    if ended.step is not None:
        result = _with_hints(result, ended.step, ended.step.command)
    if run.github is None:
        return result
    if result.exit_code is ExitCode.OK:
        text = f"Resolved: {run.link} left nothing to apply."
        warnings = _resolve_failures(run, run.github, ended, text)
    else:
        warnings = _report_failure(run, run.github, ended)
    return replace(result, findings=[*result.findings, *warnings])


def _after_check(run: Run, ended: Ended) -> Ended:
    """Return the end; if files are invalid, the next step is to check them."""
    report = ended.result.report
    results = () if report is None else report.organizations
    invalid = [
        problem
        for problem in (ended.result.problem, *(result.problem for result in results))
        if problem is not None and problem.code == ConfigurationError.code
    ]
    if not invalid:
        return ended
    for problem in invalid:
        for finding in problem.findings:
            problem.hint = problem.hint or _NOT_OF_THE_FILES.get(finding.rule)
    # What has a hint, such as a renamed file, is solved by that: a check of the files is not.
    if any(problem.hint for problem in invalid):
        return ended._replace(step=None)
    # A re-run of the same commit cannot fix its files.
    return ended._replace(step=_Step(_validate_command(run), _CHECK))


def _validate_command(run: Run) -> str:
    """Return the command that checks the files with the settings of the workflow."""
    options = repeated("--allow-secret", run.inputs.allow_secrets)
    options += repeated("--policy", run.inputs.policies)
    options += repeated("-f", run.paths)
    return shlex.join(["webhooks", "validate", "--strict", *options])


def _with_hints(result: JobResult, step: _Step, command: str) -> JobResult:
    """Return the result whose problems have the step in their hints, with a text as its command."""

    def with_hint(problem: ReconcilerError | None) -> ReconcilerError | None:
        if problem is None:
            return None
        hint = problem.hint
        if not hint:
            return problem.with_hint(command)
        # On GitHub no user typed a command that could be run again.
        if RUN_AGAIN in hint and step.purpose != _APPLY:
            return problem.with_hint(hint.replace(RUN_AGAIN, f"run: {command}"))
        return problem.with_hint(f"{hint}; {step.purpose.lead}: {command}")

    report = result.report
    if report is not None:
        organizations = [
            organization._replace(problem=with_hint(organization.problem))
            for organization in report.organizations
        ]
        report = report._replace(organizations=tuple(organizations))
    return replace(result, problem=with_hint(result.problem), report=report)


def _resolve_failures(
    run: Run, github: GitHub, ended: Ended, text: str, *, kept: Collection[str] = ()
) -> list[Finding]:
    """Close the issues of resolved failures, and replace the text of comments about them.

    Those with the codes `kept` stay, except an issue about what this run now knows.
    """
    warnings: list[Finding] = []

    def is_resolved(post: Post) -> bool:
        is_kept = post.marker.code in kept and not (post.title and post.marker.head)
        return not is_kept and _is_resolved(run, post, ended)

    failed = "could not close an issue"
    if ended.sent:  # nothing else would close it
        failed += ", so close by hand one about a secret that this run sent"
    with reporting(warnings, failed):
        issues = github.open_issues()
        github.close_issues(run.not_run(issues, "apply"), text + _NOT_COMPARED)
        for issue in filter(is_resolved, issues):
            _resolve(run, github, issue, ended, text)
    with reporting(warnings, "could not edit a comment"):
        for post in chain.from_iterable(pull.comments for pull in ended.pulls):
            if is_resolved(post):
                _resolve(run, github, post, ended, text)
    return warnings


def _resolve(run: Run, github: GitHub, post: Post, ended: Ended, text: str) -> None:
    """Resolve what a comment or issue reports, as far as it is of this environment."""
    left = _of_others(run, post, ended)
    marker = post.marker._replace(subjects=left)
    if left and post.title:
        github.issue(post.title, marker, post.text, [post])
    elif left:
        github.comment(post.number, marker, post.text, [post])
    elif post.title:
        github.close_issues([post], text + _GONE if _is_gone(run, post) else text)
    else:
        # With this code, the next failure is a new comment, which notifies.
        marker = post.marker._replace(code=RESOLVED)
        github.comment(post.number, marker, f"{text}\n", [post])


def _is_resolved(run: Run, post: Post, ended: Ended) -> bool:
    """Return whether this run resolves or replaces what a comment or issue reports."""
    if post.marker.kind is MarkerKind.DRIFT:
        return _reverts(run, post, ended)
    if not run.is_failure(post, (*ended.organizations, *ended.others)):
        return False
    if not is_of_environment(run, post, ended.organizations):
        return False
    head = post.marker.head
    if head:
        # A digest shows no rotation, and another push may have made one since: so the next push
        # resolves it, or if it is of another branch, a run of that one.
        is_gone = bool(ended.since) and _is_gone(run, post)
        return is_gone or run.is_contained(ended.since, head)
    if post.marker.code != _UnreviewedRotationError.code:
        return True
    # A later plan does not show an unsent secret: nothing left to apply does not mean that it was.
    unsent = post.marker.operations
    return run.expect_digest is not None and bool(unsent) and _all_sent(unsent, ended.sent)


def _reverts(run: Run, issue: Post, ended: Ended) -> bool:
    """Return whether this run applied the plan that reverts all of a drift issue."""
    digest, setup = run.expect_digest, run.marker(MarkerKind.DRIFT)
    is_applied = digest is not None and ended.result.exit_code is ExitCode.OK
    return is_applied and issue.marker.digest == digest and issue.marker.is_same_setup(setup)


def _is_gone(run: Run, post: Post) -> bool:
    """Return whether the commit before a push is known to no clone, as after a force push."""
    return bool(post.marker.head) and run.merge_base(post.marker.head) is None


def _all_sent(unsent: Iterable[ShownOperation], sent: Collection[ShownOperation]) -> bool:
    """Return whether all webhooks of a failure are among those that got another secret."""
    return all(
        any(shown.digest == other.digest and shown.subject.is_same(other.subject) for other in sent)
        for shown in unsent
    )


def is_of_environment(run: Run, post: Post, organizations: Sequence[Subject]) -> bool:
    """Return whether a failure is of the environment of a run, which has these organizations.

    Also one of another environment of which an organization has moved to this one.
    """
    failed, environment = post.marker.subjects, post.marker.environment
    has_moved = any(any(map(subject.is_same, organizations)) for subject in failed)
    is_unknown = not failed and _is_former(run, post)
    return has_moved or is_unknown or environment == run.environment or not run.environment


def _is_former(run: Run, post: Post) -> bool:
    """Return whether a failure is of an environment that is not used any more."""
    return post.marker.environment not in run.environments


def _of_others(run: Run, post: Post, ended: Ended) -> tuple[Subject, ...]:
    """Return the organizations of a failure that are now of other environments."""
    # A drift issue, and one of secrets that were not sent, are resolved as a whole by their digest.
    if post.marker.kind is MarkerKind.DRIFT or post.marker.operations:
        return ()
    failed: Sequence[Subject] = post.marker.subjects
    # An early end in an environment that is not used any more may concern all of them.
    if not failed and _is_former(run, post):
        failed = ended.others
    return tuple(subject for subject in failed if any(map(subject.is_same, ended.others)))


def _report_failure(run: Run, github: GitHub, ended: Ended) -> list[Finding]:
    """Comment on a merged pull request; without one, or if that fails, open an issue.

    A rotation, also an unknown one, is an issue: runs after the next merge read no comments of
    this one.
    """
    warnings: list[Finding] = []
    reason = ended.result.reason
    # Without `since`, the next run begins with this commit, and reports each rotation again.
    head = "" if ended.since else run.merge_base(ended.base or run.base_commit) or ""
    rotated = () if head else tuple(ended.rotated)
    if rotated:
        reason = _UnreviewedRotationError.code
    marker = run.marker(MarkerKind.FAILURE)._replace(
        code=reason, subjects=ended.subjects, operations=rotated, head=head
    )
    # Of hundreds of webhooks, which do not fit, no run resolves the failure: users close the issue.
    if len(encode(marker)) > MAX_COMMENT_LENGTH // 2:
        marker = marker._replace(operations=())
    text = _failure_text(run, ended, marker)
    places = [
        ("could not comment on the pull request", _comment),
        ("could not open or update the failure issue", _open_issue),
    ]
    for problem, write in reversed(places) if rotated or head else places:
        # The deadline of the run may be what failed.
        github.extend_deadline(_REPORT_SECONDS)
        with reporting(warnings, problem):
            if write(run, github, ended, marker, text):
                break
    else:  # what is only in the log must not replace a report
        return warnings
    # A run with a report lists whatever is left, so an earlier reason and its command are outdated.
    if ended.result.report is not None:
        replaced = f"Replaced: {run.link} failed for another reason, `{reason}`."
        kept = (reason, _UnreviewedRotationError.code)
        warnings += _resolve_failures(run, github, ended, replaced, kept=kept)
    return warnings


def _comment(run: Run, github: GitHub, ended: Ended, marker: Marker, text: str) -> bool:
    """Comment on the newest pull request with pending operations, else on the newest one, if any.

    An existing comment is updated, which sends no notification.
    """
    pull = ended.pending or next(iter(ended.pulls), None) or _newest_merged(run, github)
    if pull is None:
        return False
    existing = _to_update(pull.comments, marker)
    github.comment(pull.number, _with_head(run, ended, marker, existing), text, existing)
    return True


def _open_issue(run: Run, github: GitHub, ended: Ended, marker: Marker, text: str) -> bool:
    """Open an issue, or update that with the same code."""
    title = run.title(f"apply failed ({marker.code})")
    existing = _to_update(github.open_issues(), marker)
    github.issue(title, _with_head(run, ended, marker, existing), text, existing)
    return True


def _with_head(run: Run, ended: Ended, marker: Marker, existing: Sequence[Post]) -> Marker:
    """Return the marker, with the head of the post that it replaces, if that is not known.

    Of both heads it is the older one: a re-run of an earlier push may fail last.
    """
    for post in existing[:1]:
        head = post.marker.head
        if run.is_contained(head) and not run.is_contained(ended.since, head):
            heads = filter(None, (head, marker.head))
            subjects: tuple[Subject, ...] = ()  # all of the environment, as if either has none
            if post.marker.subjects and marker.subjects:
                subjects = tuple(dict.fromkeys((*post.marker.subjects, *marker.subjects)))
            return marker._replace(head=run.merge_base(*heads) or head, subjects=subjects)
    return marker


def _to_update(posts: Sequence[Post], marker: Marker) -> list[Post]:
    """Return the comments or issues with the code and the webhooks of a failure."""
    return [
        post
        for post in find_posts(posts, marker)
        # The command for other webhooks would be lost.
        if set(post.marker.operations) == set(marker.operations)
    ]


def _failure_text(run: Run, ended: Ended, marker: Marker) -> str:
    """Return why nothing or not everything was applied, and what to do next, as Markdown."""
    result, step = ended.result, ended.step
    head = "" if result.problems else f"### Failed: `{result.reason}`\n\n"
    end = f"\nThis is not retried automatically. See {run.link}."
    if step is not None:
        result = _with_hints(result, step, "the command below")
        end += f" To {step.purpose.heading}:\n\n{code_block(step.command)}\n"
    # The command must be complete: the report gets what room is left.
    room = MAX_COMMENT_LENGTH - len(encode(marker)) - len(head) - len(end)
    return head + result.render("markdown", room) + end


def _newest_merged(run: Run, github: GitHub) -> Pull | None:
    """Return the newest merged pull request with its comments, if possible of this checkout."""
    pulls, _ = github.merged_pulls(run.branch)
    commits: Collection[str] = ()
    # Without the history, a comment on the newest one is better than none.
    with suppress(UsageError):
        commits = history(run)
    contained = [pull for pull in pulls if pull.merge_commit in commits]
    for pull in contained or pulls:
        return pull._replace(comments=github.comments(pull.number))
    return None
