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
    ROOT,
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
_VERBS = {"POST": "created", "PATCH": "updated", "DELETE": "deleted"}


def parameters_response(exchange: Exchange) -> Response:
    """List projects or environments, or list, create, change or delete parameters and values."""
    # Without `/api/v1/` at the start, and the empty part behind the last slash.
    method, parts = exchange.request.method, exchange.request.path.split("/")[3:-1]
    projects = [_object(exchange, "projects", name) for name in exchange.behavior.projects]
    # Neither can be changed here: a proof only looks them up.
    if len(parts) == 1:
        environments = [_object(exchange, "environments", _ENVIRONMENT)]
        listings = {"projects": projects, "environments": environments}
        return _named(exchange, listings[parts[0]])
    project = _with_id(projects, parts[1])
    parameters = exchange.store.parameters(project["id"])
    if method == "GET":
        return _named(exchange, parameters)
    # A role in the project replaces that in the organization, if access is controlled.
    role = exchange.behavior.project_role or exchange.role
    if role.upper() not in ("CONTRIB", "ADMIN", "OWNER"):
        raise reject(403, "You do not have permission to perform this action.")
    sent = {} if method == "DELETE" else json_body(exchange)
    match parts[3:]:  # behind `projects/ID/parameters`
        case []:
            return _create_parameter(exchange, project, sent)
        case [id_]:
            return _write_parameter(exchange, project["id"], _with_id(parameters, id_), sent)
        case _:  # with `values` behind its id
            return _write_value(exchange, project["id"], _with_id(parameters, parts[3]), sent)


def _object(exchange: Exchange, kind: str, name: str) -> dict[str, Any]:
    """Return a project or an environment. Its id depends on the organization and the name."""
    # Not stored: the same id in each process.
    id_ = str(uuid5(NAMESPACE_URL, f"{exchange.caller.organization}/{kind}/{name}"))
    row: dict[str, Any] = {"id": id_, "url": exchange.url(f"{ROOT}{kind}/{id_}/"), "name": name}
    if kind == "projects":
        pattern = exchange.behavior.projects[name]
        row |= {"role": exchange.behavior.project_role, "parameter_name_pattern": pattern}
    return row


def _with_id(rows: list[dict[str, Any]], id: str) -> dict[str, Any]:
    for row in rows:
        if row["id"] == id:
            return row
    raise reject(404, "Not found.")


def _named(exchange: Exchange, rows: list[dict[str, Any]]) -> Response:
    """Return the page of the rows with the name, or the start of the name, of the query."""
    query = exchange.query_params
    name, start = query.get("name"), query.get("name__startswith", "")
    matching = [
        row for row in rows if name in (None, row["name"]) and row["name"].startswith(start)
    ]
    return page(exchange, [dump(row) for row in matching])


def _create_parameter(
    exchange: Exchange, project: Mapping[str, Any], sent: Mapping[str, Any]
) -> Response:
    name, pattern = sent.get("name"), project["parameter_name_pattern"]
    problem = None
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        problem = "The name needs 1 to 256 characters."
    elif pattern and not re.fullmatch(pattern, name):
        problem = "The name does not match the pattern of the project."
    elif any(row["name"] == name for row in exchange.store.parameters(project["id"])):
        problem = "A parameter with this name exists."
    if problem is not None:
        raise reject(400, {"name": [problem]})
    parameter = {
        "id": exchange.store.new_id(),
        "name": name,
        "description": sent.get("description", ""),
        "secret": sent.get("secret", False),
        "type": sent.get("type", "string"),
        "values": {},
    }
    exchange.store.save_parameter(project["id"], parameter)
    _deliver(exchange, "parameter_created")
    return json_value(parameter, status=201)


def _write_parameter(
    exchange: Exchange, project_id: str, parameter: dict[str, Any], sent: Mapping[str, Any]
) -> Response:
    """Delete a parameter, or change its description."""
    if exchange.request.method == "DELETE":
        exchange.store.delete_parameter(parameter["id"])
        _deliver(exchange, "parameter_deleted")
        return bytes_response(204)
    # No other field is ever changed by `webhooks check`.
    parameter["description"] = sent.get("description", parameter["description"])
    exchange.store.save_parameter(project_id, parameter)
    _deliver(exchange, "parameter_updated")
    return json_value(parameter)


def _write_value(
    exchange: Exchange, project_id: str, parameter: dict[str, Any], sent: Mapping[str, Any]
) -> Response:
    """Create, change or delete the value of a parameter in an environment."""
    method, values = exchange.request.method, parameter["values"]
    environment = _object(exchange, "environments", _ENVIRONMENT)["url"]
    if method == "POST":
        if sent.get("environment") != environment:
            problem = "Invalid hyperlink - Object does not exist."
            raise reject(400, {"environment": [problem]})
        if values:
            raise reject(409, "The parameter has a value in this environment.")
        value = {"id": exchange.store.new_id(), "environment": environment}
    else:
        value = _with_id(list(values.values()), exchange.id)
    # There is one environment, so there is at most one value.
    values.clear()
    if method != "DELETE":
        values[environment] = {**value, "internal_value": sent.get("internal_value")}
    exchange.store.save_parameter(project_id, parameter)
    _deliver(exchange, f"value_{_VERBS[method]}")
    if method == "DELETE":
        return bytes_response(204)
    return json_value(values[environment], status=201 if method == "POST" else 200)


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
