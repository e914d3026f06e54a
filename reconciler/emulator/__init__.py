"""An emulator of the CloudTruth API: as published, and the most likely behavior where it is
undocumented.

It is one function from request to response. It serves `--local`, tests and simulations, without a
network. It is thread-safe, and one request is one transaction. It imports nothing from outside this
folder, so that client and emulator cannot share a misunderstanding of the API. Only the command
line and tests import it.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, unquote

from reconciler.emulator import parameters, webhooks
from reconciler.emulator.messages import (
    Behavior,
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

# As Django without a route: HTML, which a client must not take for a missing object.
_NOT_FOUND = b"<!doctype html>\n<html lang=en><title>Not Found</title><h1>Not Found</h1></html>\n"


class Emulator:
    """One server. `behavior` may be replaced; `store` is its data."""

    def __init__(
        self, store: Store, behavior: Behavior, *, organization: str | None = None
    ) -> None:
        """Serve `store`. If it is empty, add an organization named `organization`, or Acme."""
        self.store = store
        self.behavior = behavior
        with self.store.transaction():
            # In a transaction, because two processes may open the same new file.
            if not self.store.organizations():
                first = self.store.add_organization(organization or "Acme")
                self.store.add_user(first.id, key=LOCAL_KEY, role="OWNER", name="Local")

    def handle(self, request: Request) -> Response:
        """Process a request."""
        with self.store.transaction():
            # In the transaction, so that a rejected request leaves nothing behind.
            exchange = Exchange(request=request, store=self.store, behavior=self.behavior)
            return self.respond(exchange)

    def respond(self, exchange: Exchange) -> Response:
        """Find the route, process the request, and return the response."""
        method, path = exchange.request.method, exchange.request.path
        # As it is first: `current` is no id.
        route = _ROUTES.get(path) or _ROUTES.get(_without_ids(path))
        if route is None:
            return bytes_response(404, _NOT_FOUND, "text/html; charset=utf-8")
        view, methods = route
        methods = methods or ("GET", *exchange.behavior.methods)
        # Every second part behind `/api/v1/webhooks/` and the like; the last part is empty.
        exchange.ids = tuple(map(unquote, path.split("/")[4:-1:2]))
        # As in the framework: authentication comes before the check of the method.
        try:
            if view is not _schema:
                exchange.caller = _user(exchange)
            if method not in methods:
                raise reject(405, f'Method "{method}" not allowed.')
            response = view(exchange)
        except RejectedError as error:
            response = error.response
        # The framework sends this header with every response.
        return response.with_headers(("allow", ", ".join(methods)))


def _without_ids(path: str) -> str:
    """Return a path with `*` in place of ids, which follow the names of collections."""
    parts = path.split("/")
    for index in (4, 6, 8):  # as in `/api/v1/projects/ID/parameters/ID/values/ID/`
        if index < len(parts) and parts[index]:
            parts[index] = "*"
    return "/".join(parts)


def _user(exchange: Exchange) -> User:
    """Return the owner of the key. Raises RejectedError."""
    store, behavior = exchange.store, exchange.behavior
    scheme, _, key = exchange.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("api-key", "bearer") or not key.strip():
        raise reject(behavior.bad_key_status, "Authentication credentials were not provided.")
    user = store.user_of_key(key.strip())
    if user is None and behavior.any_key:
        user = store.user_of_key(None)
    if user is None:
        raise reject(behavior.bad_key_status, "Incorrect authentication credentials.")
    return user


def _list_organizations(exchange: Exchange) -> Response:
    """Return one page of the caller's organizations."""
    behavior, caller = exchange.behavior, exchange.caller
    rows = [
        {
            "id": membership.organization,
            "name": membership.organization_name,
            "current": membership.organization == caller.organization,
            "maintenance": behavior.maintenance,
            "role": behavior.role(membership.role),
        }
        for membership in exchange.store.memberships(caller.id)
        if exchange.query_params.get("name") in (None, membership.organization_name)
    ]
    return page(exchange, [dump(behavior.account(row)) for row in rows])


def _current_user(exchange: Exchange) -> Response:
    """Return the caller."""
    user = exchange.caller
    row = {
        "id": user.id,
        "type": "service",
        "name": user.name,
        "organization_name": user.organization_name,
        "membership_id": user.membership,
        "role": exchange.role,
    }
    return json_value(exchange.behavior.account(row))


def _retrieve_membership(exchange: Exchange) -> Response:
    """Return one of the caller's memberships."""
    for membership in exchange.store.memberships(exchange.caller.id):
        if membership.membership == exchange.id:
            path = f"/api/v1/organizations/{quote(membership.organization, safe='')}/"
            role = exchange.behavior.role(membership.role)
            row = {"id": exchange.id, "organization": exchange.url(path), "role": role}
            return json_value(row)
    # Also for another user's: a key must not learn that it exists.
    raise reject(404, "Not found.")


def _schema(exchange: Exchange) -> Response:
    """Return the part of the published OpenAPI description that lists types and events."""
    events, types = exchange.behavior.events, exchange.behavior.types
    # Only the names: nothing here depends on the types of the fields.
    fields = ("id", "name", "organization", "event_types", "type", "configuration")
    schemas = {
        "EventTypesEnum": {"type": "string", "enum": list(events)},
        "WebHooks": {
            "type": "object",
            "properties": {field: {} for field in (*fields, "last_run", "last_error")},
        },
        "WebHooksTypeEnum": {"type": "string", "enum": list(types)},
    }
    info = {"title": "CloudTruth Management API", "version": "v1"}
    return json_value(
        {"openapi": "3.0.3", "info": info, "paths": {}, "components": {"schemas": schemas}}
    )


_PARAMETERS = "/api/v1/projects/*/parameters/"
_ROUTES: dict[str, tuple[Callable[[Exchange], Response], tuple[str, ...]]] = {
    "/api/schema/": (_schema, ("GET",)),
    "/api/v1/organizations/": (_list_organizations, ("GET",)),
    "/api/v1/users/current/": (_current_user, ("GET",)),
    "/api/v1/memberships/*/": (_retrieve_membership, ("GET",)),
    "/api/v1/projects/": (parameters.list_projects, ("GET",)),
    "/api/v1/environments/": (parameters.list_environments, ("GET",)),
    _PARAMETERS: (parameters.parameters, ("GET", "POST")),
    f"{_PARAMETERS}*/": (parameters.parameter, ("PATCH", "DELETE")),
    f"{_PARAMETERS}*/values/": (parameters.values, ("POST",)),
    f"{_PARAMETERS}*/values/*/": (parameters.value, ("PATCH", "DELETE")),
    "/api/v1/webhooks/": (webhooks.webhooks, ("GET", "POST")),
    # Which methods change a webhook is undocumented.
    "/api/v1/webhooks/*/": (webhooks.webhook, ()),
}
"""The function that responds to a path, and the methods that it allows; `*` is an id."""
