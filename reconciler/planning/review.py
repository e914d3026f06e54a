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

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, NamedTuple

from reconciler.errors import UsageError
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import SecretRef, Unknown, Webhook
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
    digest_of,
    live_id,
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
    parts: Iterable[_Part]
    match operation:
        case Create(after=after):
            parts = [_Part(["create", _content(after, hosts)])]
        case Update():
            parts = _update(operation, hosts)
        case Delete(before=before, kept_id=kept_id, may_differ=may_differ):
            # A duplicate is deleted because of the webhook that stays.
            duplicate = [] if kept_id is None else [kept_id, may_differ]
            parts = [_Part(["delete", _content(before, hosts), *duplicate])]
    return tuple(_part_digest(operation, part) for part in parts)


def operation_digest(
    content: str, id_: str | None, name: str, resent: str | None = None
) -> OperationDigest:
    """Return the digest of an operation on a webhook, from that of its content without the id.

    `resent` is the field whose resend it is about, if any.
    """
    return OperationDigest(digest_of([id_, content])[:_DIGEST_LENGTH], id_, name, content, resent)


class _Part(NamedTuple):
    """What one digest of an operation covers.

    `resent` is the field whose resend it is about, None if it is about other changes.
    """

    content: list[Any]
    resent: str | None = None


def _part_digest(operation: Operation, part: _Part) -> OperationDigest:
    content = digest_of(part.content)[:_DIGEST_LENGTH]
    return operation_digest(content, live_id(operation), operation.name, part.resent)


def _update(operation: Update, hosts: Mapping[SecretRef, str]) -> Iterator[_Part]:
    """Yield the parts of an update: its differences, and each resent field.

    A resend is apart, because it is the same when a review is applied again, but the differences
    are then gone.
    """
    before, after = operation.before, _content(operation.after, hosts)
    webhook = [operation.name, operation.after.type]
    resent = [change for change in operation.fields if change.not_shown]
    differences, removed = _differences(operation)
    if differences:
        secret = [*_changed_secrets(differences), *([name, None] for name in removed)]
        yield _Part(["update", _content(before, hosts), after, secret])
    # A newer change of other fields must not replace what a resend needs to be approved.
    resend = resent[0].path[-1] if resent else None
    # A resend sends the configuration, which removes these. Alone they are no change. Some servers
    # keep them, and when the review is applied again, the differences are gone.
    if removed and resent:
        yield _Part(["remove", *webhook, removed], resend)
    # The plan shows which hidden values are replaced unseen, so the digest covers them.
    hidden = [change.path[-1] for change in operation.fields if _replaces_unseen(change)]
    if hidden and (differences or resent):
        yield _Part(["hidden", *webhook, sorted(hidden)], resend)
    yield from _resends(operation, resent, after["configuration"])


def _resends(
    operation: Update, resent: Iterable[FieldChange], configuration: Mapping[str, Any]
) -> Iterator[_Part]:
    """Yield each resend, and the live host of its URL."""
    target = configuration.get(KINDS[operation.after.type].destination_field)
    for change in resent:
        name = change.path[-1]
        sent = (name, configuration.get(name), target)
        yield _Part(["resend", operation.name, operation.after.type, *sent], name)
        yield from _previous_hosts(operation, change)


def _differences(operation: Update) -> tuple[list[FieldChange], list[str]]:
    """Return the visible changes, and apart from them the removed fields that are not known.

    Any change of a configuration removes fields that this version does not know, so such a field
    is not a difference by itself.
    """
    fields = FIELDS[operation.after.type]
    differences: list[FieldChange] = []
    unknown: list[str] = []
    for change in filter(_is_visible, operation.fields):
        name = change.path[-1]
        if isinstance(change, FieldRemoved) and name not in fields:
            unknown.append(name)
        else:
            differences.append(change)
    return differences, unknown


def _changed_secrets(differences: Iterable[FieldChange]) -> Iterator[Any]:
    """Yield what snapshots omit: the secret fields that change, and the previous host of a URL."""
    for change in differences:
        name = change.path[-1]
        if isinstance(change, FieldRemoved):
            yield [name, None]
        elif isinstance(change, SecretChange):
            yield [name, change.before]
            # Without the value of a reference it is not known which parts of a URL differ.
            if isinstance(change.after, str) and change.differs:
                yield [name, "differs", " and ".join(change.differs)]


def _previous_hosts(operation: Update, change: FieldChange) -> Iterator[_Part]:
    """Yield the live host of a URL that is resent."""
    if isinstance(change, SecretChange) and change.not_shown and change.before:
        name = change.path[-1]
        yield _Part(["host", operation.name, name, change.before], name)


def _reached_hosts(operation: Operation) -> set[str]:
    """Return the digests of live hosts that a resend does not change.

    When a review is applied again, the live URL has the new host, which the review did not show.
    """
    reached: set[str] = set()
    if not isinstance(operation, Update):
        return reached
    for change, _ in _sent_references(operation):
        if change.destination == f"{operation.after.type} {change.before}":
            for host in _previous_hosts(operation, change):
                reached.add(_part_digest(operation, host).digest)
    return reached


def _replaces_unseen(change: FieldChange) -> bool:
    """Return whether a field is sent although the server hides the live value.

    For a value that is shown, this depends on the values of secrets, so no digest covers it.
    """
    return isinstance(change, FieldResent | SecretChange) and change.hidden


def _is_visible(change: FieldChange) -> bool:
    """Return whether a reviewer can see a difference, on every machine that makes the plan.

    Another value of a secret is not one. A secret that is not set counts as another value: whether
    CloudTruth shows that can change while an apply sends other secrets.
    """
    if isinstance(change, SecretChange) and isinstance(change.after, SecretRef):
        return change.cause is SecretCause.DESTINATION
    return not (change.not_shown or isinstance(change, FieldResent))


def check_digest(text: str) -> None:
    """Raise UsageError if the text cannot be the digest of a plan."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise UsageError(
            "the expected digest is empty or malformed",
            hint="copy the complete digest from the plan: sha256: and 64 hexadecimal digits",
        )


def plan_digest(origin: str, organization: str, operations: Iterable[OperationDigest]) -> str:
    """Return the digest of a complete plan, over the organization and its operations.

    Empty for a plan without operations, which needs no review.
    """
    # With the server and the organization, so that it approves nothing in another one.
    digests = sorted({operation.digest for operation in operations})
    return f"sha256:{digest_of([origin, organization, digests])}" if digests else ""


def _content(webhook: Webhook | Snapshot, hosts: Mapping[SecretRef, str]) -> dict[str, Any]:
    kind, fields = KINDS[webhook.type], FIELDS[webhook.type]
    configuration: dict[str, Any] = {}
    for name, value in webhook.configuration.items():
        if isinstance(value, SecretRef):
            is_literal = value.is_literal  # it has no name to look up
            configuration[name] = {"literal": True} if is_literal else value.tree()
            if name == kind.destination_field and value in hosts:
                configuration[name]["destination"] = hosts[value]
        elif isinstance(value, Unknown):
            configuration[name] = {"unknown": True}
        elif isinstance(value, str) and name in fields:
            # A channel is the same with and without `#`.
            configuration[name] = fields[name].normalize(value)
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


# Comparison with a review


class Review(NamedTuple):
    """The reviewed operations of one organization (its id) on one server (scheme and host).

    `resends` are the secrets that the reviewed plan resends. They are always planned again, because
    no listing shows whether they were sent. `replaced` are the fields that the plan
    shows to be sent along, as (id, field): with a new value of a secret, no digest covers them.
    `urls` are those of `sent_urls`; a review that is only a digest has none. `elsewhere` means that
    a guard blocked the plan because of files that were not read.
    """

    origin: str
    organization: str
    operations: frozenset[OperationDigest] = frozenset()
    resends: tuple[Resend, ...] = ()
    replaced: frozenset[tuple[str, str]] = frozenset()
    urls: frozenset[tuple[str, str, str]] = frozenset()
    elsewhere: bool = False

    @property
    def digest(self) -> str:
        """Return the digest of the plan that was reviewed; empty if it had no operations."""
        return plan_digest(self.origin, self.organization, self.operations)


class ReviewComparison(NamedTuple):
    """The comparison of a plan with a review; numbers are indexes of `plan.operations`.

    `unreviewed` gives the reason for each operation that still needs a review; of `values` only the
    value of a secret differs, so that they can be allowed. `stale` are operations, or webhooks that
    the plan keeps, for which the review has a different operation.
    """

    reviewed: frozenset[int]
    unreviewed: dict[int, str]
    values: frozenset[int]
    stale: tuple[Operation | Kept, ...]


def approve_all(plan: Plan) -> Review:
    """Return the review that approves all operations of a plan."""
    return Review(
        origin=plan.origin,
        organization=plan.organization.id,
        operations=frozenset(chain.from_iterable(plan.digests)),
        resends=resends(plan.operations),
        replaced=frozenset(chain.from_iterable(map(_replaced, plan.updates))),
        urls=frozenset(chain.from_iterable(map(sent_urls, plan.updates))),
    )


def sent_urls(operation: Operation) -> Iterator[tuple[str, str, str]]:
    """Yield where each secret goes, as far as a plan shows a URL: (id, field, scheme and host).

    No digest covers it, because a plan that is made without the value does not show it.
    """
    if isinstance(operation, Update):
        for change in operation.fields:
            if isinstance(change, SecretChange) and "://" in change.destination:
                yield operation.before.id, change.path[-1], change.destination


def _replaced(update: Update) -> Iterator[tuple[str, str]]:
    """Yield the fields that are sent because the configuration is, as (id, field)."""
    for change in update.fields:
        if isinstance(change, FieldResent):
            yield update.before.id, change.path[-1]


def compare_with_review(
    plan: Plan, review: Review, *, allow_value_changes: bool, names_base: bool = False
) -> ReviewComparison:
    """Compare a plan with a review.

    With `allow_value_changes`, operations in which only the value of a secret differs need no
    review, unless they may replace other fields that the review does not show. With `names_base`,
    advice names the option of `plan`; the plan of a pull request always has a base.
    """
    approved = {operation.digest for operation in review.operations}
    urls = {(id_, field): url for id_, field, url in review.urls}
    mentioned = mentions(review.operations)
    reviewed: set[int] = set()
    unreviewed: dict[int, str] = {}
    values: set[int] = set()
    stale: list[Operation | Kept] = []
    for index, operation in enumerate(plan.operations):
        shown = plan.digests[index]
        needed = {digest.digest for digest in shown} - _reached_hosts(operation)
        why = _why_not_reviewable(operation, shown, review)
        if not (why or shown or allow_value_changes):
            why = _only_a_value(operation)
            values.add(index)
        # Before the digests, which do not cover the values of secrets.
        if why:
            unreviewed[index] = f"{why}: {_increment(operation, names_base=names_base)}"
        elif needed <= approved and _goes_to(operation, urls):
            reviewed.add(index)
        elif mentioned(live_id(operation), operation.name):
            stale.append(operation)
        else:
            unreviewed[index] = "not reviewed"
    stale += _no_longer_changed(plan.kept, mentioned)
    return ReviewComparison(frozenset(reviewed), unreviewed, frozenset(values), tuple(stale))


def _goes_to(operation: Operation, urls: Mapping[tuple[str, str], str]) -> bool:
    """Return whether secrets go where the review shows, if it does."""
    return all(urls.get((id_, field), url) == url for id_, field, url in sent_urls(operation))


def _no_longer_changed(
    kept: Iterable[Kept], mentioned: Callable[[str | None, str], bool]
) -> Iterator[Kept]:
    """Yield the webhooks that a review mentions and that are now left as they are."""
    for webhooks in kept:
        is_mentioned = any(mentioned(webhook.id, webhook.name) for webhook in webhooks.webhooks)
        # Protecting a webhook after the review only withdraws its delete.
        if is_mentioned and webhooks.reason is not Reason.PROTECTED:
            yield webhooks


def values_apart(plan: Plan, hosts: Callable[[], Mapping[SecretRef, str]]) -> Plan:
    """Return a plan in which values that no review shows are separate updates.

    Only where the rest of an update can be sent without them, because it does not send the
    configuration. `hosts` returns those of `digests`.
    """
    operations: list[Operation] = []
    shown: list[tuple[OperationDigest, ...]] = []
    for operation, known in zip(plan.operations, plan.digests, strict=True):
        parts = split_values(operation)
        if parts is None:
            operations.append(operation)
            shown.append(known)
            continue
        operations += parts
        # Without the configuration, nothing hidden is replaced and no unknown field removed.
        shown += [digests(parts[0], hosts()), ()]
    return plan._replace(operations=tuple(operations), digests=tuple(shown))


def split_values(operation: Operation) -> tuple[Update, Update] | None:
    """Return an update without the configuration, and one with the values that no review shows.

    None if nothing can be split, or if more than such values makes the update send it.
    """
    if not isinstance(operation, Update) or moves(operation):
        return None
    fields = [change for change in operation.fields if change.path[0] != "configuration"]
    values = [change for change in operation.fields if change.path[0] == "configuration"]
    reviewable = replace(operation, fields=tuple(fields))
    differences, _ = _differences(operation)
    # Another type needs the configuration, too.
    if not fields or not values or reviewable.sends_configuration:
        return None
    if any(change.not_shown or change in differences for change in values):
        return None
    return reviewable, replace(operation, fields=tuple(values))


def _why_not_reviewable(
    operation: Operation, shown: Sequence[OperationDigest], review: Review
) -> str:
    """Return why neither a review nor --yes covers an operation, else an empty text."""
    if moves(operation):
        return "the secret would be sent to a different scheme or host"
    if shown or not isinstance(operation, Update):
        return ""
    # Sending the configuration also removes and replaces live fields.
    removed = [change.path[-1] for change in operation.fields if isinstance(change, FieldRemoved)]
    if removed:
        return f"it also removes {', '.join(removed)}, which no review shows"
    unseen = [field for id_, field in _replaced(operation) if (id_, field) not in review.replaced]
    return f"it also replaces {', '.join(unseen)}, which no review shows" if unseen else ""


def moves(operation: Operation) -> bool:
    """Return whether a secret would be sent to a different host that the commit does not show."""
    return any(
        change.moved and not (change.not_shown and change.cause is not SecretCause.REQUESTED)
        for change, _ in _sent_references(operation)
    )


def _sent_references(operation: Operation) -> Iterator[tuple[SecretChange, SecretRef]]:
    """Yield the references of an update whose secrets are sent."""
    if isinstance(operation, Update):
        for change in operation.fields:
            if isinstance(change, SecretChange) and isinstance(change.after, SecretRef):
                yield change, change.after


def only_values_differ(operation: Operation) -> bool:
    """Return whether only the values of secrets differ: rotated here, or changed live."""
    return not digests(operation, {})


def values_only(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield each webhook with a secret that no digest covers, and why, with the edit to make."""
    for operation in plan.operations:
        # What else differs may be sent without them, as `values_apart` does.
        part = (split_values(operation) or (operation,))[-1]
        if only_values_differ(part):
            yield part.name, f"{_only_a_value(part)}: {_increment(part, names_base=False)}"


def _only_a_value(operation: Operation) -> str:
    """Return why an operation without a digest is not reviewed, with the secrets to check."""
    names = {str(reference.unversioned) for _, reference in _sent_references(operation)}
    return (
        "only the value of a secret differs, which a review cannot show; check it first: to keep "
        f"the live value, correct or remove {' and '.join(sorted(names))} where apply runs, and "
        "repeat it; to replace the live one"
    )


def values_sent(operation: Operation) -> list[str]:
    """Return the secrets that replace another value that is shown: no digest covers that."""
    if not isinstance(operation, Update):
        return []
    sent: list[str] = []
    for change in operation.fields:
        match change:
            case (
                SecretChange(after=SecretRef() as reference, cause=SecretCause.DIFFERS)
                | FieldResent(after=SecretRef() as reference, hidden=False)
            ):
                sent.append(f"{change.path[-1]} from {reference.unversioned}")
    return sent


def _increment(operation: Operation, *, names_base: bool) -> str:
    """Return the edit of the file that makes a change of secrets reviewable."""
    edits: list[str] = []
    for change, reference in _sent_references(operation):
        if not reference.is_literal:
            version = (reference.version or 1) + 1
            value = f"{{{reference.scheme}: {reference.name}, version: {version}}}"
            edits.append(f"`{change.path[-1]}: {value}`")
    # Without a position: the reference may be in `defaults` or in a file that this one extends.
    advice = "increment `version`"
    if edits:
        advice += f" ({' and '.join(edits)})"
    # Without a base, a plan does not show the increment, and asks for the next one.
    if names_base:
        advice += " and plan with --base REV"
    return advice


def mentions(operations: Collection[OperationDigest]) -> Callable[[str | None, str], bool]:
    """Return a predicate: whether `operations` include a webhook.

    Its arguments are the id, None if the webhook is not live, and the name.
    """
    ids = {operation.id for operation in operations}
    names = {operation.name for operation in operations}
    # A webhook that was created since the review has an id now: its name identifies it.
    created = {operation.name for operation in operations if operation.id is None}

    def mentioned(id_: str | None, name: str) -> bool:
        if id_ is None:
            return name in names
        return id_ in ids or name in created

    return mentioned
