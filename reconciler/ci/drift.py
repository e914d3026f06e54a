"""Whether the live webhooks are as declared, as one issue that is open while they are not.

The same issue reports webhooks whose deliveries fail, and that the check itself cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from reconciler.ci.apply import by_digest
from reconciler.ci.comments import COMMENT_CHARACTERS, code_block, compose, inline
from reconciler.ci.github import GitHub
from reconciler.ci.marker import Kind, Marker, encode
from reconciler.ci.outcome import Outcome, failed, note, planned
from reconciler.ci.plan import check, files_only, mark, only_checked
from reconciler.ci.run import Access, Job, Run
from reconciler.errors import CredentialError, ReconcilerError
from reconciler.findings import Finding
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.status import State, Status, statuses
from reconciler.render import RENDERERS, View
from reconciler.render.words import counts, plural
from reconciler.workflow import Inputs, read_live
from reconciler.workflow import plan as make_plan

_APPLY: Final = {"drift-webhooks.yml": "apply-webhooks.yml"}
"""Which workflow applies, by the workflow that looks for drift."""

_NOT_OURS: Final = (State.UNMANAGED, State.IGNORED)
_MOST_FAILING: Final = 50


def drift(job: Job, run: Run, inputs: Inputs, access: Access) -> Outcome:
    """Plan, and open, edit or close the issue. Drift is news, not a failure."""
    subject = mark(Kind.DRIFT, job, run, inputs)
    try:
        checked = check(inputs)
        why = only_checked(run, access, instead="nothing was compared")
        if why is not None:
            missing = CredentialError(why.message, hint=why.hint)
            told = _cannot_run(missing, subject, job, run, access)
            outcome = files_only(checked, why, result="skipped")
            return outcome if not told else failed(missing, told)
        assert access.connect is not None
        with access.connect() as connection:
            api = connection.api
            made = make_plan(checked, api, options=PlanOptions(), api_key=connection.key).plan
            live = read_live(api)
    except ReconcilerError as problem:
        return failed(problem, _cannot_run(problem, subject, job, run, access))
    failing = [
        each for each in statuses(live, made) if each.failing and each.state not in _NOT_OURS
    ]
    result = "drift" if made.changes or made.unapplied else "no-drift"
    if access.github is None:
        missing_token = note(
            "no-token", "there is no GitHub token: no issue was looked at", warn=True
        )
        return planned(result, made, (missing_token,))
    _keep_issue(access.github, subject.of_plan(made), made, failing, job, run, access)
    return planned(result, made, ())


def _keep_issue(
    github: GitHub,
    marker: Marker,
    made: Plan,
    failing: list[Status],
    job: Job,
    run: Run,
    access: Access,
) -> None:
    mine = [
        each
        for each in github.open_issues()
        if each.marker.kind is Kind.DRIFT and each.marker.same_subject(marker)
    ]
    known = dict(mine[0].marker.failing) if mine else {}
    since = {
        each.id or "": known.get(each.id or "") or (each.error and each.error.timestamp) or ""
        for each in failing
    }
    marker = replace(marker, failing=tuple(sorted(since.items()))[:_MOST_FAILING])
    drifted = bool(made.changes or made.unapplied)
    if not drifted and not failing:
        for issue in mine:
            text = f"The drift is gone, as {run.link} found."
            github.close_issue(issue.number, text)
        return
    if drifted:
        title = f"CloudTruth webhooks drifted{_about(job)}: {counts(made)}"
        if made.unapplied:
            title += f", {plural(len(made.unapplied), 'declaration')} not applied"
    else:
        title = (
            f"CloudTruth webhooks{_about(job)}: {plural(len(failing), 'webhook')} cannot deliver"
        )
    body = access.clean(_body(made, marker, failing, since, run))
    if not mine:
        github.open_issue(title, body)
    elif _but_for_the_run(mine[0].body, mine[0].marker) != _but_for_the_run(body, marker):
        github.edit_issue(mine[0].number, title, body)


def _cannot_run(
    problem: ReconcilerError, subject: Marker, job: Job, run: Run, access: Access
) -> tuple[Finding, ...]:
    """Open or update the issue for a check that failed. A failure of that hides nothing."""
    github = access.github
    if github is None:
        return ()
    marker = replace(subject, code=problem.code)
    title = f"CloudTruth webhooks{_about(job)}: the drift check cannot run ({problem.code})"
    text = RENDERERS["markdown"]().render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
    text += f"\nNothing was compared by {run.link}. This issue closes by itself."
    if run.id:
        command = f"gh run rerun {run.id} --repo {run.repository}"
        text += f" To try again:\n\n{code_block(command)}\n"
    try:
        for issue in github.open_issues():
            if issue.marker.kind is Kind.DRIFT and issue.marker.same_subject(marker):
                # What was failing is still known when the check runs again.
                marker = replace(marker, failing=issue.marker.failing)
                github.edit_issue(issue.number, title, access.clean(compose(marker, text)))
                return ()
        github.open_issue(title, access.clean(compose(marker, text)))
    except ReconcilerError as second:
        why = f"the issue could not be written: {second.message}"
        return (note("issue-not-written", why, hint=second.hint, warn=True),)
    return ()


def _but_for_the_run(body: str, marker: Marker) -> str:
    return body.replace(marker.run, "") if marker.run else body


def _about(job: Job) -> str:
    return f" ({job.label})" if job.label else ""


def _body(
    made: Plan, marker: Marker, failing: list[Status], since: Mapping[str, str], run: Run
) -> str:
    foot = f"Found by {run.link}. This issue closes by itself."
    if made.changes or made.unapplied:
        foot = (
            "The live webhooks differ from what this repository declares, as "
            f"{run.link} found. To keep what is live, declare it. This issue closes by itself."
        )
    if made.digest:
        allow = made.counted_deletes if made.blocked else None
        workflow = _APPLY.get(run.workflow, "")
        command = by_digest(run, made, workflow=workflow, allow_deletes=allow)
        foot += f" To apply the plan above:\n\n{code_block(command)}"
    lines = ["", "### Deliveries fail", ""] if failing else []
    for each in failing[:_MOST_FAILING]:
        error = each.error
        what = " ".join(filter(None, (error.code, error.text))) if error is not None else ""
        when = since.get(each.id or "")
        lines.append(
            f"- {inline(each.name)}: {inline(what[:300] or 'no reason given')}"
            + (f", since {inline(when)}" if when else "")
        )
    listed = "\n".join(lines)
    room = COMMENT_CHARACTERS - len(encode(marker)) - len(foot) - len(listed) - 10
    shown = RENDERERS["markdown"]().render_plan(made, View(limit=room))
    return compose(marker, f"{shown}{listed}\n\n{foot}\n")
