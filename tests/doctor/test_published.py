"""The server's description of itself against what this version knows."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.doctor.published import FIELDS, compare
from reconciler.emulator.dials import Dials
from reconciler.emulator.published import schema
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES


def described(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = schema(Dials()).json()
    found["components"]["schemas"] |= changes
    return found


def said(description: Any) -> list[str]:
    return [f"{each.status} {each.detail}" for each in compare(description)]


def test_nothing_new() -> None:
    """What agrees is counted."""
    assert said(described()) == [
        "ok event types are the 15 of this version",
        "ok webhook types are the 2 of this version",
        "ok fields are the 8 of this version",
    ]


def test_new_fields_are_named() -> None:
    """A field that webhooks have there, and here not, is said by name."""
    document = described()
    fields = document["components"]["schemas"]["WebHooks"]["properties"]
    fields |= {"description": {}, "x\x1b[31m": {}}
    assert said(document)[2] == 'warn new fields: description, "x\\u001b[31m"'
    del fields["last_error"]
    assert said(document)[2].endswith("; not there: last_error")


@pytest.mark.parametrize("wrapper", ["allOf", "oneOf", "anyOf"])
def test_ways_to_refer_to_an_enumeration(wrapper: str) -> None:
    """Values are found behind the wrappers that generators put around references."""
    document = described()
    fields = document["components"]["schemas"]["WebHooks"]["properties"]
    fields["type"] = {wrapper: [{"$ref": "#/components/schemas/WebHooksTypeEnum"}]}
    fields["event_types"] = {"type": "array", "items": {"enum": ["one", *EVENT_TYPES]}}
    assert said(document)[:2] == [
        "warn new event types: one",
        "ok webhook types are the 2 of this version",
    ]


def test_many_new_names_are_counted() -> None:
    """A long list is cut, its rest counted."""
    names = [f"event_{number:02}" for number in range(13)]
    document = described(EventTypesEnum={"enum": [*EVENT_TYPES, *names]})
    assert said(document)[0].endswith("event_09 and 3 more")


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"components": {"schemas": {}}}, {"components": {"schemas": {"WebHooks": 1}}}],
)
def test_a_description_without_webhooks(document: Any) -> None:
    """Where there is nothing to compare, that is unknown."""
    assert said(document) == ["unknown the server's description has no webhooks"]


def test_a_description_that_refers_to_itself() -> None:
    """References in a circle end."""
    circle = {"$ref": "#/components/schemas/EventTypesEnum"}
    found = said(described(EventTypesEnum=circle))
    assert found[0] == "unknown the server's description names no event types"


def test_what_is_known_here() -> None:
    """Fields and types of this version are those of its own values."""
    assert {"name", "type", "event_types", "configuration"} < FIELDS
    assert set(KINDS) == {"slack", "generic"}
