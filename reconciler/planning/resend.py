"""Resends: values that are sent although no difference is visible.

If the server hides a secret, a new value cannot be detected. A secret is resent if its reference or
version differs from the previous configuration, on request, or if a review contains the resend. It
is planned regardless of the live value, so the plan is the same with and without the value. A plain
field is sent only if it cannot be read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from reconciler.findings import Finding, error, note
from reconciler.kinds import KINDS
from reconciler.model import Desired, LiveWebhook, SecretRef, Value, Webhook
from reconciler.planning.plan import Operation, SecretCause, SecretChange, Update
from reconciler.planning.readback import Evidence

_ALL: Final = "*"
"""The request for all secrets."""


class Resend(NamedTuple):
    """A field that a review resends, if the files still declare it.

    `value` is the declared value at the review: a reference with its version, or plain text; None
    for a field that is removed.
    """

    webhook: str
    field: str
    value: Value | None
    cause: SecretCause


def resends(operations: Iterable[Operation]) -> tuple[Resend, ...]:
    """Return the resends in operations."""
    return tuple(
        Resend(
            webhook=operation.name,
            field=str(each.path[-1]),
            value=operation.after.configuration.get(str(each.path[-1])),
            cause=each.cause if isinstance(each, SecretChange) else SecretCause.REFERENCE_CHANGED,
        )
        for operation in operations
        if isinstance(operation, Update)
        for each in operation.fields
        if each.not_shown
    )


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
        for each in reviewed:
            self._reviewed.setdefault(each.webhook, {})[each.field] = each
        self._old_literals = previous.literals if previous is not None else {}
        self._literals = desired.literals
        self._previous: dict[str, Webhook] = {}
        for webhook in previous.webhooks if previous is not None else ():
            self._previous[webhook.name] = webhook
            if webhook.id is not None:
                self._previous[webhook.id] = webhook
        # Any declared webhook may be requested, live or not, selected or not.
        self._known = {_ALL} | {
            name
            for webhook in (desired.webhooks if self._named else ())
            for field, value in webhook.configuration.items()
            if field in KINDS[webhook.type].secret_fields
            for name in _names(webhook, value)
        }

    def causes(self, webhook: Webhook) -> Mapping[str, SecretCause]:
        """Return the cause for each field that is sent or removed without a visible difference."""
        if not (self._previous or self._named or self._reviewed):
            return {}
        before = self._before(webhook)
        found: dict[str, SecretCause] = {}
        for name, value in webhook.configuration.items():
            requested = not self._named.isdisjoint(_names(webhook, value))
            if (cause := self._cause(before, webhook, name)) is not None:
                found[name] = cause
            elif requested and name in KINDS[webhook.type].secret_fields:
                found[name] = SecretCause.REQUESTED
        dropped = set(before.configuration if before is not None else ())
        reviewed = self._reviewed.get(webhook.name, {})
        dropped |= {name for name, each in reviewed.items() if each.value is None}
        for name in dropped - webhook.configuration.keys():
            found[name] = SecretCause.REFERENCE_CHANGED
        return found

    def dropped_secret_notes(
        self, webhook: Webhook, live: LiveWebhook, evidence: Evidence
    ) -> Iterable[Finding]:
        """Yield a note for each secret that is no longer declared but may still be set.

        It is not removed, because every plan would remove it again: its removal is not visible.
        """
        before = self._before(webhook)
        if before is None or live.type != webhook.type:
            return
        for field in KINDS[live.type].fields:
            dropped = field.name in before.configuration and field.name not in webhook.configuration
            if dropped and field.secret and field.name not in evidence.shown:
                yield note(
                    "undeclared-secret",
                    f"{field.name} of {webhook.name!r} is no longer declared; "
                    "the server does not show whether it is still set",
                    "the next change to the configuration removes it; "
                    "or delete the webhook with `state: absent`, then declare it again",
                    webhook.position,
                )

    def unmatched(self) -> Iterable[Finding]:
        """Yield an error for each request that matches no declaration."""
        for name in sorted(self._named - self._known):
            yield error(
                "unknown-resend",
                f"--resend-secret {name!r} matches no declared secret reference "
                "and no declared webhook with a secret",
                "pass a reference such as env:SLACK_BOT_TOKEN, or the name of a webhook",
            )

    def _before(self, webhook: Webhook) -> Webhook | None:
        for key in (webhook.id, webhook.name, *webhook.previously):
            if key is not None and key in self._previous:
                found = self._previous[key]
                return found if found.type == webhook.type else None
        return None

    def _cause(self, before: Webhook | None, webhook: Webhook, name: str) -> SecretCause | None:
        """Return the cause to send a field, from the previous configuration or else a review."""
        new = webhook.configuration[name]
        old = before.configuration.get(name) if before is not None else new
        if isinstance(old, SecretRef) and isinstance(new, SecretRef):
            if old != new and (old.scheme, old.name) == (new.scheme, new.name):
                return SecretCause.VERSION_CHANGED
            # A literal is identified by its position, so its value may have changed.
            known = before is not None and old == new
            if known and self._old_literals.get(new) != self._literals.get(new):
                return SecretCause.REFERENCE_CHANGED
        if old != new:
            return SecretCause.REFERENCE_CHANGED
        # A resend in a review applies while the files still declare the same.
        resend = self._reviewed.get(webhook.name, {}).get(name)
        return resend.cause if resend is not None and resend.value == new else None


def _names(webhook: Webhook, value: Value) -> set[str]:
    """Return the names that the command line accepts for a secret of a webhook."""
    names = {_ALL, webhook.name}
    if isinstance(value, SecretRef):
        names |= {value.name, f"{value.scheme}:{value.name}", f"{value.scheme} {value.name}"}
    return names
