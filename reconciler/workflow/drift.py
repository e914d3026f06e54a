"""Drift: what changed live.

    base_of -> plan_all (with the previous configuration) -> compared -> `accepting.find_drift`

An operation is drift if the previous configuration plans it, too, and if no earlier change that may
not be applied yet explains it: the webhook was changed live. Everything else is never edited. So
`drift`, `status`, the plan of a pull request and the issue on GitHub use the word in one sense.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

from reconciler.errors import ConfigurationError, RunConfigurationError
from reconciler.model import Desired, Live
from reconciler.planning.drift import attribution_of, by_webhook, still_renamed
from reconciler.planning.names import Globs
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    Kept,
    Operation,
    OperationDigest,
    Plan,
    Snapshot,
    is_drift,
    live_id,
    names_of,
    webhook_key,
)
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import Resend
from reconciler.planning.review import mentions, only_values_differ
from reconciler.planning.run import Difference, LiveStatus, OrganizationDrift, live_status
from reconciler.source.history import Change, Git, NoBaseError, commit_of, tracked
from reconciler.source.schemes import paths
from reconciler.source.secrets import references
from reconciler.workflow.inputs import Checked, Gathered, gather
from reconciler.workflow.planning import plan_listed, with_owner
from reconciler.workflow.revisions import file_changes, previous_at
from reconciler.workflow.run import Planned


class MergedChanges(NamedTuple):
    """What the reviews of merged pull requests tell about changes that may not be applied yet."""

    pending: Collection[OperationDigest] = ()
    """Their operations that are not applied yet."""
    late: Collection[OperationDigest] = ()
    """The operations that were merged more than a day ago and not applied, replaced or not."""
    applied: str = ""
    """The newest merge whose review is applied: it and all earlier changes do not wait."""
    newest: str = ""
    """The newest merge that has a review: until it, only what is `pending` waits."""
    resends: tuple[Resend, ...] = ()
    """The resends in `pending`, which are planned to be found: live shows no difference."""


class Base(NamedTuple):
    """The previous configuration of an organization, or why there is none."""

    desired: Desired | None = None
    parents: Collection[str] = ()
    """The files that it extends."""
    unknown: str = ""
    """Why there is none, or why it is not known what was applied."""
    revision: str = ""
    """Its commit, if earlier file changes may not be applied yet."""
    merged: MergedChanges = MergedChanges()
    commits: Mapping[str, str] = MappingProxyType({})
    """From `compared`: the changes that may not be applied yet, by the `webhook_key` of what each
    explains at least in part; `OLDEST^..NEWEST` if several do."""
    day_ago: str = ""
    """The time before which a change is late, as GitHub writes it; empty if none is."""
    overdue: Collection[str] = ()
    """From `compared`: those of `commits` that may just as well be drift. An earlier change than
    the last one explains them, no webhook of that name was declared before the change, or only a
    secret's value differs."""


def base_of(checked: Checked) -> Base:
    """Return the configuration of the last commit."""
    repository = checked.other_repository
    if repository:
        return Base(unknown=f"the files are in the repository {repository}; run the command there")
    head = commit_of("HEAD", checked.inputs.git)
    if head is None:
        return Base(unknown="no commit found here (see `git log`)")
    try:
        last = previous_at(head, checked)
    except ConfigurationError as problem:
        return Base(unknown=f"the last commit cannot be used: {problem.message}")
    if not last.desired.policy.scopes:
        names = ", ".join(checked.loaded.documents)
        return Base(unknown=f"commit {head} does not have {names}, or only as links")
    return Base(last.desired, tuple(last.loaded.parents), revision=head)


def compared(organization: Planned, base: Base) -> tuple[Planned, Base]:
    """Return an organization whose plan tells drift from changes that may not be applied yet."""
    plan, live, gathered = organization.plan, organization.live, organization.gathered
    if plan is None or live is None or gathered is None:
        return organization, base
    plan, base = _labeled(plan, live, gathered, base)
    return organization._replace(plan=plan), base


def _earlier(checked: Checked, base: Base) -> Iterator[tuple[str, Desired, bool]]:
    """Yield file changes that may not be applied yet, the configuration before, and if it is late.

    The newest is first. Raises NoBaseError if it is not known what was applied before.
    """
    if not base.revision:
        return
    inputs, loaded = checked.inputs, checked.loaded
    secret_files = paths(references(checked.desired.webhooks))
    names = {*loaded.documents, *loaded.parents, *base.parents}
    names |= tracked(secret_files, directory=inputs.directory, git=inputs.git)
    # What was invalid, or had no files, was never applied: an older configuration may have been.
    skipped = ""
    is_missing = False
    merged = base.merged
    changes = file_changes(names, checked.other_files, inputs, base.revision)
    for number, change in enumerate(changes):
        commit, before, is_late = change.commit, change.before, change.time < base.day_ago
        if merged.applied and number == 0:
            with suppress(ConfigurationError):
                desired = previous_at(merged.applied, checked).desired
                is_late = _is_late(chain([change], changes), base, inputs.git)
                yield f"{merged.applied[:12]}..{commit}", desired, is_late
                return
        skipped = skipped or commit
        try:
            earlier = previous_at(before, checked)
            names.update(earlier.loaded.parents)  # `file_changes` looks for them from here on
            is_missing = not earlier.desired.policy.scopes
            if not is_missing:
                yield skipped, earlier.desired, is_late
                skipped = ""
        except ConfigurationError as problem:
            # A guess here could undo a merge that is not applied yet.
            if number == 0 or isinstance(problem, RunConfigurationError):
                raise NoBaseError(
                    f"the configuration before commit {commit}, which changed the files, cannot be "
                    f"used: {problem.message}"
                ) from None
        is_reviewed = ["merge-base", "--is-ancestor", commit, merged.newest]
        if merged.newest and inputs.git(is_reviewed) is not None:
            break
    if is_missing:
        yield skipped, Desired(), is_late


def _is_late(changes: Iterable[Change], base: Base, git: Git) -> bool:
    """Return whether one of the changes since the last applied one is older than a day."""
    with suppress(NoBaseError):
        for change in changes if base.day_ago else ():
            is_applied = ["merge-base", "--is-ancestor", change.commit, base.merged.applied]
            if git(is_applied) is not None:
                return False
            if change.time < base.day_ago:
                return True
    return False


class _FileChange(NamedTuple):
    """A commit, the configuration before and after it, the plan of the earlier one, and its age."""

    commit: str
    before: Desired
    after: Desired
    earlier_plan: Plan
    is_late: bool


def _labeled(plan: Plan, live: Live, gathered: Gathered, base: Base) -> tuple[Plan, Base]:
    """Return the plan in which only what no earlier change explains is drift."""
    if not may_be_drift(plan):
        return plan, base  # most plans: no earlier commit is read
    pending = base.merged.pending
    if base.unknown:
        return _explained_by(plan, _planning_nothing(plan), pending), base
    commits: dict[str, str] = {}
    newest: dict[str, str] = {}
    overdue: set[str] = set()
    try:
        for number, change in enumerate(_changes(plan, live, gathered, base)):
            commit = change.commit
            unexplained, plan = plan, _explained_by(plan, change.earlier_plan, pending)
            explained = _explained(unexplained, plan)
            changed = _changed_webhooks(plan, change.before, change.after)
            newest = dict.fromkeys((*explained, *changed), commit) | newest
            for key in explained:
                # It is drift only if the newest change of the webhook is applied.
                commits[key] = commit if newest[key] == commit else f"{commit}^..{newest[key]}"
            if number == 0 and not change.is_late:
                overdue.update(_doubtful(unexplained, change.before))
            else:
                overdue.update(explained)
            if not may_be_drift(plan):
                break
    except NoBaseError as problem:
        base = base._replace(desired=None, unknown=str(problem))
        return _explained_by(plan, _planning_nothing(plan), pending), base
    return _with_reviews(plan, pending), base._replace(commits=commits, overdue=overdue)


def _planning_nothing(plan: Plan) -> Plan:
    """Return a plan that explains every difference: the files may have made it since."""
    return Plan(plan.origin, plan.organization)


def _changes(plan: Plan, live: Live, gathered: Gathered, base: Base) -> Iterator[_FileChange]:
    """Yield the file changes that may not be applied yet, the newest first. Raises NoBaseError."""
    after = base.desired or Desired()
    for commit, before, is_late in _earlier(gathered.checked, base):
        if before == after:
            continue
        earlier_plan = _planning_nothing(plan)
        if before.policy.scopes:
            earlier_plan = _plan_of(before, live, gathered) or earlier_plan
        elif plan.counts.any_declared_live:
            return  # the commit that added the files is applied
        yield _FileChange(commit, before, after, earlier_plan, is_late)
        if not before.policy.scopes:
            return
        after = before


def _changed_webhooks(plan: Plan, before: Desired, after: Desired) -> Iterator[str]:
    """Yield the key of each operation whose webhook has another declaration before a change."""
    old = {(webhook.name, webhook.id): webhook for webhook in before.webhooks}
    new = {(webhook.name, webhook.id): webhook for webhook in after.webhooks}
    keys = old.keys() | new.keys()
    changed = set(chain.from_iterable(key for key in keys if old.get(key) != new.get(key)))
    for operation in plan.operations:
        key = webhook_key(operation)
        if not changed.isdisjoint((key, *names_of(operation))):
            yield key


def _explained(before: Plan, after: Plan) -> list[str]:
    """Return the keys of the operations whose labels differ."""
    return [
        webhook_key(operation)
        for operation, labeled in zip(before.operations, after.operations, strict=True)
        if operation.attribution is not labeled.attribution
    ]


def _doubtful(plan: Plan, desired: Desired) -> Iterator[str]:
    """Yield the ids of the live webhooks whose difference is no sign that a change waits.

    The configuration before the change does not declare them by live name, or only secrets differ:
    then the change of a reference or version may be applied, and the secret changed afterwards.
    """
    declared = {webhook.name for webhook in desired.webhooks}
    for operation in plan.operations:
        if isinstance(operation, Create):
            continue
        if operation.before.name not in declared or only_values_differ(operation):
            yield operation.before.id


def _plan_of(desired: Desired, live: Live, gathered: Gathered) -> Plan | None:
    """Return the plan of an earlier configuration; None if it conflicts with the live webhooks."""
    secrets = {**gathered.secrets, **desired.literals, **desired.committed}
    checked = gathered.checked._replace(desired=desired)
    with suppress(ConfigurationError):
        return plan_listed(gathered._replace(checked=checked, secrets=secrets), live, PlanOptions())
    return None


def _explained_by(plan: Plan, earlier: Plan, pending: Collection[OperationDigest]) -> Plan:
    """Return the plan in which what an earlier configuration does not plan is not drift."""
    undeclared = [delete.before for delete in plan.deletes]
    for kept in (*plan.kept, *plan.unmanaged):
        undeclared += kept.webhooks
    renamed = {**plan.renamed, **still_renamed(plan.creates, earlier, undeclared)}
    # First: nothing may undo a review whose apply is still to come.
    plan = _with_reviews(plan._replace(renamed=renamed), pending)
    earlier_operations = by_webhook(earlier)

    def label(change: Operation) -> Attribution | None:
        explained = attribution_of(change, earlier_operations, renamed)
        if explained is Attribution.THIS_CHANGE:
            return Attribution.POSSIBLY_WAITING
        if change.attribution is Attribution.PARTLY_DRIFT:
            return change.attribution
        return explained

    return _relabeled(plan, label)


def _with_reviews(plan: Plan, pending: Collection[OperationDigest]) -> Plan:
    """Return the plan in which what merged reviews change is not drift."""
    is_pending = mentions(pending)

    def label(change: Operation) -> Attribution | None:
        if not _is_about(change, plan.renamed, is_pending):
            return change.attribution
        if change.attribution is Attribution.PARTLY_DRIFT:
            return Attribution.THIS_CHANGE
        return Attribution.WAITING

    return _relabeled(plan, label)


def _relabeled(plan: Plan, label: Callable[[Operation], Attribution | None]) -> Plan:
    """Return the plan with new labels for its drift."""
    # The create and the delete of a webhook that was renamed live are one change.
    creates = {
        plan.renamed[create.name].id: create
        for create in plan.creates
        if create.name in plan.renamed and is_drift(create)
    }
    operations: list[Operation] = []
    for operation in plan.operations:
        if is_drift(operation):
            change = operation
            if isinstance(operation, Delete):
                change = creates.get(operation.before.id, operation)
            operation = replace(operation, attribution=label(change))
        operations.append(operation)
    return plan._replace(operations=tuple(operations))


def _is_about(
    operation: Operation,
    renamed: Mapping[str, Snapshot],
    mentioned: Callable[[str | None, str], bool],
) -> bool:
    """Return whether the webhook of an operation, or the live one of a rename, is `mentioned`."""
    live = renamed.get(operation.name) if isinstance(operation, Create) else None
    if live is not None and mentioned(live.id, live.name):
        return True
    return mentioned(live_id(operation), operation.name)


def may_be_drift(plan: Plan) -> bool:
    """Return whether a plan has operations that the previous configuration explains."""
    return any(map(is_drift, plan.operations))


def _with_known_labels(plan: Plan, base: Base) -> Plan:
    """Return a plan without labels if it is not known what was applied."""
    return plan.unlabeled if base.unknown else plan


def classified(organization: Planned, base: Base, globs: Globs) -> OrganizationDrift | None:
    """Return the operations that are not drift, and those that may not be; None without a plan."""
    if organization.plan is None:
        return None
    plan = _with_known_labels(organization.plan, base)
    return OrganizationDrift(
        plan,
        unapplied=_unapplied(plan, base, globs),
        differences=tuple(_differences(plan, base, globs)),
        not_equal=tuple(use for use in plan.not_equal if globs.match(use.webhook)),
    )


def _differences(plan: Plan, base: Base, globs: Globs) -> Iterator[Difference]:
    """Yield the operations that are not known to be drift, with the commits that `base` knows."""
    is_late = mentions(base.merged.late)
    for index, operation in enumerate(plan.operations):
        if is_drift(operation) or not any(map(globs.match, names_of(operation))):
            continue
        state, commit, is_overdue = operation.attribution, "", False
        if state is Attribution.WAITING:
            is_overdue = _is_about(operation, plan.renamed, is_late)
        if state is Attribution.POSSIBLY_WAITING:
            key = webhook_key(operation)
            commit, is_overdue = base.commits[key], key in base.overdue
        yield Difference(index, state, commit, is_overdue)


def _unapplied(plan: Plan, base: Base, globs: Globs) -> tuple[Kept, ...]:
    """Return the declarations that are not applied, and were declared before."""
    if base.desired is None:
        return plan.unapplied
    declared = {webhook.name for webhook in base.desired.webhooks}
    return tuple(
        kept
        for kept in plan.unapplied
        if kept.declared_name in declared and any(map(globs.match, (kept.name, kept.declared_name)))
    )


def status(
    live: Live, checked: Checked | None, only: Sequence[str] = (), listings: Iterable[Live] = ()
) -> LiveStatus:
    """Return the management status of each webhook whose name matches `only`, and the plan.

    Without files, no webhook is checked and there is no plan. `listings` are those of the run, for
    `with_owner`. Raises ConfigurationError if the configuration conflicts with the live webhooks.
    """
    if checked is None:
        return live_status(live, None, only)
    base, gathered = base_of(checked), gather(checked)
    plan = plan_listed(gathered, live, PlanOptions(previous=base.desired))
    labeled = _labeled(with_owner(plan, gathered, listings), live, gathered, base)
    return live_status(live, _with_known_labels(*labeled), only)
