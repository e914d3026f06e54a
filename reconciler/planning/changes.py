"""What a plan is made of: changes to make, and webhooks to leave alone with the reason why.

Each decision is a closed union. A variant has exactly the fields that exist for it, so nothing
needs a check for None: a create has no `before`, a delete no `after`. Nothing here holds a
secret: live webhooks appear as `Snapshot`s, desired ones with references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from reconciler.findings import Position
from reconciler.model import Path, SecretRef, Unknown, Webhook


class Reason(StrEnum):
    """Why a webhook is changed or left alone."""

    MISSING = "missing"  # declared, not live: create
    DIFFERS = "differs"  # live, in another form than declared: update
    RENAMED = "renamed"  # live under a name of `previously`, or pinned by id under another name
    ADOPTED = "adopted"  # the same, and that name is not in the scope of the file: `adopt: true`
    RESEND = "resend"  # nothing visible differs; a secret is to be sent again
    ABSENT = "absent"  # declared with `state: absent`: delete
    NOT_DECLARED = "not-declared"  # in scope of a file that prunes, declared by none: delete
    DUPLICATE = "duplicate"  # a further copy of a declared webhook, equal to the one that stays

    PROTECTED = "protected"  # would be deleted, were it not protected
    UNKNOWN_TYPE = "unknown-type"  # of a type this version does not know
    UNKNOWN_EVENT = "unknown-event"  # with an event this version does not know
    TWINS = "twins"  # several live webhooks bear a declared name and differ from each other

    PRUNE_OFF = "prune-off"  # in scope, not declared, and nothing prunes it
    OUT_OF_SCOPE = "out-of-scope"  # in no file's scope


class Attribution(StrEnum):
    """Where a change comes from, when the declaration before this one is known."""

    THIS_CHANGE = "this-change"
    DRIFT = "drift"


class SecretCause(StrEnum):
    """Why a secret is sent."""

    DIFFERS = "differs"  # readable, and another value than the reference yields
    ADDED = "added"  # live has none
    DESTINATION = "destination-changed"  # another host, in a file that git tracks
    REFERENCE_CHANGED = "reference-changed"  # against the base; what is live cannot be read
    VERSION_CHANGED = "version-changed"  # against the base; what is live cannot be read
    REQUESTED = "requested"  # --resend-secret, --resend-secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a plan remembers of a live webhook, nothing of it secret.

    `configuration` holds the fields of a known type that are no secret, as read; UNKNOWN stands
    for one the server does not show. A plain URL that equals the declared one is kept too.
    `destination` is for display: a channel, or scheme and host of a URL.
    """

    id: str
    name: str
    type: str
    event_types: frozenset[str]
    configuration: Mapping[str, str | bool | Unknown]
    destination: str = field(default="", compare=False)
    last_run: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """A field that is no secret gets another value; None is a field that is not there.

    Of a name or type the path is `("name",)`, `("type",)`; else `("configuration", field)`.
    `hidden`: live shows no configuration; the declaration before had another value.
    """

    path: Path
    before: str | bool | Unknown | None
    after: str | bool
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChange:
    """Members join or leave a set; `unchanged` is the number of those that stay."""

    path: Path
    added: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretChange:
    """A secret field gets the value of `after`: a reference, or a plain URL.

    `before` and `destination` are for display: scheme and host of a live URL (None for all else),
    and where deliveries with this secret go. `moved` says that the two hosts differ and that no
    commit shows it.
    """

    path: Path
    after: SecretRef | str
    cause: SecretCause
    before: str | None = None
    destination: str = ""
    moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLost:
    """A live configuration field that no file declares goes, as configuration is sent whole.

    `hidden`: live shows no configuration; the declaration before had the field.
    """

    path: Path
    hidden: bool = False


FieldChange: TypeAlias = ValueChange | SetChange | SecretChange | KeyLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A declared webhook that is not live.

    `after.previously` holds names that tell of a webhook to be renamed instead, should one turn
    up under them until the plan is carried out. The same holds for updates and what matches.
    """

    after: Webhook
    reason: Reason = Reason.MISSING
    attribution: Attribution | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the name the webhook will have."""
        return self.after.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A live webhook that gets declared values; a rename is one too."""

    before: Snapshot
    after: Webhook
    fields: tuple[FieldChange, ...]
    reason: Reason = Reason.DIFFERS
    attribution: Attribution | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the name the webhook will have."""
        return self.after.name

    @property
    def sends(self) -> frozenset[str]:
        """Return the top-level fields that are sent. A type never goes without configuration."""
        fields = frozenset(str(each.path[0]) for each in self.fields)
        return fields | {"configuration"} if "type" in fields else fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """A live webhook that goes. `position` is the line that asks for it, if one does.

    Of a duplicate `keeps` is the id of the webhook that stays; `hidden` says that the server does
    not show all of both, so that they may differ.
    """

    before: Snapshot
    reason: Reason
    position: Position | None = field(default=None, compare=False)
    keeps: str | None = None
    hidden: bool = False
    attribution: Attribution | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the name the webhook has."""
        return self.before.name


Change: TypeAlias = Create | Update | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Live webhooks a declaration touches on, left as they are; more than one only for twins.

    `position` is the line that explains it: the `protect` glob, or the declared twin. `detail`
    names what is not known: the type, or the events. `unapplied`: a declaration is not carried out
    because of this.
    """

    webhooks: tuple[Snapshot, ...]
    reason: Reason
    position: Position | None = field(default=None, compare=False)
    detail: str = ""
    unapplied: bool = False

    @property
    def name(self) -> str:
        """Return the name the webhooks have."""
        return self.webhooks[0].name


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmanaged:
    """A live webhook that no declaration speaks of and nothing prunes."""

    webhook: Snapshot
    reason: Reason

    @property
    def name(self) -> str:
        """Return the name the webhook has."""
        return self.webhook.name
