"""Applying what was reviewed, after a merge: every operation approved, or none is carried out."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.ci import sticky
from reconciler.ci.approval import Review, Verdict, judge
from reconciler.ci.event import PullRequest, Push
from reconciler.ci.github import Comment, GitHub, GitHubError
from reconciler.ci.job import Access, Connection, Job, Reviewing, Run
from reconciler.ci.marker import Marker
from reconciler.ci.outcome import Outcome, failed, note, planned, reported
from reconciler.ci.subject import PLAN, mark
from reconciler.ci.validate import check, files_only, only_checked
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, StalePlanError, UsageError
from reconciler.findings import Finding, Position, Severity
from reconciler.planning.changes import Change, Create, Delete
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.render.quote import quote
from reconciler.render.words import outcome_counts, plural
from reconciler.report import Report
from reconciler.workflow import Checked, Inputs
from reconciler.workflow import apply as carry_out
from reconciler.workflow import plan as make_plan

MOST_COMMITS = 250
"""Of a push so many commits are looked up, the last ones."""


class NotReviewedError(StalePlanError):
    """What would be done is not what people saw; nothing was written."""

    code = "not-reviewed"


Reviewed = tuple[tuple[int, Comment | None], ...]
"""Each merged pull request, and its plan comment if it has one."""


def apply(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan anew, compare with the reviews, and apply or refuse as a whole."""
    if isinstance(run.event, PullRequest):
        raise UsageError(
            "apply does not run on pull requests: nobody has merged them yet",
            hint="run it on pushes to the default branch; on pull requests run plan",
        )
    checked = check(inputs)
    why = only_checked(run, access, instead="nothing was applied")
    if why is not None:
        return files_only(checked, why, result="skipped")
    reviewed = _reviews(job, run, inputs, access)
    assert access.connect is not None
    with access.connect() as connection:
        options = PlanOptions(allow_deletes=job.allow_deletes, rewrite=job.rewrite)
        made = make_plan(
            checked, connection.api, options=options, api_key=connection.key, writing=True
        ).plan
        findings, refusal = _judged(job, run, made, reviewed)
        if refusal is not None:
            status = f"**Not applied** by {_link(run)}: {refusal.message}."
            return failed(refusal, (*findings, *_tell(access, reviewed, status)), plan=made)
        if not made.changes:
            told = _tell(access, reviewed, f"**Applied**, as {_link(run)} found: nothing is left.")
            return planned("converged", made, (*findings, *told))
        try:
            report = _carried_out(checked, connection, options, made)
        except Interrupted:
            raise
        except ReconcilerError as problem:
            told = _tell(access, reviewed, f"**Not applied** by {_link(run)}: `{problem.code}`.")
            return failed(problem, (*findings, *told), plan=made)
    done = report.exit_code is ExitCode.OK
    told = _tell(access, reviewed, _status(run, report, done=done))
    return reported(
        "applied" if done else "failed",
        report,
        (*findings, *told),
        reason="" if done else "apply-incomplete",
    )


def _carried_out(
    checked: Checked, connection: Connection, options: PlanOptions, made: Plan
) -> Report:
    """Apply exactly `made`: the digest stops whatever happened since."""
    return carry_out(
        checked,
        connection.api,
        connection.engine,
        options=options,
        confirm=lambda plan: True,
        api_key=connection.key,
        expect_digest=made.digest,
    )


def _reviews(job: Job, run: Run, inputs: Inputs, access: Access) -> Reviewed:
    """Find the pull requests that the push merged, and what each of them showed."""
    needed = job.expect_digest is None and job.reviewing is not Reviewing.IGNORE
    if access.github is None:
        if needed:
            raise UsageError(
                "there is no GitHub token to find the reviewed plans with",
                hint="pass github-token, or give the digest of the plan in expect-digest",
            )
        return ()
    try:
        return _merged(run, access.github, subject=mark(PLAN, job, run, inputs, None))
    except GitHubError:
        if needed:
            raise
        return ()


def _merged(run: Run, github: GitHub, *, subject: Marker) -> Reviewed:
    push = run.event if isinstance(run.event, Push) else None
    commits = push.commits if push is not None else (run.commit,)
    branch = push.branch if push is not None else run.branch
    numbers: dict[int, None] = {}
    for commit in commits[-MOST_COMMITS:]:
        numbers.update(dict.fromkeys(github.merged_pulls(commit, branch=branch)))
    return tuple((number, sticky.find(github, number, subject)) for number in numbers)


def _judged(
    job: Job, run: Run, made: Plan, reviewed: Reviewed
) -> tuple[tuple[Finding, ...], StalePlanError | None]:
    """Say what there is to remark, and why this plan is refused, if it is."""
    if not made.changes or (job.reviewing is Reviewing.IGNORE and job.expect_digest is None):
        return (), None
    if job.expect_digest is not None:
        if made.digest == job.expect_digest:
            return (), None
        return (), StalePlanError(
            "what would be done now has another digest than was asked for",
            differences=(f"asked for {job.expect_digest}", f"now {made.digest}"),
            hint=_way_on(run, made),
        )
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


def _status(run: Run, report: Report, *, done: bool) -> str:
    counts = outcome_counts(report)
    if done:
        return f"**Applied** by {_link(run)}: {counts}."
    return f"**Applied in part** by {_link(run)}: {counts}. Run it again to finish what is left."


def _link(run: Run) -> str:
    return f"[this run]({run.url})" if run.url else "a run"


def _tell(access: Access, reviewed: Reviewed, status: str) -> Sequence[Finding]:
    """Say on the pull requests what became of their plans. That it fails undoes nothing."""
    comments = [found for _, found in reviewed if found is not None]
    try:
        for comment in comments:
            assert access.github is not None
            text = sticky.with_status(comment.body, access.clean(status))
            access.github.edit_comment(comment.id, text)
    except GitHubError as problem:
        why = f"the comments could not be edited: {problem.message}"
        return (note("comment-not-edited", why, hint=problem.hint, warn=True),)
    return ()
