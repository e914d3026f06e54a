"""What is live: for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler import __version__
from reconciler.model import DeliveryError, Organization
from reconciler.planning.document import FORMAT_VERSION, write_json
from reconciler.planning.status import DRIFTED, ManagementStatus, WebhookStatus
from reconciler.render import PLAIN, View
from reconciler.render.layout import columns, flow
from reconciler.render.quote import quote
from reconciler.render.rows import Atom, events, place
from reconciler.render.words import age, plural


def render_text(
    organization: Organization,
    statuses: Sequence[WebhookStatus],
    drift: Mapping[ManagementStatus, int] | None,
    view: View = PLAIN,
) -> str:
    """Show each webhook in a few lines: name, status, where it delivers, and how that went.

    The last line counts what differs from the configuration; `drift` is None if there is none.
    """
    lines = [f"CloudTruth webhooks of {quote(organization.name)}", ""]
    names = [quote(each.name) for each in statuses]
    width = min(max(map(columns, names), default=0), max(12, view.width // 3))
    for name, each in zip(names, statuses, strict=True):
        sign = "!" if each.failing or each.state in DRIFTED else " "
        gap = " " * max(2, width + 2 - columns(name))
        lines.append(f"{sign} {name}{gap}{_state(each)}")
        about = [quote(each.destination), " ".join(events(each.event_types)) or "no events"]
        if each.id is not None:
            about += [_last_run(each, view), f"id {quote(each.id)}"]
        first, *others = about
        atoms = [Atom(first, gap=""), *(Atom(part, gap=" · ") for part in others)]
        lines += flow(atoms, start="    ", indent=4, width=view.width)
        if each.error is not None:
            lines.append(f"    last delivery failed: {_error(each.error, view)}")
    if not statuses:
        lines.append("  none")
    failing = sum(each.failing for each in statuses)
    said = plural(sum(each.id is not None for each in statuses), "live webhook")
    if failing:
        said += f", {failing} with a failed delivery"
    lines += ["", f"{said}. {_drift(drift)}"]
    return "\n".join(lines) + "\n"


def _drift(drift: Mapping[ManagementStatus, int] | None) -> str:
    if drift is None:
        return "No configuration file to compare with."
    if not drift:
        return "No drift."
    counts = [
        f"{number} {'differ' if state is ManagementStatus.DIFFERS and number > 1 else state}"
        for state, number in drift.items()
    ]
    return f"Drift: {', '.join(counts)}."


def _state(each: WebhookStatus) -> str:
    where = place(each.position)
    return f"{each.state} ({where})" if where else str(each.state)


def _last_run(each: WebhookStatus, view: View) -> str:
    return "never ran" if each.last_run is None else f"last ran {age(each.last_run, view.now)}"


def _error(error: DeliveryError, view: View) -> str:
    parts = [quote(part) for part in (error.code, error.text) if part]
    if error.timestamp:
        parts.append(f"({age(error.timestamp, view.now)})")
    return " ".join(parts) or "the server gives no reason"


def render_json(
    organization: Organization,
    statuses: Sequence[WebhookStatus],
    drift: Mapping[ManagementStatus, int] | None,
) -> str:
    """Return the same as a document (schemas/status.schema.json)."""
    return write_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "status",
            "tool_version": __version__,
            "organization": {"id": organization.id, "name": organization.name},
            "drift": None if drift is None else sum(drift.values()),
            "webhooks": [_tree(each) for each in statuses],
        }
    )


def _tree(each: WebhookStatus) -> dict[str, object]:
    place = each.position
    return {
        "id": each.id,
        "name": each.name,
        "type": each.type,
        "state": str(each.state),
        "position": None if place is None else {"file": place.file, "line": place.line},
        "destination": each.destination,
        "event_types": sorted(each.event_types),
        "last_run": each.last_run,
        "last_error": None
        if each.error is None
        else {
            "timestamp": each.error.timestamp,
            "code": each.error.code,
            "text": each.error.text,
        },
    }
