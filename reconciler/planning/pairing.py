"""Who is paired with whom: what the table of `table.py` answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from reconciler.findings import Finding, Position
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES, LiveWebhook, Secret, Unknown, Webhook
from reconciler.planning.changes import Reason
from reconciler.planning.readback import plausible
from reconciler.values import dataclass

_KNOWN_EVENTS = frozenset(EVENT_TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A live webhook to delete, and why."""

    live: LiveWebhook
    reason: Reason
    position: Position | None = None
    keeps: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """Live webhooks that a declaration touches on and that stay as they are."""

    live: tuple[LiveWebhook, ...]
    reason: Reason
    position: Position | None = None
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Pairing:
    """What the table says. Filled here, read by the planner."""

    pairs: list[tuple[Webhook, LiveWebhook]] = field(default_factory=list)
    new: list[Webhook] = field(default_factory=list)
    doomed: list[Doomed] = field(default_factory=list)
    spared: list[Spared] = field(default_factory=list)
    unmanaged: list[tuple[LiveWebhook, Reason]] = field(default_factory=list)
    ignored: int = 0
    in_scope: int = 0
    declared: bool = False
    found: bool = False
    findings: list[Finding] = field(default_factory=list)

    def doom(
        self,
        live: LiveWebhook,
        reason: Reason,
        position: Position | None = None,
        keeps: str | None = None,
    ) -> None:
        """Have a live webhook deleted; `keeps` is the id of the copy that stays."""
        self.doomed.append(Doomed(live=live, reason=reason, position=position, keeps=keeps))

    def spare(
        self,
        live: Iterable[LiveWebhook],
        reason: Reason,
        position: Position | None,
        detail: str = "",
    ) -> None:
        """Leave live webhooks as they are, although a declaration touches on them."""
        self.spared.append(
            Spared(live=tuple(live), reason=reason, position=position, detail=detail)
        )


def equal_but_secrets(one: LiveWebhook, other: LiveWebhook) -> bool:
    """Say whether two live webhooks of one name are copies, as far as may be looked at.

    Secrets may differ, but not two addresses that are both to be seen: what delivers elsewhere is
    no copy.
    """
    if one.type != other.type or one.event_types != other.event_types:
        return False
    if _visible(one) != _visible(other):
        return False
    return all(
        a.same_as(b) for a, b in zip(_addresses(one), _addresses(other), strict=True) if a and b
    )


def _addresses(found: LiveWebhook) -> list[Secret | None]:
    """Return the fields that are addresses, None for one that is not shown whole."""
    if isinstance(found.configuration, Unknown):
        return []
    shown = [
        (field.shape, found.configuration.get(field.name))
        for field in KINDS[found.type].fields
        if field.address
    ]
    return [
        value
        if isinstance(value, Secret) and plausible(value) and shape and value.matches(shape)
        else None
        for shape, value in shown
    ]


def _visible(found: LiveWebhook) -> dict[str, object] | Unknown:
    if isinstance(found.configuration, Unknown):
        return found.configuration
    secret = KINDS[found.type].secret_fields
    shown: dict[str, object] = {}
    for each in KINDS[found.type].fields:
        value = found.configuration.get(each.name)
        if each.name not in secret and value not in (None, "", each.default):
            shown[each.name] = each.normal(value) if isinstance(value, str) else value
    return shown


def is_unknown(found: LiveWebhook) -> bool:
    """Say whether this version does not understand a live webhook."""
    return found.type not in KINDS or not found.event_types <= _KNOWN_EVENTS


def not_understood(found: LiveWebhook) -> tuple[Reason, str]:
    """Say what of it: the type, or which events."""
    if found.type not in KINDS:
        return Reason.UNKNOWN_TYPE, found.type
    return Reason.UNKNOWN_EVENT, ", ".join(sorted(found.event_types - _KNOWN_EVENTS))
