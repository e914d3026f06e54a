"""The drift issue: open while live webhooks differ from the configuration, deliveries fail, or the
check cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.github import GitHub
from reconciler.ci.marker import COMMENT_CHARACTERS, MarkerKind, encode, find
from reconciler.ci.organizations import environment_of, guarded
from reconciler.ci.run import JobResult, Run, reporting
from reconciler.ci.validate import check, files_only, listed_environments
from reconciler.errors import CredentialError, Interrupted, ReconcilerError
from reconciler.findings import Finding, warning
from reconciler.planning.delivery import Delivery
from reconciler.planning.run import RunPlan
from reconciler.render import View
from reconciler.render.markdown import code, code_block, render_error, render_run
from reconciler.render.quote import quote
from reconciler.render.words import counts, delivery_error, plural
from reconciler.workflow import Planned, Target, plan_all

_MAX_FAILING: Final = 50
"""The maximum number of webhooks in the issue whose deliveries fail."""


def drift(run: Run) -> JobResult:
    """Plan, and open, edit or close the drift issue. Drift is not a failure of the run."""
    try:
        sources = check(run)
        why = run.files_only_reason(sources)
        if why is not None:
            reported = _failed_check(run, CredentialError(why.message, hint=why.hint))
            return reported if reported.findings else files_only(sources, why, status="skipped")
        with run.connect([Target(source) for source in sources]) as connected:
            organizations = plan_all(connected)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return _failed_check(run, problem)
    result = guarded(run, organizations)
    if len(sources) == 1 and result.problems and result.problems[0].problem is not None:
        return _failed_check(run, result.problems[0].problem)
    drifted = any(plan.operations or plan.unapplied for plan in result.plans)
    findings: list[Finding] = []
    if run.github is None:
        message = "no GitHub token: the drift issue was not updated"
        findings.append(warning("no-token", message, "pass github-token"))
    else:
        commands = _drift_commands(run, organizations) if drifted else []
        _update_issue(run, run.github, result, commands, drifted=drifted)
    return JobResult(status="drift" if drifted else "no-drift", findings=findings, plan=result)


def _drift_commands(run: Run, organizations: Sequence[Planned]) -> list[str]:
    """Return the command that applies the files of each environment."""
    results: dict[str, list[Planned]] = {}
    run = replace(run, environments=listed_environments(run))
    for planned in organizations:
        environment = environment_of(run, planned.target.source)
        results.setdefault(environment, []).append(planned)
    # A schedule runs on the default branch.
    workflow = run.workflow.replace("drift", "apply")
    applying = replace(run, branch=run.applied_branch or run.branch, workflow=workflow)
    commands = []
    for environment, members in results.items():
        name = environment if len(results) > 1 else ""
        plans = RunPlan(tuple(planned.result for planned in members))
        commands.append(replace(applying, environment=name).digest_command(plans))
    return [command for command in commands if command is not None]


def _update_issue(
    run: Run, github: GitHub, result: RunPlan, commands: Sequence[str], *, drifted: bool
) -> None:
    """Write the drift issue, or close it."""
    plans = result.plans
    all_failing = [webhook for plan in plans for webhook in plan.failing]
    failing = all_failing[:_MAX_FAILING]
    marker = run.marker(MarkerKind.DRIFT)
    issues = github.open_issues()
    existing = find(issues, marker)
    not_run = [issue for issue in issues if run.is_not_run(issue, "drift")]
    github.close_issues(not_run, f"Resolved: {run.link} checked for drift.")
    if not drifted and not failing and not result.problems:
        compared = " in the compared fields" if any(plan.not_compared for plan in plans) else ""
        github.close_issues(existing, f"Resolved: {run.link} found no drift{compared}.")
        return
    known = dict(existing[0].marker.failing) if existing else {}
    since = {webhook.id: known.get(webhook.id) or _failed_at(webhook) for webhook in failing}
    marker = marker._replace(digest=result.digest, failing=tuple(sorted(since.items())))
    foot = _failing_text(all_failing, since)
    foot += f"\nFound by {run.link}. This issue closes when the next check finds no problem."
    if drifted:
        edit = code("webhooks drift --accept --only NAME")
        foot += f" To keep a live change, run {edit} on a branch, and merge the edit."
    if commands:
        block = code_block("\n".join(commands))
        foot += f" To apply the plan above:\n\n{block}"
    room = COMMENT_CHARACTERS - len(encode(marker)) - len(foot)
    shown = render_run(result, View(limit=room, apply_options=None))
    title = run.title(_drift_title(result, drifted=drifted))
    github.issue(title, marker, f"{shown}{foot}\n", existing)


def _drift_title(result: RunPlan, *, drifted: bool) -> str:
    plans = result.plans
    unapplied = sum(len(plan.unapplied) for plan in plans)
    failing = sum(len(plan.failing) for plan in plans)
    parts = [f"drift, {counts(*plans)}"] if drifted else []
    if unapplied:
        parts.append(f"{plural(unapplied, 'declaration')} not applied")
    if failing:
        parts.append(f"{plural(failing, 'webhook')} cannot deliver")
    if result.problems:
        parts.append(f"{plural(len(result.problems), 'organization')} not checked")
    return ", ".join(parts)


def _failing_text(failing: Sequence[Delivery], since: Mapping[str, str]) -> str:
    """Return the webhooks whose deliveries fail; `since` has the time of the first failure."""
    if not failing:
        return ""
    text = "\n### Failing deliveries\n\n"
    for webhook in failing[:_MAX_FAILING]:
        what = delivery_error(webhook.last_error)[:300]
        text += f"- {code(quote(webhook.name))}: {code(quote(what))}"
        text += f", since {code(quote(since[webhook.id]))}\n" if since[webhook.id] else "\n"
    if len(failing) > _MAX_FAILING:
        text += f"- and {len(failing) - _MAX_FAILING} more\n"
    return f"{text}\n`webhooks check` shows the cause and the fix.\n"


def _failed_at(webhook: Delivery) -> str:
    error = webhook.last_error
    return "" if error is None else error.timestamp or ""


def _failed_check(run: Run, problem: ReconcilerError) -> JobResult:
    """Open or update the issue for a failed check. If that fails, the result has a warning."""
    findings = list[Finding]()
    if run.github is not None:
        text = render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
        text += f"\nThe webhooks could not be compared; see {run.link}. "
        text += "This issue closes when a check succeeds."
        if run.rerun_command is not None:
            text += f" To try again:\n\n{code_block(run.rerun_command)}\n"
        with reporting(findings, "could not write the drift issue"):
            marker = run.marker(MarkerKind.DRIFT)
            existing = find(run.github.open_issues(), marker)
            # Keep the failing deliveries for the next check.
            marker = marker._replace(failing=existing[0].marker.failing if existing else ())
            title = run.title(f"the drift check cannot run ({problem.code})")
            run.github.issue(title, marker, text, existing)
    return JobResult(problem=problem, findings=findings)
