"""Who the key is and which organizations it sees.

For: the routes from which a client finds its organization.
Promises: read-only.
Refuses: memberships of other users, as if they did not exist.
"""

from __future__ import annotations

from urllib.parse import quote

from reconciler.emulator.messages import Answer, Exchange, dump, json_value, page, refuse

ORGANIZATIONS = "/api/v1/organizations/"
_MEMBERSHIPS = "/api/v1/memberships/"
_USERS = "/api/v1/users/"


def list_organizations(exchange: Exchange) -> Answer:
    """Answer with one page of the caller's organizations."""
    store, behaviour, caller = exchange.store, exchange.behaviour, exchange.caller
    roles = {item.organization: item.role for item in store.memberships(caller.id)}
    rows = [
        {
            "url": _url(exchange, ORGANIZATIONS, item.id),
            "id": item.id,
            "name": item.name,
            "current": item.id == caller.organization,
            "maintenance": behaviour.maintenance,
            "role": behaviour.role(roles[item.id]),
            "version": 1,
            "subscription_features": [],
        }
        for item in store.organizations()
        if item.id in roles and exchange.asked.get("name") in (None, item.name)
    ]
    return page(exchange, ORGANIZATIONS, [dump(behaviour.account(row)) for row in rows])


def current_user(exchange: Exchange) -> Answer:
    """Answer with the caller."""
    user, store = exchange.caller, exchange.store
    names = {item.id: item.name for item in store.organizations()}
    own = {item.organization: item.id for item in store.memberships(user.id)}
    row = {
        "url": _url(exchange, _USERS, user.id),
        "id": user.id,
        "type": "service",
        "name": user.name,
        "organization_name": names.get(user.organization),
        "membership_id": own.get(user.organization),
        "role": exchange.role,
        "email": None,
        "picture_url": None,
    }
    return json_value(exchange.behaviour.account(row))


def retrieve_membership(exchange: Exchange, id: str) -> Answer:
    """Answer with one of the caller's memberships."""
    for item in exchange.store.memberships(exchange.caller.id):
        if item.id == id:
            row = {
                "url": _url(exchange, _MEMBERSHIPS, id),
                "id": id,
                "user": _url(exchange, _USERS, item.user),
                "organization": _url(exchange, ORGANIZATIONS, item.organization),
                "role": exchange.behaviour.role(item.role),
            }
            return json_value(row)
    raise refuse(404, "Not found.")


def _url(exchange: Exchange, path: str, id: str) -> str:
    return exchange.url(f"{path}{quote(id, safe='')}/")
