"""Plan, and show the plan on GitHub: in comments of a pull request, or in the drift issue.

A plan that spans several comments counts as reviewed only once all of them are written: the first
comment is invalidated first and completed last. The oldest comment of a subject is part 1, the next
one part 2, and so on.

The drift issue is open while live webhooks differ from the configuration, deliveries fail, or the
check cannot run.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.ci.concerned import (
    changed_since,
    concerned_by_change,
    environment_of,
    input_matcher,
    merge_base,
    organizations_before,
    read_files,
    subject_of,
)
from reconciler.ci.github import GitHub, Pull
from reconciler.ci.marker import (
    COMMENT_CHARACTERS,
    Marker,
    MarkerKind,
    Post,
    ShownOperation,
    Subject,
    encode,
    find,
)
from reconciler.ci.reviews import (
    collect,
    history,
    merged_pulls,
    unapproved,
    unreviewed,
    with_comments,
)
from reconciler.ci.run import JobResult, Run, reporting
from reconciler.ci.workflows import CALLER, WORKFLOWS, environments_in, not_triggering
from reconciler.errors import (
    ConfigurationError,
    CredentialError,
    Interrupted,
    ReconcilerError,
    StalePlanError,
)
from reconciler.findings import Finding, error, note, warning
from reconciler.model import Desired
from reconciler.planning.delivery import Delivery
from reconciler.planning.guards import guard_all
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review, compare_with_review
from reconciler.planning.run import RunPlan
from reconciler.render import View
from reconciler.render.markdown import (
    Members,
    code,
    code_block,
    paged_run,
    render_error,
    render_run,
)
from reconciler.render.quote import quote
from reconciler.render.words import counts, delivery_error, plural
from reconciler.workflow import (
    Planned,
    Source,
    Target,
    gather,
    load_all,
    organizations_of,
    plan_all,
    previous,
)

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


def check(run: Run, *, writing: bool = False) -> tuple[Source, ...]:
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
    sources = tuple(
        source._replace(
            checked=source.checked._replace(
                inputs=source.files.inputs._replace(strict=False, policy_base=inputs.policy_base)
            )
        )
        for source in load_all(inputs)
    )
    _require_environments(run, sources)
    if len(sources) == 1:  # with several, a wrong secret is the problem of its organization
        gather(sources[0].checked, writing=writing)
    return sources


def _require_environments(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a file names an environment that the workflow does not list.

    GitHub would create it, without reviewers.
    """
    known = {name.casefold() for name in _listed_environments(run)}
    paths = "".join(f" -f {path}" for path in run.paths)
    unknown = {
        error(
            "unknown-environment",
            f"{', '.join(source.files.paths)} names the environment {environment!r}, which "
            f"{CALLER} does not list",
            f"create it with required reviewers, and add it with `webhooks init --github{paths}`",
        )
        for source in sources
        for environment in [source.checked.desired.environment]
        if environment is not None and known and environment.casefold() not in known
    }
    if unknown:
        raise ConfigurationError("the files are invalid", findings=tuple(unknown))


def _listed_environments(run: Run) -> tuple[str, ...]:
    """Return the environments of apply, the default one first; () if they are not known."""
    return run.environments or environments_in(_apply_workflow(run))


def _apply_workflow(run: Run) -> str:
    """Return the text of the workflow that applies pushes, empty without it."""
    workflow = run.inputs.directory / CALLER
    return workflow.read_text(encoding="utf-8") if workflow.is_file() else ""


def _require_trigger(run: Run, sources: Iterable[Source]) -> None:
    """Raise ConfigurationError if a later change of one of the files would not start the apply."""
    if missing := not_triggering(_apply_workflow(run), read_files(run, sources)):
        raise ConfigurationError(
            f"{CALLER} does not run if {' or '.join(missing)} changes, so the change would not be "
            "applied",
            hint="run `webhooks init --github` again, or add the file to `paths` in the workflow",
        )


def files_only(sources: Sequence[Source], *why: Finding, status: str = "validated") -> JobResult:
    """Return the result of a run that only checked the files, with the reason."""
    desired = [source.checked.desired for source in sources]
    entries = plural(sum(len(each.webhooks) + len(each.absent) for each in desired), "webhook")
    found = dict.fromkeys(each for source in sources for each in source.checked.loaded.findings)
    heading = f"The files are valid: {entries} declared"
    return JobResult(status=status, findings=(*found, *why), heading=heading)


def plan(run: Run) -> JobResult:
    """Plan, and comment on the pull request. A plan that a guard blocks fails the check."""
    try:
        sources = check(run)
        _require_trigger(run, sources)
        why = run.files_only_reason(sources)
        if why is not None:
            return files_only(sources, why)
        if run.merge_queue is not None:
            return _check_merge_group(run, run.merge_queue, sources)
        return _plan_change(run, sources)
    except Interrupted:
        raise
    except ReconcilerError as problem:
        return JobResult(problem=problem, findings=_invalidate(run, problem))


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
    result = _guarded(run, organizations)
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
    parts = _parts(result, run, run.pull, declared)
    try:
        findings += _comment(run, run.pull, parts, create=_is_shown(result, is_touched))
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


def _guarded(run: Run, organizations: Sequence[Planned]) -> RunPlan:
    """Return the plans of a run. The deletes of each environment are counted together, as later."""
    results = [planned.result for planned in organizations]
    members: dict[str, list[int]] = {}
    for index, planned in enumerate(organizations):
        if planned.plan is not None:
            environment = environment_of(run, planned.target.source).casefold()
            members.setdefault(environment, []).append(index)
    for indexes in members.values():
        plans = [plan for index in indexes if (plan := results[index].value) is not None]
        for index, plan, blocked in zip(
            indexes, plans, guard_all(plans, run.allow_deletes), strict=True
        ):
            results[index] = results[index]._replace(value=plan._replace(blocked=blocked))
    return RunPlan(tuple(results))


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
    before = organizations_before(run, run.base_commit) or {}
    return [
        warning(
            "organization-removed",
            f"{quote(name)} is no longer declared: its webhooks stay live, and merged plans that "
            "are not applied yet are dropped",
            "if the webhooks must go, too, delete them first, as in docs/organizations.md",
        )
        for name in before
        if name is not None and name not in now
    ]


def _check_merge_group(run: Run, branch: str, sources: tuple[Source, ...]) -> JobResult:
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
    result = _guarded(run, organizations)
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


def identified(targets: Sequence[Target]) -> list[Subject | ReconcilerError]:
    """Return the organization that each key belongs to, or why that is not known."""
    found: list[Subject | ReconcilerError] = []
    for target, organization in zip(targets, organizations_of(targets), strict=True):
        if isinstance(organization, ReconcilerError) or target.connection is None:
            assert isinstance(organization, ReconcilerError)
            found.append(organization)
            continue
        declared = subject_of(target.source).declared
        origin = target.connection.api.origin
        found.append(Subject(origin, organization.id, organization.name, declared))
    return found


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


def _parts(
    result: RunPlan, run: Run, pull: Pull, declared: Sequence[Subject]
) -> list[tuple[Marker, str]]:
    """Return the comments for the plans, each with its operations."""
    subjects = [
        subject
        if plan is None
        else Subject(plan.origin, plan.organization.id, plan.organization.name, subject.declared)
        for subject, plan in zip(
            declared, (each.value for each in result.organizations), strict=True
        )
    ]
    marker = run.marker(MarkerKind.PLAN)._replace(
        digest=result.digest, part=_MAX_PARTS, total=_MAX_PARTS, subjects=tuple(subjects)
    )
    foot = f"Commit {pull.head[:12]} · [run]({run.url})"

    def marker_for(members: Members) -> Marker:
        return marker._replace(
            operations=tuple(
                shown
                for number, place in members
                for shown in _shown(subjects[number], result.organizations[number].value, place)
            ),
        )

    empty_size = len(encode(marker))
    if run.applied_branch not in ("", pull.branch):
        marker = marker._replace(digest=None)
        here, there = code(quote(pull.branch)), code(quote(run.applied_branch))
        foot = f"This pull request targets {here}, but only {there} is applied. {foot}"
    elif any(plan.blocked for plan in result.plans):
        where = " in a blocked organization" if len(result.plans) > 1 else ""
        way = "After a merge, apply comments with the command that allows this plan once."
        foot = f"Until this is fixed, merging applies nothing{where}. {way} {foot}"
    elif result.digest or any(plan.operations for plan in result.plans):
        foot = f"Merging applies exactly the changes shown here and rejects any others. {foot}"
    pages = paged_run(
        result,
        limit=COMMENT_CHARACTERS - empty_size,
        max_pages=_MAX_PARTS,
        extra=lambda members: len(encode(marker_for(members))) - empty_size,
        foot=foot,
    )
    return [
        (marker_for(members)._replace(part=number, total=len(pages)), text)
        for number, (text, members) in enumerate(pages, start=1)
    ]


def _shown(subject: Subject, plan: Plan | None, place: int) -> list[ShownOperation]:
    """Return the digests of the operation at index `place`."""
    if plan is None:
        return []
    resent = dict(_resends(plan, place))
    return [
        ShownOperation(subject, digest, resent.get(digest.digest)) for digest in plan.digests[place]
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
    if pull is None or run.no_secrets_reason is not None:
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
    empty = parts[0][0]._replace(digest=None, part=1, total=1, operations=())
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
    result = _guarded(run, organizations)
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
    run = replace(run, environments=_listed_environments(run))
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
