"""The CloudTruth API as one function from request to response.

Tests, simulations and `--local` call it without a network; `server.py` serves it over HTTP. It is
thread-safe, and one request is one transaction. It imports nothing from outside this folder, so
that client and emulator cannot share a misunderstanding of the API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, unquote

from reconciler.emulator import webhooks
from reconciler.emulator.behavior import Behavior
from reconciler.emulator.messages import (
    Exchange,
    RejectedError,
    Request,
    Response,
    bytes_response,
    dump,
    json_value,
    page,
    reject,
)
from reconciler.emulator.store import Store, User

LOCAL_KEY = "local-emulator-key"
"""The key of the first organization of every new store."""
ORGANIZATION = "Acme"
"""The default name of the first organization."""

_ROUTE = re.compile(
    r"/api/(?:v1/(?:"
    r"(?P<webhooks>webhooks/(?:(?P<webhook>[^/]+)/)?)"
    r"|(?P<organizations>organizations/)"
    r"|(?P<current>users/current/)"
    r"|memberships/(?P<membership>[^/]+)/"
    r")|(?P<schema>schema/))"
)
_HTML = "text/html; charset=utf-8"
_NOT_FOUND = b"<!doctype html>\n<html lang=en><title>Not Found</title><h1>Not Found</h1></html>\n"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Emulator:
    """One server. `behavior` and `listener` may be replaced; `store` is its data.

    `listener` receives each request, in order, with the status that the client receives. It must
    not call the emulator.
    """

    def __init__(
        self, store: Store, behavior: Behavior, *, organization: str = ORGANIZATION
    ) -> None:
        """Serve `store`. If it is empty, add an organization named `organization`."""
        self.store = store
        self.behavior = behavior
        self.listener: Callable[[Exchange, int], None] | None = None
        with self.store.transaction():
            if not self.store.organizations():
                first = self.store.add_organization(organization)
                self.store.add_user(first.id, key=LOCAL_KEY, role="OWNER", name="Local")

    @property
    def organization(self) -> str:
        """The id of the oldest organization."""
        return self.store.organizations()[0].id

    def handle(self, request: Request) -> Response:
        """Process a request."""
        with self.store.transaction():
            exchange = Exchange(request=request, store=self.store, behavior=self.behavior)
            response = self.respond(exchange)
            if self.listener is not None:
                self.listener(exchange, response.status)
            return response

    def respond(self, exchange: Exchange) -> Response:
        """Find the route, process the request, and return the response."""
        response = _respond(exchange)
        cookies = (("set-cookie", each) for each in exchange.behavior.cookies)
        response = response.with_headers(*cookies)
        return replace(response, body=b"") if exchange.request.method == "HEAD" else response


def _respond(exchange: Exchange) -> Response:
    path, query = exchange.request.path, exchange.request.query
    found = _ROUTE.fullmatch(path)
    if found is None:
        if _ROUTE.fullmatch(f"{path}/") is None:
            return bytes_response(404, _NOT_FOUND, _HTML)
        location = f"{path}/{'?' if query else ''}{query}"
        return bytes_response(301, content_type=_HTML).with_headers(("location", location))
    route = found.groupdict()
    methods: tuple[str, ...] = ("POST",) if route["webhooks"] else ()
    allowed = ("GET", *(exchange.behavior.methods if route["webhook"] else methods), *_SAFE[1:])
    try:
        response = _dispatch(exchange, route, allowed)
    except RejectedError as error:
        response = error.response
    return response.with_headers(("allow", ", ".join(allowed)), ("vary", "Accept, Cookie"))


def _dispatch(
    exchange: Exchange, route: dict[str, str | None], allowed: tuple[str, ...]
) -> Response:
    method, behavior = exchange.request.method, exchange.behavior
    if not _accepts_json(exchange.request.headers.get("accept", "*/*")):
        raise reject(406, "Could not satisfy the request Accept header.")
    if not route["schema"]:
        exchange.user = _user(exchange)
        if route["webhooks"] and not behavior.allows(exchange.role, write=method not in _SAFE):
            raise reject(403, "You do not have permission to perform this action.")
    if method not in allowed:
        raise reject(405, f'Method "{method}" not allowed.')
    if route["schema"]:
        if exchange.query_params.get("format", "json") != "json":
            raise reject(404, "Not found.")
        return _schema(behavior)
    if method == "OPTIONS":
        return json_value(
            {"name": "", "description": "", "renders": ["application/json"], "parses": []}
        )
    if route["organizations"]:
        return _list_organizations(exchange)
    if route["current"]:
        return _current_user(exchange)
    if membership := route["membership"]:
        return _retrieve_membership(exchange, unquote(membership))
    if method not in _SAFE and behavior.maintenance:
        raise reject(403, "Changes are disabled during maintenance.")
    webhook = unquote(route["webhook"] or "")
    match method:
        case "PUT" | "PATCH":
            return webhooks.update(exchange, webhook, partial=method == "PATCH")
        case "DELETE":
            return webhooks.destroy(exchange, webhook)
        case "POST":
            return webhooks.create(exchange)
        case _ if webhook:
            return webhooks.retrieve(exchange, webhook)
        case _:
            return webhooks.list_webhooks(exchange)


def _accepts_json(accept: str) -> bool:
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(kinds & {"", "*/*", "application/*", "application/json"})


def _user(exchange: Exchange) -> User:
    store, behavior = exchange.store, exchange.behavior
    scheme, _, key = exchange.request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() not in ("api-key", "bearer") or not key:
        raise reject(behavior.bad_key_status, "Authentication credentials were not provided.")
    user = store.user_of_key(key) or (store.user_of_key(None) if behavior.any_key else None)
    if user is None:
        raise reject(behavior.bad_key_status, "Incorrect authentication credentials.")
    return user


def _list_organizations(exchange: Exchange) -> Response:
    """Return one page of the caller's organizations."""
    store, behavior, caller = exchange.store, exchange.behavior, exchange.caller
    roles = {item.organization: item.role for item in store.memberships(caller.id)}
    rows = [
        {
            "url": _url(exchange, "/api/v1/organizations/", item.id),
            "id": item.id,
            "name": item.name,
            "current": item.id == caller.organization,
            "maintenance": behavior.maintenance,
            "role": behavior.role(roles[item.id]),
            "version": 1,
            "subscription_features": [],
        }
        for item in store.organizations()
        if item.id in roles and exchange.query_params.get("name") in (None, item.name)
    ]
    return page(exchange, "/api/v1/organizations/", [dump(behavior.account(row)) for row in rows])


def _current_user(exchange: Exchange) -> Response:
    """Return the caller."""
    user, store = exchange.caller, exchange.store
    names = {item.id: item.name for item in store.organizations()}
    own = {item.organization: item.id for item in store.memberships(user.id)}
    row = {
        "url": _url(exchange, "/api/v1/users/", user.id),
        "id": user.id,
        "type": "service",
        "name": user.name,
        "organization_name": names.get(user.organization),
        "membership_id": own.get(user.organization),
        "role": exchange.role,
        "email": None,
        "picture_url": None,
    }
    return json_value(exchange.behavior.account(row))


def _retrieve_membership(exchange: Exchange, id: str) -> Response:
    """Return one of the caller's memberships."""
    for item in exchange.store.memberships(exchange.caller.id):
        if item.id == id:
            row = {
                "url": _url(exchange, "/api/v1/memberships/", id),
                "id": id,
                "user": _url(exchange, "/api/v1/users/", item.user),
                "organization": _url(exchange, "/api/v1/organizations/", item.organization),
                "role": exchange.behavior.role(item.role),
            }
            return json_value(row)
    raise reject(404, "Not found.")


def _url(exchange: Exchange, path: str, id: str) -> str:
    return exchange.url(f"{path}{quote(id, safe='')}/")


def _schema(behavior: Behavior) -> Response:
    """Return the published OpenAPI description of webhooks."""
    text, events = {"type": "string"}, {"$ref": "#/components/schemas/EventTypesEnum"}
    fields = {
        "id": {**text, "format": "uuid", "readOnly": True},
        "name": text,
        "organization": text,
        "event_types": {"type": "array", "items": events},
        "type": {"$ref": "#/components/schemas/WebHooksTypeEnum"},
        "configuration": {},
        "last_run": {**text, "format": "date-time", "readOnly": True, "nullable": True},
        "last_error": {"type": "object", "nullable": True},
    }
    schemas = {
        "EventTypesEnum": {**text, "enum": list(behavior.events)},
        "WebHooks": {
            "type": "object",
            "properties": fields,
            "required": ["event_types", "id", "last_run", "name", "organization", "type"],
        },
        "WebHooksTypeEnum": {**text, "enum": list(behavior.types)},
    }
    info = {"title": "CloudTruth Management API", "version": "v1"}
    return json_value(
        {"openapi": "3.0.3", "info": info, "paths": {}, "components": {"schemas": schemas}}
    )
