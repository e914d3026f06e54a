"""JSON to values and back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api import wire
from reconciler.errors import ProtocolError
from reconciler.model import UNKNOWN, DeliveryError, LiveValue, Organization, Secret
from reconciler.ports import Draft
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
def test_a_configuration_that_is_not_shown_is_unknown(value: Any) -> None:
    """Null, empty or no object at all: the server does not tell."""
    assert configuration(value) is UNKNOWN


@pytest.mark.parametrize("type", ["slack", "generic", "teams"])
def test_every_text_that_may_be_secret_is_wrapped(type: str) -> None:
    """Secret fields, fields we do not know, and all of a type we do not know."""
    found = configuration(
        {
            "token": ["canary", {"in": "canary"}],
            "password": "canary",
            "url": "canary",
            "new": {"deep": [{"er": "canary"}], "n": 5, "f": 1.5, "yes": True, "none": None},
        },
        type,
    )
    assert "canary" not in repr(found)
    assert found["new"]["n"] == 5
    assert found["new"]["none"] is None


def test_fields_that_are_no_secret_are_plain() -> None:
    """They are compared and shown."""
    assert configuration({"username": "u", "verify": True}, "generic") == {
        "username": "u",
        "verify": True,
    }
    found = configuration({"channel": {"odd": "canary"}})
    assert "canary" not in repr(found)


def test_a_bottomless_configuration_is_refused() -> None:
    """Nesting is bounded, and the webhook is named."""
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
def test_an_essential_field_of_a_wrong_type_names_the_webhook(field: str, value: Any) -> None:
    """A row that cannot be understood is never skipped in silence."""
    with pytest.raises(ProtocolError, match=f"4f6c.*{field}"):
        wire.live_webhook(ROW | {field: value})


@pytest.mark.parametrize("value", [None, 5, "", ".", "..", "a b", "\n", "é", "x" * 300, ["a"]])
def test_an_id_that_cannot_be_used_is_none(value: Any) -> None:
    """Ids go into paths: what could change a path is no id."""
    assert wire.usable_id({"id": value}) is None
    with pytest.raises(ProtocolError, match="usable id"):
        wire.live_webhook(ROW | {"id": value})


@given(_JSON)
def test_any_json_is_a_webhook_or_a_protocol_error(value: Any) -> None:
    """No document of a server makes the reader crash."""
    for read in (wire.live_webhook, wire.organization):
        with contextlib.suppress(ProtocolError):
            read(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({}, None),
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
    """It is read in whatever form it comes, without tokens, addresses and parts of secrets."""
    configured = {"token": "xoxb-canary", "new": [{"key": "canary-deep"}]}
    row = ROW | {"last_error": value, "configuration": configured}
    assert wire.live_webhook(row).last_error == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("o1", "o1"),
        ("https://h/api/v1/organizations/o1/", "o1"),
        ("", None),
        ("/", None),
        (None, None),
        (5, None),
    ],
)
def test_an_organization_may_be_written_as_a_url(value: Any, expected: str | None) -> None:
    """Its id is the last part of the path."""
    assert wire.bare_id(value) == expected


def test_an_organization_s_row() -> None:
    """Role and maintenance are optional."""
    assert wire.organization({"id": "o", "name": "Acme", "role": "ADMIN", "maintenance": True}) == (
        Organization(id="o", name="Acme", role="ADMIN", maintenance=True)
    )
    assert wire.organization({"id": "o", "maintenance": "yes"}) == Organization(id="o", name="o")
    with pytest.raises(ProtocolError, match="usable id"):
        wire.organization({"name": "Acme"})


def test_a_create_has_every_field_and_its_secrets() -> None:
    """The body of a POST is whole, its events sorted."""
    draft = Draft(
        name="N",
        type="slack",
        event_types=("value_updated", "value_created"),
        configuration={"token": Secret("t"), "channel": "#c", "flag": True},
    )
    assert json.dumps(wire.full_body(draft, "o1")) == json.dumps(
        {
            "name": "N",
            "type": "slack",
            "event_types": ["value_created", "value_updated"],
            "configuration": {"token": "t", "channel": "#c", "flag": True},
            "organization": "o1",
        }
    )
    assert wire.secret_values(draft) == ("t",)


@pytest.mark.parametrize(
    ("sends", "keys"),
    [
        ({"name"}, {"name"}),
        ({"event_types", "name"}, {"event_types", "name"}),
        ({"configuration"}, {"configuration"}),
        ({"type"}, {"type", "configuration"}),
    ],
)
def test_a_change_has_only_what_changes(sends: set[str], keys: set[str]) -> None:
    """A type takes its configuration along; an organization is never sent."""
    assert set(wire.changed_body(slack(), frozenset(sends))) == keys


def test_the_answer_to_a_write_needs_only_an_id() -> None:
    """What is missing in it, or is nonsense, is taken to be what was sent."""
    live = wire.written_webhook({"id": "x", "name": 5, "event_types": "no"}, slack("N"))
    assert (live.name, live.type) == ("N", "slack")
    assert live.event_types == {"value_created", "value_updated"}
    assert live.configuration is UNKNOWN
    live = wire.written_webhook(ROW, slack("N"))
    assert live.name == "Deploys"
