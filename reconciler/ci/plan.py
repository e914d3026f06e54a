"""Plan the change of a pull request, and show the plan in its comments."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.ci.comment import comment, invalidate, parts_of
from reconciler.ci.concerned import (
    changed_since,
    concerned_by_change,
    input_matcher,
    merge_base,
    organizations_before,
)
from reconciler.ci.marker import Post
from reconciler.ci.merge_queue import check_merge_group
from reconciler.ci.organizations import guarded, subject_of
from reconciler.ci.run import JobResult, Run
from reconciler.ci.validate import check, files_only, require_trigger
from reconciler.ci.workflows import WORKFLOWS
from reconciler.errors import ConfigurationError, Interrupted, ReconcilerError
from reconciler.findings import Finding, warning
from reconciler.model import Desired
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import RunPlan
from reconciler.render.quote import quote
from reconciler.workflow import Source, Target, plan_all, previous

_POLICY: Final = "until it is merged, the version in the base branch applies, if there is one"


def plan(run: Run) -> JobResult:
    """Plan, and comment on the pull request. A plan that a guard blocks fails the check."""
    try:
        sources = check(run)
        require_trigger(run, sources)
        why = run.files_only_reason(sources)
        if why is not None:
            return files_only(sources, why)
        if run.merge_queue is not None:
            return check_merge_group(run, run.merge_queue, sources)
        return _plan_change(run, sources)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return JobResult(problem=problem, findings=invalidate(run, problem))


def _plan_change(run: Run, sources: tuple[Source, ...]) -> JobResult:
    """Plan the organizations that a change concerns. Raises the problem of a single one."""
    posts: Sequence[Post] = ()
    if run.pull is not None and run.github is not None and run.commenting != "false":
        posts = run.github.comments(run.pull.number)
    findings: list[Finding] = []
    chosen = sources
    if run.pull is not None:
        planned = [known for post in posts for known in post.marker.subjects]
        chosen = concerned_by_change(run, sources, planned)
        findings += _removed(run, sources)
    targets = [_target(run, source, findings) for source in chosen]
    with run.connect(targets) as connected:
        organizations = plan_all(connected, allow_deletes=run.allow_deletes)
    result = guarded(run, organizations)
    if len(sources) == 1 and result.problems and result.problems[0].problem is not None:
        raise result.problems[0].problem
    if run.pull is None:
        return JobResult(plan=result, findings=findings)
    changed = changed_since(run, run.base_commit)
    result = _with_policies(run, result, changed)
    is_input = input_matcher(run, sources)
    # Merging a workflow starts the apply, too.
    is_touched = changed is None or any(it in WORKFLOWS or is_input(it) for it in changed)
    declared = [subject_of(planned.target.source) for planned in organizations]
    parts = parts_of(result, run, run.pull, declared)
    try:
        findings += comment(run, run.pull, parts, create=_is_shown(result, is_touched))
    except ReconcilerError as problem:
        return JobResult(problem=problem, findings=findings, plan=result)
    return JobResult(plan=result, findings=findings)


def _is_shown(result: RunPlan, is_touched: bool) -> bool:
    """Return whether a plan gets a comment if it has none; `is_touched` means by this change."""
    if any(plan.blocked for plan in result.plans):
        return True
    is_changed = any(plan.operations or plan.relaxed for plan in result.plans)
    return is_touched and (is_changed or bool(result.problems))


def _target(run: Run, source: Source, findings: list[Finding]) -> Target:
    """Return how an organization is planned; without a known base, add a warning."""
    before, problem = _base_configuration(run, source)
    if problem is not None and problem not in findings:
        findings.append(problem)
    return Target(source, options=PlanOptions(resend=run.resend, previous=before))


def _with_policies(run: Run, result: RunPlan, changed: frozenset[str] | None) -> RunPlan:
    """Return the plans with a warning for each policy that the pull request changes."""
    relaxed = tuple(
        warning("policy-changed", f"this pull request changes the policy {each}; {_POLICY}")
        for each in run.inputs.policies
        if changed is not None and posixpath.normpath(each) in changed
    )
    return RunPlan(
        tuple(
            each
            if each.value is None
            else each._replace(value=each.value._replace(relaxed=(*each.value.relaxed, *relaxed)))
            for each in result.organizations
        )
    )


def _removed(run: Run, sources: Iterable[Source]) -> list[Finding]:
    """Return a warning for each organization that no file declares any more."""
    now = {source.files.organization for source in sources}
    # An organization that was renamed has the same key.
    keys = {source.files.api_key for source in sources if source.files.api_key is not None}
    before = organizations_before(run, run.base_commit) or {}
    return [
        warning(
            "organization-removed",
            f"{quote(name)} is no longer declared: its webhooks stay live, and merged plans that "
            "are not applied yet are dropped",
            "if the webhooks must go, too, delete them first, as in docs/organizations.md",
        )
        for name, (files, _) in before.items()
        if name is not None and name not in now and files.api_key not in keys
    ]


def _base_configuration(run: Run, source: Source) -> tuple[Desired | None, Finding | None]:
    """Return the configuration before the pull request; None, with a warning, if not known."""
    if run.pull is None:
        return None, None
    problem = "the base commit is not in this clone; check out with fetch-depth: 0"
    commit = merge_base(run, run.base_commit)
    if commit is not None:
        try:
            return previous((commit,), source.checked), None
        except ConfigurationError:
            problem = "the files of the base commit are not valid"
    what = "the plan does not separate this pull request's changes from drift"
    return None, warning("no-base", f"{what}: {problem}")
