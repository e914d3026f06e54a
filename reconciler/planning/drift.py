"""Drift: what changed live, apart from what the files change.

An operation is drift if the previous configuration plans it, too. Every other operation is a change
of the files that is not applied yet, and must never be undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reconciler.planning.plan import Create, Delete, Kept, Operation, Plan, Update
from reconciler.planning.run import OrganizationResult


class Drifted(NamedTuple):
    """A webhook that changed live.

    `operations` are the indexes of the operations that revert it: one, or the create and the delete
    of a webhook that was renamed live. `files` are those whose edits accept it; without any,
    `refusal` is the reason.
    """

    operations: tuple[int, ...]
    files: tuple[str, ...] = ()
    refusal: str = ""


class OrganizationDrift(NamedTuple):
    """The drift of an organization.

    `not_applied` are the indexes of operations that only the files of this run plan, `waiting`
    those that `commit` may have introduced, so that it may not be applied yet, and `merged` those
    about webhooks with a merged review that is not applied yet. `unapplied` are declarations that
    cannot be applied because of a live webhook.
    """

    plan: Plan
    drifted: tuple[Drifted, ...] = ()
    unapplied: tuple[Kept, ...] = ()
    not_applied: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    commit: str = ""
    merged: tuple[int, ...] = ()


class FileDiff(NamedTuple):
    """The edits of a file, as a patch that `git apply` accepts."""

    file: str
    diff: str


class DriftReport(NamedTuple):
    """The drift of a run, and the edits that accept it.

    `base` are the options that name the previous configuration. Without one, `unknown` is the
    reason why drift and edits cannot be told apart, and all operations are `not_applied`.
    `accepted` means that the files have been edited. With `reverted_together`, other commands than
    one for each webhook revert the drift.
    """

    organizations: tuple[OrganizationResult[OrganizationDrift], ...]
    diffs: tuple[FileDiff, ...] = ()
    base: tuple[str, ...] = ()
    unknown: str = ""
    accepted: bool = False
    reverted_together: bool = False

    @property
    def drifts(self) -> tuple[OrganizationDrift, ...]:
        """Return the drift of each organization that could be planned."""
        return tuple(result.value for result in self.organizations if result.value is not None)

    @property
    def webhooks(self) -> Iterator[Drifted]:
        """Yield the webhooks that changed live and that can be reverted."""
        for drift in self.drifts:
            yield from drift.drifted

    @property
    def is_partly_applied(self) -> bool:
        """Return whether changes of the files are known that may not be applied yet."""
        if self.unknown:
            return False
        return any(drift.merged or drift.waiting or drift.not_applied for drift in self.drifts)

    @property
    def remains(self) -> bool:
        """Return whether live webhooks differ from the files, except for changes of the files.

        Without a previous configuration, any difference counts.
        """
        if self.unknown:
            return any(drift.plan.operations or drift.unapplied for drift in self.drifts)
        if any(drift.unapplied for drift in self.drifts):
            return True
        # What the edited files accept no longer differs from them.
        return any(not (self.accepted and webhook.files) for webhook in self.webhooks)


def names_of(operation: Operation) -> tuple[str, ...]:
    """Return the names of a webhook before and after an operation."""
    match operation:
        case Update(before=before, after=after):
            return before.name, after.name
        case Create() | Delete():
            return (operation.name,)
