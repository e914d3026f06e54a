"""Many webhooks, as a file and as live webhooks."""

from __future__ import annotations

from typing import Any

TOKEN = "xoxb-" + "0123456789-abcdef"
EVENTS = ("value_created", "value_updated", "project_deleted")


def declaration(numbers: range, *, channel: str = "#channel-{}") -> str:
    """Declare a webhook for each number."""
    return "webhooks:\n" + "".join(
        f"  - name: webhook-{number:05}\n"
        "    type: slack\n"
        f"    event_types: [{', '.join(EVENTS)}]\n"
        "    configuration: {token: {env: TOKEN}, username: CT, "
        f"channel: '{channel.format(number % 50)}'}}\n"
        for number in numbers
    )


def row(number: int, organization: str = "org-1") -> dict[str, Any]:
    """Return the live webhook that equals the declared one."""
    return {
        "id": f"id-{number:05}",
        "organization": organization,
        "name": f"webhook-{number:05}",
        "type": "slack",
        "event_types": list(EVENTS),
        "configuration": {"token": TOKEN, "channel": f"#channel-{number % 50}", "username": "CT"},
    }
