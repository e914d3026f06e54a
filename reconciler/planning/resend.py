"""Resends: fields that are sent although their live value shows no difference, and notes on them.

If the server hides a secret, a new value cannot be detected. A secret is resent if its reference
or version differs from the previous configuration, on request, or if a review contains the
resend. It is planned regardless of the live value, so the plan is the same with and without the
value. A plain field is sent only if it cannot be read back.

The notes are about secrets that may need a resend, and about resends that may do nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.findings import Finding, error, note, plural, warning
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Desired, SecretRef, SecretValues, Value, Webhook
from reconciler.planning.compare import Comparison
from reconciler.planning.plan import (
    Delete,
    FieldRemoved,
    Operation,
    SecretCause,
    SecretChange,
    SecretUse,
    Update,
)
from reconciler.planning.readback import Evidence, Reading, unseen_secrets

_ALL: Final = "*"
"""The request for all secrets."""
_MAX_NAMES: Final = 20
"""The maximum number of webhooks that a command names, if it can name references instead."""
_UNKNOWN: Final = "unknown-resend"
"""The rule of requests that send nothing."""


class Resend(NamedTuple):
    """A field that a review resends, if the files still declare it.

    `id` is that of the live webhook: others may have its name. `value` is the declared value at the
    review: a reference with its version, or plain text; None for a field that is removed.
    """

    webhook: str
    field: str
    value: Value | None
    cause: SecretCause
    id: str

    def is_declared(self, desired: Desired) -> bool:
        """Return whether the files still declare the value, or still have none."""
        for webhook in desired.webhooks:
            is_named = webhook.id is None and webhook.name == self.webhook
            if webhook.id == self.id or is_named:
                return webhook.configuration.get(self.field) == self.value
        return self.value is None


def resends(operations: Iterable[Operation]) -> tuple[Resend, ...]:
    """Return the resends in operations."""
    resent: list[Resend] = []
    for operation in operations:
        if not isinstance(operation, Update):
            continue
        for change in operation.fields:
            if change.not_shown:
                name = change.path[-1]
                value = operation.after.configuration.get(name)
                # A plain or removed field is only resent because its declaration changed.
                cause = SecretCause.REFERENCE_CHANGED
                if isinstance(change, SecretChange):
                    cause = change.cause
                resent.append(Resend(operation.name, name, value, cause, operation.before.id))
    return tuple(resent)


def resent_references(operations: Iterable[Operation]) -> tuple[SecretRef, ...]:
    """Return the references whose values operations resend, without secrets written in files."""
    values = dict.fromkeys(resend.value for resend in resends(operations))
    return tuple(value for value in values if isinstance(value, SecretRef) and not value.is_literal)


def read_resend(tree: Mapping[str, Any]) -> Resend:
    """Return the resend from its plain data; the inverse of `tree.plain`."""
    value = tree["value"]
    if isinstance(value, dict):
        (scheme,) = value.keys() - {"version"}
        value = SecretRef(scheme, value[scheme], value.get("version"))
    return Resend(tree["webhook"], tree["field"], value, SecretCause(tree["cause"]), tree["id"])


class Resends:
    """The fields that one plan resends."""

    def __init__(
        self,
        desired: Desired,
        previous: Desired | None,
        *,
        named: Iterable[str] = (),
        reviewed: Iterable[Resend] = (),
    ) -> None:
        """Resend the references and webhooks in `named`, or everything for `*`."""
        self._named = frozenset(named)
        self._reviewed: dict[str, dict[str, Resend]] = {}
        for resend in reviewed:
            self._reviewed.setdefault(resend.id, {})[resend.field] = resend
        self._desired, self._earlier = desired, previous or Desired()
        self._is_compared = previous is not None
        # Of several with a name, only one without an `id` needs the name to be found.
        named_last = sorted(self._earlier.webhooks, key=lambda webhook: webhook.id is None)
        self._previous_by_name = {webhook.name: webhook for webhook in named_last}
        self._previous_by_id = {webhook.id: webhook for webhook in named_last if webhook.id}
        self._pinned = {webhook.id for webhook in desired.webhooks if webhook.id}

    def causes(self, webhook: Webhook, id_: str, name: str) -> Mapping[str, SecretCause]:
        """Return the cause for each field that is sent or removed without a visible difference.

        `id_` and `name` are those of the live webhook.
        """
        if not (self._is_compared or self._named or self._reviewed):
            return {}  # most plans
        before, reviewed = self._before(webhook, id_, name), self._reviewed.get(id_, {})
        secret_fields = KINDS[webhook.type].secret_fields
        causes: dict[str, SecretCause] = {}
        for field, value in webhook.configuration.items():
            cause = self._cause(before, reviewed.get(field), webhook, field)
            # A request names secrets only: plain fields are compared.
            is_secret = field in secret_fields
            if cause is not None:
                causes[field] = cause
            elif is_secret and not self._named.isdisjoint(_names(webhook, value)):
                causes[field] = SecretCause.REQUESTED
        # The fields that were declared, or that a review removes.
        dropped = {field for field, resend in reviewed.items() if resend.value is None}
        if before is not None:
            dropped.update(before.configuration)
        for field in dropped - webhook.configuration.keys():
            causes[field] = SecretCause.REFERENCE_CHANGED
        return causes

    def dropped_secrets(
        self, pairs: Iterable[Comparison], sending: Set[str], evidence: Evidence
    ) -> Iterator[Finding]:
        """Yield a note for each secret that is no longer declared but may still be set.

        It is not removed, because every plan would remove it again: its removal is not visible. An
        update that sends the configuration removes it; `sending` are the ids of these webhooks.
        """
        if not self._is_compared:
            return  # most plans
        for webhook, live, _, _ in pairs:
            before = self._before(webhook, live.id, live.name)
            if before is None or live.id in sending:
                continue
            dropped = before.configuration.keys() - webhook.configuration.keys()
            # In the order of the type.
            for field in KINDS[live.type].fields:
                is_dropped = field.secret and field.name in dropped
                if is_dropped and not evidence.would_show(field):
                    yield note(
                        "undeclared-secret",
                        f"{field.name} of {webhook.name!r} is no longer declared; "
                        "the server does not show whether it is still set",
                        "the next change to the configuration removes it; "
                        "or delete the webhook with `state: absent`, then declare it again",
                        webhook.position,
                    )

    def unmatched(self, is_selected: Callable[[Webhook], bool]) -> Iterable[Finding]:
        """Yield an error for each request that matches no declaration, a warning if none selected.

        `is_selected` returns whether `--only` selects a webhook.
        """
        if not self._named:
            return  # most plans
        known = requestable(self._desired.webhooks)
        selected = requestable(filter(is_selected, self._desired.webhooks))
        for name in sorted(self._named - selected):
            if name in known:
                # Another organization of the run may have it.
                yield not_selected(name)
                continue
            yield error(
                _UNKNOWN,
                f"--resend-secret {name!r} matches no declared secret reference "
                "and no declared webhook with a secret",
                "pass a reference such as env:SLACK_BOT_TOKEN, or the name of a webhook; in one of "
                "several organizations, `Acme: Deploys`",
            )

    def unsent(
        self, operations: Iterable[Operation], is_selected: Callable[[Webhook], bool]
    ) -> Iterator[Finding]:
        """Yield a note for each request that matches only secrets that nothing sends.

        A request for all secrets may match none, as in an organization without webhooks.
        """
        if not self._named:
            return  # most plans
        sent: set[str] = set()
        for operation in operations:
            if not isinstance(operation, Delete) and operation.sends_configuration:
                sent |= _requests(operation.after)
        selected = _all_requests(filter(is_selected, self._desired.webhooks))
        hint = (
            "a webhook may be ignored or not applied, and a URL that is written in the file is "
            "only sent if it differs from the live one"
        )
        for name in sorted((self._named & selected) - sent):
            message = f"--resend-secret {name!r} sends nothing: no operation sends such a secret"
            yield note(_UNKNOWN, message, hint)

    def not_declared_before(
        self, unsent: Iterable[Unsent], resend_command: Callable[..., str]
    ) -> Iterator[Finding]:
        """Yield a note for each rotated reference of webhooks that were not declared before.

        They may have the old value, if they were renamed or added live, or ignored; or the new one,
        if an earlier run created them. So nothing is sent to them without a request.
        """
        rotated = self._rotated()
        if not rotated:
            return  # most plans
        users_by_reference: defaultdict[SecretRef, list[Webhook]] = defaultdict(list)
        for (webhook, live, _, _), _, reference in unsent:
            if reference in rotated and self._before(webhook, live.id, live.name) is None:
                users_by_reference[reference].append(webhook)
        for reference, users in users_by_reference.items():
            names = _named(webhook.name for webhook in users)
            message = (
                f"the base does not declare {names} with this type, so {reference} is not resent "
                "there, where the old value may be live"
            )
            # The reference may have another version elsewhere, where nothing is to be sent.
            requests = requests_for(self._desired.webhooks, {user.name for user in users})
            hint = _way_to_send(sorted(requests), resend_command)
            yield note("version-not-sent", message, hint, users[0].position)

    def _rotated(self) -> Set[SecretRef]:
        """Return the new references that replace others, or have a version from the start."""
        if not self._is_compared:
            return set()
        known = {ref for webhook in self._earlier.webhooks for _, ref in webhook.references}
        rotated: set[SecretRef] = set()
        for webhook in self._desired.webhooks:
            before = self._before(webhook, webhook.id or "", webhook.name)
            for field, reference in webhook.references:
                # A version may be set before the first commit of a file, as after `init`.
                is_versioned = before is None and reference.version is not None
                if is_versioned or (before is not None and field in dict(before.references)):
                    rotated.add(reference)
        return {ref for ref in rotated - known if not ref.is_literal}

    def _before(self, webhook: Webhook, id_: str, name: str) -> Webhook | None:
        """Return the previous declaration of a webhook; None if it had another type.

        `id_` and `name` are those of the live webhook. The id finds it after a change of the name.
        """
        # The live name first: a webhook that is renamed now had it, and another one may have had
        # the new name.
        names = (name, webhook.name, *webhook.previously)
        by_name = [self._previous_by_name.get(name) for name in names]
        for before in (self._previous_by_id.get(id_), *by_name):
            # One that is declared by another id is not this one, although it had the name.
            if before is not None and (before.id == id_ or before.id not in self._pinned):
                # Fields of another type have other meanings, even with the same names.
                return before if before.type == webhook.type else None
        return None

    def _cause(
        self, before: Webhook | None, resend: Resend | None, webhook: Webhook, name: str
    ) -> SecretCause | None:
        """Return the cause to send a field, from the previous configuration or else a review."""
        new = webhook.configuration[name]
        if before is not None:
            cause = self._changed(before.configuration.get(name), new)
            if cause is not None:
                return cause
        # Otherwise no review could approve another host of a webhook that was added live.
        elif self._is_compared and _has_versioned_destination(webhook, name):
            return SecretCause.VERSION_CHANGED
        # A resend in a review applies while the files still declare the same.
        if resend is not None and resend.value == new:
            return resend.cause
        return None

    def _changed(self, old: Value | None, new: Value) -> SecretCause | None:
        """Return how a declared value differs from the previous one, None if it does not."""
        if not isinstance(old, SecretRef) or not isinstance(new, SecretRef):
            return SecretCause.REFERENCE_CHANGED if old != new else None
        if old == new:
            # A literal is identified by its position, so its value may have changed.
            same_literal = self._earlier.literals.get(new) == self._desired.literals.get(new)
            return None if same_literal else SecretCause.REFERENCE_CHANGED
        if old.unversioned == new.unversioned:
            return SecretCause.VERSION_CHANGED
        return SecretCause.REFERENCE_CHANGED


def requestable(webhooks: Iterable[Webhook]) -> set[str]:
    """Return all names that the command line accepts for secrets of declared webhooks."""
    # Any declared webhook may be requested, live or not, selected or not.
    return {_ALL} | _all_requests(webhooks)


def requests_for(webhooks: Iterable[Webhook], names: Set[str]) -> Set[str]:
    """Return requests for all secrets of the named webhooks, and for no others.

    Instead of many names, they have the references that no other webhook uses.
    """
    if len(names) <= _MAX_NAMES:
        return names
    webhooks = tuple(webhooks)
    others = _all_requests(webhook for webhook in webhooks if webhook.name not in names)
    requests = set[str]()
    for webhook in webhooks:
        if webhook.name in names:
            instead = {_reference_or_name(webhook, value) for value in _secrets(webhook)}
            requests |= instead if instead.isdisjoint(others) else {webhook.name}
    return requests


def _reference_or_name(webhook: Webhook, value: Value) -> str:
    """Return the request for a secret: its reference, or the webhook if it is in the file."""
    if isinstance(value, SecretRef) and not value.is_literal:
        return value.argument
    return webhook.name


def not_selected(name: str) -> Finding:
    """Return the warning that a request matches a declared webhook, but none of `--only`."""
    return warning(
        _UNKNOWN,
        f"--resend-secret {name!r} sends nothing: it matches no webhook that --only selects",
        "select a webhook that has the secret with --only, too",
    )


def _all_requests(webhooks: Iterable[Webhook]) -> set[str]:
    return set[str]().union(*map(_requests, webhooks))


def _requests(webhook: Webhook) -> set[str]:
    """Return the names that the command line accepts for the secrets of a webhook."""
    return set[str]().union(*(_names(webhook, value) for value in _secrets(webhook)))


def _secrets(webhook: Webhook) -> list[Value]:
    """Return the declared secrets of a webhook: references, or URLs as text."""
    fields = KINDS[webhook.type].secret_fields & webhook.configuration.keys()
    return [webhook.configuration[field] for field in fields]


def _has_versioned_destination(webhook: Webhook, name: str) -> bool:
    """Return whether a field is the destination, and a reference with a version."""
    value = webhook.configuration[name]
    is_destination = name == KINDS[webhook.type].destination_field
    return is_destination and isinstance(value, SecretRef) and value.version is not None


def _names(webhook: Webhook, value: Value) -> set[str]:
    """Return the names that the command line accepts for a secret of a webhook."""
    names = {_ALL, webhook.name}
    if isinstance(value, SecretRef):
        names |= {value.name, value.argument, f"{value.scheme} {value.name}"}
    return names


# Notes about secrets


Unsent: TypeAlias = tuple[Comparison, str, SecretRef]
"""A field with a reference that is not compared, and that no operation sends."""


def unsent_references(pairs: Iterable[Comparison], sent: Iterable[SecretUse]) -> Iterator[Unsent]:
    """Yield the references that are not compared, and that no operation sends."""
    sent_fields = {(use.live_id, use.field) for use in sent}
    for pair in pairs:
        for name in pair.unread:
            value = pair.webhook.configuration[name]
            if isinstance(value, SecretRef) and (pair.live.id, name) not in sent_fields:
                yield pair, name, value


def unseen_removals(
    pairs: Iterable[Comparison], sending: Set[str], evidence: Evidence
) -> Iterator[Finding]:
    """Yield a note for each secret field that updates remove if it is set, which nothing shows.

    `sending` are the ids of the webhooks whose configuration is sent. What the previous
    configuration declared proves nothing: an exported webhook may have a hidden token that no file
    ever declared.
    """
    users_by_field: defaultdict[tuple[str, str], list[Webhook]] = defaultdict(list)
    for webhook, live, changes, _ in pairs:
        if live.id not in sending:
            continue
        is_retyped = live.type != webhook.type
        shown = {change.path[-1] for change in changes if isinstance(change, FieldRemoved)}
        for field in unseen_secrets(live, () if is_retyped else webhook.configuration, evidence):
            if field.name not in shown:
                old_type = live.type if is_retyped else ""
                users_by_field[field.name, old_type].append(webhook)
    for (name, old_type), users in users_by_field.items():
        what, hint = name, "if one is in use, declare it before apply"
        if old_type:
            what = f"{name} of type {old_type}"
            # Declared, it would be sent to the new destination.
            hint = "check before apply that you have it elsewhere if it may be needed again"
        names = _named(webhook.name for webhook in users)
        message = f"updating {names} removes {what} if it is set, which the server does not show"
        yield note("undeclared-secret", message, hint, users[0].position)


def unequal_secrets(
    pairs: Iterable[Comparison], uses: Sequence[SecretUse], resend_command: Callable[..., str]
) -> Iterator[Finding]:
    """Warn about each reference whose value the server may show encrypted, or not have.

    It is not sent without a request: if the server encrypts, every apply would send it again.
    """
    if not uses:
        return  # most plans
    positions = {pair.live.id: pair.webhook.position for pair in pairs}
    for (reference, _), users in by_reference(uses).items():
        way = _way_to_send([reference.argument], resend_command)
        yield warning(
            "secret-not-equal",
            unequal_message(users),
            f"{way}; if the warning stays, it is stored encrypted",
            positions[users[0].live_id or ""],
        )


def _way_to_send(requests: Sequence[str], resend_command: Callable[..., str]) -> str:
    command = resend_command(*requests)
    # An escape in the quotes of a shell is another name.
    if command and all(map(str.isprintable, requests)):
        return f"`{command}` sends the value"
    return "increment the `version` of its reference to send the value"


def by_reference(uses: Iterable[SecretUse]) -> dict[tuple[SecretRef, str], list[SecretUse]]:
    """Return the uses of each reference in each field."""
    groups: dict[tuple[SecretRef, str], list[SecretUse]] = {}
    for use in uses:
        groups.setdefault((use.reference, use.field), []).append(use)
    return groups


def unequal_message(
    uses: Sequence[SecretUse],
    what: str = "it is another value, or CloudTruth stores it encrypted",
) -> str:
    """Return that a live field is not the value of its reference, but `what`."""
    names = _named(use.webhook for use in uses)
    return f"the live {uses[0].field} of {names} is not the value of {uses[0].reference}: {what}"


def malformed_secrets(
    pairs: Iterable[Comparison], resend_command: Callable[..., str]
) -> Iterator[Finding]:
    """Warn about each visible live secret that cannot be a valid value."""
    for webhook, _, _, unread in pairs:
        for name, reading in unread.items():
            if reading is not Reading.MALFORMED:
                continue
            hint = _way_to_send([webhook.name], resend_command)
            noun = FIELDS[webhook.type][name].noun
            message = f"the live {name} of {webhook.name!r} is not {noun}, so deliveries fail"
            yield warning("live-secret-malformed", message, hint, webhook.position)


def equal_resends(pairs: Iterable[Comparison], secrets: SecretValues) -> Iterator[Finding]:
    """Yield a note for each reference that is resent although its value is live."""
    users_by_reference: defaultdict[SecretRef, list[Webhook]] = defaultdict(list)
    for webhook, live, changes, _ in pairs:
        for change in changes:
            match change:
                case SecretChange(after=SecretRef() as reference, not_shown=True):
                    value = secrets.get(reference)
                    is_live = value is not None and value == live.value(change.path[-1])
                    if is_live and not reference.is_literal:
                        users_by_reference[reference].append(webhook)
    for reference, users in users_by_reference.items():
        names = _named(webhook.name for webhook in users)
        message = f"the value of {reference} is already live in {names}"
        hint = "if another one is meant, set that before apply; later, also increment `version`"
        yield note("version-not-sent", message, hint, users[0].position)


def older_versions(desired: Desired, unsent: Iterable[Unsent]) -> Iterator[Finding]:
    """Yield a note for each reference that webhooks have with different versions.

    It names those that do not have the newest one, and to which nothing is sent. A note, because a
    rotation may be gradual.
    """
    newest = _newest_versions(desired)
    if not newest:
        return  # most plans
    users_by_newest: defaultdict[SecretRef, list[Webhook]] = defaultdict(list)
    for pair, _, reference in unsent:
        latest = newest.get(reference.unversioned, reference)
        if reference != latest:
            users_by_newest[latest].append(pair.webhook)
    for latest, users in users_by_newest.items():
        names = _named(webhook.name for webhook in users)
        where = f"not in {names}: it is not resent there"
        message = f"{latest.unversioned} has version {latest.version}, but {where}"
        hint = f"to send the new value there, too, set `version: {latest.version}`"
        yield note("older-version", message, hint, users[0].position)


def _newest_versions(desired: Desired) -> dict[SecretRef, SecretRef]:
    """Return the newest of each reference that has versions, by the one without a version."""
    newest: dict[SecretRef, SecretRef] = {}
    for webhook in desired.webhooks:
        for _, reference in webhook.references:
            if reference.version is None:
                continue
            secret = reference.unversioned
            if reference.version > (newest.get(secret, secret).version or 0):
                newest[secret] = reference
    return newest


def _named(names: Iterable[str]) -> str:
    """Return the names of the first webhooks, and the number of others."""
    quoted = [repr(name) for name in names]
    shown = ", ".join(quoted[:3])
    if len(quoted) <= 3:
        return shown
    return f"{shown} and {plural(len(quoted) - 3, 'more webhook')}"
