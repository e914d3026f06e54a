"""The plan: everything that would be done, everything that is left alone, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from reconciler.findings import Finding
from reconciler.model import Organization, SecretRef, Webhook
from reconciler.planning.changes import Change, Create, Delete, Kept, Reason, Unmanaged, Update
from reconciler.planning.digest import Operation
from reconciler.planning.guards import Grounds, blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A secret that the plan's changes send: where it comes from and where it goes.

    `webhook` is the name of the webhook, `field` the configuration field, `destination` where
    its deliveries go (a channel, or scheme and host).
    """

    reference: SecretRef
    webhook: str
    field: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A declared webhook that is live as declared. `id` is that of the live one."""

    id: str
    webhook: Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would make live equal to desired.

    `changes` stand in the order in which they are carried out: deletes of duplicates (an update
    of the copy that stays, with the others still there, would leave copies that differ), updates
    and renames, creates, all other deletes; within these by name, then id. `operations` holds the
    digest of each of them, None for one that only a secret's value makes; `digest` is of what a
    reviewer sees (planning/digest.py).

    `blocked` says which guards hold it back, on its `grounds`; `notes` are warnings and hints;
    `relaxed` names policy lines that were loosened since the base. `unreadable` names declared
    fields that cannot be read back, as (webhook, field). `files` counts the files that were read,
    `in_scope` live webhooks that a file is responsible for, `live` all of them.
    """

    origin: str
    organization: Organization
    changes: tuple[Change, ...] = ()
    matched: tuple[Matched, ...] = ()
    kept: tuple[Kept, ...] = ()
    unmanaged: tuple[Unmanaged, ...] = ()
    ignored: int = 0
    files: int = 0
    in_scope: int = 0
    live: int = 0
    grounds: Grounds = field(default_factory=Grounds)
    blocked: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    relaxed: tuple[Finding, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    operations: tuple[tuple[Operation, ...], ...] = ()
    digest: str = ""

    @property
    def uncertain(self) -> tuple[tuple[str, str], ...]:
        """Return the fields that cannot be read back and are not sent, as (webhook, field)."""
        sent = {(each.webhook, each.field) for each in self.secrets}
        return tuple(each for each in self.unreadable if each not in sent)

    @property
    def unapplied(self) -> tuple[Kept, ...]:
        """Return what is kept so that a declaration is not carried out."""
        return tuple(each for each in self.kept if each.unapplied)

    def held_back(self, allow_deletes: int | None = None) -> tuple[Finding, ...]:
        """Return what guards say of it, if so many deletes are allowed."""
        return blocks(
            deletes=self.counted_deletes,
            in_scope=self.in_scope,
            grounds=self.grounds,
            allow_deletes=allow_deletes,
        )

    def only(self, kept: Collection[int]) -> Plan:
        """Return the plan of some of the changes, named by their places."""
        changes = tuple(each for index, each in enumerate(self.changes) if index in kept)
        names = {each.name for each in changes if not isinstance(each, Delete)}
        return replace(
            self,
            changes=changes,
            secrets=tuple(each for each in self.secrets if each.webhook in names),
            operations=tuple(each for index, each in enumerate(self.operations) if index in kept),
        )

    @property
    def creates(self) -> tuple[Create, ...]:
        """Return the creates."""
        return tuple(each for each in self.changes if isinstance(each, Create))

    @property
    def updates(self) -> tuple[Update, ...]:
        """Return the updates, renames among them."""
        return tuple(each for each in self.changes if isinstance(each, Update))

    @property
    def deletes(self) -> tuple[Delete, ...]:
        """Return the deletes, those of duplicates among them."""
        return tuple(each for each in self.changes if isinstance(each, Delete))

    @property
    def counted_deletes(self) -> int:
        """Return how many deletes the guards count.

        That is all of them, except the single duplicate of a name that is shown whole and equals
        the webhook that stays: nothing is lost with it.
        """
        duplicates = [each for each in self.deletes if each.reason is Reason.DUPLICATE]
        of_name = Counter(each.name for each in duplicates)
        harmless = sum(not each.hidden and of_name[each.name] == 1 for each in duplicates)
        return len(self.deletes) - harmless
