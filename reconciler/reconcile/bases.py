"""The configuration that this process applied last in each organization.

CloudTruth does not show which version of a secret it has. A secret whose reference or version
differs from the configuration applied last is sent again. After a restart, that configuration is
the one at the commit in the ref `refs/webhooks/reconciled/ORGANIZATION-ID` of the local clone.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from reconciler.errors import ConfigurationError
from reconciler.model import Desired
from reconciler.planning.plan import Update
from reconciler.report import Applied, Report
from reconciler.source.history import Commit, commit_of
from reconciler.workflow.inputs import Checked, previous

_ID: Final = re.compile(r"[A-Za-z0-9_-]+")


class Base(NamedTuple):
    """The configuration that is compared with, and the commit that had all of it."""

    desired: Desired
    commit: str


class Bases:
    """The base of each organization, by its id."""

    def __init__(self) -> None:
        self._bases: dict[str, Base] = {}
        self._unwritable: set[str] = set()

    def get(self, organization: str, checked: Checked) -> Base | None:
        """Return the base of an organization, from the ref at first; None without one."""
        if organization not in self._bases:
            base = _read(organization, checked)
            if base is not None:
                self._bases[organization] = base
        return self._bases.get(organization)

    def advance(self, organization: str, checked: Checked, report: Report) -> bool:
        """Record what was applied of a commit. Return False at the first ref that is not written.

        A webhook with an operation that is not done keeps its earlier declaration, so that its
        secrets are sent in a later round, and those of the others are not sent twice.
        """
        commit = checked.inputs.commit
        assert commit is not None
        base, pending = self._bases.get(organization), pending_names(report)
        earlier = base.desired.webhooks if base is not None else ()
        kept = tuple(webhook for webhook in earlier if webhook.name in pending)
        current = (webhook for webhook in checked.desired.webhooks if webhook.name not in pending)
        desired = checked.desired._replace(webhooks=(*current, *kept))
        is_complete = not pending and report.problem is None
        reached = commit.id if is_complete or base is None else base.commit
        self._bases[organization] = Base(desired, reached)
        if not is_complete or (base is not None and base.commit == commit.id):
            return True
        is_written = _write(organization, commit)
        is_new = organization not in self._unwritable
        if not is_written:
            self._unwritable.add(organization)
        return is_written or not is_new


def pending_names(report: Report) -> set[str]:
    """Return the present and former names of webhooks that are not as declared."""
    names = {kept.name for kept in report.plan.unapplied}
    for outcome in report.outcomes:
        operation = outcome.operation
        if isinstance(outcome, Applied):
            continue
        names.add(operation.name)
        if isinstance(operation, Update):
            names |= {operation.before.name, *operation.after.previously}
    return names


def _ref(organization: str) -> str | None:
    return f"refs/webhooks/reconciled/{organization}" if _ID.fullmatch(organization) else None


def _read(organization: str, checked: Checked) -> Base | None:
    ref = _ref(organization)
    commit = None if ref is None else commit_of(ref, checked.inputs.git)
    if commit is None:
        return None
    try:
        return Base(previous((commit,), checked), commit)
    except ConfigurationError:  # the files were invalid, or the clone is too shallow
        return None


def _write(organization: str, commit: Commit) -> bool:
    """Set the ref. Return False for a clone that cannot be written."""
    ref = _ref(organization)
    return ref is not None and commit.git(["update-ref", ref, commit.id]) is not None
