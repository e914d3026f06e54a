"""Plan the change of a pull request and show the plan in its comments; check a merge queue.

A plan that spans several comments counts as reviewed only once all of them are written: the first
comment is invalidated first and completed last. The oldest comment of a subject is part 1, the next
one part 2, and so on.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Final, NamedTuple

from reconciler.ci import JobResult
from reconciler.ci.github import GitHub, Pull, reporting
from reconciler.ci.marker import (
    MAX_COMMENT_LENGTH,
    RESOLVED,
    Marker,
    MarkerKind,
    Post,
    ShownOperation,
    Subject,
    encode,
    find_posts,
)
from reconciler.ci.organizations import (
    by_environment,
    check,
    concerned_by_change,
    files_only,
    guarded,
    input_matcher,
    merge_matcher,
    organizations_before,
    require_single,
    require_trigger,
)
from reconciler.ci.reviews import (
    NO_TOKEN,
    MergedReview,
    bases,
    contained_pulls,
    history,
    pending_review,
    read_reviews,
    subject_of,
    subject_of_key,
    unapproved,
    unreviewed,
)
from reconciler.ci.run import Run
from reconciler.ci.workflows import CALLED, CALLER
from reconciler.errors import (
    ConfigurationError,
    NotReviewedError,
    ReconcilerError,
    StalePlanError,
)
from reconciler.findings import Finding, masked, note, plural, shorten, warning
from reconciler.model import Desired, SecretRef
from reconciler.planning.plan import Attribution, Kept, Operation, Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend, Resends, resends
from reconciler.planning.review import compare_with_review
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render import View
from reconciler.render.combined import Members
from reconciler.render.markdown import code, paged_run, render_error
from reconciler.render.quote import prose, quote
from reconciler.report import NOT_REVIEWED
from reconciler.source.elsewhere import no_longer_declared
from reconciler.source.schemes import how_to_set, is_variable
from reconciler.workflow import Planned, Source, Target, plan_all
from reconciler.workflow.drift import Base, compared, may_be_drift
from reconciler.workflow.revisions import previous_at
from reconciler.workflow.run import identify

_MAX_REQUESTS: Final = 10
"""The number of requests to GitHub that a usual plan may send."""
_FIXED_REQUESTS: Final = 4
"""Those for the login, the pull request, its comments, and the change of its first comment."""
_MAX_PARTS: Final = 10
"""The maximum number of comments for a plan: what does not fit into them is not approved."""

_UPDATING: Final = "_Updating this plan. Merging applies nothing until the update is complete._\n"
_UNNEEDED: Final = "_This part of the plan is no longer needed._\n"
_REPLACED: Final = "_The plan of this commit failed or has changed: see the newer comment._\n"
_CHANGED: Final = (
    "**The plan of this commit failed or has changed** since an earlier comment. GitHub keeps "
    "approvals that were given for that one: review this plan again.\n\n"
)
_AGAIN: Final = (
    "re-run the plan check of that pull request; once those before it in the queue are merged, run "
    "`gh pr update-branch NUMBER` instead, or push to its branch; if it is from a fork, ask a "
    "maintainer to push the branch to this repository"
)
_POLICY: Final = "until it is merged, the version in the base branch applies, if there is one"


class _Change(NamedTuple):
    """The plans of a pull request, and a warning for each organization that it removes.

    `known` has what merged reviews left in each organization.
    """

    pull: Pull
    planned: Sequence[Planned]
    known: Sequence[Base]
    removed: Sequence[Finding] = ()


def plan(run: Run) -> JobResult:
    """Plan, and comment on the pull request. A plan that a guard blocks fails the check."""
    try:
        sources = check(run)
        require_trigger(run, sources)
        if run.no_secrets_reason is not None:
            message = f"{run.no_secrets_reason}, so GitHub gives it no secrets"
            ask = "for a plan, ask a maintainer to push the branch to this repository"
            why = note("only-validated", f"{message}: only the files are checked", ask)
            return files_only(sources, why)
        if run.merge_queue is not None:
            return _check_merge_group(run, run.merge_queue, sources)
        if run.pull is not None:
            return _plan_pull(run, run.pull, sources)
        return _plan_all(run, sources)
    except ReconcilerError as problem:
        return JobResult(problem=problem, findings=_invalidate(run, problem))


def _plan_pull(run: Run, pull: Pull, sources: Sequence[Source]) -> JobResult:
    """Plan the organizations that a pull request concerns, and comment on it.

    Raises the problem of a single organization; that of a comment is in the result.
    """
    base = run.merge_base(run.base_commit)
    removed = _removed(run, sources)
    targets, unknown = _targets(run, concerned_by_change(run, sources, pull), base)
    changed = run.changed_since(run.base_commit)
    # Merging a workflow starts the apply, too.
    workflows = (CALLED, run.caller)
    is_input = input_matcher(run, sources)
    is_touched = changed is None or any(path in workflows or is_input(path) for path in changed)
    with run.connect(targets) as connected:
        is_reviewed = is_touched and run.commenting != "false"
        planned, known = _planned_since(run, identify(connected), base, is_reviewed=is_reviewed)
    require_single(sources, planned)
    planned, unclear = _told_apart(planned, known)
    change = _Change(pull, planned, known, removed)
    plans = guarded(run, change.planned)
    findings = [*removed, *unknown, *unclear]
    shown = _with_policies(run, plans, changed)
    result = JobResult(plan=shown, findings=findings, file_options=run.file_options)
    parts, unshown = _parts_of(run, change, shown)
    create = bool(removed) or _is_shown(shown, is_touched)
    try:
        notes = _comment(run, pull, parts, create=create)
    except ReconcilerError as problem:
        return replace(result, problem=problem)
    return replace(result, findings=[*findings, *unshown, *notes])


def _plan_all(run: Run, sources: Sequence[Source]) -> JobResult:
    """Plan all organizations: only a pull request has a base to compare with."""
    options = PlanOptions(resend=run.resend)
    with run.connect([Target(source, options=options) for source in sources]) as connected:
        planned = plan_all(identify(connected), allow_deletes=run.allow_deletes)
    require_single(sources, planned)
    return JobResult(plan=guarded(run, planned), file_options=run.file_options)


def _planned_since(
    run: Run, targets: Sequence[Target], base: str | None, *, is_reviewed: bool
) -> tuple[Sequence[Planned], Sequence[Base]]:
    """Return the plans with what merged reviews left, and the bases that have it.

    Merged pull requests are read as far back as the requests that a comment leaves allow, and only
    if the plan `is_reviewed` in a comment, or what the commit `base` plans, too, looks like drift.
    """
    planned: Sequence[Planned] = ()
    if base is None or not is_reviewed:
        planned = plan_all(targets, allow_deletes=run.allow_deletes)
    if base is None or not (is_reviewed or any(map(_has_drift, planned))):
        return planned, [Base() for _ in targets]
    # Before these plans, because no listing shows which secrets wait to be sent.
    known = _merged_before(run, targets, base)
    targets = [
        target._replace(options=target.options._replace(reviewed=earlier.merged.resends))
        for target, earlier in zip(targets, known, strict=True)
    ]
    return plan_all(targets, allow_deletes=run.allow_deletes), known


def _told_apart(
    planned: Iterable[Planned], known: Iterable[Base]
) -> tuple[list[Planned], list[Finding]]:
    """Return the plans with what waits to be applied not counted as drift; else add a warning."""
    problems: list[str] = []
    labeled: list[Planned] = []
    for organization, earlier in zip(planned, known, strict=True):
        has_drift = _has_drift(organization)
        organization, earlier = compared(organization, earlier)
        labeled.append(organization)
        # Without drift, it does not matter that older pull requests were not read.
        if earlier.unknown and (has_drift or earlier.desired is None):
            problems.append(earlier.unknown)
    return labeled, _not_separated("drift from merged changes that wait", problems)


def _merged_before(run: Run, targets: Sequence[Target], base: str) -> list[Base]:
    """Return the bases with what merged reviews left, which a plan can do without."""
    requests = _MAX_REQUESTS - _FIXED_REQUESTS
    if run.github is None:
        return bases(run, targets, at=base, requests=requests)
    with run.github.impatient():
        return bases(run, targets, at=base, requests=requests)


def _has_drift(organization: Planned) -> bool:
    """Return whether what an organization's base plans, too, looks like drift."""
    return organization.plan is not None and may_be_drift(organization.plan)


def _targets(
    run: Run, sources: Iterable[Source], base: str | None
) -> tuple[list[Target], list[Finding]]:
    """Return how organizations are planned, and a warning if the base of any is not known."""
    targets: list[Target] = []
    problems: list[str] = []
    for source in sources:
        previous, problem = _previous(source, base)
        targets.append(Target(source, options=PlanOptions(resend=run.resend, previous=previous)))
        if problem:
            problems.append(problem)
    changes = "this pull request's changes from drift, and resends no secret that it rotates"
    return targets, _not_separated(changes, problems)


def _not_separated(changes: str, problems: Iterable[str]) -> list[Finding]:
    """Return a warning for each different problem."""
    what = f"the plan does not separate {changes}"
    return [warning("no-base", f"{what}: {problem}") for problem in dict.fromkeys(problems)]


def _previous(source: Source, base: str | None) -> tuple[Desired | None, str]:
    """Return the configuration of the base commit, or why it is not known."""
    if base is None:
        return None, "the base commit is not in this clone; check out with fetch-depth: 0"
    try:
        return previous_at(base, source.checked).desired, ""
    except ConfigurationError:
        return None, "the files of the base commit are not valid"


def _subject(planned: Planned) -> Subject:
    """Return an organization; without an id if it could not be planned."""
    if planned.plan is None:
        return subject_of(planned.target.source)
    return subject_of_key(planned.target)


def _is_shown(result: RunPlan, is_touched: bool) -> bool:
    """Return whether a plan gets a comment if it has none; `is_touched` means by this change."""
    # Merging would apply nothing, whatever the pull request changes.
    if any(plan.blocked for plan in result.plans):
        return True
    # Drift alone is no reason to comment on a pull request that changes something else.
    is_changed = any(plan.operations or plan.relaxed or plan.unapplied for plan in result.plans)
    return is_touched and (is_changed or bool(result.problems))


def _with_policies(run: Run, result: RunPlan, changed: frozenset[str] | None) -> RunPlan:
    """Return the plans with a warning for each policy that the pull request changes."""
    relaxed = tuple(
        warning("policy-changed", f"this pull request changes the policy {path}; {_POLICY}")
        for path in run.inputs.policies
        if changed is not None and posixpath.normpath(path) in changed
    )
    organizations: list[OrganizationResult[Plan]] = []
    for organization in result.organizations:
        plan = organization.value
        if plan is not None:
            plan = plan._replace(relaxed=(*plan.relaxed, *relaxed))
        organizations.append(organization._replace(value=plan))
    return RunPlan(tuple(organizations))


def _removed(run: Run, sources: Iterable[Source]) -> list[Finding]:
    """Return a warning for each organization that no file declares any more."""
    now = {source.files.organization: source.files.keys for source in sources}
    before = organizations_before(run, run.base_commit) or {}
    earlier = {name: files.keys for name, (files, _) in before.items()}
    findings = []
    for name in no_longer_declared(earlier, now):
        effect = "its webhooks stay live, and merged plans that are not applied yet are dropped"
        hint = "to delete the webhooks as well, do that first, as in docs/organizations.md"
        if not before[name][1].webhooks:
            effect = "its deletes that are not applied yet are dropped"
            hint = "merge this only after they are applied"
        message = f"{quote(name)} is no longer declared: {effect}"
        findings.append(warning("organization-removed", message, hint))
    return findings


def _parts_of(
    run: Run, change: _Change, plans: RunPlan
) -> tuple[list[tuple[Marker, str]], list[Finding]]:
    """Return the comments for the plans with their operations, and a warning if any do not fit."""
    subjects = tuple(map(_subject, change.planned))
    # Measured with the largest numbers, so that no marker is longer than expected.
    marker = run.marker(MarkerKind.PLAN)._replace(
        digest=plans.digest,
        part=_MAX_PARTS,
        total=_MAX_PARTS,
        subjects=subjects,
        head=change.pull.head,
    )
    empty_size = len(encode(marker))
    # Nothing applies the other branch, so the comment must approve nothing.
    if run.applied_branch not in ("", change.pull.branch):
        marker = marker._replace(digest=None)

    shown = [
        [*_shown(subject, organization, earlier)]
        for subject, organization, earlier in zip(
            subjects, change.planned, change.known, strict=True
        )
    ]

    def marker_for(members: Members) -> Marker:
        operations = chain.from_iterable(shown[number][index] for number, index in members)
        return marker._replace(operations=tuple(operations))

    foot = _foot(run, change, plans)
    # Nothing is planned if no organization is concerned, or if one is only removed.
    name = _setup_name(run)
    if not plans.organizations:
        title = "" if change.removed else ": no changes"
        text = f"{name}### CloudTruth webhooks{title}\n\n{foot}\n"
        return [(marker_for(())._replace(part=1, total=1), text)], []
    pages = paged_run(
        plans,
        limit=MAX_COMMENT_LENGTH - empty_size - len(name),
        max_pages=_MAX_PARTS,
        extra=lambda members: len(encode(marker_for(members))) - empty_size,
        foot=foot,
        connection=run.file_options,
    )
    parts = [
        (marker_for(members)._replace(part=number, total=len(pages)), name + text)
        for number, (text, members) in enumerate(pages, start=1)
    ]
    count = sum(len(plan.operations) for plan in plans.plans)
    left = count - sum(len(members) for _, members in pages)
    if not left:
        return parts, []
    share = f"{left} of {plural(count, 'operation')}"
    message = f"{share} did not fit into the comments: merging does not apply them"
    return parts, [warning(NOT_REVIEWED, message, "split the pull request")]


def _setup_name(run: Run) -> str:
    """Return the files as a line above the plan, if copied workflows plan others as well."""
    # A label is above the text of each comment.
    caller = run.caller
    if run.label or caller == CALLER or caller.endswith(f"/{run.workflow}"):
        return ""
    return f"**{code(prose(shorten(run.paths, 3)))}**\n\n"


def _foot(run: Run, change: _Change, plans: RunPlan) -> str:
    """Return what merging the pull request does, and where the plan comes from."""
    removed = [
        f"**Warning**: {code(prose(f'{finding.message}; {finding.hint}'))}\n\n"
        for finding in change.removed
    ]
    effect = _effect(run, change, plans)
    if plans.problems:
        effect += "Once the problem is solved, re-run this check. "
    return f"{''.join(removed)}{effect}Commit {change.pull.head[:12]} · [run]({run.url})"


def _effect(run: Run, change: _Change, plans: RunPlan) -> str:
    """Return what merging the pull request does."""
    branch = change.pull.branch
    if run.applied_branch not in ("", branch):
        target, applied = code(quote(branch)), code(quote(run.applied_branch))
        return f"This pull request targets {target}, but only {applied} is applied. "
    if any(plan.blocked for plan in plans.plans):
        where = " in a blocked organization" if len(plans.plans) > 1 else ""
        return f"Until this is fixed, merging applies nothing{where}. "
    if plans.digest:
        # A changed configuration is sent as a whole.
        secrets = ", with the listed secrets," if any(plan.secrets for plan in plans.plans) else ""
        effect = f"Merging applies exactly the changes shown here{secrets} and rejects any others. "
        return effect + _new_values(run, change.planned)
    # Operations without a digest differ only in values of secrets, which no review covers.
    if plans.has_operations:
        return "Merging does not send these secrets: increment their `version`. "
    return ""


def _new_values(run: Run, planned: Sequence[Planned]) -> str:
    """Return how to set the new values of rotated secrets, for which a merge is too late."""
    steps: dict[str, None] = {}
    for environment, indexes in by_environment(run, planned).items():
        environ = {**run.inputs.environ, "WEBHOOKS_ENVIRONMENT": environment}
        references = chain.from_iterable(_rotated(planned[index]) for index in indexes)
        for reference in filter(is_variable, references):
            step = f"set {reference.name} where apply runs"
            if environment:
                step = how_to_set(masked(reference.name), environ)
            steps[step] = None
    if not steps:
        return ""
    value = "set the new value, or the old one if the version is lowered, as by a revert"
    return f"Before the merge, {value}: {shorten([*steps], 5)}. "


def _rotated(organization: Planned) -> list[SecretRef]:
    """Return the references whose values this change resends."""
    updates = organization.plan.updates if organization.plan else ()
    waiting = _waiting(organization)
    values = [resend.value for resend in resends(updates) if resend not in waiting]
    return [value for value in values if isinstance(value, SecretRef)]


def _waiting(organization: Planned) -> Set[Resend]:
    """Return the resends of merged reviews in a plan, without those that this change makes.

    A change may declare again what an earlier merge had declared.
    """
    target, plan = organization.target, organization.plan
    reviewed = {(known.id, known.field, known.value) for known in target.options.reviewed}
    if plan is None or not reviewed:
        return frozenset()  # most plans
    changed = Resends(target.checked.desired, target.options.previous)
    waiting: set[Resend] = set()
    for update in plan.updates:
        causes = changed.causes(update.after, update.before.id, update.before.name)
        for resend in resends([update]):
            if resend.field not in causes and (resend.id, resend.field, resend.value) in reviewed:
                waiting.add(resend)
    return waiting


def _shown(
    subject: Subject, organization: Planned, earlier: Base
) -> Iterator[list[ShownOperation]]:
    """Yield the digests of each operation, each with the resend that it is about.

    A resend that waits stays in the review it is from: a copy would be sent again later, or instead
    of a version that is merged before this change. With a new destination it is another one.
    """
    plan, waiting = organization.plan, _waiting(organization)
    if plan is None:
        return
    pending = {operation.digest for operation in earlier.merged.pending}
    for operation, digests in zip(plan.operations, plan.digests, strict=True):
        others = {digest.resent for digest in digests if digest.digest not in pending}
        resend_by_field: dict[str | None, Resend] = {
            resend.field: resend
            for resend in resends([operation])
            if resend.field in others or resend not in waiting
        }
        is_waiting = not resend_by_field and all(digest.resent for digest in digests)
        yield [
            ShownOperation(subject, digest, resend_by_field.get(digest.resent))
            for digest in digests
            if not is_waiting
        ]


def _invalidate(run: Run, problem: ReconcilerError) -> list[Finding]:
    """Invalidate the plan of an earlier commit, because this commit has no plan.

    If that fails, return a warning, so that the original problem is still reported.
    """
    pull = run.pull
    # Without secrets the token is read-only, too, and cannot edit a comment.
    if pull is None or run.no_secrets_reason is not None:
        return []
    text = render_error(problem, View(limit=MAX_COMMENT_LENGTH // 2))
    text += f"\nMerging applies nothing. Commit {pull.head[:12]} · [run]({run.url})\n"
    findings = list[Finding]()
    with reporting(findings, "could not edit the comment"):
        # A marker without a digest approves nothing.
        marker = run.marker(MarkerKind.PLAN)._replace(head=pull.head)
        findings += _comment(run, pull, [(marker, text)], create=False)
    return findings


def _comment(
    run: Run, pull: Pull, parts: list[tuple[Marker, str]], *, create: bool
) -> list[Finding]:
    """Write the comments, or return the reason for not changing them."""
    if run.commenting == "false":
        return []
    # Without a comment nothing would be reviewed, which must not go unnoticed.
    message = "there is no GitHub token to comment with"
    github = run.require_github(message, "set comment to false")
    posts = _own_comments(run, github.comments(pull.number))
    existing = find_posts(posts, parts[0][0])
    if existing or create or run.commenting == "true":
        # The event is from the start of the job; the merge freezes the plan.
        now = github.pull(pull.number)
        # A run for an older commit must not replace the plan of a newer one.
        if not now.is_open or now.head != pull.head:
            why = "the pull request is closed or has a newer commit, so its plan is not changed"
            return [note("review-frozen", why)]
        existing, first = _without_changed(github, posts, parts[0])
        _write_comments(github, pull.number, existing, [first, *parts[1:]])
    return []


def _own_comments(run: Run, posts: Sequence[Post]) -> Sequence[Post]:
    """Return the comments; if no plan is of these files, that of moved files is."""
    here = run.marker(MarkerKind.PLAN)
    if find_posts(posts, here):
        return posts
    return [
        post._replace(marker=post.marker._replace(file=here.file))
        if post.marker.label == here.label and run.has_moved(post.marker)
        else post
        for post in posts
    ]


def _without_changed(
    github: GitHub, posts: Sequence[Post], first: tuple[Marker, str]
) -> tuple[Sequence[Post], tuple[Marker, str]]:
    """Return the comments to edit, and the `first` one to write.

    If they have another result of the same commit, or failed, none is edited, and the first one
    warns: GitHub keeps the approvals until the next push, and an edit notifies no user.
    """
    marker, text = first
    existing = find_posts(posts, marker)
    replaced = marker._replace(code=RESOLVED, operations=())
    changed = [post for post in find_posts(posts, replaced) if post.marker.head == marker.head]
    last = existing[0].marker if existing else marker
    if marker.digest is None:
        # A plan that failed is about what the comment was about.
        return existing, (marker._replace(subjects=marker.subjects or last.subjects), text)
    if last.head == marker.head and last.digest != marker.digest:
        changed += existing
        for post in existing:
            github.comment(post.number, replaced._replace(digest=None), _REPLACED, [post])
        existing = []
    return existing, (marker, f"{_CHANGED}{text}" if changed else text)


def _write_comments(
    github: GitHub, number: int, existing: Sequence[Post], parts: Sequence[tuple[Marker, str]]
) -> None:
    """Replace the text of the existing comments with `parts`; create missing comments."""
    first = parts[0][0]
    empty = first._replace(digest=None, part=1, total=1, operations=(), head="")
    others = [*parts[1:], *[(empty, _UNNEEDED)] * (len(existing) - len(parts))]
    bodies = [github.body(marker, text) for marker, text in others]
    if others and [post.body for post in existing[1:]] != bodies:
        # While the other comments change, the first one must not approve them.
        updating = empty._replace(head=first.head)
        existing = [github.comment(number, updating, _UPDATING, existing), *existing[1:]]
        for index, (marker, text) in enumerate(others, start=1):
            github.comment(number, marker, text, existing[index:])
    github.comment(number, *parts[0], existing)


def _check_merge_group(run: Run, branch: str, sources: tuple[Source, ...]) -> JobResult:
    """Check the plan of a merge queue's commit against the reviews of its pull requests.

    Merged reviews not yet applied also count, as they do after the merge.
    """
    github = run.require_github(*NO_TOKEN)
    queue = _queued(run, github, branch)
    stale: list[str] = []
    missing: list[str] = []
    base = run.merge_base(run.base_commit)
    chosen, findings = _targets(run, concerned_by_change(run, sources), base)
    with run.connect(chosen) as connected:
        # A review is matched by the organization of the key, which a file may name differently.
        targets = identify(connected)
        subjects = list(map(subject_of_key, targets))
        pulls = [*queue, *contained_pulls(run, branch, subjects)]
        reviews = [
            read_reviews(run, pulls, subject, target.checked.desired)
            for subject, target in zip(subjects, targets, strict=True)
        ]
        targets = tuple(
            target._replace(review=pending_review(subject, known))
            for target, subject, known in zip(targets, subjects, reviews, strict=True)
        )
        planned = plan_all(targets, allow_deletes=run.allow_deletes, reviewed=True)
    for organization, known in zip(planned, reviews, strict=True):
        plan, review = organization.plan, organization.target.review
        if plan is None or review is None:
            continue
        # What merged pull requests lack cannot be changed in this group any more.
        queued = known[: len(queue)]
        if plan.operations:
            changes_files = merge_matcher(run, organization.target.source)
            findings += unapproved(queued, changes_files)
        named = partial(_named, organization if len(sources) > 1 else None, queued)
        comparison = compare_with_review(plan, review, allow_value_changes=True)
        stale += map(named, comparison.stale)
        if not comparison.stale:
            findings += unreviewed(plan, comparison)
        operations = map(plan.operations.__getitem__, comparison.unreviewed)
        # What changed live is no reason to keep a change of something else from merging.
        missing += map(named, filter(_is_declared, operations))
    return JobResult(
        plan=guarded(run, planned),
        findings=list(dict.fromkeys(findings)),
        problem=_group_problem(run, stale, missing),
        file_options=run.file_options,
    )


def _named(
    organization: Planned | None, reviews: Sequence[MergedReview], operation: Operation | Kept
) -> str:
    """Return the organization, if it is given, the webhook, and the pull request that changes it.

    `reviews` are those of the queued pull requests, newest first.
    """
    text = quote(operation.name)
    if organization is not None:
        text = f"{quote(organization.result.name)}: {text}"
    changing = [
        review
        for review in reviews
        if operation.name in {shown.name for shown in review.operations}
    ]
    # Most without a plan change no webhook: of several, any could be the one.
    unplanned = [review for review in reviews if review.problem]
    if not changing and len(unplanned) == 1:
        changing = unplanned
    if changing:
        text += f" (pull request {changing[0].pull.number})"
    return text


def _group_problem(
    run: Run, stale: Sequence[str], missing: Sequence[str]
) -> StalePlanError | NotReviewedError | None:
    """Return why a group is not merged; `missing` are its operations without an approved plan."""
    if stale:
        message = f"the plan for {plural(len(stale), 'webhook')} differs from the reviewed plan"
        return StalePlanError(f"{message}: {', '.join(stale[:5])}", hint=_AGAIN)
    if missing and run.requires_review:
        message = f"{plural(len(missing), 'operation')} of this group has no approved plan"
        return NotReviewedError(f"{message}: {', '.join(missing[:5])}", hint=_AGAIN)
    return None


def _is_declared(operation: Operation) -> bool:
    """Return whether the change that is planned causes an operation."""
    return operation.attribution in (Attribution.THIS_CHANGE, Attribution.PARTLY_DRIFT)


def _queued(run: Run, github: GitHub, branch: str) -> list[Pull]:
    """Return the pull requests whose changes the commit contains, with their comments."""
    # A group contains the pull requests before it: each has a commit in the history of this one.
    commits = github.queue(branch)
    numbers = dict.fromkeys(commits[commit] for commit in history(run) if commit in commits)
    return [github.pull(number)._replace(comments=github.comments(number)) for number in numbers]
