"""Drift: what changed live.

    base_of -> plan_all (with the previous configuration) -> compared -> find_drift

An operation is drift if the previous configuration plans it, too, and if no earlier change that may
not be applied yet explains it: the webhook was changed live. Everything else is never edited. So
`drift`, `status`, the plan of a pull request and the issue on GitHub use the word in one sense.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.model import Desired, Live
from reconciler.planning.drift import (
    WebhookStatus,
    attribute,
    by_webhook,
    statuses,
    still_renamed,
)
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    Operation,
    OperationDigest,
    Plan,
    Snapshot,
)
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import mentions
from reconciler.source.history import (
    NoBaseError,
    commit_before,
    commit_of,
    last_change,
    tracked,
)
from reconciler.source.schemes import paths
from reconciler.source.secrets import references
from reconciler.workflow.inputs import Checked, Gathered, gather
from reconciler.workflow.planning import plan_listed
from reconciler.workflow.revisions import previous_at
from reconciler.workflow.run import Planned

_DRIFT: Final = (Attribution.DRIFT, Attribution.PARTLY_DRIFT)


class Base(NamedTuple):
    """The previous configuration of an organization, or why there is none.

    `revision` is its commit, if earlier changes of the files may not be applied yet. Those until
    `applied` are, and `merged` are the operations of merged reviews that are not. `commit` is the
    last change that may not be applied yet, once `compared` has looked for it.
    """

    desired: Desired | None = None
    unknown: str = ""
    revision: str = ""
    applied: str = ""
    merged: Collection[OperationDigest] = ()
    commit: str = ""


def base_of(checked: Checked) -> Base:
    """Return the configuration of the last commit."""
    head = commit_of("HEAD", checked.inputs.git)
    if head is None:
        return Base(unknown="these files are not in a git repository with a commit")
    try:
        return Base(previous_at(head, checked), revision=head)
    except ConfigurationError as problem:
        return Base(unknown=f"the last commit cannot be used: {problem.message}")


def compared(organization: Planned, base: Base) -> tuple[Planned, Base]:
    """Return an organization whose plan tells drift from changes that may not be applied yet."""
    plan, live, gathered = organization.plan, organization.live, organization.gathered
    if plan is None or live is None or gathered is None:
        return organization, base
    plan, base = _labeled(plan, live, gathered, base)
    return organization._replace(plan=plan), base


def _recent(checked: Checked, base: Base) -> tuple[Desired | None, Base]:
    """Return the configuration before the last change that may not be applied yet, if any."""
    if base.unknown or not base.revision:
        return None, base
    inputs = checked.inputs
    secret_files = paths(references(checked.desired.webhooks))
    in_git = tracked(secret_files, directory=inputs.directory, git=inputs.git)
    names = (*checked.loaded.documents, *checked.loaded.parents, *sorted(in_git))
    commit = last_change(names, inputs.git, base.revision)
    if commit is None:  # no commit has the files
        return None, base
    if base.applied:
        with suppress(ConfigurationError):
            recent = previous_at(base.applied, checked)
            return recent, base._replace(commit=f"{base.applied[:12]}..{commit}")
    # A guess here could undo a merge that is not applied yet.
    try:
        recent = previous_at(commit_before(commit, inputs.git), checked)
        return recent, base._replace(commit=commit)
    except NoBaseError as problem:
        unknown = str(problem)
    except ConfigurationError as problem:
        unknown = (
            f"the configuration before commit {commit}, the last that changed the files, cannot be "
            f"used: {problem.message}"
        )
    return None, base._replace(desired=None, unknown=unknown)


def _labeled(plan: Plan, live: Live, gathered: Gathered, base: Base) -> tuple[Plan, Base]:
    """Return the plan in which only what no earlier change explains is drift."""
    if not may_be_drift(plan):
        return plan, base  # most plans: no earlier commit is read
    is_merged = mentions(base.merged)
    recent, base = _recent(gathered.checked, base)
    label_of, renamed = _labels(plan, live, gathered, base, recent)
    # The create and the delete of a webhook that was renamed live are one change.
    creates = {
        renamed[create.name].id: create
        for create in plan.creates
        if create.name in renamed and create.attribution in _DRIFT
    }
    operations: list[Operation] = []
    for operation in plan.operations:
        change, label = operation, operation.attribution
        if isinstance(operation, Delete):
            change = creates.get(operation.before.id, operation)
        if label in _DRIFT:
            is_partly = change.attribution is Attribution.PARTLY_DRIFT
            label = label_of(change)
            # First: nothing may undo a review whose apply is still to come.
            if any(is_merged(*webhook) for webhook in _webhooks(change, renamed)):
                label = Attribution.THIS_CHANGE if is_partly else Attribution.WAITING
            elif is_partly and label is Attribution.DRIFT:
                label = Attribution.PARTLY_DRIFT
        operations.append(replace(operation, attribution=label))
    return plan._replace(operations=tuple(operations), renamed=renamed), base


def unlabeled(plan: Plan) -> Plan:
    """Return a plan without labels: without a previous configuration, nothing is known."""
    operations = (replace(operation, attribution=None) for operation in plan.operations)
    return plan._replace(operations=tuple(operations))


def _webhooks(
    operation: Operation, renamed: Mapping[str, Snapshot]
) -> Iterator[tuple[str | None, str]]:
    """Yield the id and name of the webhook of an operation, and of the live one of a rename."""
    if not isinstance(operation, Create):
        yield operation.before.id, operation.name
        return
    yield None, operation.name  # a webhook that is created has no id yet
    if operation.name in renamed:
        yield renamed[operation.name].id, renamed[operation.name].name


def may_be_drift(plan: Plan) -> bool:
    """Return whether a plan has operations that the previous configuration explains."""
    return any(operation.attribution in _DRIFT for operation in plan.operations)


def _labels(
    plan: Plan, live: Live, gathered: Gathered, base: Base, recent: Desired | None
) -> tuple[Callable[[Operation], Attribution], Mapping[str, Snapshot]]:
    """Return what labels an operation that the last commit plans, too, and `Plan.renamed`.

    The operation may wait, completely or in part, if the `recent` configuration, before the last
    change, explains it. That may also explain under which name a created webhook is live.
    """
    perhaps = Attribution.PERHAPS_WAITING
    if base.unknown:
        return lambda operation: perhaps, plan.renamed
    if recent is None or recent == base.desired:
        return lambda operation: Attribution.DRIFT, plan.renamed
    if not recent.policy.scopes:  # the change added the files
        added = Attribution.DRIFT if plan.counts.any_declared_live else perhaps
        return lambda operation: added, plan.renamed
    secrets = {**gathered.secrets, **recent.literals, **recent.committed}
    earlier = gathered._replace(checked=gathered.checked._replace(desired=recent), secrets=secrets)
    try:
        planned = plan_listed(earlier, live, PlanOptions())
    except ConfigurationError:
        return lambda operation: perhaps, plan.renamed
    undeclared = [delete.before for delete in plan.deletes]
    for kept in (*plan.kept, *plan.unmanaged):
        undeclared += kept.webhooks
    renamed = {**plan.renamed, **still_renamed(plan.creates, planned, undeclared)}
    before = by_webhook(planned)

    def label(operation: Operation) -> Attribution:
        label = attribute(operation, before, renamed)
        return perhaps if label is Attribution.THIS_CHANGE else label

    return label, renamed


def status(
    live: Live, checked: Checked | None, only: Sequence[str] = ()
) -> tuple[tuple[WebhookStatus, ...], Plan | None]:
    """Return the management status of each webhook whose name matches `only`, and the plan.

    Without files, no webhook is checked and there is no plan. Raises ConfigurationError if the
    configuration conflicts with the live webhooks.
    """
    if checked is None:
        return statuses(live, None, only), None
    base, gathered = base_of(checked), gather(checked)
    plan = plan_listed(gathered, live, PlanOptions(previous=base.desired))
    plan, base = _labeled(plan, live, gathered, base)
    if base.unknown:
        plan = unlabeled(plan)
    return statuses(live, plan, only), plan
