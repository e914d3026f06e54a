"""Conversion of the API's JSON to values and back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api import wire
from reconciler.errors import ProtocolError
from reconciler.model import UNKNOWN, DeliveryError, LiveValue, Organization, Secret
from tests.api.support import slack

ROW: dict[str, Any] = {
    "id": "4f6c",
    "name": "Deploys",
    "type": "slack",
    "event_types": ["value_updated", "value_created", "value_created"],
    "configuration": {"token": "xoxb-canary", "channel": "#c", "username": "u"},
    "organization": "o1",
    "last_run": None,
    "last_error": None,
    "something_new": {"x": 1},
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "type", "event_types", "configuration", "token", "x"]),
            inner,
            max_size=5,
        )
    ),
)


def configuration(value: Any, type: str = "slack") -> Any:
    return wire.live_webhook(ROW | {"type": type, "configuration": value}).configuration


def test_a_row_becomes_a_live_webhook() -> None:
    """Known fields are read, events become a set, other fields are ignored."""
    live = wire.live_webhook(ROW)
    assert (live.id, live.name, live.type, live.organization) == ("4f6c", "Deploys", "slack", "o1")
    assert live.event_types == {"value_created", "value_updated"}
    assert live.configuration == {"token": Secret("xoxb-canary"), "channel": "#c", "username": "u"}
    assert (live.last_run, live.last_error) == (None, None)
    assert "canary" not in repr(live)


@pytest.mark.parametrize("value", [None, {}, "gAAAA", [], 5])
def test_a_hidden_configuration_is_unknown(value: Any) -> None:
    """Null, an empty object or another type means that the server hides it."""
    assert configuration(value) is UNKNOWN


@pytest.mark.parametrize("type", ["slack", "generic", "teams"])
def test_every_possible_secret_is_wrapped(type: str) -> None:
    """Secret fields, unknown fields, and all fields of an unknown type are wrapped in `Secret`."""
    found = configuration(
        {
            "token": ["canary", {"in": "canary"}],
            "password": "canary",
            "url": "canary",
            "channel": {"odd": "canary"},
            "new": {"deep": [{"er": "canary"}], "n": 5, "f": 1.5, "yes": True, "none": None},
        },
        type,
    )
    assert "canary" not in repr(found)
    assert found["new"]["n"] == 5
    assert found["new"]["none"] is None


def test_a_deeply_nested_configuration_is_rejected() -> None:
    """The error for too many levels has the id of the webhook."""
    deep: LiveValue = "x"
    for _ in range(50):
        deep = [deep]
    with pytest.raises(ProtocolError, match="4f6c"):
        configuration({"new": deep})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", 5),
        ("type", None),
        ("event_types", None),
        ("event_types", "value_created"),
        ("event_types", [1]),
        ("event_types", {}),
    ],
)
def test_an_essential_field_of_a_wrong_type_is_an_error(field: str, value: Any) -> None:
    """An invalid webhook is never skipped silently."""
    with pytest.raises(ProtocolError, match=f"4f6c.*{field}"):
        wire.live_webhook(ROW | {field: value})


@pytest.mark.parametrize("value", [None, 5, "", ".", "..", "a b", "\n", "é", "x" * 300, ["a"]])
def test_an_unusable_id_is_an_error(value: Any) -> None:
    """An id is part of a path, so an id that could change the path is rejected."""
    assert wire.usable_id({"id": value}) is None
    with pytest.raises(ProtocolError, match="usable id"):
        wire.live_webhook(ROW | {"id": value})


@given(_JSON)
def test_any_json_is_a_webhook_or_a_protocol_error(value: Any) -> None:
    """No document raises any other error."""
    for read in (wire.live_webhook, wire.organization):
        with contextlib.suppress(ProtocolError):
            read(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({}, None),
        ({"timestamp": None, "code": None, "text": None}, None),
        (
            {"timestamp": "2026-01-01T00:00:00Z", "code": 404, "text": "not found"},
            DeliveryError(timestamp="2026-01-01T00:00:00Z", code="404", text="not found"),
        ),
        ("broken", DeliveryError(text="broken")),
        ({"code": True, "text": ["x"]}, DeliveryError()),
        (
            {"text": "xoxb-canary, canary-deep, https://hooks.example.com/canary?x=canary today"},
            DeliveryError(text="***, ***, https://hooks.example.com/*** today"),
        ),
    ],
)
def test_the_last_delivery_error(value: Any, expected: DeliveryError | None) -> None:
    """The error is read in any format, without tokens, URLs and parts of secrets."""
    configured = {"token": "xoxb-canary", "new": [{"key": "canary-deep"}]}
    row = ROW | {"last_error": value, "configuration": configured}
    assert wire.live_webhook(row).last_error == expected


def test_the_row_of_an_organization() -> None:
    """The role and the maintenance flag are optional."""
    assert wire.organization({"id": "o", "name": "Acme", "role": "ADMIN", "maintenance": True}) == (
        Organization(id="o", name="Acme", role="ADMIN", maintenance=True)
    )
    assert wire.organization({"id": "o", "maintenance": "yes"}) == Organization(id="o", name="o")
    with pytest.raises(ProtocolError, match="usable id"):
        wire.organization({"name": "Acme"})


def test_the_response_to_a_write_needs_only_an_id() -> None:
    """Missing or invalid fields of a response count as stored as sent."""
    live = wire.written_webhook({"id": "x", "name": 5, "event_types": "no"}, slack("N"))
    assert (live.name, live.type) == ("N", "slack")
    assert live.event_types == {"value_created", "value_updated"}
    assert live.configuration is UNKNOWN
    live = wire.written_webhook(ROW, slack("N"))
    assert live.name == "Deploys"
