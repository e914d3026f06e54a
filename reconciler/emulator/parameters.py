"""The routes for projects, environments, parameters and values, and the deliveries of their events.

There is only what `webhooks check --deliver` uses: every organization has the projects of the
behavior, and the environment `default`. A parameter is stored with its values. Each write is an
event, which is delivered to the webhooks that listen to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from reconciler.emulator.messages import (
    Exchange,
    Response,
    bytes_response,
    dump,
    json_body,
    json_value,
    page,
    reject,
)

_ENVIRONMENT = "default"


def list_projects(exchange: Exchange) -> Response:
    """List the projects of the behavior."""
    return _named(exchange, _projects(exchange))


def list_environments(exchange: Exchange) -> Response:
    """List the only environment."""
    return _named(exchange, [_object(exchange, "environments", _ENVIRONMENT)])


def parameters(exchange: Exchange) -> Response:
    """List the parameters of a project, or create one."""
    project = _project(exchange)
    rows = exchange.store.parameters(project["id"])
    if exchange.request.method == "GET":
        return _named(exchange, rows)
    _require_contributor(exchange)
    sent = json_body(exchange)
    name, pattern = sent.get("name"), project["parameter_name_pattern"]
    problem = None
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        problem = "The name needs 1 to 256 characters."
    elif pattern and not re.fullmatch(pattern, name):
        problem = "The name does not match the pattern of the project."
    elif any(row["name"] == name for row in rows):
        problem = "A parameter with this name exists."
    if problem is not None:
        raise reject(400, {"name": [problem]})
    created = {
        "id": exchange.store.new_id(),
        "name": name,
        "description": sent.get("description", ""),
        "secret": sent.get("secret", False),
        "type": sent.get("type", "string"),
        "values": {},
    }
    _save(exchange, created, "parameter_created")
    return json_value(created, status=201)


def parameter(exchange: Exchange) -> Response:
    """Change the description of a parameter, or delete the parameter."""
    sent, changed = _to_change(exchange)
    if exchange.request.method == "DELETE":
        exchange.store.delete_parameter(changed["id"])
        _deliver(exchange, "parameter_deleted")
        return bytes_response(204)
    # No other field is ever changed by `webhooks check`.
    changed["description"] = sent.get("description", changed["description"])
    _save(exchange, changed, "parameter_updated")
    return json_value(changed)


# There is one environment, so a parameter has at most one value.


def values(exchange: Exchange) -> Response:
    """Create the value of a parameter in the environment."""
    sent, changed = _to_change(exchange)
    environment = _object(exchange, "environments", _ENVIRONMENT)["url"]
    if sent.get("environment") != environment:
        raise reject(400, {"environment": ["Invalid hyperlink - Object does not exist."]})
    if changed["values"]:
        raise reject(409, "The parameter has a value in this environment.")
    created = {
        "id": exchange.store.new_id(),
        "environment": environment,
        "internal_value": sent.get("internal_value"),
    }
    changed["values"] = {environment: created}
    _save(exchange, changed, "value_created")
    return json_value(created, status=201)


def value(exchange: Exchange) -> Response:
    """Change a value, or delete it."""
    sent, changed = _to_change(exchange)
    current = _with_id(list(changed["values"].values()), exchange.id)
    if exchange.request.method == "DELETE":
        changed["values"] = {}
        _save(exchange, changed, "value_deleted")
        return bytes_response(204)
    current["internal_value"] = sent.get("internal_value")
    _save(exchange, changed, "value_updated")
    return json_value(current)


def _projects(exchange: Exchange) -> list[dict[str, Any]]:
    return [_object(exchange, "projects", name) for name in exchange.behavior.projects]


def _object(exchange: Exchange, kind: str, name: str) -> dict[str, Any]:
    """Return a project or an environment. Its id depends on the organization and the name."""
    # Not stored: the same id in each process.
    id_ = str(uuid5(NAMESPACE_URL, f"{exchange.caller.organization}/{kind}/{name}"))
    row: dict[str, Any] = {"id": id_, "url": exchange.url(f"/api/v1/{kind}/{id_}/"), "name": name}
    if kind == "projects":
        pattern = exchange.behavior.projects[name]
        row |= {"role": exchange.behavior.project_role, "parameter_name_pattern": pattern}
    return row


def _named(exchange: Exchange, rows: list[dict[str, Any]]) -> Response:
    """Return the page of the rows with the name, or the start of the name, of the query."""
    query = exchange.query_params
    name, start = query.get("name"), query.get("name__startswith", "")
    matching = [
        row for row in rows if name in (None, row["name"]) and row["name"].startswith(start)
    ]
    return page(exchange, [dump(row) for row in matching])


def _project(exchange: Exchange) -> dict[str, Any]:
    """Return the project of the path. Raises RejectedError."""
    return _with_id(_projects(exchange), exchange.ids[0])


def _to_change(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sent fields, and the parameter of the path. Raises RejectedError."""
    project = _project(exchange)
    _require_contributor(exchange)
    sent: dict[str, Any] = {}
    if exchange.request.method != "DELETE":
        sent = json_body(exchange)
    return sent, _with_id(exchange.store.parameters(project["id"]), exchange.ids[1])


def _require_contributor(exchange: Exchange) -> None:
    # A role in the project replaces that in the organization, if access is controlled.
    role = exchange.behavior.project_role or exchange.role
    if role.upper() not in ("CONTRIB", "ADMIN", "OWNER"):
        raise reject(403, "You do not have permission to perform this action.")


def _with_id(rows: list[dict[str, Any]], id: str) -> dict[str, Any]:
    for row in rows:
        if row["id"] == id:
            return row
    raise reject(404, "Not found.")


def _save(exchange: Exchange, changed: Mapping[str, Any], event: str) -> None:
    """Store a parameter of the project of the path, and deliver the event."""
    exchange.store.save_parameter(exchange.ids[0], changed)
    _deliver(exchange, event)


def _deliver(exchange: Exchange, event: str) -> None:
    """Deliver an event to the webhooks of the organization that listen to it."""
    behavior, now = exchange.behavior, exchange.behavior.now()
    if not behavior.delivers(event):
        return
    # Each event changes the webhook once, in the order of the events, also if all are late.
    for text in exchange.store.texts(exchange.caller.organization):
        webhook = json.loads(text)
        if event not in webhook["event_types"]:
            continue
        # As Django REST Framework writes times in UTC.
        moment = now.isoformat().replace("+00:00", "Z")
        changes: dict[str, Any] = {"last_run": moment}
        if behavior.fails(webhook["configuration"], event):
            kind = "channel_not_found" if webhook["type"] == "slack" else "connection_error"
            error = {"timestamp": moment, "code": kind, "text": f"delivery of {event} failed"}
            changes["last_error"] = error
        elif behavior.clears_errors:
            changes["last_error"] = None
        due = now.timestamp() + behavior.delivery_seconds
        # Stored, not made: the emulator has no thread, and a later request applies what is due.
        exchange.store.add_delivery(webhook["id"], due, changes)
