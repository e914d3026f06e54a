"""What is live: for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler import __version__
from reconciler.kinds.events import compress
from reconciler.model import DeliveryError, Organization
from reconciler.planning.document import FORMAT_VERSION, write_json
from reconciler.planning.status import Footing, Status
from reconciler.render.describe import place
from reconciler.render.quote import quote
from reconciler.render.text.layout import columns
from reconciler.render.view import PLAIN, View
from reconciler.render.words import age, plural


def render_text(organization: Organization, statuses: Sequence[Status], view: View = PLAIN) -> str:
    """Show each webhook in a line or two: name, footing, where it delivers, and how that went."""
    lines = [f"CloudTruth webhooks of {quote(organization.name)}", ""]
    names = [quote(each.webhook.name) for each in statuses]
    width = min(max(map(columns, names), default=0), max(12, view.width // 3))
    for name, each in zip(names, statuses, strict=True):
        sign = "!" if each.failing or each.footing is Footing.TWIN else " "
        gap = " " * max(2, width + 2 - columns(name))
        lines.append(f"{sign} {name}{gap}{_footing(each)}")
        about = [quote(each.webhook.destination), ", ".join(_events(each)), _last_run(each, view)]
        lines += _wrapped(about, view.width)
        if each.error is not None:
            lines.append(f"    last delivery failed: {_error(each.error, view)}")
    if not statuses:
        lines.append("  none")
    failing = sum(each.failing for each in statuses)
    summary = plural(len(statuses), "webhook")
    lines += ["", f"{summary}, {failing} with a failed delivery." if failing else f"{summary}."]
    return "\n".join(lines) + "\n"


def _footing(each: Status) -> str:
    where = place(each.position)
    return f"{each.footing} ({where})" if where else str(each.footing)


def _events(each: Status) -> tuple[str, ...]:
    return tuple(quote(event) for event in compress(each.webhook.event_types)) or ("no events",)


def _last_run(each: Status, view: View) -> str:
    if each.webhook.last_run is None:
        return "never ran"
    return f"last ran {age(each.webhook.last_run, view.now)}"


def _error(error: DeliveryError, view: View) -> str:
    parts = [quote(part) for part in (error.code, error.text) if part]
    if error.timestamp:
        parts.append(f"({age(error.timestamp, view.now)})")
    return " ".join(parts) or "the server gives no reason"


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Put parts side by side as far as they fit."""
    lines: list[str] = []
    line = ""
    for part in parts:
        if line and 4 + columns(line) + 3 + columns(part) > width:
            lines.append(f"    {line}")
            line = part
        else:
            line = f"{line} · {part}" if line else part
    return [*lines, f"    {line}"]


def render_json(organization: Organization, statuses: Sequence[Status]) -> str:
    """Return the same as a document (schemas/status.schema.json)."""
    return write_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "status",
            "tool_version": __version__,
            "organization": {"id": organization.id, "name": organization.name},
            "webhooks": [_tree(each) for each in statuses],
        }
    )


def _tree(each: Status) -> dict[str, object]:
    place = each.position
    return {
        "id": each.webhook.id,
        "name": each.webhook.name,
        "type": each.webhook.type,
        "footing": str(each.footing),
        "position": None if place is None else {"file": place.file, "line": place.line},
        "destination": each.webhook.destination,
        "event_types": sorted(each.webhook.event_types),
        "last_run": each.webhook.last_run,
        "last_error": None
        if each.error is None
        else {
            "timestamp": each.error.timestamp,
            "code": each.error.code,
            "text": each.error.text,
        },
    }
