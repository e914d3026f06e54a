"""Check the commit of a merge queue against the reviews of its pull requests."""

from __future__ import annotations

from dataclasses import replace

from reconciler.ci.concerned import concerned_by_change
from reconciler.ci.github import GitHub, Pull
from reconciler.ci.organizations import guarded, subject_of_key
from reconciler.ci.reviews import (
    NO_TOKEN,
    collect,
    history,
    merged_pulls,
    unapproved,
    unreviewed,
)
from reconciler.ci.run import JobResult, Run
from reconciler.errors import StalePlanError
from reconciler.findings import Finding
from reconciler.planning.review import Review, compare_with_review
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.workflow import Source, Target, plan_all
from reconciler.workflow.run import identify


def check_merge_group(run: Run, branch: str, sources: tuple[Source, ...]) -> JobResult:
    """Check the plan of a merge queue's commit against the reviews of its pull requests.

    Merged reviews not yet applied also count, as they do after the merge.
    """
    github = run.require_github(*NO_TOKEN)
    queue = _queued(run, github, branch)
    findings: list[Finding] = []
    stale: list[str] = []
    with run.connect([Target(source) for source in concerned_by_change(run, sources)]) as connected:
        # A review is matched by the organization of the key, which a file may name differently.
        targets = identify(connected)
        subjects = [subject_of_key(target) for target in targets]
        pulls = [*queue, *merged_pulls(run, branch, subjects)]
        pending: list[Review] = []
        for subject in subjects:
            reviews, review = collect(run, pulls, subject)
            # What merged pull requests lack cannot be changed in this group any more.
            findings += unapproved(reviews[: len(queue)])
            pending.append(review)
        planned = plan_all(
            [
                target._replace(review=review)
                for target, review in zip(targets, pending, strict=True)
            ],
            allow_deletes=run.allow_deletes,
            reviewed=True,
        )
    for organization, review in zip(planned, pending, strict=True):
        if organization.plan is not None:
            comparison = compare_with_review(organization.plan, review, allow_value_changes=True)
            stale += [quote(operation.name) for operation in comparison.stale]
            if not comparison.stale:
                findings += unreviewed(organization.plan, comparison)
    result = JobResult(plan=guarded(run, planned), findings=list(dict.fromkeys(findings)))
    if not stale:
        return result
    problem = StalePlanError(
        f"the plan for {plural(len(stale), 'webhook')} differs from the reviewed "
        f"plan: {', '.join(stale[:5])}",
        hint="plan the pull request again: push to its branch or re-run its check",
    )
    return replace(result, problem=problem)


def _queued(run: Run, github: GitHub, branch: str) -> list[Pull]:
    """Return the pull requests whose changes the commit contains, with their comments."""
    # A group contains the pull requests before it: each has a commit in the history of this one.
    commits = github.queue(branch)
    numbers = dict.fromkeys(commits[commit] for commit in history(run) if commit in commits)
    return [github.pull(number)._replace(comments=github.comments(number)) for number in numbers]
