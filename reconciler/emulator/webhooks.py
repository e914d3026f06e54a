"""The routes for webhooks: list, create, read, change, delete.

A key has access to the webhooks of its organization only. A refused request changes nothing. Checks
run in the framework's order: existence, body, fields, name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from reconciler.emulator.messages import (
    Exchange,
    Response,
    json_text,
    page,
    refuse,
    sized,
)
from reconciler.emulator.rules import FIELDS, validate
from reconciler.emulator.store import Row

PATH = "/api/v1/webhooks/"


def list_webhooks(exchange: Exchange) -> Response:
    """Return one page."""
    behavior = exchange.behavior
    rows = behavior.listed(exchange, exchange.asked.get("ordering", ""))
    return page(exchange, PATH, rows, lambda row: behavior.shown(exchange, row, wrote=False))


def create(exchange: Exchange) -> Response:
    """Store a new webhook."""
    fields = _validated(exchange, stored=None, partial=False)
    fields.setdefault("organization", exchange.caller.organization)
    exchange.behavior.check_name(exchange, fields, None)
    row = exchange.store.insert({"id": None, **{key: fields[key] for key in FIELDS}})
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
    return sized(204)


def _find(exchange: Exchange, id: str) -> Row:
    row = exchange.store.row(id) or exchange.store.row(id.lower())
    if row is None or row.organization != exchange.caller.organization:
        raise refuse(404, "Not found.")
    return row


def _one(exchange: Exchange, data: str, *, wrote: bool, status: int = 200) -> Response:
    return json_text(exchange.behavior.shown(exchange, data, wrote=wrote), status=status)


def _body(exchange: Exchange) -> Any:
    request = exchange.request
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise refuse(415, f'Unsupported media type "{kind}" in request.')
    try:
        return json.loads(request.body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise refuse(400, "JSON parse error - too deeply nested") from None
    except ValueError as error:
        raise refuse(400, f"JSON parse error - {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _validated(
    exchange: Exchange, *, stored: Mapping[str, Any] | None, partial: bool
) -> dict[str, Any]:
    seen = {item.organization for item in exchange.store.memberships(exchange.caller.id)}
    return validate(
        _body(exchange), exchange.behavior, stored=stored, partial=partial, organizations=seen
    )
