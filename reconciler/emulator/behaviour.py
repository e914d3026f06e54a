"""Behavior of the real server that its API does not document: one field or method for each choice.

For: `--local` and `webhooks emulator`, which get the most likely server, and tests, which replace
methods to get others.
Promises: no state. What a method needs to know is in the exchange.
Refuses: published behaviour, which no server has otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.emulator.messages import Exchange, dump

EVENTS = tuple(
    f"{subject}_{verb}"
    for subject in ("parameter", "template", "project", "environment", "value")
    for verb in ("created", "updated", "deleted")
)
ROLES = ("NO_SECRETS", "VIEWER", "CONTRIB", "ADMIN", "OWNER")
"""From the least to the most powerful."""
MASK = "*****"


class ReadBack(StrEnum):
    """How a stored secret looks when it is read."""

    PLAIN = "plain"
    MASK = "mask"
    NULL = "null"
    OMITTED = "omitted"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The most likely server."""

    types: tuple[str, ...] = ("slack", "generic")
    """Webhook types it knows; one without rules takes any configuration."""
    events: tuple[str, ...] = EVENTS
    """Event types it knows."""
    secret_fields: tuple[str, ...] = ("token", "password")
    """Configuration keys that are stored encrypted."""
    read_back: str = ReadBack.PLAIN
    """How those look when they are read."""
    page_size: int = 100
    """Rows on a page unless the request says otherwise."""
    max_page_size: int = 1000
    """A larger `page_size` is cut down to this."""
    any_key: bool = False
    """An unknown key counts as the first user's."""
    bad_key_status: int = 401
    """The status of a missing or bad key."""
    maintenance: bool = False
    """Changes are disabled in every organization."""
    methods: tuple[str, ...] = ("PUT", "PATCH", "DELETE")
    """How an existing webhook can be written."""
    cookies: tuple[str, ...] = (
        "AWSALB=emulated; Path=/",
        "sessionid=emulated; HttpOnly; Path=/; SameSite=Lax",
    )
    """Values of `set-cookie` on every answer."""

    def role(self, stored: str) -> str:
        """Return the role to show for a stored one."""
        return stored

    def may(self, role: str, *, write: bool) -> bool:
        """Return whether a role may read or write webhooks."""
        return not write or role.upper() in ("ADMIN", "OWNER")

    def account(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return an organization or a user as it is shown."""
        return row

    def required(self, field: str) -> bool:
        """Return whether a field must be in a request that is not a PATCH."""
        return True

    def name(self, text: str) -> str:
        """Return a name as it is stored."""
        return text.strip()

    def event_types(self, sent: list[str]) -> list[str]:
        """Return event types as they are stored."""
        return sent

    def configuration(
        self, kind: str, sent: dict[str, Any], patched: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return a configuration as it is stored; `patched` is the one that a PATCH is for."""
        return sent

    def errors(self, fields: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what else is wrong with the fields to write, by field."""
        return {}

    def error_body(self, errors: Any) -> Any:
        """Return the JSON for validation errors."""
        return errors

    def check_name(self, exchange: Exchange, record: Mapping[str, Any], own_id: str | None) -> None:
        """Raise RefusedError if a name is taken."""

    def listed(self, exchange: Exchange, ordering: str) -> list[str]:
        """Return the JSON texts of all webhooks that a list shows."""
        return exchange.store.texts(exchange.caller.organization, ordering)

    def links(
        self, total: int, following: str, previous: str | None, *, last: bool
    ) -> dict[str, Any]:
        """Return what a page says besides its rows; `following` is the URL after it."""
        return {"count": total, "next": None if last else following, "previous": previous}

    def shown(self, exchange: Exchange, data: str, *, wrote: bool) -> str:
        """Return the JSON text of a webhook as it is read; `wrote` marks the answer to a write."""
        if self.read_back == ReadBack.PLAIN:
            return data
        record = json.loads(data)
        for key in self.secret_fields & record["configuration"].keys():
            match self.read_back:
                case ReadBack.OMITTED:
                    del record["configuration"][key]
                case ReadBack.NULL:
                    record["configuration"][key] = None
                case _:
                    record["configuration"][key] = MASK
        return dump(record)
