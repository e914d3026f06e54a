"""The drift issue: open while live webhooks differ from the configuration, deliveries fail, or the
check cannot run.
"""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from reconciler.ci import JobResult
from reconciler.ci.github import GitHub, reporting
from reconciler.ci.marker import MAX_COMMENT_LENGTH, MarkerKind, Post, encode, find_posts
from reconciler.ci.organizations import by_environment, check, guarded, require_single
from reconciler.ci.reviews import bases
from reconciler.ci.run import Run
from reconciler.ci.workflows import CALLER, workflow_text
from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, plural, shorten, warning
from reconciler.planning.plan import Plan, Snapshot
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import requests_for, resends
from reconciler.planning.review import values_only
from reconciler.planning.run import DriftReport, RunPlan
from reconciler.render import View
from reconciler.render.markdown import code, code_block, render_error
from reconciler.render.quote import prose, quote, with_options
from reconciler.render.words import counts, delivery_error
from reconciler.workflow import Planned, Source, Target, plan_all
from reconciler.workflow.accepting import find_drift
from reconciler.workflow.drift import Base
from reconciler.workflow.run import identify, own_resends

_MAX_FAILING: Final = 50
"""The maximum number of webhooks in the issue whose deliveries fail."""
_MAX_LEFT_OUT: Final = 20
"""The maximum number of secrets in the issue that no command sends."""

_DIGEST: Final = re.compile(r"(?<![\w-])digest:")
"""The input of a workflow that applies a plan by its digest."""

_NO_COMMAND: Final = (
    "The command that applies the files would be too long for GitHub, or show a secret: open a "
    "pull request that increments the `version` of the secrets, and merge its plan."
)


class _Comparison(NamedTuple):
    """What a check found: the plans of the files, the drift, and the ways to revert all of it."""

    plans: RunPlan
    report: DriftReport
    ways: Sequence[str]


def drift(run: Run) -> JobResult:
    """Find what changed live, and open, edit or close the drift issue.

    Drift is not a failure of the run.
    """
    try:
        sources = check(run)
        comparison = _compare(run, sources)
    except ReconcilerError as problem:
        return _failed_check(run, problem)
    result = JobResult(
        status="drift" if comparison.report.needs_attention else "no-drift",
        plan=comparison.plans,
        drift=comparison.report,
        apply_options=run.inputs.apply_options,
        redacted=run.inputs.redacted,
    )
    if run.github is None:
        message = "no GitHub token: the drift issue was not updated"
        return replace(result, findings=[warning("no-token", message, "pass github-token")])
    try:
        _update_issue(run, run.github, result, comparison.ways)
    except ReconcilerError as problem:  # the log still shows the drift
        return replace(result, problem=problem)
    return result


def _compare(run: Run, sources: Sequence[Source]) -> _Comparison:
    """Compare the live webhooks with the files. Raises the problem of a single organization."""
    with run.connect([Target(source) for source in sources]) as connected:
        # Before the plans: what is applied in between is then not taken for drift.
        targets = identify(connected)
        known = bases(run, targets)
        targets = tuple(
            target._replace(options=_options(base))
            for target, base in zip(targets, known, strict=True)
        )
        planned = plan_all(targets)
        requests = [_waiting_secrets(organization) for organization in planned]
        by_digest = _by_digest(planned, requests)
    require_single(sources, planned)
    # Only this job knows what waits: without a base, the suggested commands would be careful.
    revision = next((base.revision for base in known if base.revision), "")
    words = ("--base", revision) if revision else ()
    report = find_drift(planned, known, named=run.paths, base=words)
    # The key of this job can only read: a workflow with the other key must revert.
    ways = _ways_to_revert(run, by_digest, requests, report)
    report = report._replace(reverted_together=bool(ways))
    return _Comparison(guarded(run, planned), report, ways)


def _options(base: Base) -> PlanOptions:
    # Without the resends, a rotation that no run applied would look like no drift.
    return PlanOptions(previous=base.desired, reviewed=base.merged.resends)


def _waiting_secrets(organization: Planned) -> tuple[str, ...]:
    """Return the names of the webhooks whose secrets wait to be sent."""
    operations = organization.plan.operations if organization.plan else ()
    names = {resend.webhook for resend in resends(operations)}
    # A webhook without secrets cannot be named.
    named = own_resends(names, organization.target, 1).keys()
    declared = organization.target.checked.desired.webhooks
    return tuple(sorted(requests_for(declared, named)))


def _by_digest(
    planned: Sequence[Planned], requests: Sequence[tuple[str, ...]]
) -> Sequence[Planned]:
    """Return the plans of an apply by digest.

    It reads no reviews: its command names each webhook, of which it sends all secrets.
    """
    if not any(requests):
        return planned
    return plan_all(
        [
            organization.target._replace(options=PlanOptions(resend=names))
            for organization, names in zip(planned, requests, strict=True)
        ]
    )


def _ways_to_revert(
    run: Run, planned: Sequence[Planned], requests: Sequence[Sequence[str]], report: DriftReport
) -> list[str]:
    """Return the command that applies the files, for each environment with drift, as Markdown."""
    # A job applies one environment, so each needs a separate command.
    environments = by_environment(run, planned)
    ways: list[str] = []
    for environment, indexes in environments.items():
        plans = RunPlan(tuple(planned[index].result for index in indexes))
        drifts = tuple(report.organizations[index] for index in indexes)
        name = environment if len(environments) > 1 else ""
        ways += _way_to_revert(
            replace(run, environment=name),
            plans,
            report._replace(organizations=drifts),
            _requests_of(plans, [requests[index] for index in indexes]),
        )
    return ways


def _requests_of(plans: RunPlan, requests: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the requests of the organizations of a run, for one command."""
    words: set[str] = set()
    for organization, names in zip(plans.organizations, requests, strict=True):
        # Another organization may have a webhook of this name, whose secret does not wait.
        prefix = f"{organization.name}: " if len(requests) > 1 else ""
        words.update(f"{prefix}{name}" for name in names)
    return tuple(sorted(words))


def _way_to_revert(
    run: Run, plans: RunPlan, report: DriftReport, resend: tuple[str, ...]
) -> list[str]:
    """Return how to revert the changes of the environment of a run, if it has any.

    `resend` are the requests of the secrets that the plans resend.
    """
    if not run.workflow or not report.differs:
        return []
    # A schedule runs on the default branch.
    branch = run.applied_branch or run.branch
    applying = replace(run, branch=branch, workflow=_applying_workflow(run))
    command = applying.digest_command(plans, resend)
    ways = _left_out(plans, has_command=command is not None)
    if command is not None:
        effect = _effect(run, plans, report, is_partial=bool(ways))
        ways.append(f"{effect}:\n\n{code_block(command)}")
    elif plans.digest:
        ways.append(_NO_COMMAND)
    return ways


def _applying_workflow(run: Run) -> str:
    """Return the file name of the workflow that applies a plan by its digest."""
    folder, name = posixpath.split(run.caller)
    for known in (name, run.workflow, posixpath.basename(CALLER)):
        # GitHub refuses an input that a workflow does not have.
        if _DIGEST.search(workflow_text(run.inputs.directory / folder / known)):
            return known
    return name


def _effect(run: Run, plans: RunPlan, report: DriftReport, *, is_partial: bool) -> str:
    """Return what the command that applies plans by their digest is for."""
    is_drift = not report.unknown and any(report.webhooks)
    what = "To revert all changes" if is_drift else "To apply the files"
    if is_partial:
        what = "To apply the rest"
    if run.environment:
        what += f" in {code(quote(run.environment))}"
    if is_drift and report.has_waiting_changes:
        what += ", and also apply what is not applied yet"
    if any(plan.blocked for plan in plans.plans):
        what += ", although a guard blocks it"
    return what


def _left_out(plans: RunPlan, *, has_command: bool) -> list[str]:
    """Return the secrets that no command sends, because no digest covers them, as Markdown."""
    webhooks: dict[str, list[str]] = {}
    for plan in plans.plans:
        prefix = f"{plan.organization.name}: " if len(plans.plans) > 1 else ""
        for name, advice in values_only(plan):
            webhooks.setdefault(advice, []).append(code(quote(f"{prefix}{name}")))
    if not webhooks:
        return []
    text = "No command applies these changes:\n"
    if has_command:
        text = "The command below does not apply these changes; its run fails because of them:\n"
    for advice, names in islice(webhooks.items(), _MAX_LEFT_OUT):
        text += f"\n- {shorten(names, 3)}: {code(prose(advice))}"
    if len(webhooks) > _MAX_LEFT_OUT:
        text += f"\n- and {len(webhooks) - _MAX_LEFT_OUT} more secrets"
    return [text]


def _update_issue(run: Run, github: GitHub, result: JobResult, ways: Sequence[str]) -> None:
    """Write the drift issue, with the `ways` to revert all changes, or close it."""
    assert result.drift is not None
    plans = result.plan.plans
    failing = [webhook for plan in plans for webhook in plan.failing]
    marker = run.marker(MarkerKind.DRIFT)
    issues = github.open_issues()
    existing = find_posts(issues, marker)
    # The last step of the workflow opens such an issue; this run did start.
    not_run = run.not_run(issues, "drift")
    github.close_issues(not_run, f"Resolved: {run.link} checked for drift.")
    if not result.drift.needs_attention and not failing and not result.plan.problems:
        compared = " in the compared fields" if any(plan.not_compared for plan in plans) else ""
        github.close_issues(existing, f"Resolved: {run.link} found no drift{compared}.")
        return
    since = _failing_since(failing[:_MAX_FAILING], existing)
    digest = _closing_digest(result.plan, ways)
    marker = marker._replace(digest=digest, failing=tuple(sorted(since.items())))
    foot = _failing_text(run, plans, since) + _foot(run, result.drift, ways)
    room = MAX_COMMENT_LENGTH - len(encode(marker)) - len(foot)
    title = run.title(_drift_title(result.drift, result.plan))
    github.issue(title, marker, f"{result.render('markdown', room)}{foot}\n", existing)


def _closing_digest(plans: RunPlan, ways: Sequence[str]) -> str | None:
    """Return the digest of the plan whose apply leaves nothing of the issue; None without one."""
    has_others = plans.problems or any(plan.failing or plan.unapplied for plan in plans.plans)
    return plans.digest if len(ways) == 1 and not has_others else None


def _foot(run: Run, report: DriftReport, ways: Iterable[str]) -> str:
    """Return what a reader of the drift issue can do."""
    text = f"\nFound by {run.link}. This issue closes when the next check finds no problem."
    if any(report.webhooks):
        text += " To accept a change, edit the files on a branch, and merge the edit: "
        text += "its command or the diff does that, if there is one."
    return text + "".join(f"\n\n{way}" for way in ways)


def _failing_since(failing: Iterable[Snapshot], existing: Sequence[Post]) -> dict[str, str]:
    """Return the time of the first failure by the id of each webhook, kept by the issue."""
    known: dict[str, str] = {}
    for issue in existing[:1]:
        known.update(issue.marker.failing)
    since: dict[str, str] = {}
    for webhook in failing:
        failed_at = webhook.last_error and webhook.last_error.timestamp
        # CloudTruth has only the last error; the issue remembers the first one.
        since[webhook.id] = known.get(webhook.id) or failed_at or ""
    return since


def _drift_title(report: DriftReport, plans: RunPlan) -> str:
    drifts = report.drifts
    numbers = [
        ("change", sum(drift.overdue for drift in drifts), "possibly not applied"),
        ("secret", sum(len(drift.not_equal) for drift in drifts), "not equal"),
        ("declaration", sum(len(drift.unapplied) for drift in drifts), "not applied"),
        ("webhook", sum(len(plan.failing) for plan in plans.plans), "cannot deliver"),
        ("organization", len(plans.problems), "not checked"),
    ]
    parts = [f"{plural(number, noun)} {state}" for noun, number, state in numbers if number]
    return ", ".join(filter(None, [_drifted(report, plans), *parts]))


def _drifted(report: DriftReport, plans: RunPlan) -> str:
    """Return the number of changes that are drift or may be, empty if there is none."""
    if report.unknown and report.differs:
        return f"drift or file changes, {counts(*plans.plans)}"
    drifted = [
        drift.plan.select([index for webhook in drift.drifted for index in webhook.operations])
        for drift in report.drifts
    ]
    if any(plan.operations for plan in drifted):
        return f"drift, {counts(*drifted)}"
    return ""


def _failing_text(run: Run, plans: Sequence[Plan], since: Mapping[str, str]) -> str:
    """Return the webhooks whose deliveries fail; `since` has the time of the first failure."""
    failing = [(plan.organization.name, webhook) for plan in plans for webhook in plan.failing]
    if not failing:
        return ""
    text = "\n### Failing deliveries\n\n"
    for organization, webhook in failing[:_MAX_FAILING]:
        # Whole words, because a part of a secret could not be found and hidden.
        what = textwrap.shorten(delivery_error(webhook.last_error), 300, placeholder=" ...")
        where = f" in {code(quote(organization))}" if len(plans) > 1 else ""
        text += f"- {code(quote(webhook.name))}{where}: {code(quote(what))}"
        if since[webhook.id]:
            text += f", since {code(quote(since[webhook.id]))}"
        text += "\n"
    if len(failing) > _MAX_FAILING:
        text += f"- and {len(failing) - _MAX_FAILING} more\n"
    command = with_options("`webhooks check`", run.file_options)
    return f"{text}\n{command} shows the cause and the fix.\n"


def _failed_check(run: Run, problem: ReconcilerError) -> JobResult:
    """Open or update the issue for a failed check. If that fails, the result has a warning."""
    findings = list[Finding]()
    if run.github is not None:
        text = render_error(problem, View(limit=MAX_COMMENT_LENGTH // 2))
        text += f"\nThe webhooks could not be compared; see {run.link}. "
        text += "This issue closes when a check succeeds."
        if run.rerun_command is not None:
            text += f" To try again:\n\n{code_block(run.rerun_command)}\n"
        with reporting(findings, "could not write the drift issue"):
            marker = run.marker(MarkerKind.DRIFT)
            existing = find_posts(run.github.open_issues(), marker)
            # Keep the failing deliveries for the next check.
            for issue in existing[:1]:
                marker = marker._replace(failing=issue.marker.failing)
            title = run.title(f"the drift check cannot run ({problem.code})")
            run.github.issue(title, marker, text, existing)
    return JobResult(problem=problem, findings=findings)
