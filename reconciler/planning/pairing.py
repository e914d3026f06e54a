"""Who is paired with whom: what the table of `table.py` answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.findings import Finding, Position
from reconciler.kinds import KINDS, Field
from reconciler.model import EVENT_TYPES, LiveValue, LiveWebhook, Unknown, Webhook
from reconciler.planning.changes import Reason
from reconciler.planning.readback import Reading, secrets_alike

_KNOWN_EVENTS = frozenset(EVENT_TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A live webhook to delete, and why. `hidden` and `keeps` are those of `Delete`."""

    live: LiveWebhook
    reason: Reason
    position: Position | None = None
    keeps: str | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """Live webhooks that a declaration touches on and that stay as they are."""

    live: tuple[LiveWebhook, ...]
    reason: Reason
    position: Position | None = None
    detail: str = ""
    unapplied: bool = False


@dataclass(slots=True, kw_only=True)
class Pairing:
    """What the table says. Filled here, read by the planner.

    `adopted` holds the ids of the paired webhooks that come from outside the scope.
    """

    pairs: list[tuple[Webhook, LiveWebhook]] = field(default_factory=list)
    new: list[Webhook] = field(default_factory=list)
    doomed: list[Doomed] = field(default_factory=list)
    spared: list[Spared] = field(default_factory=list)
    unmanaged: list[tuple[LiveWebhook, Reason]] = field(default_factory=list)
    ignored: int = 0
    in_scope: int = 0
    declared: bool = False
    found: bool = False
    adopted: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def doom(
        self,
        live: LiveWebhook,
        reason: Reason,
        position: Position | None = None,
    ) -> None:
        """Have a live webhook deleted."""
        self.doomed.append(Doomed(live=live, reason=reason, position=position))

    def duplicate(self, live: LiveWebhook, keeper: LiveWebhook, position: Position | None) -> None:
        """Have a duplicate of `keeper` deleted."""
        self.doomed.append(
            Doomed(
                live=live,
                reason=Reason.DUPLICATE,
                position=position,
                keeps=keeper.id,
                hidden=likeness(keeper, live) is Reading.UNKNOWN,
            )
        )

    def spare(
        self,
        live: Iterable[LiveWebhook],
        reason: Reason,
        position: Position | None,
        detail: str = "",
        *,
        unapplied: bool = False,
    ) -> None:
        """Leave live webhooks as they are; `unapplied`: a declaration is not carried out."""
        self.spared.append(
            Spared(
                live=tuple(live),
                reason=reason,
                position=position,
                detail=detail,
                unapplied=unapplied,
            )
        )


def likeness(one: LiveWebhook, other: LiveWebhook) -> Reading:
    """Compare two live webhooks of one name.

    SAME if they are duplicates and everything is shown, UNKNOWN if nothing that is shown differs
    and something is hidden, else DIFFERENT.
    """
    if one.type != other.type or one.event_types != other.event_types:
        return Reading.DIFFERENT
    if _visible(one) != _visible(other):
        return Reading.DIFFERENT
    a, b = one.configuration, other.configuration
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Reading.UNKNOWN
    readings = [_secrets(field, a, b) for field in KINDS[one.type].fields if field.secret]
    for worst in (Reading.DIFFERENT, Reading.UNKNOWN):
        if worst in readings:
            return worst
    return Reading.SAME


def _secrets(field: Field, a: Mapping[str, LiveValue], b: Mapping[str, LiveValue]) -> Reading:
    """Compare a secret field; one that neither shows is hidden if there must be one."""
    reading = secrets_alike(field, a.get(field.name), b.get(field.name))
    if reading is not Reading.ABSENT:
        return reading
    expected = field.required or (field.partner is not None and a.get(field.partner))
    return Reading.UNKNOWN if expected else Reading.SAME


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
