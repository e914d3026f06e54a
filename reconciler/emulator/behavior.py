"""Undocumented behavior of the real server: one field or method for each choice.

`--local` uses the most likely choices; tests replace methods to get others.
Methods are stateless: the exchange holds everything that they need. Documented behavior is not
here, because it does not vary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.emulator.messages import Exchange


# Behaviors are neither compared nor printed, and each method of a dataclass costs time at start.
@dataclass(kw_only=True, eq=False, repr=False)
class Behavior:
    """The most likely behavior."""

    types: tuple[str, ...] = ("slack", "generic")
    """The known webhook types; a type without rules accepts any configuration."""
    events: tuple[str, ...] = tuple(
        f"{subject}_{verb}"
        for subject in ("parameter", "template", "project", "environment", "value")
        for verb in ("created", "updated", "deleted")
    )
    """The known event types."""
    page_size: int = 100
    """The default number of rows per page."""
    max_page_size: int = 1000
    """The maximum of `page_size`; larger values are reduced to it."""
    any_key: bool = False
    """Accept any key as the first user's."""
    bad_key_status: int = 401
    """The HTTP status for a missing or invalid key."""
    maintenance: bool = False
    """Whether changes are disabled in every organization."""
    methods: tuple[str, ...] = ("PUT", "PATCH", "DELETE")
    """The methods allowed on a webhook, besides GET."""
    projects: Mapping[str, str] = field(default_factory=lambda: {"Scratch": ""})
    """The projects of every organization, each with the pattern of its parameters' names."""
    project_role: str | None = None
    """The key's role in the projects, if access to them is controlled."""
    delivered_events: tuple[str, ...] | None = None
    """The events whose deliveries change a webhook; None for all."""
    failing_events: tuple[str, ...] = ()
    """The events whose deliveries fail."""
    # RFC 2606 reserves this ending, so no real host has it.
    failing_destinations: tuple[str, ...] = (".invalid",)
    """Ends of hosts, and channels, to which deliveries fail."""
    delivery_seconds: float = 0.0
    """Seconds until a delivery changes a webhook."""
    clears_errors: bool = False
    """Whether a successful delivery removes the last error."""

    def role(self, stored: str) -> str:
        """Return the displayed form of a stored role."""
        return stored

    def allows(self, role: str, *, write: bool) -> bool:
        """Return whether a role may read or write webhooks."""
        # The displayed form of a role, which may be in lower case.
        return not write or role.upper() in ("ADMIN", "OWNER")

    def allows_parameters(self, role: str) -> bool:
        """Return whether a role may write parameters."""
        return role.upper() in ("CONTRIB", "ADMIN", "OWNER")

    def now(self) -> datetime:
        """Return the server's time."""
        return datetime.now(UTC)

    def account(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the displayed form of an organization or a user."""
        return row

    def required(self, field: str) -> bool:
        """Return whether a POST or PUT must have a field."""
        return True

    def name(self, text: str) -> str:
        """Return the stored form of a name."""
        return text.strip()

    def event_types(self, sent: list[str]) -> list[str]:
        """Return the stored form of event types."""
        return sent

    def configuration(
        self, kind: str, sent: dict[str, Any], patched: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the stored form of a configuration; `patched` is the one that a PATCH changes."""
        return sent

    def error_body(self, errors: Any) -> Any:
        """Return the JSON for validation errors."""
        return errors

    def check(
        self, exchange: Exchange, record: Mapping[str, Any], stored: Mapping[str, Any] | None
    ) -> None:
        """Raise RejectedError for a valid webhook, such as one whose name is taken.

        `stored` is the webhook to change, None for a new one.
        """

    def listed(self, exchange: Exchange, ordering: str) -> list[str]:
        """Return the JSON of each webhook in a list."""
        return exchange.store.texts(exchange.caller.organization, ordering)

    def page_head(self, head: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a page besides its rows; `next` is None on the last one."""
        return head

    def shown(self, exchange: Exchange, data: str, *, wrote: bool) -> str:
        """Return the JSON text of a webhook in a response; `wrote` is true after a write."""
        return data
