"""The drift check: one issue that is open while live webhooks differ from the configuration.

The same issue reports failing deliveries, and a check that cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.github import GitHub
from reconciler.ci.marker import COMMENT_CHARACTERS, MarkerKind, encode, find
from reconciler.ci.plan import check, files_only, files_only_reason
from reconciler.ci.result import JobResult, failed, reporting
from reconciler.ci.run import Run
from reconciler.errors import CredentialError, Interrupted, ReconcilerError
from reconciler.findings import Finding, warning
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.status import ManagementStatus, WebhookStatus, statuses
from reconciler.render import View
from reconciler.render.markdown import code, code_block, render_error, render_plan
from reconciler.render.quote import quote
from reconciler.render.words import counts, plural
from reconciler.workflow import gather, read_live
from reconciler.workflow import plan as make_plan

_MAX_FAILING: Final = 50


def drift(run: Run) -> JobResult:
    """Plan, and open, edit or close the issue. Drift is not a failure of the run."""
    run = replace(run, resend=(), allow_deletes=None)  # only plans and applies use them
    try:
        checked = check(run)
        if (why := files_only_reason(run)) is not None:
            reported = _failed_check(run, CredentialError(why.message, hint=why.hint))
            return reported if reported.findings else files_only(checked, why, result="skipped")
        with run.connect() as connection:
            api = connection.api
            made = make_plan(gather(checked, connection.key), api, options=PlanOptions())
            live = read_live(api)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return _failed_check(run, problem)
    drifted = bool(made.operations or made.unapplied)
    not_managed = (ManagementStatus.UNMANAGED, ManagementStatus.IGNORED)
    failing = [
        each for each in statuses(live, made) if each.last_error and each.state not in not_managed
    ]
    findings: list[Finding] = []
    if run.github is None:
        message = "no GitHub token: the drift issue was not updated"
        findings.append(warning("no-token", message, "pass github-token"))
    else:
        _update_issue(run, run.github, made, failing[:_MAX_FAILING], drifted=drifted)
    result = "drift" if drifted else "no-drift"
    return JobResult(result=result, findings=findings, plan=made)


def _update_issue(
    run: Run, github: GitHub, made: Plan, failing: Sequence[WebhookStatus], *, drifted: bool
) -> None:
    marker = run.marker(MarkerKind.DRIFT).for_plan(made)
    existing = find(github.open_issues(), marker)
    if not drifted and not failing:
        compared = " in the compared fields" if made.not_compared else ""
        github.close_issues(existing, f"Resolved: {run.link} found no drift{compared}.")
        return
    known = dict(existing[0].marker.failing) if existing else {}
    since = {
        each.id: known.get(each.id) or each.last_error.timestamp or ""
        for each in failing
        if each.id is not None and each.last_error is not None
    }
    marker = replace(marker, failing=tuple(sorted(since.items())))
    title = [f"drift, {counts(made)}"] if drifted else []
    if made.unapplied:
        title.append(f"{plural(len(made.unapplied), 'declaration')} not applied")
    if failing:
        title.append(f"{plural(len(failing), 'webhook')} cannot deliver")
    foot = f"Found by {run.link}. This issue closes when the next check finds no problem."
    if drifted:
        foot += " To keep a live change, add it to the configuration."
    # A schedule runs on the default branch.
    workflow = run.workflow.replace("drift", "apply")
    applying = replace(run, branch=run.applied_branch or run.branch, workflow=workflow)
    if (command := applying.digest_command(made)) is not None:
        foot += f" To apply the plan above:\n\n{code_block(command)}"
    listed = _deliveries(failing, since)
    room = COMMENT_CHARACTERS - len(encode(marker)) - len(foot) - len(listed) - 10
    shown = render_plan(made, View(limit=room, apply_options=None))
    github.issue(run.title(", ".join(title)), marker, f"{shown}{listed}\n\n{foot}\n", existing)


def _failed_check(run: Run, problem: ReconcilerError) -> JobResult:
    """Open or update the issue for a failed check. If that fails, the result has a warning."""
    github, findings = run.github, list[Finding]()
    if github is None:
        return failed(problem)
    text = render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
    text += f"\nThe webhooks could not be compared; see {run.link}. "
    text += "This issue closes when a check succeeds."
    if run.rerun_command is not None:
        text += f" To try again:\n\n{code_block(run.rerun_command)}\n"
    with reporting(findings, "could not write the drift issue"):
        marker = run.marker(MarkerKind.DRIFT)
        existing = find(github.open_issues(), marker)
        # Keep the failing deliveries for the next check.
        marker = replace(marker, failing=existing[0].marker.failing if existing else ())
        title = run.title(f"the drift check cannot run ({problem.code})")
        github.issue(title, marker, text, existing)
    return failed(problem, findings)


def _deliveries(failing: Sequence[WebhookStatus], since: Mapping[str, str]) -> str:
    lines = ["", "### Failing deliveries", ""] if failing else []
    for each in failing:
        error = each.last_error
        what = " ".join(filter(None, (error.code, error.text))) if error is not None else ""
        when = since.get(each.id or "")
        lines.append(
            f"- {code(quote(each.name))}: {code(quote(what[:300] or 'no reason given'))}"
            + (f", since {code(quote(when))}" if when else "")
        )
    return "\n".join(lines)
