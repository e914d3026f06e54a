"""The webhooks of an organization: list, create, read, change, delete.

For: the two routes that the product is about.
Promises: a key sees the webhooks of its own organization only; a refused request changes nothing.
Refuses: in the order in which the framework checks: existence, body, fields, name.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from reconciler.emulator import paging, readback
from reconciler.emulator.answers import RefusedError, empty, json_text, json_value, refuse
from reconciler.emulator.context import Context
from reconciler.emulator.dials import ErrorShape, Ordering, Uniqueness
from reconciler.emulator.messages import Answer
from reconciler.emulator.rules import InvalidError, validate
from reconciler.emulator.store import Row

PATH = "/api/v1/webhooks/"


def list_webhooks(context: Context) -> Answer:
    """Answer with one page."""
    organization, query = context.caller.organization, context.request.query
    asked = dict(parse_qsl(query))
    keys = asked.get("ordering", "") if context.dials.ordering is Ordering.HONOURED else ""
    unordered = context.dials.ordering is Ordering.UNORDERED
    if asked.get("page", "1") == "1":
        context.lag.begin_listing(organization, context.now)
    behind = context.lag.hides(organization)
    if keys in ("", "name") and not unordered and not behind:
        # The common case leaves the cutting to the database.
        page = paging.choose(query, context.store.count(organization), context.dials)
        texts = context.store.page(
            organization, by_name=keys == "name", offset=page.offset, limit=page.limit
        )
        return _page(context, page, texts)
    rows = context.store.rows(organization)
    if behind:
        rows = context.lag.overlay(organization, rows)
    if unordered:
        drawn = [context.randomness() for _ in rows]
        rows = [rows[i] for i in sorted(range(len(rows)), key=drawn.__getitem__)]
    page = paging.choose(query, len(rows), context.dials)
    rows = _ordered(rows, keys)[page.offset : page.offset + page.limit]
    return _page(context, page, [row.data for row in rows])


def create(context: Context) -> Answer:
    """Store a new webhook."""
    fields = _validated(context, stored=None, partial=False)
    organization = fields.setdefault("organization", context.caller.organization)
    _claim_name(context, organization, fields["name"], except_id=None)
    order = ("name", "organization", "event_types", "type", "configuration")
    row = context.store.insert(
        {"id": None, **{key: fields[key] for key in order}, "last_run": None, "last_error": None}
    )
    _wrote(context, row.id, before=None, organizations={organization})
    return _one(context, row.data, wrote=True, status=201)


def retrieve(context: Context, id: str) -> Answer:
    """Answer with one webhook."""
    return _one(context, _find(context, id).data, wrote=False)


def update(context: Context, id: str, *, partial: bool) -> Answer:
    """Change a webhook: the fields that are sent if `partial`, else all of them."""
    before = _find(context, id)
    stored: dict[str, Any] = json.loads(before.data)
    fields = _validated(context, stored=stored, partial=partial)
    record = {**stored, **fields}
    _claim_name(context, record["organization"], record["name"], except_id=before.id)
    data = context.store.update(before.id, record)
    organizations = {before.organization, record["organization"]}
    _wrote(context, before.id, before=before, organizations=organizations)
    return _one(context, data, wrote=True)


def destroy(context: Context, id: str) -> Answer:
    """Delete a webhook."""
    row = _find(context, id)
    context.store.delete(row.id)
    _wrote(context, row.id, before=row, organizations={row.organization})
    return empty(204)


def _find(context: Context, id: str) -> Row:
    row = context.store.row(id) or context.store.row(id.lower())
    if row is None or row.organization != context.caller.organization:
        raise refuse(404, "Not found.")
    return row


def _one(context: Context, data: str, *, wrote: bool, status: int = 200) -> Answer:
    text = readback.shown(
        data, context.dials, role=context.role, wrote=wrote, randomness=context.randomness
    )
    return json_text(text, status=status)


def _page(context: Context, page: paging.Page, texts: list[str]) -> Answer:
    if not readback.is_verbatim(context.dials):
        role, randomness = context.role, context.randomness
        texts = [
            readback.shown(text, context.dials, role=role, wrote=False, randomness=randomness)
            for text in texts
        ]
    request = context.request
    url = context.url(PATH)
    return json_text(
        paging.envelope(page, texts, url=url, query=request.query, dials=context.dials)
    )


def _ordered(rows: list[Row], keys: str) -> list[Row]:
    # Sorting is stable, so the last key goes first; names that are no field are dropped silently.
    for key in reversed([key.strip() for key in keys.split(",")]):
        field = key.removeprefix("-")
        if field in ("id", "name", "organization", "type", "last_run"):
            rows = sorted(
                rows,
                key=lambda row: json.loads(row.data)[field] or "",
                reverse=key.startswith("-"),
            )
    return rows


def _body(context: Context) -> Any:
    request = context.request
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
    context: Context, *, stored: Mapping[str, Any] | None, partial: bool
) -> dict[str, Any]:
    try:
        return validate(
            _body(context),
            dials=context.dials,
            stored=stored,
            partial=partial,
            sees_organization=functools.partial(_sees, context),
        )
    except InvalidError as error:
        if error.bad_choice and context.dials.bad_choice_status != 400:
            raise refuse(context.dials.bad_choice_status, "A server error occurred.") from None
        body = _shaped(error.errors, context.dials.error_shape)
        raise RefusedError(json_value(body, status=400)) from None


def _sees(context: Context, organization: str) -> bool:
    if organization == context.caller.organization:
        return True
    seen = context.store.memberships(context.caller.id)
    return any(item.organization == organization for item in seen)


def _claim_name(context: Context, organization: str, name: str, *, except_id: str | None) -> None:
    dials = context.dials
    if dials.unique_names is Uniqueness.NONE:
        return
    case_blind = dials.unique_names is Uniqueness.CASE_BLIND
    if not context.store.name_taken(organization, name, case_blind=case_blind, except_id=except_id):
        return
    texts = {
        ErrorShape.FIELDS: "web hooks with this name already exists.",
        ErrorShape.ALL: "Web hooks with this Organization and Name already exists.",
    }
    text = texts.get(dials.unique_shape, "The fields organization, name must make a unique set.")
    body = _shaped({"name": [text]}, dials.unique_shape)
    raise RefusedError(json_value(body, status=dials.unique_status))


def _shaped(errors: Any, shape: ErrorShape) -> Any:
    match shape:
        case ErrorShape.FIELDS:
            return errors
        case ErrorShape.LIST:
            return _texts(errors)
        case ErrorShape.DETAIL:
            return {"detail": " ".join(_texts(errors))}
        case ErrorShape.NON_FIELD_ERRORS | ErrorShape.ALL:
            return {str(shape): _texts(errors)}


def _texts(errors: Any) -> list[str]:
    if isinstance(errors, str):
        return [errors]
    items = errors.values() if isinstance(errors, dict) else errors
    return [text for item in items for text in _texts(item)]


def _wrote(context: Context, id: str, *, before: Row | None, organizations: set[str]) -> None:
    context.changed = id
    dials = context.dials
    if not dials.stale_list_reads and not dials.stale_list_seconds:
        return
    for organization in sorted(organizations):
        here = before if before is not None and before.organization == organization else None
        context.lag.add(
            organization=organization,
            id=id,
            before=here,
            visible_from=context.now + dials.stale_list_seconds,
            listings=dials.stale_list_reads,
        )
