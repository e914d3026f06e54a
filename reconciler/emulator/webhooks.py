"""The routes for webhooks: list, create, read, change, delete.

A key has access to the webhooks of its organization only. A rejected request changes nothing.
Checks run in the framework's order: existence, body, fields, name. `RejectedError` reports the
errors of all fields at once, with the framework's messages. Read-only fields are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from reconciler.emulator.behavior import Behavior
from reconciler.emulator.messages import (
    Exchange,
    RejectedError,
    Response,
    bytes_response,
    json_text,
    json_value,
    page,
    reject,
)
from reconciler.emulator.store import Row

PATH = "/api/v1/webhooks/"
_FIELDS = ("name", "organization", "event_types", "type", "configuration")
"""The fields that a client can write."""
_REQUIRED = "This field is required."
_NULL = "This field may not be null."
_BLANK = "This field may not be blank."
_NOT_A_STRING = "Not a valid string."
_URL = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_Errors = dict[str, Any]


def list_webhooks(exchange: Exchange) -> Response:
    """Return one page."""
    behavior = exchange.behavior
    rows = behavior.listed(exchange, exchange.query_params.get("ordering", ""))
    return page(exchange, PATH, rows, lambda row: behavior.shown(exchange, row, wrote=False))


def create(exchange: Exchange) -> Response:
    """Store a new webhook."""
    fields = _validated(exchange, stored=None, partial=False)
    fields.setdefault("organization", exchange.caller.organization)
    exchange.behavior.check_name(exchange, fields, None)
    row = exchange.store.insert({"id": None, **{key: fields[key] for key in _FIELDS}})
    exchange.changed = row.id
    return _one(exchange, row.data, wrote=True, status=201)


def retrieve(exchange: Exchange, id: str) -> Response:
    """Return one webhook."""
    return _one(exchange, _find(exchange, id).data, wrote=False)


def update(exchange: Exchange, id: str, *, partial: bool) -> Response:
    """Change a webhook: only the sent fields if `partial`, else all fields."""
    row = _find(exchange, id)
    stored: dict[str, Any] = json.loads(row.data)
    record = {**stored, **_validated(exchange, stored=stored, partial=partial)}
    exchange.behavior.check_name(exchange, record, row.id)
    exchange.changed = row.id
    return _one(exchange, exchange.store.update(row.id, record), wrote=True)


def destroy(exchange: Exchange, id: str) -> Response:
    """Delete a webhook."""
    row = _find(exchange, id)
    exchange.store.delete(row.id)
    exchange.changed = row.id
    return bytes_response(204)


def _find(exchange: Exchange, id: str) -> Row:
    row = exchange.store.row(id) or exchange.store.row(id.lower())
    if row is None or row.organization != exchange.caller.organization:
        raise reject(404, "Not found.")
    return row


def _one(exchange: Exchange, data: str, *, wrote: bool, status: int = 200) -> Response:
    return json_text(exchange.behavior.shown(exchange, data, wrote=wrote), status=status)


def _body(exchange: Exchange) -> Any:
    request = exchange.request
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise reject(415, f'Unsupported media type "{kind}" in request.')
    try:
        return json.loads(request.body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise reject(400, "JSON parse error - too deeply nested") from None
    except ValueError as error:
        raise reject(400, f"JSON parse error - {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _validated(
    exchange: Exchange, *, stored: Mapping[str, Any] | None, partial: bool
) -> dict[str, Any]:
    """Return the fields to write.

    `stored` is the webhook to change, None for a new one; with `partial` fields may be missing.
    """
    data, behavior = _body(exchange), exchange.behavior
    organizations = {each.organization for each in exchange.store.memberships(exchange.caller.id)}
    if not isinstance(data, dict):
        text = f"Invalid data. Expected a dictionary, but got {type(data).__name__}."
        raise _invalid({"non_field_errors": [text]}, behavior)
    errors: _Errors = {}
    out: dict[str, Any] = {}
    for field in _FIELDS:
        if field in data:
            value = data[field]
            value, problem = (None, [_NULL]) if value is None else _read(field, value, behavior)
            if problem:
                errors[field] = problem
            else:
                out[field] = value
        elif not partial and behavior.required(field):
            errors[field] = [_REQUIRED]
    if "organization" in out and out["organization"] not in organizations:
        errors["organization"] = [f'Invalid pk "{out["organization"]}" - object does not exist.']
    if not {"type", "configuration"} & errors.keys() and {"type", "configuration"} & out.keys():
        whole = {**(stored or {}), **out}
        patched = stored["configuration"] if stored is not None and partial else None
        value = behavior.configuration(whole["type"], dict(whole["configuration"]), patched)
        if problem := _configuration_errors(whole["type"], value):
            errors["configuration"] = problem
        elif "configuration" in data or value != whole["configuration"]:
            out["configuration"] = value
    errors |= behavior.errors(out, stored)
    if errors:
        raise _invalid(errors, behavior)
    return out


def _invalid(errors: _Errors, behavior: Behavior) -> RejectedError:
    return RejectedError(json_value(behavior.error_body(errors), status=400))


def _read(field: str, value: Any, behavior: Behavior) -> tuple[Any, Any]:
    """Return the form of a value to store, and its errors, if any."""
    problem: Any = None
    match field:
        case "name":
            # The framework accepts numbers as text, but neither booleans nor containers.
            if isinstance(value, int | float) and not isinstance(value, bool):
                value = str(value)
            if text := _text_error(value):
                problem = [text]
            else:
                value = behavior.name(value)
        case "organization" if not isinstance(value, str):
            problem = [f"Incorrect type. Expected pk value, received {type(value).__name__}."]
        case "event_types" if not isinstance(value, list):
            problem = [f'Expected a list of items but got type "{type(value).__name__}".']
        case "event_types":
            problem = {
                str(i): [_choice(e)] for i, e in enumerate(value) if e not in behavior.events
            }
            value = behavior.event_types(value)
        case "type" if value not in behavior.types:
            problem = [_choice(value)]
        case "configuration" if not (isinstance(value, dict) and _storable(value)):
            problem = ["Value must be valid JSON."]
    return value, problem


def _configuration_errors(kind: str, value: Mapping[str, Any]) -> _Errors:
    """Return the errors of a configuration of this type, by key."""
    errors: _Errors = {}
    for key in {"slack": ("token", "channel", "username"), "generic": ("url",)}.get(kind, ()):
        problem = _text_error(value[key]) if key in value else _REQUIRED
        if problem:
            errors[key] = [problem]
    if kind != "generic":
        return errors
    if not errors and not _URL.fullmatch(value["url"].strip()):
        errors["url"] = ["Enter a valid URL."]
    if not isinstance(value.get("verify", True), bool):
        errors["verify"] = ["Must be a valid boolean."]
    for key, other in (("username", "password"), ("password", "username"), ("token", "")):
        if not isinstance(value.get(key), str | None):
            errors[key] = [_NOT_A_STRING]
        elif value.get(other) and not value.get(key):
            errors[key] = [f"This field is required together with {other}."]
    return errors


def _text_error(value: Any) -> str | None:
    if value is None:
        return _NULL
    if not isinstance(value, str):
        return _NOT_A_STRING
    if not value.strip():
        return _BLANK
    if (bad := _UNSTORABLE.search(value)) is None:
        return None
    if bad[0] == "\0":
        return "Null characters are not allowed."
    return f"Surrogate characters are not allowed: U+{ord(bad[0]):X}."


def _choice(value: Any) -> str:
    return f'"{value}" is not a valid choice.'


def _storable(value: Any) -> bool:
    """Return whether a database can store it: no NUL and no lone surrogate in any text."""
    if isinstance(value, dict):
        return all(_storable(key) and _storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_storable(item) for item in value)
    return not isinstance(value, str) or _UNSTORABLE.search(value) is None
