"""Drift: what changed live, and the edits of the files that accept it.

    base_of -> plan_all (with the previous configuration) -> find_drift

An operation is drift if the previous configuration plans it, too: the webhook was changed live.
Everything else is a change of the files that is not applied yet, and is never edited.

The edits are proved before anything is written: planning again in memory with the edited files
must give the same operations without the accepted ones, and every other declaration must be equal,
for every organization of the run.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.model import Desired
from reconciler.planning.drift import Drifted, DriftReport, FileDiff, OrganizationDrift, names_of
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
from reconciler.planning.review import mentions
from reconciler.source.accept import Proposal, propose
from reconciler.source.history import Git, NoBaseError, commit_before, commit_of, last_change
from reconciler.source.splice import unified_diff
from reconciler.workflow.inputs import Checked
from reconciler.workflow.planning import plan_listed
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


def base_of(checked: Checked, named: tuple[str, ...] = ()) -> Base:
    """Return the previous configuration that `named` names, by default that of HEAD.

    Raises ConfigurationError if it is named and cannot be read.
    """
    if named:
        return Base(previous(named, checked))
    inputs = checked.inputs
    head = commit_of("HEAD", inputs.git)
    if head is None:
        return Base(unknown="these files are not in a git repository with a commit")
    try:
        desired = previous((head,), checked)
    except ConfigurationError as problem:
        return Base(unknown=f"the last commit cannot be used: {problem.message}")
    commit = last_change((*checked.loaded.documents, *checked.loaded.parents), inputs.git)
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
        organizations=tuple(_results(planned, drifts, _drifted(candidates, refusals))),
        diffs=_diffs(edited, inputs.git),
        unknown=next((base.unknown for base in bases if base.unknown), ""),
        accepted=is_accepted,
    )


def _drifted(candidates: Iterable[Candidate], refusals: Reasons) -> Mapping[int, Sequence[Drifted]]:
    """Return the webhooks that drifted, by the index of their organization."""
    webhooks: defaultdict[int, list[Drifted]] = defaultdict(list)
    for candidate in candidates:
        proposal, refusal = candidate.proposal, refusals.get(candidate, "")
        edited_files = () if refusal else proposal.files
        webhook = Drifted(proposal.operations, edited_files, refusal)
        webhooks[candidate.organization].append(webhook)
    return webhooks


def _results(
    planned: Sequence[Planned],
    drifts: Sequence[OrganizationDrift | None],
    webhooks: Mapping[int, Sequence[Drifted]],
) -> Iterator[OrganizationResult[OrganizationDrift]]:
    """Yield the drift of each organization, or its problem."""
    for number, (organization, drift) in enumerate(zip(planned, drifts, strict=True)):
        name, paths, _, problem = organization.result
        if drift is not None:
            drift = drift._replace(drifted=tuple(webhooks.get(number, ())))
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
    mentioned = _about(plan.operations, base.merged)
    introduced = frozenset(_waiting(organization, base))
    merged: list[int] = []
    not_applied: list[int] = []
    waiting: list[int] = []
    for index, operation in enumerate(plan.operations):
        if not any(map(globs.match, names_of(operation))):
            continue
        if base.desired is None:
            not_applied.append(index)
        # Before the drift: nothing may undo a review whose apply is still to come.
        elif index in mentioned:
            merged.append(index)
        elif not _is_drift(operation):
            not_applied.append(index)
        elif index in introduced:
            waiting.append(index)
    return OrganizationDrift(
        plan,
        unapplied=_unapplied(plan, base, globs),
        not_applied=tuple(not_applied),
        waiting=tuple(waiting),
        commit=base.commit,
        merged=tuple(merged),
    )


def _unapplied(plan: Plan, base: Base, globs: Globs) -> tuple[Kept, ...]:
    """Return the declarations that are not applied, and were declared before."""
    if base.desired is None:
        return plan.unapplied
    declared = {webhook.name for webhook in base.desired.webhooks}
    return tuple(
        kept for kept in plan.unapplied if kept.name in declared and globs.match(kept.name)
    )


def _about(operations: Sequence[Operation], merged: Collection[OperationDigest]) -> frozenset[int]:
    """Return the indexes of operations about webhooks that reviewed operations change."""
    is_mentioned = mentions(merged)
    indexes = set()
    for index, operation in enumerate(operations):
        # A webhook that is created has no id yet.
        key = None if isinstance(operation, Create) else operation.before.id
        if is_mentioned(key, operation.name):
            indexes.add(index)
    return frozenset(indexes)


def _is_drift(operation: Operation) -> bool:
    return operation.attribution is Attribution.DRIFT


def _waiting(organization: Planned, base: Base) -> Iterator[int]:
    """Yield the indexes of operations that the last commit of the files may have introduced.

    Before that commit, the files agreed with the live webhook.
    """
    plan, live, gathered = organization.plan, organization.live, organization.gathered
    recent = base.recent
    if recent is None or recent == base.desired or not plan or not live or not gathered:
        return
    drifted = [index for index, operation in enumerate(plan.operations) if _is_drift(operation)]
    if not recent.policy.scopes:  # the commit added the files
        yield from () if plan.counts.any_declared_live else drifted
        return
    secrets = {**gathered.secrets, **recent.literals, **recent.committed}
    earlier = gathered._replace(checked=gathered.checked._replace(desired=recent), secrets=secrets)
    # Resends are planned whether or not anything differs, so they show nothing here.
    options = organization.target.options._replace(previous=None, resend=())
    with suppress(ConfigurationError):
        keys = set(map(webhook_key, plan_listed(earlier, live, options).operations))
        for index in drifted:
            if webhook_key(plan.operations[index]) not in keys:
                yield index


def _proposals(
    organization: Planned, drift: OrganizationDrift, globs: Globs, named: Sequence[str]
) -> Iterator[Proposal]:
    """Yield a proposal for each drifted webhook."""
    checked, live = organization.target.checked, organization.live
    assert live is not None
    operations = drift.plan.operations
    # To accept one of these could undo a merge that is not applied yet.
    unsettled = {*drift.waiting, *drift.merged}
    drifted = [
        index
        for index, operation in enumerate(operations)
        if _is_drift(operation) and index not in unsettled
    ]
    for proposal in propose(drift.plan, drifted, live, checked.loaded, named):
        # Selected only now, because a rename has two names, and one that matches is enough.
        names = (name for index in proposal.operations for name in names_of(operations[index]))
        if any(map(globs.match, names)):
            yield proposal
