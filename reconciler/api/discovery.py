"""Which organization the API key belongs to, found out from the API.

Users cannot look up their organization's id anywhere. The ways, first match wins: the one row of
the organizations that is called current; the only row; the membership of the current user; the
organization in which all live webhooks are. Otherwise nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from reconciler.api import wire
from reconciler.api.paging import complete
from reconciler.api.transport import Transport
from reconciler.errors import (
    NotFoundError,
    OrganizationError,
    PermissionDeniedError,
    ProtocolError,
)
from reconciler.model import LiveWebhook, Organization
from reconciler.ports import Workers
from reconciler.values import dataclass

ORGANIZATIONS: Final = "/api/v1/organizations/"
CURRENT_USER: Final = "/api/v1/users/current/"
MEMBERSHIPS: Final = "/api/v1/memberships/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One organization of the list, and whether the server calls it the current one."""

    organization: Organization
    current: bool


def organization(
    transport: Transport,
    workers: Workers,
    webhooks: Callable[[], tuple[LiveWebhook, ...]],
) -> Organization:
    """Find the key's organization; `webhooks` lists the live ones and is called last, if at all.

    Raises OrganizationError if nothing tells, ApiError.
    """
    rows = _rows(transport, workers)
    current = [row.organization for row in rows if row.current]
    if len(current) == 1:
        return current[0]
    if len(rows) == 1:
        return rows[0].organization
    known = {row.organization.id: row.organization for row in rows}
    found = _of_membership(transport) or _of_webhooks(webhooks)
    if found is None:
        raise OrganizationError(
            "the organization of the API key cannot be determined",
            hint="use the key of a service account, which belongs to one organization",
        )
    return known.get(found, Organization(id=found, name=found))


def _rows(transport: Transport, workers: Workers) -> tuple[_Row, ...]:
    try:
        return complete(transport, ORGANIZATIONS, _row, lambda row: row.organization.id, workers)
    except PermissionDeniedError:
        return ()


def _row(value: Any) -> _Row:
    found = wire.organization(value)
    if found is None:
        raise ProtocolError(
            "the server lists an organization without a usable id",
            hint="check the server URL: another program or a proxy may answer there",
        )
    return _Row(organization=found, current=value.get("current") is True)


def _of_membership(transport: Transport) -> str | None:
    user = _object(transport, CURRENT_USER)
    membership = user.get("membership_id")
    if not isinstance(membership, str) or not wire.has_id({"id": membership}):
        return None
    found = _object(transport, f"{MEMBERSHIPS}{quote(membership, safe='')}/")
    return wire.bare_id(found.get("organization"))


def _object(transport: Transport, path: str) -> dict[str, Any]:
    try:
        data = transport.request("GET", path, expect=200).data
    except (NotFoundError, PermissionDeniedError):
        return {}
    return data if isinstance(data, dict) else {}


def _of_webhooks(webhooks: Callable[[], tuple[LiveWebhook, ...]]) -> str | None:
    found = {webhook.organization for webhook in webhooks()}
    return found.pop() if len(found) == 1 else None
