"""A plan: the operations, the webhooks that are kept, and the reasons.

Each decision is a closed union. A variant has only the fields that apply to it, so no field has to
be checked for None: a create has no `before`, a delete no `after`. A plan contains no secret: live
webhooks appear as `Snapshot`s, desired ones with references.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from reconciler.findings import Finding, Position
from reconciler.model import (
    WEBHOOK_FIELDS,
    DeliveryError,
    Organization,
    SecretRef,
    Unknown,
    Value,
    Webhook,
    frozen,
)


class Reason(StrEnum):
    """Why a webhook is changed or kept."""

    MISSING = "missing"  # declared, not live: create
    DIFFERS = "differs"  # live, but different from the declaration: update
    RENAMED = "renamed"  # live under a name of `previously`, or pinned by id under another name
    ADOPTED = "adopted"  # as above, and the live name is outside the scope: `adopt: true`
    RESEND = "resend"  # no visible difference; a secret is resent
    ABSENT = "absent"  # declared with `state: absent`: delete
    NOT_DECLARED = "not-declared"  # not declared, in scope of a file that prunes: delete
    DUPLICATE = "duplicate"  # another webhook of a declared name, equal to the one that stays

    PROTECTED = "protected"  # by a glob, or by the `id` of an entry with `state: absent`
    UNKNOWN_TYPE = "unknown-type"  # a type that this version does not know
    UNKNOWN_EVENT = "unknown-event"  # an event that this version does not know
    AMBIGUOUS = "ambiguous"  # several live webhooks of a declared name, which differ
    NAME_PINNED = "name-pinned"  # differs from the webhook of its name that is pinned by `id`
    NAME_TAKEN = "name-taken"  # pinned by id under another name, and another webhook has its name
    LIVE_OUT_OF_SCOPE = "live-out-of-scope"  # pinned by id under a name outside the scope
    LATER = "later"  # declared and not live, with a name that this plan already creates

    PRUNE_OFF = "prune-off"  # in scope, not declared, not pruned
    OUT_OF_SCOPE = "out-of-scope"  # outside all scopes


class Attribution(StrEnum):
    """Why a webhook differs from the files, if the previous configuration is known."""

    THIS_CHANGE = "this-change"
    DRIFT = "drift"  # it was changed live
    PARTLY_DRIFT = "partly-drift"  # it was changed live, and the files change it, too
    WAITING = "waiting-to-be-applied"  # a merged review is not applied yet
    POSSIBLY_WAITING = "possibly-waiting"  # drift, or an earlier change that is not applied yet


class SecretCause(StrEnum):
    """Why a secret is sent."""

    DIFFERS = "differs"  # readable, and different from the value of the reference
    ADDED = "added"  # not set in the live webhook
    DESTINATION = "destination-changed"  # another host, in a file that git tracks
    # These compare with the previous configuration, because the live value cannot be read.
    REFERENCE_CHANGED = "reference-changed"
    VERSION_CHANGED = "version-changed"
    REQUESTED = "requested"  # --resend-secret


class DeliveryState(StrEnum):
    """Whether a live webhook delivers."""

    FAILING = "failing"  # the last run failed
    FAILED_EARLIER = "failed earlier"  # a later run succeeded
    NEVER_RUN = "never run"
    DELIVERING = "delivering"
    UNKNOWN = "unknown"  # a time is needed that is missing or cannot be read


_SAME_RUN: Final = timedelta(seconds=1)
"""The server may record the error of a run shortly before the run itself."""


def delivery_state(last_run: str | None, last_error: DeliveryError | None) -> DeliveryState:
    """Return the state that the two fields of a live webhook prove."""
    if last_error is None:
        if last_run is None:
            return DeliveryState.NEVER_RUN
        return DeliveryState.DELIVERING
    if last_run is None:
        return DeliveryState.FAILING
    try:
        age = _time(last_run) - _time(last_error.timestamp)
    except (ValueError, TypeError):  # TypeError: only one of them has a time zone
        return DeliveryState.UNKNOWN
    return DeliveryState.FAILED_EARLIER if age > _SAME_RUN else DeliveryState.FAILING


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(str(text).upper())  # RFC 3339 allows `t` and `z`


@frozen
class Snapshot:
    """The fields of a live webhook that are not secret.

    `configuration` holds the plain fields of a known type that the server shows. It includes a
    plain URL that equals the declared one. `destination` is what a reviewer sees of it: a channel,
    or the scheme and host of a URL.
    """

    id: str
    name: str
    type: str
    event_types: frozenset[str]
    configuration: Mapping[str, str | bool | Unknown]
    destination: str = ""
    last_run: str | None = field(default=None, compare=False)
    last_error: DeliveryError | None = field(default=None, compare=False)

    @property
    def delivery(self) -> DeliveryState:
        """Return whether the webhook delivers."""
        return delivery_state(self.last_run, self.last_error)


class ValueChange(NamedTuple):
    """A change of a plain field; None means that the field is missing.

    The path is `("name",)`, `("type",)` or `("configuration", field)`. `not_shown` means that the
    server shows no configuration, and the previous configuration had another value.
    """

    path: tuple[str, ...]
    before: str | bool | Unknown | None
    after: str | bool
    not_shown: bool = False


class SetChange(NamedTuple):
    """Members added to and removed from a set; `unchanged` is the number of members in both."""

    path: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    not_shown: bool = False


_RESENT: Final = frozenset(
    (SecretCause.REFERENCE_CHANGED, SecretCause.VERSION_CHANGED, SecretCause.REQUESTED)
)
"""The causes that send a secret although no difference is visible."""


class SecretChange(NamedTuple):
    """A secret field is set to the value of `after`: a reference, or a plain URL."""

    path: tuple[str, ...]
    after: SecretRef | str
    cause: SecretCause
    before: str | None = None
    """The scheme and host of a live URL, for display; None for other fields."""
    destination: str = ""
    """The destination of deliveries with this secret, for display."""
    moved: bool = False
    """Whether the host of the URL changes, and no commit shows the new host."""
    hidden: bool = False
    """Whether the server does not show the live value, so that another one may be replaced."""
    differs: tuple[str, ...] = ()
    """The parts of a URL that differ although scheme and host are the same."""

    @property
    def not_shown(self) -> bool:
        """Return whether the secret is sent although no difference is visible."""
        return self.cause in _RESENT


class FieldResent(NamedTuple):
    """A field is sent, because the complete configuration is sent.

    It is not known to be equal, so another value may be replaced: the server hides the live one,
    or, without `hidden`, shows one that cannot be compared. `not_shown` is always false: another
    change requires to send it.
    """

    path: tuple[str, ...]
    after: Value
    hidden: bool = True
    not_shown: bool = False


class FieldRemoved(NamedTuple):
    """An undeclared configuration field is removed, because the complete configuration is sent.

    `not_shown` means that the server shows no configuration, and the previous configuration had the
    field.
    """

    path: tuple[str, ...]
    not_shown: bool = False


FieldChange: TypeAlias = ValueChange | SetChange | SecretChange | FieldResent | FieldRemoved
"""A field that is sent or removed; `not_shown` means that no difference is visible."""


@frozen
class Create:
    """A declared webhook that is not live.

    `after.previously` lists the former names that were not live when the plan was made. If a
    webhook with such a name appears before the plan is applied, it must be renamed instead. The
    same applies to updates and matching webhooks.
    """

    action: ClassVar[str] = "create"
    sends_configuration: ClassVar[bool] = True
    after: Webhook
    reason: Reason = Reason.MISSING
    attribution: Attribution | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the name the webhook will have."""
        return self.after.name

    @property
    def sent_fields(self) -> frozenset[str]:
        """Return the top-level fields that are sent."""
        return frozenset(WEBHOOK_FIELDS)


@frozen
class Update:
    """A live webhook that is set to declared values; includes renames."""

    action: ClassVar[str] = "update"
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
    def is_rename(self) -> bool:
        """Return whether the webhook gets another name."""
        return self.before.name != self.after.name

    @property
    def sent_fields(self) -> frozenset[str]:
        """Return the top-level fields that are sent. A type is never sent without configuration."""
        fields = {change.path[0] for change in self.fields}
        if "type" in fields:
            fields.add("configuration")  # another type has other fields
        return frozenset(fields)

    @property
    def sends_configuration(self) -> bool:
        """Return whether the complete configuration is sent."""
        return "configuration" in self.sent_fields


@frozen
class Delete:
    """A live webhook that is deleted. `position` is the line that requests it, if there is one.

    For a duplicate, `kept_id` is the id of the webhook that stays. `may_differ` means that the
    server does not show both completely, so they may differ.
    """

    action: ClassVar[str] = "delete"
    sends_configuration: ClassVar[bool] = False
    before: Snapshot
    reason: Reason
    position: Position | None = field(default=None, compare=False)
    kept_id: str | None = None
    may_differ: bool = False
    attribution: Attribution | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Return the name the webhook has."""
        return self.before.name


Operation: TypeAlias = Create | Update | Delete
"""A change of one webhook; `action` is its name in documents and metrics."""


def is_drift(operation: Operation) -> bool:
    """Return whether a webhook was changed live, even if the files change it, too."""
    return operation.attribution in (Attribution.DRIFT, Attribution.PARTLY_DRIFT)


def stage(operation: Operation) -> int:
    """Return when an operation is applied: those of a later stage follow those of earlier ones.

    Duplicates are deleted first: if the run stopped after an update of the webhook that stays, they
    would look like unrelated webhooks with its name, which no run may change. Other deletes come
    last, so that nothing is deleted while another operation can still fail.
    """
    match operation:
        case Delete():
            return 3 if operation.kept_id is None else 0
        case Update():
            return 1
        case Create():
            return 2


def live_id(operation: Operation) -> str | None:
    """Return the id of the live webhook of an operation, None for a create."""
    return None if isinstance(operation, Create) else operation.before.id


def webhook_key(operation: Operation) -> str:
    """Return what identifies the webhook of an operation: its id, or the name of a new one."""
    return live_id(operation) or operation.name


def names_of(operation: Operation) -> tuple[str, ...]:
    """Return the names of a webhook before and after an operation."""
    match operation:
        case Update(before=before, after=after):
            return before.name, after.name
        case Create() | Delete():
            return (operation.name,)


class Kept(NamedTuple):
    """Live webhooks that are not changed, also undeclared ones that are not pruned.

    With `Reason.LATER` it is the declared webhook whose `id` is no longer live.
    """

    webhooks: tuple[Snapshot, ...]
    """Several with `Reason.AMBIGUOUS` and `NAME_PINNED`, else one."""
    reason: Reason
    position: Position | None = None
    """The line that explains the reason: the `protect` glob, or the declaration with that name."""
    detail: str = ""
    """The unknown type or events, the declared name, or how a destination or an `id` matters."""
    unapplied: bool = False
    """Whether a declaration is not applied because of this."""

    @property
    def name(self) -> str:
        """Return the name the webhooks have."""
        return self.webhooks[0].name

    @property
    def declared_name(self) -> str:
        """Return the name of the declaration, which may be another one."""
        if self.reason in (Reason.NAME_TAKEN, Reason.LIVE_OUT_OF_SCOPE):
            return self.detail
        return self.name


@dataclass(frozen=True, slots=True)
class OperationDigest:
    """The digest of a reviewed operation, with the webhook's id (None for a create) and name.

    `content` is the digest without the id, the same for equal changes of many webhooks. `resent` is
    the field whose resend the digest is about, None if it is about other changes.
    """

    digest: str
    id: str | None
    name: str
    content: str = field(default="", compare=False)
    resent: str | None = field(default=None, compare=False)


class SecretUse(NamedTuple):
    """A secret that a webhook uses, with its destination.

    `webhook` is the name of the webhook, which others may have too, and `live_id` its id if it is
    live. `field` is the configuration field, `destination` a channel, or the scheme and host of a
    URL. If these are not known, because the secret is the URL, it is only the reference, or the
    live destination if the secret is not sent, and `is_resolved` is false.
    """

    reference: SecretRef
    webhook: str
    field: str
    destination: str
    is_resolved: bool = True
    live_id: str | None = None


class FileState(StrEnum):
    """Why a file was not read that declares webhooks which a plan deletes."""

    NOT_READ = "not read"  # in the same repository or folder
    NOT_SELECTED = "not selected"  # it names the organization otherwise, for example by its id
    GONE = "gone"  # not in the working tree, although no commit removed it
    REMOVED = "removed"  # by a commit
    NOT_SEARCHED = "not searched"  # git cannot read the repository, so any file may declare them
    OTHER_REPOSITORY = "other repository"  # git reads that of the working directory, not this one
    SAVED = "saved"  # a file had one of these states when the plan was saved


class DeclaredElsewhere(NamedTuple):
    """A file that was not read and declares webhooks which a plan deletes.

    `commit` is the one that removed the file. `file` is the folder of another repository, and empty
    if no file is known.
    """

    file: str
    names: tuple[str, ...]
    state: FileState
    commit: str = ""


class Counts(NamedTuple):
    """What guards and the summary need to know besides the operations."""

    live: int = 0
    """All webhooks of the listing; `in_scope` and `ignored` are some of them."""
    in_scope: int = 0
    ignored: int = 0
    files: int = 0
    """The files that were read."""
    any_declared: bool = True
    any_declared_live: bool = True
    """Whether a declaration matches a live webhook."""
    max_deletes: int | None = None
    """The limit in the files."""


class Plan(NamedTuple):
    """The changes that make the live webhooks equal to the configuration."""

    origin: str
    """The scheme and host of the server."""
    organization: Organization
    operations: tuple[Operation, ...] = ()
    """In the order in which they are applied (`stage`); in each stage by name, then id."""
    renamed: Mapping[str, Snapshot] = MappingProxyType({})
    """By the name of a created webhook, the live one that it may be under another name."""
    left_out: tuple[Update | Delete, ...] = ()
    """The updates and deletes that `select` excludes."""
    matched: Mapping[str, Webhook] = MappingProxyType({})
    """The declared webhooks that equal the live ones, by id."""
    kept: tuple[Kept, ...] = ()
    unmanaged: tuple[Kept, ...] = ()
    """The webhooks that are neither declared nor pruned."""
    counts: Counts = Counts()
    blocked: tuple[Finding, ...] = ()
    """The findings of the guards, which depend on `counts`."""
    notes: tuple[Finding, ...] = ()
    """Warnings and hints."""
    relaxed: tuple[Finding, ...] = ()
    """Warnings about policy settings that permit more than before."""
    not_shown: tuple[tuple[str, str, str], ...] = ()
    """The declared fields that cannot be compared, as (webhook, field, id)."""
    not_compared: tuple[SecretUse, ...] = ()
    """Live, visible secrets that no operation sends and whose value is not available here."""
    not_equal: tuple[SecretUse, ...] = ()
    """Such secrets that are another value than the declared one, or encrypted."""
    offered: frozenset[SecretRef] = frozenset()
    """Those of `not_equal` that a warning suggests to send."""
    secrets: tuple[SecretUse, ...] = ()
    """The secrets that the operations send."""
    failing: tuple[Snapshot, ...] = ()
    """The managed live webhooks whose deliveries fail; they change no operation and no digest."""
    digests: tuple[tuple[OperationDigest, ...], ...] = ()
    """The digests of each operation, none if only the value of a secret differs."""
    digest: str = ""
    """The digest of what a reviewer sees (planning/review.py)."""
    values: tuple[Update, ...] = ()
    """Updates that are left out because only the value of a secret differs: no review covers it."""
    elsewhere: tuple[DeclaredElsewhere, ...] = ()
    """Files that were not read and declare webhooks to delete."""
    read_both: str = ""
    """The command that reads those files, too."""

    @property
    def undeclared(self) -> frozenset[str]:
        """Return the names of webhooks that are deleted because no file declares them."""
        return frozenset(
            delete.name for delete in self.deletes if delete.reason is Reason.NOT_DECLARED
        )

    @property
    def fields_not_shown(self) -> frozenset[tuple[str, str]]:
        """Return the fields that cannot be compared, as (id, field)."""
        return frozenset((id_, field) for _, field, id_ in self.not_shown)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Return the fields that cannot be read back and that no operation shows.

        They are returned as (webhook, field).
        """
        uses = (*self.not_equal, *self.not_compared)
        shown = {(use.live_id or "", use.field) for use in uses}
        for update in self.updates:
            shown.update((update.before.id, change.path[-1]) for change in update.fields)
        return tuple(
            (webhook, field) for webhook, field, id_ in self.not_shown if (id_, field) not in shown
        )

    @property
    def unapplied(self) -> tuple[Kept, ...]:
        """Return the kept webhooks whose declaration is not applied."""
        return tuple(kept for kept in self.kept if kept.unapplied)

    @property
    def unlabeled(self) -> Plan:
        """Return the plan without attributions."""
        operations = (replace(operation, attribution=None) for operation in self.operations)
        return self._replace(operations=tuple(operations))

    def select(self, indexes: Collection[int]) -> Plan:
        """Return the plan with only the operations at `indexes`."""
        operations: list[Operation] = []
        left_out: list[Update | Delete] = []
        for index, operation in enumerate(self.operations):
            if index in indexes:
                operations.append(operation)
            elif not isinstance(operation, Create):
                left_out.append(operation)
        # Pinned webhooks may share a name, also with one that is created.
        sending = {
            (live_id(operation), operation.name)
            for operation in operations
            if operation.sends_configuration
        }
        digests = [digest for index, digest in enumerate(self.digests) if index in indexes]
        return self._replace(
            operations=tuple(operations),
            left_out=tuple(left_out),
            secrets=tuple(use for use in self.secrets if (use.live_id, use.webhook) in sending),
            digests=tuple(digests),
        )

    @property
    def paired(self) -> dict[str, Webhook]:
        """Return the declared webhooks that are live, by the id of the live ones."""
        return {**self.matched, **{update.before.id: update.after for update in self.updates}}

    @property
    def creates(self) -> tuple[Create, ...]:
        """Return the creates."""
        return tuple(item for item in self.operations if isinstance(item, Create))

    @property
    def updates(self) -> tuple[Update, ...]:
        """Return the updates, including renames."""
        return tuple(item for item in self.operations if isinstance(item, Update))

    @property
    def deletes(self) -> tuple[Delete, ...]:
        """Return the deletes, including duplicates."""
        return tuple(item for item in self.operations if isinstance(item, Delete))

    @property
    def counted_deletes(self) -> int:
        """Return the number of deletes that the guards count.

        These are all deletes, except a single duplicate of a name that is completely visible and
        equals the webhook that stays: deleting it loses nothing.
        """
        duplicates = [delete for delete in self.deletes if delete.reason is Reason.DUPLICATE]
        count_by_name = Counter(duplicate.name for duplicate in duplicates)
        harmless = [
            duplicate
            for duplicate in duplicates
            if not duplicate.may_differ and count_by_name[duplicate.name] == 1
        ]
        return len(self.deletes) - len(harmless)


def digest_of(content: Any) -> str:
    """Return the SHA-256 digest of plain data, in hexadecimal digits."""
    # Sorted and without spaces, so that only the data counts, not how a program has written it.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
