"""The schema that the server publishes about itself.

For: clients that look there for event types and webhook types they do not know.
Promises: says what the dials say.
Refuses: to be a whole description; it holds the three components that concern webhooks.
"""

from __future__ import annotations

from reconciler.emulator.answers import json_value
from reconciler.emulator.dials import Dials
from reconciler.emulator.messages import Answer


def schema(dials: Dials) -> Answer:
    """Answer with the OpenAPI description."""
    webhook = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid", "readOnly": True},
            "name": {"type": "string"},
            "organization": {"type": "string"},
            "event_types": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/EventTypesEnum"},
            },
            "type": {"$ref": "#/components/schemas/WebHooksTypeEnum"},
            "configuration": {},
            "last_run": {
                "type": "string",
                "format": "date-time",
                "readOnly": True,
                "nullable": True,
            },
            "last_error": {"type": "object", "nullable": True},
        },
        "required": ["event_types", "id", "last_run", "name", "organization", "type"],
    }
    return json_value(
        {
            "openapi": "3.0.3",
            "info": {"title": "CloudTruth Management API", "version": "v1"},
            "paths": {},
            "components": {
                "schemas": {
                    "EventTypesEnum": {"enum": list(dials.events), "type": "string"},
                    "WebHooks": webhook,
                    "WebHooksTypeEnum": {"enum": list(dials.types), "type": "string"},
                }
            },
        }
    )
