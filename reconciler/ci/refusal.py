"""Why a plan is not carried out, in words that lead on."""

from __future__ import annotations

from reconciler.ci.approval import Review, Verdict, judge
from reconciler.ci.job import Job, Reviewing, Run
from reconciler.ci.outcome import note
from reconciler.ci.reviews import Reviewed
from reconciler.errors import NotReviewedError, StalePlanError
from reconciler.findings import Finding, Position, Severity
from reconciler.planning.changes import Change, Create, Delete
from reconciler.planning.plan import Plan
from reconciler.render.quote import quote
from reconciler.render.words import plural


def needs_review(job: Job) -> bool:
    """Say whether pull requests decide what may be applied."""
    return job.expect_digest is None and job.reviewing is not Reviewing.IGNORE


def judged(
    job: Job, run: Run, made: Plan, reviewed: Reviewed
) -> tuple[tuple[Finding, ...], StalePlanError | None]:
    """Say what there is to remark, and why this plan is refused, if it is."""
    if not made.changes:
        return (), None
    if job.expect_digest is not None:
        if made.digest == job.expect_digest:
            return (), None
        return (), StalePlanError(
            "what would be done now has another digest than was asked for",
            differences=(f"asked for {job.expect_digest}", f"now {made.digest}"),
            hint=_way_on(run, made),
        )
    if not needs_review(job):
        return (), None
    verdict = judge(
        made,
        [
            Review(number=number, marker=found.marker if found else None)
            for number, found in reviewed
        ],
    )
    if verdict.approved:
        return (), None
    findings = _missing(verdict, warn=job.reviewing is Reviewing.WARN)
    if job.reviewing is Reviewing.WARN:
        return findings, None
    counted = f"{len(verdict.missing)} of {plural(len(made.changes), 'operation')}"
    return findings, NotReviewedError(
        f"{counted} had no review, and nothing was applied", hint=_way_on(run, made)
    )


def _missing(verdict: Verdict, *, warn: bool) -> tuple[Finding, ...]:
    severity = Severity.WARNING if warn else Severity.ERROR
    unseen = [
        Finding(
            rule="not-reviewed",
            severity=severity,
            message=f"{_verb(each)} {quote(each.name)}: no merged pull request of this push "
            "showed this",
            position=_position(each),
        )
        for each in verdict.missing
    ]
    reasons = [
        note("no-review", f"pull request {number} approves nothing: {why}")
        for number, why in verdict.discounted
    ]
    return (*unseen, *reasons)


def _way_on(run: Run, made: Plan) -> str:
    command = ""
    if run.workflow and run.branch:
        command = (
            f": gh workflow run {run.workflow} --ref {quote(run.branch)} -f digest={made.digest}"
        )
    return (
        f"if the plan is what you want, start this workflow by hand with its digest "
        f"{made.digest}{command}"
    )


def _verb(change: Change) -> str:
    match change:
        case Create():
            return "create"
        case Delete():
            return "delete"
        case _:
            return "update"


def _position(change: Change) -> Position | None:
    return change.position if isinstance(change, Delete) else change.after.position
