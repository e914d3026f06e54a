"""What is accepted, how errors look, and what becomes of accepted values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]
REQUIRED = ["This field is required."]
NULL = ["This field may not be null."]
BLANK = ["This field may not be blank."]


def test_all_missing_fields_are_named_at_once(api: Any) -> None:
    """An empty object lacks all five, and so does no body at all."""
    fields = ("name", "organization", "event_types", "type", "configuration")
    for answer in (api("POST", HOOKS, {}), api("POST", HOOKS)):
        assert (answer.status, answer.json()) == (400, dict.fromkeys(fields, REQUIRED))


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"name": None}, {"name": NULL}),
        ({"name": " "}, {"name": BLANK}),
        ({"name": True}, {"name": ["Not a valid string."]}),
        ({"name": "a\0"}, {"name": ["Null characters are not allowed."]}),
        ({"name": "\ud800"}, {"name": ["Surrogate characters are not allowed: U+D800."]}),
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
            {"organization": ["Incorrect type. Expected pk value, received list."]},
        ),
        ({"organization": None}, {"organization": NULL}),
        ({"configuration": None}, {"configuration": NULL}),
        ({"configuration": []}, {"configuration": ["Value must be valid JSON."]}),
        ({"configuration": {"x": ["\0"]}}, {"configuration": ["Value must be valid JSON."]}),
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
def test_slack_input_is_refused_per_field(api: Any, change: Any, errors: Any) -> None:
    """Each wrong field has its own words, and nothing is stored."""
    answer = api("POST", HOOKS, api.slack(**change))
    assert (answer.status, answer.json()) == (400, errors)
    assert api.stored() == []


@pytest.mark.parametrize(
    ("configuration", "errors"),
    [
        ({"url": None}, {"url": NULL}),
        ({"url": "ftp://x"}, {"url": ["Enter a valid URL."]}),
        ({"verify": "no"}, {"verify": ["Must be a valid boolean."]}),
        ({"username": "x"}, {"password": ["This field is required together with username."]}),
        ({"password": "x"}, {"username": ["This field is required together with password."]}),
        ({"username": 1, "password": "x"}, {"username": ["Not a valid string."]}),
        ({"token": 1}, {"token": ["Not a valid string."]}),
    ],
)
def test_generic_input_is_refused_per_key(api: Any, configuration: Any, errors: Any) -> None:
    """The url is required, user and password go together."""
    answer = api("POST", HOOKS, api.generic(**configuration))
    assert (answer.status, answer.json()) == (400, {"configuration": errors})


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("fields", {"name": BLANK, "configuration": {"token": REQUIRED}}),
        ("list", BLANK + REQUIRED),
        ("detail", {"detail": " ".join(BLANK + REQUIRED)}),
        ("non_field_errors", {"non_field_errors": BLANK + REQUIRED}),
        ("__all__", {"__all__": BLANK + REQUIRED}),
    ],
)
def test_errors_take_the_chosen_shape(start: Start, shape: str, body: Any) -> None:
    """The same errors in five forms."""
    api = start(error_shape=shape)
    wrong = api.slack("", configuration={"channel": "#a", "username": "x"})
    assert api("POST", HOOKS, wrong).json() == body


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_method_can_be_missing(start: Start, method: str) -> None:
    """405, and `Allow` does not name it."""
    api = start(methods=[each for each in ("PUT", "PATCH", "DELETE") if each != method])
    path = f"{HOOKS}{api.create()['id']}/"
    answer = api(method, path, api.slack("new"))
    assert answer.status == 405
    assert method not in answer.header("allow")
    assert api.names() == ["alerts"]


def test_patch_replaces_the_configuration(api: Any) -> None:
    """Keys that are not sent are gone, so required ones must be sent."""
    path = f"{HOOKS}{api.create(api.generic(token='t'))['id']}/"
    sent = {"url": "https://b.example.com"}
    assert api("PATCH", path, {"configuration": sent}).json()["configuration"] == sent
    assert api("PATCH", path, {"configuration": {"verify": False}}).status == 400


def test_patch_can_merge_the_configuration(start: Start) -> None:
    """Keys that are not sent stay, if the server does so; PUT replaces all the same."""
    api = start(configuration_patch="merge")
    path = f"{HOOKS}{api.create()['id']}/"
    shown = api("PATCH", path, {"configuration": {"channel": "#b"}}).json()["configuration"]
    assert shown == {"token": "xoxb-0123456789", "channel": "#b", "username": "CT"}
    assert api("PUT", path, api.slack(configuration={"channel": "#b"})).status == 400


def test_the_type_can_change_with_its_configuration(api: Any) -> None:
    """But not without one that fits."""
    made = api.create()
    path = f"{HOOKS}{made['id']}/"
    refused = api("PATCH", path, {"type": "generic"})
    assert refused.json()["configuration"]["url"] == REQUIRED
    body = {"type": "generic", "configuration": {"url": "https://x.example.com"}}
    assert api("PATCH", path, body).json()["type"] == "generic"


@pytest.mark.parametrize(
    ("choices", "sent", "field", "stored"),
    [
        ({}, {"name": " a "}, "name", "a"),
        ({}, {"name": 7}, "name", "7"),
        ({"trim_names": False}, {"name": " a "}, "name", " a "),
        ({"lower_names": True}, {"name": "Ab"}, "name", "ab"),
        ({}, {"name": "e\u0301"}, "name", "e\u0301"),
        ({"composed_names": True}, {"name": "e\u0301"}, "name", "\u00e9"),
        ({}, {"event_types": ["value_updated", "value_created"] * 2}, "event_types",
         ["value_updated", "value_created"] * 2),
        ({"event_dedupe": True}, {"event_types": ["value_updated", "value_created"] * 2},
         "event_types", ["value_updated", "value_created"]),
        ({"event_order": "sort"}, {"event_types": ["value_updated", "value_created"]},
         "event_types", ["value_created", "value_updated"]),
        ({"event_order": "reverse"}, {"event_types": ["value_created", "value_updated"]},
         "event_types", ["value_updated", "value_created"]),
        ({"events": ["moon_landed"]}, {"event_types": ["moon_landed"]}, "event_types",
         ["moon_landed"]),
        ({"types": ["teams"]}, {"type": "teams", "configuration": {"x": 1}}, "configuration",
         {"x": 1}),
    ],
)  # fmt: skip
def test_values_are_normalised_as_chosen(
    start: Start, choices: Any, sent: Any, field: str, stored: Any
) -> None:
    """The answer to the write shows what is stored."""
    api = start(**choices)
    made = api.create(api.slack(**({"event_types": []} | sent)))
    assert made[field] == api.read(made["id"])[field] == stored
