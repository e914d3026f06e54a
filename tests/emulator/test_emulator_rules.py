"""The emulator's validation, errors, and normalization of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]
REQUIRED = ["This field is required."]
NULL = ["This field may not be null."]
BLANK = ["This field may not be blank."]


def test_all_missing_fields_are_reported_together(api: Any) -> None:
    """An empty object lacks all five fields, and so does a missing body."""
    fields = ("name", "organization", "event_types", "type", "configuration")
    for response in (api("POST", HOOKS, {}), api("POST", HOOKS)):
        assert (response.status, response.json()) == (400, dict.fromkeys(fields, REQUIRED))


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"name": None}, {"name": NULL}),
        ({"name": " "}, {"name": BLANK}),
        ({"name": True}, {"name": ["Not a valid string."]}),
        ({"event_types": None}, {"event_types": NULL}),
        (
            {"event_types": "x"},
            {"event_types": ['Expected a list of items but got type "str".']},
        ),
        (
            {"event_types": ["value_created", "x"]},
            {"event_types": {"1": ['"x" is not a valid choice.']}},
        ),
        ({"type": "teams"}, {"type": ['"teams" is not a valid choice.']}),
        ({"type": None}, {"type": NULL}),
        (
            {"organization": "x"},
            {"organization": ['Invalid pk "x" - object does not exist.']},
        ),
        (
            {"organization": []},
            {"organization": ['Invalid pk "[]" - object does not exist.']},
        ),
        ({"organization": None}, {"organization": NULL}),
        ({"configuration": None}, {"configuration": NULL}),
        ({"configuration": []}, {"configuration": ["Value must be valid JSON."]}),
        (
            {"configuration": {"channel": "#a", "username": ""}},
            {"configuration": {"token": REQUIRED, "username": BLANK}},
        ),
        (
            {"configuration": {"token": 1, "channel": None, "username": "x"}},
            {"configuration": {"token": ["Not a valid string."], "channel": NULL}},
        ),
    ],
)
def test_slack_input_is_rejected_per_field(api: Any, change: Any, errors: Any) -> None:
    """Each wrong field has its own message, and nothing is stored."""
    response = api("POST", HOOKS, api.slack(**change))
    assert (response.status, response.json()) == (400, errors)
    assert api.stored() == []


@pytest.mark.parametrize(
    ("configuration", "errors"),
    [
        ({"url": None}, {"url": NULL}),
        ({"url": "ftp://x"}, {"url": ["Enter a valid URL."]}),
        ({"verify": "no"}, {"verify": ["Must be a valid boolean."]}),
        ({"username": "x"}, {"password": ["This field is required together with username."]}),
        ({"password": "x"}, {"username": ["This field is required together with password."]}),
    ],
)
def test_generic_input_is_rejected_per_key(api: Any, configuration: Any, errors: Any) -> None:
    """The URL is required; user and password must be set together."""
    response = api("POST", HOOKS, api.generic(**configuration))
    assert (response.status, response.json()) == (400, {"configuration": errors})


def test_patch_replaces_the_configuration(api: Any) -> None:
    """Keys that are not sent are removed, so required ones must be sent."""
    path = f"{HOOKS}{api.create(api.generic(token='t'))['id']}/"
    sent = {"url": "https://b.example.com"}
    assert api("PATCH", path, {"configuration": sent}).json()["configuration"] == sent
    assert api("PATCH", path, {"configuration": {"verify": False}}).status == 400


def test_the_type_can_change_with_its_configuration(api: Any) -> None:
    """The type cannot change without a matching configuration."""
    made = api.create()
    path = f"{HOOKS}{made['id']}/"
    rejected = api("PATCH", path, {"type": "generic"})
    assert rejected.json()["configuration"]["url"] == REQUIRED
    body = {"type": "generic", "configuration": {"url": "https://x.example.com"}}
    assert api("PATCH", path, body).json()["type"] == "generic"
