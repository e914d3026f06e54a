"""The routes for webhooks, and for the parameters of a proof with the deliveries of their events.

A key has access to the webhooks of its organization only. A rejected request changes nothing.
Checks run in the order of the server's Django REST Framework: existence, body, fields, name. The
errors of all fields are reported at once, with its messages. Read-only fields are ignored.

Of projects, environments, parameters and values there is only what `webhooks check --deliver` uses:
every organization has the projects of the behavior, and the environment `default`. A parameter is
stored with its values. Each write is an event, which is delivered to the webhooks that listen to
it.
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
    json_value,
    page,
    reject,
)
from reconciler.emulator.store import Row

_ROOT = "/api/v1/"
_FIELDS = ("name", "organization", "event_types", "type", "configuration")
"""The fields that a client can write."""
_REQUIRED = "This field is required."
_NULL = "This field may not be null."
_REQUIRED_KEYS = {"slack": ("token", "channel", "username"), "generic": ("url",)}
_URL = r"(?i)https?://[^\s/?#]+([/?#]\S*)?"
_ENVIRONMENT = "default"
_VERBS = {"POST": "created", "PATCH": "updated", "DELETE": "deleted"}


def webhooks_response(exchange: Exchange) -> Response:
    """List webhooks, create one, or read or change that of `exchange.id`."""
    method, behavior = exchange.request.method, exchange.behavior
    if not behavior.allows(exchange.role, write=method != "GET"):
        raise reject(403, "You do not have permission to perform this action.")
    if method != "GET" and behavior.maintenance:
        raise reject(403, "Changes are disabled during maintenance.")
    # There is no thread for deliveries: those that are due happen before the next request.
    exchange.store.apply_deliveries(behavior.now().timestamp())
    if method == "POST":
        return _write(exchange, None)
    if exchange.request.path == f"{_ROOT}webhooks/":
        rows = behavior.listed(exchange, exchange.query_params.get("ordering", ""))
        return page(exchange, rows, lambda row: behavior.shown(exchange, row, wrote=False))
    row = _row(exchange)
    if method == "GET":
        return bytes_response(200, behavior.shown(exchange, row.data, wrote=False).encode())
    if method != "DELETE":
        return _write(exchange, row)
    exchange.store.delete(row.id)
    exchange.changed = row.id
    return bytes_response(204)


def _row(exchange: Exchange) -> Row:
    # An id in upper case is the same UUID.
    row = exchange.store.row(exchange.id) or exchange.store.row(exchange.id.lower())
    if row is None or row.organization != exchange.caller.organization:
        # As for one that does not exist: a key must not learn about other organizations.
        raise reject(404, "Not found.")
    return row


def _write(exchange: Exchange, row: Row | None) -> Response:
    """Create a webhook, or change that of `row`: only the sent fields by PATCH, else all fields."""
    stored: dict[str, Any] | None = None if row is None else json.loads(row.data)
    record = _validated(exchange, stored)
    exchange.behavior.check(exchange, record, stored)
    # Only now: a rejected request changes nothing, and takes no id.
    exchange.changed = record["id"] = record["id"] or exchange.store.new_id()
    data = exchange.store.save(record)
    shown = exchange.behavior.shown(exchange, data, wrote=True)
    return bytes_response(201 if stored is None else 200, shown.encode())


def _body(exchange: Exchange) -> dict[str, Any]:
    """Return the object that a request sends. Raises RejectedError."""
    request = exchange.request
    # As in Django REST Framework: without a body all fields are missing, whatever the media type.
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise reject(415, f'Unsupported media type "{kind}" in request.')
    try:
        data = json.loads(request.body)
        dump(data).encode()  # fails for values that cannot be stored: NaN, a lone surrogate
    except (ValueError, RecursionError) as error:
        raise reject(400, f"JSON parse error - {error}") from None
    if not isinstance(data, dict):
        raise reject(400, f"Invalid data. Expected a dictionary, but got {type(data).__name__}.")
    return data


def _validated(exchange: Exchange, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the webhook to store; `stored` is the one to change, None for a new one."""
    sent_fields, behavior = _body(exchange), exchange.behavior
    is_patch = exchange.request.method == "PATCH"
    record: dict[str, Any] = {"id": None, **dict.fromkeys(_FIELDS)}
    record |= stored or {"organization": exchange.caller.organization}
    # As in Django REST Framework, fields that no client can write are ignored, such as `last_run`.
    data = {field: sent_fields[field] for field in _FIELDS if field in sent_fields}
    record |= data
    errors = _field_errors(exchange, data, is_patch=is_patch)
    sent = {"type", "configuration"} & data.keys()
    if sent and not {"type", "configuration"} & errors.keys():
        # Both together are valid or not: another type needs another configuration.
        patched = stored["configuration"] if stored is not None and is_patch else None
        kind, configuration = record["type"], dict(record["configuration"])
        record["configuration"] = behavior.configuration(kind, configuration, patched)
        problem = _configuration_errors(kind, record["configuration"])
        if problem:
            errors["configuration"] = problem
    if errors:
        raise reject(400, behavior.error_body(errors))
    if "name" in data:
        record["name"] = behavior.name(record["name"])
    if "event_types" in data:
        record["event_types"] = behavior.event_types(record["event_types"])
    return record


def _field_errors(exchange: Exchange, data: Mapping[str, Any], *, is_patch: bool) -> dict[str, Any]:
    """Return the errors of all fields, each valid or not for itself, by name."""
    errors: dict[str, Any] = {}
    for field in _FIELDS:
        problem: Any = None
        if field in data:
            problem = [_NULL] if data[field] is None else _errors(exchange, field, data[field])
        elif not is_patch and exchange.behavior.required(field):
            problem = [_REQUIRED]
        if problem:
            errors[field] = problem
    return errors


def _errors(exchange: Exchange, field: str, value: Any) -> Any:
    """Return the errors of one field that is not null."""
    behavior = exchange.behavior
    match field:
        case "name":
            return _text_errors(value)
        case "organization":
            known = exchange.store.memberships(exchange.caller.id)
            if value not in [membership.organization for membership in known]:
                return [f'Invalid pk "{value}" - object does not exist.']
        case "event_types":
            return _event_errors(value, behavior.events)
        case "type" if value not in behavior.types:
            return [_choice(value)]
        case "configuration" if not isinstance(value, dict):
            return ["Value must be valid JSON."]
    return None


def _event_errors(value: Any, known: tuple[str, ...]) -> Any:
    if not isinstance(value, list):
        return [f'Expected a list of items but got type "{type(value).__name__}".']
    return {str(i): [_choice(event)] for i, event in enumerate(value) if event not in known}


def _configuration_errors(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the errors of a configuration of this type, by key."""
    errors: dict[str, Any] = {}
    for key in _REQUIRED_KEYS.get(kind, ()):
        problems = _text_errors(value[key]) if key in value else [_REQUIRED]
        if problems:
            errors[key] = problems
    if kind != "generic":
        return errors
    # A URL that is missing or no text has its error already.
    if not errors and not re.fullmatch(_URL, value["url"].strip()):
        errors["url"] = ["Enter a valid URL."]
    if not isinstance(value.get("verify", True), bool):
        errors["verify"] = ["Must be a valid boolean."]
    for key, other in (("username", "password"), ("password", "username")):
        if value.get(other) and not value.get(key):
            errors[key] = [f"This field is required together with {other}."]
    return errors


def _text_errors(value: Any) -> list[str]:
    if value is None:
        return [_NULL]
    if not isinstance(value, str):
        return ["Not a valid string."]
    if not value.strip():
        return ["This field may not be blank."]
    return []


def _choice(value: Any) -> str:
    return f'"{value}" is not a valid choice.'


# Projects, environments, parameters and values


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
    sent = {} if method == "DELETE" else _body(exchange)
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
    row: dict[str, Any] = {"id": id_, "url": exchange.url(f"{_ROOT}{kind}/{id_}/"), "name": name}
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
