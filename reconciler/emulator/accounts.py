"""Who the key is and which organizations it sees.

For: the routes from which a client finds its organization.
Promises: read-only.
Refuses: memberships of other users, as if they did not exist.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

from reconciler.emulator import paging
from reconciler.emulator.answers import dump, json_text, json_value, refuse
from reconciler.emulator.context import Context
from reconciler.emulator.dials import CurrentFlag
from reconciler.emulator.messages import Answer
from reconciler.emulator.store import Membership, Organization

ORGANIZATIONS = "/api/v1/organizations/"
MEMBERSHIPS = "/api/v1/memberships/"
USERS = "/api/v1/users/"


def list_organizations(context: Context) -> Answer:
    """Answer with one page of the caller's organizations."""
    query = context.request.query
    asked = dict(parse_qsl(query))
    roles = {item.organization: item.role for item in context.store.memberships(context.caller.id)}
    shown = [
        dump(_organization(context, item, roles[item.id]))
        for item in context.store.organizations()
        if item.id in roles and asked.get("name") in (None, item.name)
    ]
    page = paging.choose(query, len(shown), context.dials)
    rows = shown[page.offset : page.offset + page.limit]
    url = context.url(ORGANIZATIONS)
    return json_text(paging.envelope(page, rows, url=url, query=query, dials=context.dials))


def current_user(context: Context) -> Answer:
    """Answer with the caller."""
    user = context.caller
    names = {item.id: item.name for item in context.store.organizations()}
    membership = _own(context, user.organization)
    shown = context.dials.membership_shown
    return json_value(
        {
            "url": context.url(f"{USERS}{quote(user.id, safe='')}/"),
            "id": user.id,
            "type": "service",
            "name": user.name,
            "organization_name": names.get(user.organization),
            "membership_id": membership.id if membership is not None and shown else None,
            "role": context.role,
            "email": None,
            "picture_url": None,
        }
    )


def retrieve_membership(context: Context, id: str) -> Answer:
    """Answer with one of the caller's memberships."""
    for item in context.store.memberships(context.caller.id):
        if item.id == id:
            return json_value(
                {
                    "url": context.url(f"{MEMBERSHIPS}{quote(id, safe='')}/"),
                    "id": id,
                    "user": context.url(f"{USERS}{quote(item.user, safe='')}/"),
                    "organization": context.url(
                        f"{ORGANIZATIONS}{quote(item.organization, safe='')}/"
                    ),
                    "role": context.dials.role or item.role,
                }
            )
    raise refuse(404, "Not found.")


def in_maintenance(context: Context) -> bool:
    """Tell whether changes are disabled in the caller's organization."""
    return context.dials.maintenance or any(
        item.maintenance
        for item in context.store.organizations()
        if item.id == context.caller.organization
    )


def _own(context: Context, organization: str) -> Membership | None:
    found = context.store.memberships(context.caller.id)
    return next((item for item in found if item.organization == organization), None)


def _organization(context: Context, item: Organization, role: str) -> dict[str, object]:
    row: dict[str, object] = {
        "url": context.url(f"{ORGANIZATIONS}{quote(item.id, safe='')}/"),
        "id": item.id,
        "name": item.name,
        "current": item.id == context.caller.organization,
        "maintenance": context.dials.maintenance or item.maintenance,
        "role": context.dials.role or role,
        "version": 1,
        "subscription_features": [],
    }
    match context.dials.current_flag:
        case CurrentFlag.MISSING:
            del row["current"]
        case CurrentFlag.ALL_FALSE:
            row["current"] = False
        case CurrentFlag.ALL_TRUE:
            row["current"] = True
        case CurrentFlag.TRUE:
            pass
    return row
