"""Drift: what changed live, and the edits of the files that accept it.

    base_of -> plan_all (with the previous configuration) -> compared -> find_drift

An operation is drift if the previous configuration plans it, too, and if no earlier change that may
not be applied yet explains it: the webhook was changed live. Everything else is never edited. So
`drift`, `status`, the plan of a pull request and the issue on GitHub use the word in one sense.

The edits are proved before anything is written: planning again in memory with the edited files
must give the same operations without the accepted ones, and every other declaration must be equal,
for every organization of the run.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.model import Desired, Live
from reconciler.planning.drift import (
    Drifted,
    DriftReport,
    FileDiff,
    OrganizationDrift,
    WebhookStatus,
    names_of,
    statuses,
)
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    Create,
    Kept,
    Operation,
    OperationDigest,
    OrganizationResult,
    Plan,
    webhook_key,
)
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import mentions
from reconciler.settings import LOCAL_SERVER
from reconciler.source.accept import Proposal, propose
from reconciler.source.history import (
    Git,
    NoBaseError,
    commit_before,
    commit_of,
    last_change,
    tracked,
)
from reconciler.source.schemes import paths
from reconciler.source.secrets import references
from reconciler.source.splice import unified_diff
from reconciler.workflow.inputs import Checked, Gathered, gather
from reconciler.workflow.planning import check_organization, plan_listed
from reconciler.workflow.proof import Candidate, EditedFile, Reasons, prove, write_edits
from reconciler.workflow.revisions import previous
from reconciler.workflow.run import Planned


class Base(NamedTuple):
    """The previous configuration of an organization, or why there is none.

    `recent` is that before `commit`, the last one that changed the files, whose changes may not be
    applied yet. `merged` are the operations of merged reviews that are not applied yet.
    """

    desired: Desired | None = None
    unknown: str = ""
    recent: Desired | None = None
    commit: str = ""
    merged: Collection[OperationDigest] = ()


def base_of(checked: Checked, at: str = "HEAD") -> Base:
    """Return the previous configuration, of the commit `at`, and that before its last change."""
    inputs = checked.inputs
    head = commit_of(at, inputs.git)
    if head is None:
        return Base(unknown="these files are not in a git repository with a commit")
    try:
        desired = previous((head,), checked)
    except ConfigurationError as problem:
        return Base(unknown=f"the last commit cannot be used: {problem.message}")
    secret_files = paths(references(checked.desired.webhooks))
    in_git = tracked(secret_files, directory=inputs.directory, git=inputs.git)
    names = (*checked.loaded.documents, *checked.loaded.parents, *sorted(in_git))
    commit = last_change(names, inputs.git, head)
    if commit is None:  # no commit has the files
        return Base(desired)
    # A guess here could undo a merge that is not applied yet.
    try:
        recent = previous((commit_before(commit, inputs.git),), checked)
    except NoBaseError as problem:
        return Base(unknown=str(problem))
    except ConfigurationError as problem:
        return Base(
            unknown=f"the configuration before commit {commit}, the last that changed the files, "
            f"cannot be used: {problem.message}"
        )
    return Base(desired, recent=recent, commit=commit)


def find_drift(
    planned: Sequence[Planned],
    bases: Sequence[Base],
    *,
    only: Sequence[str] = (),
    named: Sequence[str] = (),
    accept: bool = False,
) -> DriftReport:
    """Return the drift of webhooks whose name matches `only`, and the edits that accept it.

    Each organization was planned with the previous configuration of its base. If several files may
    declare an added webhook, it is the one that is `named`. With `accept`, the files are edited.
    Raises UsageError for a file that was changed since it was planned, OutputError.
    """
    globs = Globs(only or ("*",))
    inputs = planned[0].target.checked.inputs
    planned = [compared(*pair) for pair in zip(planned, bases, strict=True)]
    drifts = [_classified(*pair, globs) for pair in zip(planned, bases, strict=True)]
    candidates: list[Candidate] = []
    for number, drift in enumerate(drifts):
        if drift is not None:
            proposals = _proposals(planned[number], drift, globs, named)
            candidates += [Candidate(number, drift.plan, proposal) for proposal in proposals]
    edited, refusals = prove(planned, candidates)
    is_accepted = accept and bool(edited)
    if is_accepted:
        write_edits(edited, inputs.directory)
    return DriftReport(
        organizations=tuple(_results(planned, drifts, candidates, refusals)),
        diffs=_diffs(edited, inputs.git),
        unknown=next((base.unknown for base in bases if base.unknown), ""),
        accepted=is_accepted,
    )


def _results(
    planned: Sequence[Planned],
    drifts: Sequence[OrganizationDrift | None],
    candidates: Iterable[Candidate],
    refusals: Reasons,
) -> Iterator[OrganizationResult[OrganizationDrift]]:
    """Yield the drift of each organization with its webhooks, or its problem."""
    webhooks: defaultdict[int, list[Drifted]] = defaultdict(list)
    for candidate in candidates:
        proposal, refusal = candidate.proposal, refusals.get(candidate, "")
        edited_files = () if refusal else proposal.files
        webhook = Drifted(proposal.operations, edited_files, refusal)
        webhooks[candidate.organization].append(webhook)
    for number, (organization, drift) in enumerate(zip(planned, drifts, strict=True)):
        name, paths, _, problem = organization.result
        if drift is not None:
            drift = drift._replace(drifted=tuple(webhooks[number]))
        yield OrganizationResult(name, paths, drift, problem)


def _diffs(edited: Sequence[EditedFile], git: Git) -> tuple[FileDiff, ...]:
    """Return the edits as patches for `git apply`, which expects paths from the repository."""
    if not edited:
        return ()
    prefix = os.fsdecode((git(["rev-parse", "--show-prefix"]) or b"").strip())
    diffs: list[FileDiff] = []
    for file in edited:
        name = posixpath.normpath(posixpath.join(prefix, file.file))
        diffs.append(FileDiff(file.file, unified_diff(name, file.before, file.after)))
    return tuple(diffs)


def _classified(organization: Planned, base: Base, globs: Globs) -> OrganizationDrift | None:
    """Return the operations that are no drift, and those that may not be; None without a plan."""
    plan = organization.plan
    if plan is None:
        return None
    indexes: defaultdict[Attribution | None, list[int]] = defaultdict(list)
    for index, operation in enumerate(plan.operations):
        if any(map(globs.match, names_of(operation))):
            indexes[operation.attribution].append(index)
    # Without a previous configuration, nothing has a label.
    not_applied = indexes[None] + indexes[Attribution.THIS_CHANGE]
    return OrganizationDrift(
        plan,
        unapplied=_unapplied(plan, base, globs),
        not_applied=tuple(not_applied),
        waiting=tuple(indexes[Attribution.PERHAPS_WAITING]),
        commit=base.commit,
        merged=tuple(indexes[Attribution.WAITING]),
    )


def _unapplied(plan: Plan, base: Base, globs: Globs) -> tuple[Kept, ...]:
    """Return the declarations that are not applied, and were declared before."""
    if base.desired is None:
        return plan.unapplied
    declared = {webhook.name for webhook in base.desired.webhooks}
    return tuple(
        kept for kept in plan.unapplied if kept.name in declared and globs.match(kept.name)
    )


def compared(organization: Planned, base: Base) -> Planned:
    """Return an organization whose plan tells drift from changes that may not be applied yet."""
    plan, live, gathered = organization.plan, organization.live, organization.gathered
    if plan is None or live is None or gathered is None:
        return organization
    return organization._replace(plan=_labeled(plan, live, gathered, base))


def _labeled(plan: Plan, live: Live, gathered: Gathered, base: Base) -> Plan:
    """Return the plan in which only what no earlier change explains is drift."""
    if not any(map(is_drift, plan.operations)):
        return plan  # most plans
    is_merged = mentions(base.merged)
    may_wait = _may_wait(plan, live, gathered, base)
    operations: list[Operation] = []
    for operation in plan.operations:
        # A webhook that is created has no id yet.
        id_ = None if isinstance(operation, Create) else operation.before.id
        if not is_drift(operation):
            label = operation.attribution
        # First: nothing may undo a review whose apply is still to come.
        elif is_merged(id_, operation.name):
            label = Attribution.WAITING
        elif may_wait(operation):
            label = Attribution.PERHAPS_WAITING
        else:
            label = Attribution.DRIFT
        operations.append(replace(operation, attribution=label))
    return plan._replace(operations=tuple(operations))


def is_drift(operation: Operation) -> bool:
    """Return whether a webhook was changed live."""
    return operation.attribution is Attribution.DRIFT


def _may_wait(
    plan: Plan, live: Live, gathered: Gathered, base: Base
) -> Callable[[Operation], bool]:
    """Return a predicate for operations that changes since the last apply may have introduced.

    Before these changes, the files agreed with the live webhook.
    """
    recent = base.recent
    if base.unknown:
        return lambda operation: True
    if recent is None or recent == base.desired:
        return lambda operation: False
    if not recent.policy.scopes:  # the change added the files
        return lambda operation: not plan.counts.any_declared_live
    secrets = {**gathered.secrets, **recent.literals, **recent.committed}
    earlier = gathered._replace(checked=gathered.checked._replace(desired=recent), secrets=secrets)
    try:
        planned = plan_listed(earlier, live, PlanOptions())
    except ConfigurationError:
        return lambda operation: True
    keys = set(map(webhook_key, planned.operations))
    return lambda operation: webhook_key(operation) not in keys


def status(
    live: Live, checked: Checked | None, only: Sequence[str] = ()
) -> tuple[tuple[WebhookStatus, ...], Plan | None]:
    """Return the management status of each webhook whose name matches `only`, and the plan.

    Without files, no webhook is checked and there is no plan. Raises OrganizationError, and
    ConfigurationError if the configuration conflicts with the live webhooks.
    """
    if checked is None:
        return statuses(live, None, only), None
    if live.origin != LOCAL_SERVER:  # the emulator accepts any organization
        check_organization(live.organization, declared=checked.desired.organization)
    base, gathered = base_of(checked), gather(checked)
    plan = plan_listed(gathered, live, PlanOptions(previous=base.desired))
    plan = _labeled(plan, live, gathered, base)
    return statuses(live, plan, only), plan


def _proposals(
    organization: Planned, drift: OrganizationDrift, globs: Globs, named: Sequence[str]
) -> Iterator[Proposal]:
    """Yield a proposal for each drifted webhook."""
    checked, live = organization.target.checked, organization.live
    assert live is not None
    operations = drift.plan.operations
    # To accept others could undo a change that is not applied yet.
    drifted = [index for index, operation in enumerate(operations) if is_drift(operation)]
    for proposal in propose(drift.plan, drifted, live, checked.loaded, named):
        # Selected only now, because a rename has two names, and one that matches is enough.
        names = (name for index in proposal.operations for name in names_of(operations[index]))
        if any(map(globs.match, names)):
            yield proposal
