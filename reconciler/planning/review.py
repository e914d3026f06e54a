"""Reviews: the digests of a plan, and which operations a review approves.

The digest of an operation covers what a reviewer can see and what determines the result: kind, live
id or its absence, and name, type, events, plain configuration and secret references before and
after, with the destination of deliveries: of the live webhook, and of the declared one if the
commit shows it. It excludes positions, guards, reasons and values of secrets, so a plan has the
same digest with and without the values, in any order of files. Operations that look different never
share a digest (`tests/laws/test_digest_law.py`).

A review is a set of such digests, from a saved plan, from comments on a pull request, or as the
digest of a complete plan. `apply` always plans again; `compare_with_review` decides for each
operation whether it was reviewed. A reviewed operation that is no longer planned is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from typing import Any, Final, NamedTuple

from reconciler.errors import UsageError
from reconciler.kinds import KINDS, Kind
from reconciler.model import Scheme, SecretRef, Unknown, Webhook
from reconciler.planning.plan import (
    Create,
    Delete,
    FieldChange,
    FieldRemoved,
    FieldResent,
    Kept,
    Operation,
    OperationDigest,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    Snapshot,
    Update,
)
from reconciler.planning.resend import Resend, resends

_DIGEST_LENGTH: Final = 32
"""The length of an operation's digest in hexadecimal digits: 128 bits."""


def digests(operation: Operation, hosts: Mapping[SecretRef, str]) -> tuple[OperationDigest, ...]:
    """Return the digests of one operation and of each secret that it resends.

    `hosts` maps references to the scheme and host that a reviewer can look up in the commit. Empty
    if only the value of a secret differs: a reviewer cannot see that, because the difference is
    known only if both values are available.
    """
    id_ = None if isinstance(operation, Create) else operation.before.id
    match operation:
        case Create(after=after):
            contents: list[Any] = [["create", None, None, _content(after, hosts)]]
        case Update():
            contents = list(_update(operation, hosts))
        case Delete(before=before, kept_id=kept_id, may_differ=may_differ):
            duplicate = [] if kept_id is None else [kept_id, may_differ]
            contents = [["delete", id_, _content(before, hosts), None, *duplicate]]
    return tuple(
        OperationDigest(digest=_digest(each)[:_DIGEST_LENGTH], name=operation.name, id=id_)
        for each in contents
    )


def _update(operation: Update, hosts: Mapping[SecretRef, str]) -> Iterable[Any]:
    before, after = operation.before, _content(operation.after, hosts)
    kind = KINDS[operation.after.type]
    resends = any(change.not_shown for change in operation.fields)
    hidden = sorted(str(each.path[-1]) for each in operation.fields if _replaces_unseen(each))
    visible = [change for change in operation.fields if _is_visible(change)]
    # Any change of a configuration removes fields that this version does not know, so such a field
    # is not a difference by itself.
    differences = [change for change in visible if not _removes_unknown_field(change, kind)]
    removed = [str(change.path[-1]) for change in visible if change not in differences]
    if differences:
        secret = [*_changed_secrets(differences), *([name, None] for name in removed)]
        yield ["update", before.id, _content(before, hosts), after, secret]
    elif removed and resends:
        # Apart from the resend, which is the same when a review is applied again.
        yield ["remove", before.id, operation.name, operation.after.type, removed]
    if hidden and (differences or resends):
        yield ["hidden", before.id, operation.name, operation.after.type, hidden]
    target = after["configuration"].get(kind.destination_field)
    for change in operation.fields:
        if change.not_shown:
            name = str(change.path[-1])
            value = after["configuration"].get(name)
            yield ["resend", before.id, operation.name, operation.after.type, name, value, target]
        if isinstance(change, SecretChange) and change.not_shown and change.before:
            yield _previous_host(operation, change)


def _changed_secrets(differences: Iterable[FieldChange]) -> Iterator[Any]:
    """Yield what snapshots omit: the secret fields that change, and the previous host of a URL."""
    for change in differences:
        name = str(change.path[-1])
        if isinstance(change, FieldRemoved):
            yield [name, None]
        elif isinstance(change, SecretChange):
            yield [name, change.before]
            # Without the value of a reference it is not known which parts of a URL differ.
            if isinstance(change.after, str) and change.differs:
                yield [name, "differs", change.differs]


def _previous_host(operation: Update, change: SecretChange) -> Any:
    """Return the content of the digest for the live host of a URL that is resent."""
    return ["host", operation.before.id, operation.name, change.path[-1], change.before]


def _reached_hosts(operation: Operation) -> set[str]:
    """Return the digests of live hosts that a resend does not change.

    When a review is applied again, the live URL has the new host, which the review did not show.
    """
    if not isinstance(operation, Update):
        return set()
    return {
        _digest(_previous_host(operation, change))[:_DIGEST_LENGTH]
        for change in operation.fields
        if isinstance(change, SecretChange) and change.not_shown
        if change.before and change.destination == f"{operation.after.type} {change.before}"
    }


def _replaces_unseen(change: FieldChange) -> bool:
    """Return whether a field is sent although the server hides the live value."""
    return isinstance(change, FieldResent) or (isinstance(change, SecretChange) and change.hidden)


def _is_visible(change: FieldChange) -> bool:
    """Return whether a reviewer can see a difference, on every machine that makes the plan.

    Another value of a secret is not one. A secret that is not set counts as another value: whether
    CloudTruth shows that can change while an apply sends other secrets.
    """
    if isinstance(change, SecretChange) and isinstance(change.after, SecretRef):
        return change.cause is SecretCause.DESTINATION
    return not (change.not_shown or isinstance(change, FieldResent))


def _removes_unknown_field(change: FieldChange, kind: Kind) -> bool:
    return isinstance(change, FieldRemoved) and kind.field(str(change.path[-1])) is None


def check_digest(text: str) -> None:
    """Raise UsageError if the text cannot be the digest of a plan."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise UsageError(
            "the expected digest is empty or malformed",
            hint="copy the complete digest from the plan: sha256: and 64 hexadecimal digits",
        )


def plan_digest(origin: str, organization: str, found: Iterable[OperationDigest]) -> str:
    """Return the digest of a complete plan, over the organization and its operations.

    Empty for a plan without operations, which needs no review.
    """
    digests = sorted({each.digest for each in found})
    return f"sha256:{_digest([origin, organization, digests])}" if digests else ""


def _content(webhook: Webhook | Snapshot, hosts: Mapping[SecretRef, str]) -> dict[str, Any]:
    kind = KINDS[webhook.type]
    configuration: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        field = kind.field(name)
        if isinstance(value, SecretRef):
            is_literal = value.scheme is Scheme.LITERAL  # it has no name to look up
            configuration[name] = {"literal": True} if is_literal else value.tree()
            if name == kind.destination_field and value in hosts:
                configuration[name]["destination"] = hosts[value]
        elif isinstance(value, Unknown):
            configuration[name] = {"unknown": True}
        elif isinstance(value, str) and field is not None:
            configuration[name] = field.normalize(value)
        else:
            configuration[name] = value
    content = {
        "name": webhook.name,
        "type": webhook.type,
        "event_types": sorted(webhook.event_types),
        "configuration": configuration,
    }
    # A snapshot has no URL, but shows its scheme and host.
    if isinstance(webhook, Snapshot) and kind.destination_field not in configuration:
        content["destination"] = webhook.destination
    return content


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


class Review(NamedTuple):
    """The reviewed operations of one organization (its id) on one server (scheme and host).

    `resends` are the secrets that the reviewed plan resends. They are always planned again, because
    no listing shows whether they were sent.
    """

    origin: str
    organization: str
    operations: frozenset[OperationDigest] = frozenset()
    resends: tuple[Resend, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest of the plan that was reviewed; empty if it had no operations."""
        return plan_digest(self.origin, self.organization, self.operations)


class ReviewComparison(NamedTuple):
    """The comparison of a plan with a review; numbers are indexes of `plan.operations`.

    `unreviewed` gives the reason for each operation that still needs a review. `stale` are
    operations, or webhooks that the plan keeps, for which the review has a different operation.
    """

    reviewed: frozenset[int]
    unreviewed: dict[int, str]
    stale: tuple[Operation | Kept, ...]


def approve_all(plan: Plan) -> Review:
    """Return the review that approves all operations of a plan."""
    return Review(
        origin=plan.origin,
        organization=plan.organization.id,
        operations=frozenset(chain.from_iterable(plan.digests)),
        resends=resends(plan.operations),
    )


def compare_with_review(
    plan: Plan, review: Review, *, allow_value_changes: bool
) -> ReviewComparison:
    """Compare a plan with a review.

    With `allow_value_changes`, operations in which only the value of a secret differs need no
    review.
    """
    digests = {each.digest for each in review.operations}
    mentioned = mentions(review.operations)
    reviewed: set[int] = set()
    unreviewed: dict[int, str] = {}
    stale: list[Operation | Kept] = []
    for index, (operation, found) in enumerate(zip(plan.operations, plan.digests, strict=True)):
        removed = _removed_fields(operation)
        if _moves(operation):
            unreviewed[index] = f"the secret would be sent to a different host: {_bump(operation)}"
        elif not found and not allow_value_changes:
            unreviewed[index] = (
                "only the value of a secret differs, which a review cannot show: "
                f"{_bump(operation)}"
            )
        elif not found and removed:
            unreviewed[index] = (
                f"it also removes {', '.join(removed)}, which no review shows: {_bump(operation)}"
            )
        elif digests.issuperset({each.digest for each in found} - _reached_hosts(operation)):
            reviewed.add(index)
        elif mentioned(found[0].id, found[0].name):
            stale.append(operation)
        else:
            unreviewed[index] = "not reviewed"
    stale += [
        kept
        for kept in plan.kept
        if kept.reason is not Reason.PROTECTED
        and any(mentioned(each.id, each.name) for each in kept.webhooks)
    ]
    return ReviewComparison(reviewed=frozenset(reviewed), unreviewed=unreviewed, stale=tuple(stale))


def _removed_fields(operation: Operation) -> list[str]:
    """Return the live fields that an operation removes because it sends the configuration."""
    fields = operation.fields if isinstance(operation, Update) else ()
    return [str(change.path[-1]) for change in fields if isinstance(change, FieldRemoved)]


def _moves(operation: Operation) -> bool:
    """Return whether a secret would be sent to a different host that the commit does not show."""
    return isinstance(operation, Update) and any(
        isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.moved
        and not (each.not_shown and each.cause is not SecretCause.REQUESTED)
        for each in operation.fields
    )


def _bump(operation: Operation) -> str:
    """Return the edit of the file that makes a change of secrets reviewable."""
    edits = [
        f"`{each.path[-1]}: {{{each.after.scheme}: {each.after.name}, "
        f"version: {(each.after.version or 1) + 1}}}`"
        for each in (operation.fields if isinstance(operation, Update) else ())
        if isinstance(each, SecretChange)
        and isinstance(each.after, SecretRef)
        and each.after.scheme is not Scheme.LITERAL
    ]
    # Without a position: the reference may be in `defaults` or in a file that this one extends.
    return "bump its `version`" + (f" ({' and '.join(edits)})" if edits else "")


def mentions(operations: Iterable[OperationDigest]) -> Callable[[str | None, str], bool]:
    """Return a predicate: whether `operations` include a webhook.

    Its arguments are the id, None if the webhook is not live, and the name.
    """
    found = tuple(operations)
    ids = {each.id for each in found}
    names = {each.name for each in found}
    created = {each.name for each in found if each.id is None}
    return lambda key, name: name in names if key is None else key in ids or name in created


def read_resend(tree: Mapping[str, Any]) -> Resend:
    """Return the resend from its plain data; the inverse of `plain`."""
    value = tree["value"]
    return Resend(
        webhook=tree["webhook"],
        field=tree["field"],
        value=_read_reference(value) if isinstance(value, dict) else value,
        cause=SecretCause(tree["cause"]),
    )


def read_review(tree: Mapping[str, Any]) -> Review:
    """Return the review of a plan document that conforms to its schema."""
    return Review(
        origin=tree["origin"],
        organization=tree["organization"]["id"],
        operations=frozenset(
            OperationDigest(digest=digest, name=each["name"], id=each["id"])
            for each in tree["operations"]
            for digest in each["digests"]
        ),
        resends=tuple(map(read_resend, tree["resends"])),
    )


def _read_reference(tree: Mapping[str, Any]) -> SecretRef:
    (scheme,) = (each for each in Scheme if each in tree)
    return SecretRef(scheme=scheme, name=tree[scheme], version=tree.get("version"))
