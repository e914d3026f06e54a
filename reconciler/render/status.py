"""What is live: for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reconciler import __version__
from reconciler.kinds.events import compress
from reconciler.model import Organization
from reconciler.planning.status import Footing, Status
from reconciler.render.quote import quote
from reconciler.render.view import PLAIN, View
from reconciler.render.words import age, plural

FORMAT_VERSION = "1"


def render_text(organization: Organization, statuses: Sequence[Status], view: View = PLAIN) -> str:
    """Show each webhook in a line or two: name, footing, where it delivers, and how that went."""
    lines = [f"CloudTruth webhooks of {quote(organization.name)}", ""]
    names = [quote(each.webhook.name) for each in statuses]
    width = min(max((len(name) for name in names), default=0), max(12, view.width // 3))
    for name, each in zip(names, statuses, strict=True):
        sign = "!" if each.failing or each.footing is Footing.TWIN else " "
        lines.append(f"{sign} {name:{width}}  {_footing(each)}")
        about = [quote(each.webhook.destination), ", ".join(_events(each)), _last_run(each, view)]
        lines += _wrapped(about, view.width)
        if each.error is not None:
            lines += [f"    last delivery failed: {text}" for text in [_error(each, view)]]
    if not statuses:
        lines.append("  none")
    failing = sum(each.failing for each in statuses)
    summary = plural(len(statuses), "webhook")
    lines += ["", f"{summary}, {failing} with a failed delivery." if failing else f"{summary}."]
    return "\n".join(lines) + "\n"


def _footing(each: Status) -> str:
    return str(each.footing) if each.position is None else f"{each.footing} ({each.position})"


def _events(each: Status) -> tuple[str, ...]:
    return tuple(quote(event) for event in compress(each.webhook.event_types)) or ("no events",)


def _last_run(each: Status, view: View) -> str:
    if each.webhook.last_run is None:
        return "never ran"
    return f"last ran {age(each.webhook.last_run, view.now)}"


def _error(each: Status, view: View) -> str:
    error = each.error
    if error is None:
        return ""
    parts = [quote(part) for part in (error.code, error.text) if part]
    if error.timestamp:
        parts.append(f"({age(error.timestamp, view.now)})")
    return " ".join(parts) or "the server gives no reason"


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Put parts side by side as far as they fit."""
    lines: list[str] = []
    line = ""
    for part in parts:
        if line and 4 + len(line) + 3 + len(part) > width:
            lines.append(f"    {line}")
            line = part
        else:
            line = f"{line} · {part}" if line else part
    return [*lines, f"    {line}"]


def render_json(organization: Organization, statuses: Sequence[Status]) -> str:
    """Return the same as a document; text is ASCII, everything else escaped."""
    return (
        json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "kind": "status",
                "tool_version": __version__,
                "organization": {"id": organization.id, "name": organization.name},
                "webhooks": [_tree(each) for each in statuses],
            },
            indent=2,
        )
        + "\n"
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
