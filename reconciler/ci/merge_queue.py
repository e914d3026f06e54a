"""Check the commit of a merge queue against the reviews of its pull requests."""

from __future__ import annotations

from reconciler.ci.concerned import concerned_by_change
from reconciler.ci.marker import Subject
from reconciler.ci.organizations import guarded, identified
from reconciler.ci.reviews import (
    collect,
    history,
    merged_pulls,
    unapproved,
    unreviewed,
    with_comments,
)
from reconciler.ci.run import JobResult, Run
from reconciler.errors import StalePlanError
from reconciler.findings import Finding
from reconciler.planning.review import Review, compare_with_review
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.workflow import Source, Target, plan_all


def check_merge_group(run: Run, branch: str, sources: tuple[Source, ...]) -> JobResult:
    """Check the plan of a merge queue's commit against the reviews of its pull requests.

    Merged reviews not yet applied also count, as they do after the merge.
    """
    merged = merged_pulls(run, branch)
    github = run.github
    assert github is not None
    commits = github.queue(branch)
    numbers = dict.fromkeys(commits[each] for each in history(run) if each in commits)
    queue = [github.pull(each)._replace(comments=github.comments(each)) for each in numbers]
    targets = [Target(source) for source in concerned_by_change(run, sources)]
    with run.connect(targets) as connected:
        subjects = identified(connected)
        known = [subject for subject in subjects if isinstance(subject, Subject)]
        pulls = with_comments(run, [*queue, *merged], known, known=queue)
        reviewed: list[Target] = []
        found: list[Finding] = []
        for target, subject in zip(connected, subjects, strict=True):
            if isinstance(subject, Subject):
                reviews, review = collect(run, pulls, subject)
                found += unapproved(reviews[: len(queue)])
                target = target._replace(review=review)
            reviewed.append(target)
        organizations = plan_all(reviewed, allow_deletes=run.allow_deletes, reviewed=True)
    result = guarded(run, organizations)
    findings = list(dict.fromkeys(found))
    stale: list[str] = []
    for planned in organizations:
        if planned.plan is not None:
            review = planned.target.review or Review(origin="", organization="")
            comparison = compare_with_review(planned.plan, review, allow_value_changes=True)
            stale += [quote(each.name) for each in comparison.stale]
            if not comparison.stale:
                findings += unreviewed(planned.plan, comparison)
    if stale:
        problem = StalePlanError(
            f"the plan for {plural(len(stale), 'webhook')} differs from the reviewed "
            f"plan: {', '.join(stale[:5])}",
            hint="plan the pull request again: push to its branch or re-run its check",
        )
        return JobResult(problem=problem, findings=findings, plan=result)
    return JobResult(plan=result, findings=findings)
