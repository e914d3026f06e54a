"""Applying what was reviewed, after a merge: every operation approved, or none is carried out."""

from __future__ import annotations

from reconciler.ci.event import PullRequest
from reconciler.ci.job import Access, Connection, Job, Run
from reconciler.ci.outcome import Outcome, failed, planned, reported
from reconciler.ci.refusal import judged, needs_review
from reconciler.ci.reviews import find_reviews, tell
from reconciler.ci.subject import PLAN, mark
from reconciler.ci.validate import check, files_only, only_checked
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import review_of
from reconciler.render.words import outcome_counts
from reconciler.report import Report
from reconciler.workflow import Checked, Inputs
from reconciler.workflow import apply as carry_out
from reconciler.workflow import plan as make_plan


def apply(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan anew, compare with the reviews, and apply or refuse as a whole."""
    if isinstance(run.event, PullRequest):
        raise UsageError(
            "apply does not run on pull requests: nobody has merged them yet",
            hint="run it on pushes to the default branch; on pull requests run plan",
        )
    checked = check(inputs, writing=True)
    why = only_checked(run, access, instead="nothing was applied")
    if why is not None:
        return files_only(checked, why, result="skipped")
    assert access.connect is not None
    with access.connect() as connection:
        options = PlanOptions(allow_deletes=job.allow_deletes, resend=job.resend)
        made = make_plan(
            checked, connection.api, options=options, api_key=connection.key, writing=True
        ).plan
        try:
            needed = bool(made.changes) and needs_review(job)
            subject = mark(PLAN, job, run, inputs, made)
            reviewed = find_reviews(run, access, subject=subject, needed=needed)
        except ReconcilerError as problem:
            return failed(problem, plan=made)
        findings, refusal = judged(job, run, made, reviewed)
        if refusal is not None:
            status = f"**Not applied** by {_link(run)}: {refusal.message}."
            return failed(refusal, (*findings, *tell(access, reviewed, status)), plan=made)
        if made.unapplied and not made.changes:
            status = f"**Not applied** by {_link(run)}: a declaration cannot be applied."
            told = tell(access, reviewed, status)
            return planned(
                "failed",
                made,
                (*findings, *told),
                exit_code=ExitCode.FAILED,
                reason="apply-incomplete",
            )
        if not made.changes:
            told = tell(access, reviewed, f"**Applied**, as {_link(run)} found: nothing is left.")
            return planned("converged", made, (*findings, *told))
        try:
            report = _carried_out(checked, connection, options, made)
        except Interrupted:
            raise
        except ReconcilerError as problem:
            told = tell(access, reviewed, f"**Not applied** by {_link(run)}: `{problem.code}`.")
            return failed(problem, (*findings, *told), plan=made)
    done = report.exit_code is ExitCode.OK
    told = tell(access, reviewed, _status(run, report, done=done))
    return reported(
        "applied" if done else "failed",
        report,
        (*findings, *told),
        reason="" if done else "apply-incomplete",
    )


def _carried_out(
    checked: Checked, connection: Connection, options: PlanOptions, made: Plan
) -> Report:
    """Apply exactly `made`: whatever is planned beside it is not reviewed."""
    return carry_out(
        checked,
        connection.api,
        connection.engine,
        options=options,
        confirm=lambda plan: True,
        api_key=connection.key,
        review=review_of(made),
        values=True,
    )


def _status(run: Run, report: Report, *, done: bool) -> str:
    counts = outcome_counts(report)
    if done:
        return f"**Applied** by {_link(run)}: {counts}."
    how = "Applied in part" if report.writes else "Not applied"
    return f"**{how}** by {_link(run)}: {counts}. Run it again to finish what is left."


def _link(run: Run) -> str:
    return f"[this run]({run.url})" if run.url else "a run"
