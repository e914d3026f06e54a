"""The routes for webhooks.

A key has access to the webhooks of its organization only. A rejected request changes nothing.
Checks run in the order of the server's Django REST Framework: existence, body, fields, name. The
errors of all fields are reported at once, with its messages. Read-only fields are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from reconciler.emulator.messages import (
    Exchange,
    Response,
    bytes_response,
    json_body,
    page,
    reject,
)
from reconciler.emulator.store import Row

_FIELDS = ("name", "organization", "event_types", "type", "configuration")
"""The fields that a client can write."""
_REQUIRED = "This field is required."
_NULL = "This field may not be null."
_REQUIRED_KEYS = {"slack": ("token", "channel", "username"), "generic": ("url",)}
_URL = r"(?i)https?://[^\s/?#]+([/?#]\S*)?"


def webhooks(exchange: Exchange) -> Response:
    """List webhooks, or create one."""
    _prepare(exchange)
    if exchange.request.method == "POST":
        return _write(exchange, None)
    behavior = exchange.behavior
    rows = behavior.listed(exchange, exchange.query_params.get("ordering", ""))
    return page(exchange, rows, lambda row: behavior.shown(exchange, row, wrote=False))


def webhook(exchange: Exchange) -> Response:
    """Read, change or delete a webhook."""
    _prepare(exchange)
    row = _row(exchange)
    match exchange.request.method:
        case "GET":
            shown = exchange.behavior.shown(exchange, row.data, wrote=False)
            return bytes_response(200, shown.encode())
        case "DELETE":
            exchange.store.delete(row.id)
            exchange.changed = row.id
            return bytes_response(204)
        case _:
            return _write(exchange, row)


def _prepare(exchange: Exchange) -> None:
    """Check the permission, and apply the deliveries until now. Raises RejectedError."""
    writes, behavior = exchange.request.method != "GET", exchange.behavior
    if not behavior.allows(exchange.role, write=writes):
        raise reject(403, "You do not have permission to perform this action.")
    if writes and behavior.maintenance:
        raise reject(403, "Changes are disabled during maintenance.")
    # There is no thread for deliveries: those that are due happen before the next request.
    exchange.store.apply_deliveries(behavior.now().timestamp())


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


def _validated(exchange: Exchange, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the webhook to store; `stored` is the one to change, None for a new one."""
    sent_fields, behavior = json_body(exchange), exchange.behavior
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
