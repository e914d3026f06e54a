"""Many webhooks, as a file and as what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TOKEN = "xoxb-" + "0123456789-abcdef"
_EVENTS = ("value_created", "value_updated", "project_deleted")


def declaration(numbers: range, *, channel: Callable[[int], str] | None = None) -> str:
    """Declare a webhook for each number; `channel` gives it another channel than the usual."""
    named = channel or (lambda number: f"#channel-{number % 50}")
    return "webhooks:\n" + "".join(
        f"  - name: webhook-{number:05}\n"
        "    type: slack\n"
        f"    event_types: [{', '.join(_EVENTS)}]\n"
        f"    configuration: {{token: {{env: TOKEN}}, channel: '{named(number)}', username: CT}}\n"
        for number in numbers
    )


def row(number: int, organization: str = "org-1") -> dict[str, Any]:
    """Return the live webhook that equals the declared one."""
    return {
        "id": f"id-{number:05}",
        "organization": organization,
        "name": f"webhook-{number:05}",
        "type": "slack",
        "event_types": list(_EVENTS),
        "configuration": {
            "token": TOKEN,
            "channel": f"#channel-{number % 50}",
            "username": "CT",
        },
    }
