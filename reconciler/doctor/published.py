"""The server's description of its API held against what this version knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler.checks import Check, ok, unknown, warn
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES
from reconciler.render.quote import quote

FIELDS: Final = frozenset(
    {
        "id",
        "name",
        "organization",
        "event_types",
        "type",
        "configuration",
        "last_run",
        "last_error",
    }
)
"""The fields of a webhook that this version knows."""

_MOST: Final = 10
_DEEPEST: Final = 6


def compare(description: Any) -> tuple[Check, ...]:
    """Name what the server knows and we do not, and the other way round."""
    schemas = _inner(description, "components", "schemas")
    fields = _inner(schemas, "WebHooks", "properties")
    if not isinstance(fields, Mapping):
        return (unknown("schema", "the server's description has no webhooks"),)
    events = _values(_inner(fields, "event_types", "items"), schemas)
    types = _values(_inner(fields, "type"), schemas)
    return (
        _of("event types", events or _values(schemas.get("EventTypesEnum"), schemas), EVENT_TYPES),
        _of("webhook types", types or _values(schemas.get("WebHooksTypeEnum"), schemas), KINDS),
        _of("fields", [each for each in fields if isinstance(each, str)], FIELDS),
    )


def _of(what: str, theirs: Iterable[str], ours: Iterable[str]) -> Check:
    found, known = set(theirs), set(ours)
    if not found:
        return unknown("schema", f"the server's description names no {what}")
    new, gone = sorted(found - known), sorted(known - found)
    if new:
        lost = f"; not there: {_listed(gone)}" if gone else ""
        return warn(
            "schema",
            f"new {what}: {_listed(new)}{lost}",
            fix="look for a newer version of webhooks; until then webhooks with a new event or "
            "type are left as they are",
        )
    if gone:
        return warn(
            "schema",
            f"{what} this server does not have: {_listed(gone)}",
            fix="do not declare them; the server would refuse them",
        )
    return ok("schema", f"{what} are the {len(known)} of this version")


def _listed(names: list[str]) -> str:
    shown = ", ".join(quote(each) for each in names[:_MOST])
    return shown if len(names) <= _MOST else f"{shown} and {len(names) - _MOST} more"


def _values(node: Any, schemas: Any, depth: int = 0) -> list[str]:
    """Return the values that a description allows, references followed."""
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return []
    found = node.get("enum")
    if isinstance(found, list):
        return [each for each in found if isinstance(each, str)]
    name = node.get("$ref")
    if isinstance(name, str):
        return _values(_inner(schemas, name.rpartition("/")[2]), schemas, depth + 1)
    parts = [each for key in ("allOf", "oneOf", "anyOf") for each in _list(node.get(key))]
    return [value for part in parts for value in _values(part, schemas, depth + 1)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _inner(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
