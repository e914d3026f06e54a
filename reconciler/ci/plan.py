"""Plan, and show the plan on GitHub: in comments of a pull request, or in the drift issue.

A plan that spans several comments counts as reviewed only once all of them are written: the first
comment is invalidated first and completed last. The oldest comment of a subject is part 1, the next
one part 2, and so on.

The drift issue is open while live webhooks differ from the configuration, deliveries fail, or the
check cannot run.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import COMMENT_CHARACTERS, Marker, MarkerKind, Post, encode, find
from reconciler.ci.matrix import changed_files, input_matcher, read_files
from reconciler.ci.reviews import (
    collect,
    history,
    merged_pulls,
    subject_of,
    unapproved,
    unreviewed,
    with_comments,
)
from reconciler.ci.run import JobResult, Run, reporting
from reconciler.ci.workflows import CALLER, WORKFLOWS, not_triggering
from reconciler.errors import (
    ConfigurationError,
    CredentialError,
    Interrupted,
    ReconcilerError,
    StalePlanError,
)
from reconciler.findings import Finding, note, warning
from reconciler.model import Desired
from reconciler.planning.delivery import Delivery
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import compare_with_review
from reconciler.render import View
from reconciler.render.markdown import code, code_block, paged_plan, render_error, render_plan
from reconciler.render.quote import quote
from reconciler.render.words import counts, delivery_error, plural
from reconciler.source.load import Loaded
from reconciler.workflow import Checked, gather, load, previous
from reconciler.workflow import plan as make_plan

_MAX_PARTS: Final = 10
"""The maximum number of comments for a plan."""

_POLICY: Final = "until it is merged, the version in the base branch applies, if there is one"
_MAX_FAILING: Final = 50
"""The maximum number of webhooks in the issue whose deliveries fail."""
_UPDATING: Final = "_Updating this plan. Merging applies nothing until the update is complete._\n"
_UNNEEDED: Final = "_This part of the plan is no longer needed._\n"


def validate(run: Run) -> JobResult:
    """Validate the files and return the result."""
    return files_only(check(run))


def check(run: Run, *, writing: bool = False) -> Checked:
    """Validate the files with warnings as errors. Raises ConfigurationError with all findings.

    With `writing`, a missing list of allowed secrets is an error, too. Warnings from planning
    depend on the live webhooks, not on the reviewed change, and do not fail the run.
    """
    inputs = run.inputs._replace(strict=True)
    if (run.pull is not None or run.merge_queue is not None) and inputs.policies:
        # From the base branch: a pull request cannot relax its own policies.
        inputs = inputs._replace(policy_base=run.base_commit)
        if inputs.git(["cat-file", "-e", run.base_commit]) is None:
            raise ConfigurationError(
                "policies cannot be read: the base commit is not in this clone",
                hint="check out with fetch-depth: 0",
            )
    checked = load(inputs)
    checked = checked._replace(inputs=run.inputs._replace(policy_base=inputs.policy_base))
    gather(checked, writing=writing)
    return checked


def _require_trigger(run: Run, loaded: Loaded) -> None:
    """Raise ConfigurationError if a later change of one of the files would not start the apply."""
    workflow = run.inputs.directory / CALLER
    if not workflow.is_file():
        return
    text = workflow.read_text(encoding="utf-8")
    if missing := not_triggering(text, read_files(run, loaded)):
        raise ConfigurationError(
            f"{CALLER} does not run if {' or '.join(missing)} changes, so the change would not be "
            "applied",
            hint="run `webhooks init --github` again, or add the file to `paths` in the workflow",
        )


def files_only(checked: Checked, *why: Finding, status: str = "validated") -> JobResult:
    """Return the result of a run that only checked the files, with the reason."""
    entries = plural(len(checked.desired.webhooks) + len(checked.desired.absent), "webhook")
    heading = f"The files are valid: {entries} declared"
    return JobResult(status=status, findings=(*checked.loaded.findings, *why), heading=heading)


def plan(run: Run) -> JobResult:
    """Plan, and comment on the pull request. A plan that a guard blocks fails the check."""
    try:
        checked = check(run)
        _require_trigger(run, checked.loaded)
        if (why := run.files_only_reason) is not None:
            return files_only(checked, why)
        if run.merge_queue is not None:
            return _check_merge_group(run, run.merge_queue, checked)
        commit = run.inputs.git(["merge-base", run.base_commit, "HEAD"]) if run.pull else None
        base_commit = None if commit is None else commit.decode("ascii").strip()
        findings, base = _base_configuration(run, checked, base_commit)
        options = PlanOptions(
            allow_deletes=run.allow_deletes, resend=run.resend, previous=base, base=base_commit
        )
        with run.connect() as connection:
            made = make_plan(gather(checked, connection.key), connection.api, options=options)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return JobResult(problem=problem, findings=_invalidate(run, problem))
    if run.pull is not None:
        changed = changed_files(run)
        relaxed = tuple(
            warning("policy-changed", f"this pull request changes the policy {each}; {_POLICY}")
            for each in run.inputs.policies
            if changed is not None and posixpath.normpath(each) in changed
        )
        made = made._replace(relaxed=(*made.relaxed, *relaxed))
        is_input = input_matcher(run, checked.loaded)
        # Merging a workflow starts the apply, too.
        is_touched = changed is None or any(it in WORKFLOWS or is_input(it) for it in changed)
        create = bool(made.blocked or (is_touched and (made.operations or made.relaxed)))
        try:
            findings += _comment(run, run.pull, _parts(made, run, run.pull), create=create)
        except ReconcilerError as problem:
            return JobResult(problem=problem, findings=findings, plan=made)
    return JobResult(plan=made, findings=findings)


def _check_merge_group(run: Run, branch: str, checked: Checked) -> JobResult:
    """Check the plan of a merge queue's commit against the reviews of its pull requests.

    Merged reviews not yet applied also count, as they do after the merge.
    """
    merged = merged_pulls(run, branch)
    github = run.github
    assert github is not None
    commits = github.queue(branch)
    numbers = dict.fromkeys(commits[each] for each in history(run) if each in commits)
    queue = [github.pull(each)._replace(comments=github.comments(each)) for each in numbers]
    with run.connect() as connection:
        api = connection.api
        subject = subject_of(run, api)
        pulls = with_comments(run, [*queue, *merged], [subject], known=queue)
        reviews, review = collect(run, pulls, subject)
        options = PlanOptions(allow_deletes=run.allow_deletes)
        made = make_plan(gather(checked, connection.key), api, options=options, review=review)
    findings = unapproved(reviews[: len(queue)])
    comparison = compare_with_review(made, review, allow_value_changes=True)
    if comparison.stale:
        names = ", ".join(quote(each.name) for each in comparison.stale[:5])
        stale = StalePlanError(
            f"the plan for {plural(len(comparison.stale), 'webhook')} differs from the reviewed "
            f"plan: {names}",
            hint="plan the pull request again: push to its branch or re-run its check",
        )
        return JobResult(problem=stale, findings=findings, plan=made)
    return JobResult(plan=made, findings=findings + unreviewed(made, comparison))


def _base_configuration(
    run: Run, checked: Checked, commit: str | None
) -> tuple[list[Finding], Desired | None]:
    """Return the configuration before the pull request; None, with a warning, if not known."""
    if run.pull is None:
        return [], None
    problem = "the base commit is not in this clone; check out with fetch-depth: 0"
    if commit is not None:
        try:
            return [], previous((commit,), checked)
        except ConfigurationError:
            problem = "the files of the base commit are not valid"
    what = "the plan does not separate this pull request's changes from drift"
    return [warning("no-base", f"{what}: {problem}")], None


def _parts(made: Plan, run: Run, pull: Pull) -> list[tuple[Marker, str]]:
    """Return the comments for a plan, each with its operations."""
    marker = run.marker(MarkerKind.PLAN).for_plan(made)
    marker = marker._replace(part=_MAX_PARTS, total=_MAX_PARTS)
    foot = f"Commit {pull.head[:12]} · [run]({run.url})"

    def marker_for(places: tuple[int, ...]) -> Marker:
        return marker._replace(
            operations=tuple(each for place in places for each in made.digests[place]),
            resends=tuple(each for place in places for each in _resends(made, place)),
        )

    empty_size = len(encode(marker))
    if run.applied_branch not in ("", pull.branch):
        marker = marker._replace(digest=None)
        here, there = code(quote(pull.branch)), code(quote(run.applied_branch))
        foot = f"This pull request targets {here}, but only {there} is applied. {foot}"
    elif made.blocked:
        way = "After a merge, apply comments with the command that allows this plan once."
        foot = f"Until this is fixed, merging applies nothing. {way} {foot}"
    elif made.operations:
        foot = f"Merging applies exactly the changes shown here and rejects any others. {foot}"
    pages = paged_plan(
        made,
        limit=COMMENT_CHARACTERS - empty_size,
        max_pages=_MAX_PARTS,
        extra=lambda place: len(encode(marker_for((place,)))) - empty_size,
        foot=foot,
    )
    return [
        (marker_for(places)._replace(part=number, total=len(pages)), text)
        for number, (text, places) in enumerate(pages, start=1)
    ]


def _resends(made: Plan, place: int) -> Sequence[tuple[str, Resend]]:
    """Return the resends of the operation at index `place`, each with its digest."""
    sent = resends((made.operations[place],))
    # They are the last digests of an operation, in this order.
    digests = [each.digest for each in made.digests[place]]
    return list(zip(digests[len(digests) - len(sent) :], sent, strict=True))


def _invalidate(run: Run, problem: ReconcilerError) -> list[Finding]:
    """Invalidate the plan of an earlier commit, because this commit has no plan.

    If that fails, return a warning, so that the original problem is still reported.
    """
    pull = run.pull
    if pull is None or run.files_only_reason is not None:
        return []
    text = render_error(problem, View(limit=COMMENT_CHARACTERS // 2))
    text += f"\nMerging applies nothing. Commit {pull.head[:12]} · [run]({run.url})\n"
    findings = list[Finding]()
    with reporting(findings, "could not edit the comment"):
        findings += _comment(run, pull, [(run.marker(MarkerKind.PLAN), text)], create=False)
    return findings


def _comment(
    run: Run, pull: Pull, parts: list[tuple[Marker, str]], *, create: bool
) -> list[Finding]:
    """Write the comments, or return the reason for not changing them."""
    if run.commenting == "false":
        return []
    message = "there is no GitHub token to comment with"
    github = run.require_github(message, "set comment to false")
    found = find(github.comments(pull.number), parts[0][0])
    if found or create or run.commenting == "true":
        now = github.pull(pull.number)
        if not now.is_open or now.head != pull.head:
            why = "the pull request is closed or has a newer commit, so its plan is not changed"
            return [note("review-frozen", why)]
        write_comments(github, pull.number, found, parts)
    return []


def write_comments(
    github: GitHub, number: int, found: Sequence[Post], parts: Sequence[tuple[Marker, str]]
) -> None:
    """Replace the text of the comments in `found` with `parts`; create missing comments."""
    empty = parts[0][0]._replace(digest=None, part=1, total=1, operations=(), resends=())
    others = [*parts[1:], *[(empty, _UNNEEDED)] * (len(found) - len(parts))]
    if others and [each.body for each in found[1:]] != [github.body(*each) for each in others]:
        # While the other comments change, the first one must not approve them.
        github.comment(number, empty, _UPDATING, found)
        found = find(github.comments(number), empty)
        for index, (marker, text) in enumerate(others, start=1):
            github.comment(number, marker, text, found[index:])
    github.comment(number, *parts[0], found)


def drift(run: Run) -> JobResult:
    """Plan, and open, edit or close the drift issue. Drift is not a failure of the run."""
    try:
        checked = check(run)
        if (why := run.files_only_reason) is not None:
            reported = _failed_check(run, CredentialError(why.message, hint=why.hint))
            return reported if reported.findings else files_only(checked, why, status="skipped")
        with run.connect() as connection:
            gathered = gather(checked, connection.key)
            made = make_plan(gathered, connection.api, options=PlanOptions())
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return _failed_check(run, problem)
    drifted = bool(made.operations or made.unapplied)
    findings: list[Finding] = []
    if run.github is None:
        message = "no GitHub token: the drift issue was not updated"
        findings.append(warning("no-token", message, "pass github-token"))
    else:
        _update_issue(run, run.github, made, drifted=drifted)
    return JobResult(status="drift" if drifted else "no-drift", findings=findings, plan=made)


def _update_issue(run: Run, github: GitHub, made: Plan, *, drifted: bool) -> None:
    """Write the drift issue, or close it."""
    failing = made.failing[:_MAX_FAILING]
    marker = run.marker(MarkerKind.DRIFT).for_plan(made)
    issues = github.open_issues()
    existing = find(issues, marker)
    not_run = [issue for issue in issues if run.is_not_run(issue, "drift")]
    github.close_issues(not_run, f"Resolved: {run.link} checked for drift.")
    if not drifted and not failing:
        compared = " in the compared fields" if made.not_compared else ""
        github.close_issues(existing, f"Resolved: {run.link} found no drift{compared}.")
        return
    known = dict(existing[0].marker.failing) if existing else {}
    since = {webhook.id: known.get(webhook.id) or _failed_at(webhook) for webhook in failing}
    marker = marker._replace(failing=tuple(sorted(since.items())))
    title = [f"drift, {counts(made)}"] if drifted else []
    if made.unapplied:
        title.append(f"{plural(len(made.unapplied), 'declaration')} not applied")
    if failing:
        title.append(f"{plural(len(made.failing), 'webhook')} cannot deliver")
    foot = "\n### Failing deliveries\n\n" if failing else ""
    for webhook in failing:
        what = delivery_error(webhook.last_error)[:300]
        foot += f"- {code(quote(webhook.name))}: {code(quote(what))}"
        foot += f", since {code(quote(since[webhook.id]))}\n" if since[webhook.id] else "\n"
    if len(made.failing) > len(failing):
        foot += f"- and {len(made.failing) - len(failing)} more\n"
    if failing:
        foot += "\n`webhooks check` shows the cause and the fix.\n"
    foot += f"\nFound by {run.link}. This issue closes when the next check finds no problem."
    if drifted:
        foot += " To keep a live change, add it to the configuration."
    # A schedule runs on the default branch.
    workflow = run.workflow.replace("drift", "apply")
    applying = replace(run, branch=run.applied_branch or run.branch, workflow=workflow)
    if (command := applying.digest_command(made)) is not None:
        foot += f" To apply the plan above:\n\n{code_block(command)}"
    room = COMMENT_CHARACTERS - len(encode(marker)) - len(foot)
    shown = render_plan(made, View(limit=room, apply_options=None))
    github.issue(run.title(", ".join(title)), marker, f"{shown}{foot}\n", existing)


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
