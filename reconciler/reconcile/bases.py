"""The configuration that this process applied last in each organization.

CloudTruth does not show which version of a secret it has. A secret whose reference or version
differs from the configuration applied last is sent again. After a restart, that configuration is
the one at the commit in the ref `refs/webhooks/reconciled/ORGANIZATION-ID` of the local clone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.model import Desired, Organization
from reconciler.planning.plan import Update
from reconciler.render.quote import quote
from reconciler.report import Applied, Report
from reconciler.source.history import Commit, commit_of
from reconciler.workflow.inputs import Checked, previous

_NO_BASE: Final = (
    "{name}: no earlier commit is known, so secrets whose `version` changed before are not resent"
)
_NO_REF: Final = (
    "{name}: the clone cannot be written, so a restarted process does not know the last commit"
)


class Base(NamedTuple):
    """The configuration that is compared with, and the commit that had all of it."""

    desired: Desired
    commit: str


class Bases:
    """The base of each organization, by its id."""

    def __init__(self) -> None:
        self._bases: dict[str, Base] = {}
        self._refs: dict[str, str] = {}
        # In the order of their first occurrence: each is for the log of one round.
        self._notes: dict[str, None] = {}
        self._reported = 0

    def get(self, organization: Organization, checked: Checked) -> Base | None:
        """Return the base of an organization, from the ref at first; None without one."""
        if organization.id not in self._bases:
            base = _read(organization.id, checked)
            if base is None:
                self._note(_NO_BASE, organization)
                return None
            self._bases[organization.id] = base
            self._refs[organization.id] = base.commit
        return self._bases[organization.id]

    def advance(self, checked: Checked, report: Report) -> None:
        """Record what was applied of a commit.

        A webhook with an operation that is not done keeps its earlier declaration, so that its
        secrets are sent in a later round, and those of the others are not sent twice.
        """
        organization, commit = report.plan.organization, checked.inputs.commit
        assert commit is not None
        base, pending = self._bases.get(organization.id), _pending_names(report)
        webhooks = [webhook for webhook in checked.desired.webhooks if webhook.name not in pending]
        if base is not None:
            webhooks += [webhook for webhook in base.desired.webhooks if webhook.name in pending]
        desired = checked.desired._replace(webhooks=tuple(webhooks))
        is_complete = not pending and report.problem is None
        reached = commit.id if is_complete or base is None else base.commit
        self._bases[organization.id] = Base(desired, reached)
        # The ref waits until all of a commit is applied: a restarted process has only the ref.
        if is_complete and self._refs.get(organization.id) != commit.id:
            self._move_ref(organization, commit)

    def _move_ref(self, organization: Organization, commit: Commit) -> None:
        if commit.git(["update-ref", _ref(organization.id), commit.id]) is not None:
            self._refs[organization.id] = commit.id
        else:
            self._note(_NO_REF, organization)

    def new_notes(self) -> tuple[str, ...]:
        """Return the notes since the last call."""
        notes = tuple(self._notes)[self._reported :]
        self._reported = len(self._notes)
        return notes

    def _note(self, text: str, organization: Organization) -> None:
        self._notes.setdefault(text.format(name=quote(organization.name)))


def _pending_names(report: Report) -> set[str]:
    """Return the present and former names of webhooks that are not as declared."""
    # A webhook that the plan keeps for a reason is not as declared either.
    names = {kept.name for kept in report.plan.unapplied}
    for outcome in report.outcomes:
        operation = outcome.operation
        if isinstance(outcome, Applied):
            continue
        names.add(operation.name)
        if isinstance(operation, Update):
            names |= {operation.before.name, *operation.after.previously}
    return names


def _ref(organization: str) -> str:
    # git refuses a name that would lead out of this folder.
    return f"refs/webhooks/reconciled/{organization}"


def _read(organization: str, checked: Checked) -> Base | None:
    commit = commit_of(_ref(organization), checked.inputs.git)
    if commit is None:
        return None
    try:
        return Base(previous((commit,), checked), commit)
    except ConfigurationError:  # the files were invalid, or the clone is too shallow
        return None
