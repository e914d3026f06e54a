"""The engine and an independent validator accept the same files, and those can be loaded."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from reconciler.findings import Position, Severity
from reconciler.source.files import SourceFile, Sources
from reconciler.source.load import build, load_files
from reconciler.source.schema import accepts, parts, schema_text
from reconciler.source.yaml import Document

# In Python, `$` also matches before a line break at the end of a text.
SCHEMA = json.loads(schema_text("webhooks.schema.json").replace('$"', '\\\\Z"'))
VALIDATOR = Draft7Validator(SCHEMA)
COMPLETE = {
    name: Draft7Validator({"$ref": f"#/$defs/{name}Webhook", "$defs": SCHEMA["$defs"]})
    for name in ("slack", "generic")
}


def schema_accepts(data: Any) -> bool:
    """Return whether the file is valid and each webhook is complete with its defaults."""
    if not VALIDATOR.is_valid(data):
        return False
    for part in parts(data):
        if part.item is not None and part.data.get("state") != "absent":
            validator = COMPLETE.get(part.data.get("type", ""))
            if validator is None or not validator.is_valid(part.data):
                return False
    return True


def engine_accepts(data: dict[str, Any]) -> bool:
    """Return whether the program accepts all parts of the file."""
    found = list(parts(data))
    if not all(map(accepts, found)):
        return False
    webhooks = data["webhooks"]
    items = {
        key: [Position(file="a.yaml", line=1)] * len(data.get(key, ()))
        for key in ("webhooks", "ignore", "protect")
    }
    document = Document(file="a.yaml", text="", data=data, items=items)
    built = build([document], {"a.yaml": found})
    return len(built.webhooks) + len(built.absent) == len(webhooks)


texts = st.sampled_from(["A", "B", "slack", "generic", "#a", "x\n", "present", "absent"])
numbers = st.sampled_from([0, 1, 2, -1, 1.0, 2.0, 0.5, 2**53, True])
references = st.one_of(
    st.fixed_dictionaries(
        {"env": st.sampled_from(["A", "_a1", "1a", "", "A B", "A\n"])},
        optional={"version": numbers, "file": st.just("x")},
    ),
    st.fixed_dictionaries({"file": st.sampled_from(["a/b", ""])}, optional={"version": numbers}),
    st.just({"version": 1}),
    st.just({}),
)
urls = st.sampled_from(
    ["https://a.example/b", "http://u:p@a", "https://", "ftp://a", "https://a b", "https://a/\n"]
)
secrets = st.one_of(references, texts)
events = st.lists(
    st.sampled_from(
        ["value_created", "*", "value_*", "[pv]*", "nope", "NOPE_*", "*\n", "", "a?", "[!"]
    ),
    max_size=3,
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "token": secrets,
        "channel": texts,
        "username": texts,
        "url": st.one_of(urls, references),
        "verify": st.booleans(),
        "password": secrets,
    },
)
slack = st.fixed_dictionaries({"token": secrets, "channel": texts, "username": texts})
generic = st.fixed_dictionaries(
    {"url": urls}, optional={"verify": st.booleans(), "username": texts, "password": secrets}
)
webhooks = st.one_of(
    st.fixed_dictionaries(
        {"name": texts},
        optional={
            "type": st.sampled_from(["slack", "generic"]),
            "event_types": events,
            "configuration": st.one_of(slack, generic, configurations),
            "id": texts,
            "previously": st.lists(texts, max_size=2),
            "state": st.just("present"),
            "organization": texts,
        },
    ),
    st.fixed_dictionaries(
        {"name": texts, "state": st.just("absent")}, optional={"id": texts, "type": texts}
    ),
)
sound_events = st.sampled_from([["*"], ["value_created", "[pv]*"]])
files = st.fixed_dictionaries(
    {"webhooks": st.lists(webhooks, max_size=3)},
    optional={
        "$schema": texts,
        "version": numbers,
        "organization": texts,
        "prune": st.booleans(),
        "scope": st.lists(texts, max_size=2),
        "ignore": st.lists(texts, max_size=2),
        "protect": st.lists(texts, max_size=2),
        "limits": st.fixed_dictionaries({}, optional={"max_deletes": numbers}),
        "defaults": st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["slack", "generic"]),
                "event_types": events,
                "configuration": configurations,
            },
        ),
        "x-anchors": st.none() | texts,
    },
)
complete = {
    "type": st.just("slack"),
    "configuration": st.just({"token": {"env": "T"}, "channel": "#a", "username": "b"}),
}
sound_files = st.fixed_dictionaries(
    {
        "webhooks": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {"name": st.sampled_from("ABC"), "event_types": sound_events, **complete},
                    optional={"previously": st.just(["old"]), "id": st.just("7")},
                ),
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from("DEF"),
                        "type": st.just("generic"),
                        "configuration": st.just({"url": "https://a.example", "verify": False}),
                    },
                ),
                st.fixed_dictionaries({"name": st.just("G"), "state": st.just("absent")}),
            ),
            min_size=1,
            max_size=3,
        ),
        "defaults": st.one_of(
            st.fixed_dictionaries({"event_types": sound_events}),
            st.fixed_dictionaries({"event_types": sound_events, **complete}),
        ),
    },
    optional={
        "version": st.sampled_from([1, 1.0]),
        "organization": st.just("Acme"),
        "scope": st.just(["*"]),
        "limits": st.just({"max_deletes": 0}),
    },
)
junk = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    texts,
    st.just(""),
    st.just([]),
    st.just({}),
    st.just([1]),
    st.just(["A", "A"]),
    st.just({"x": None}),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every path in a tree except the root's."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    found: list[tuple[Any, ...]] = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found.extend(places(value, (*path, key)))
    return found


@st.composite
def almost_valid_files(draw: st.DrawFn) -> dict[str, Any]:
    """Return an almost valid file: one value replaced, removed or added."""
    data: dict[str, Any] = copy.deepcopy(draw(st.one_of(files, sound_files)))
    *path, last = draw(st.sampled_from(places(data)))
    parent = data
    for step in path:
        parent = parent[step]
    match draw(st.sampled_from(["exchange", "remove", "add"])):
        case "exchange":
            parent[last] = draw(junk)
        case "remove":
            del parent[last]
        case _ if isinstance(parent, dict):
            key = draw(st.sampled_from(["name", "chanel", "type", "token", "x-a", "id", "env"]))
            parent[key] = draw(junk)
    return data


@given(st.one_of(files, sound_files, almost_valid_files()))
@settings(max_examples=400, deadline=None)
def test_both_engines_accept_the_same_files(data: dict[str, Any]) -> None:
    """Also with a line break at the end of a text."""
    assert engine_accepts(data) is schema_accepts(data)


@given(
    st.dictionaries(
        st.text(max_size=5) | st.sampled_from(["webhooks", "defaults", "limits"]),
        st.recursive(
            junk,
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["name", "type", "x"]), inner, max_size=2)
            ),
            max_leaves=5,
        ),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_tree_has_a_result(data: dict[str, Any]) -> None:
    """Any tree is accepted or rejected, and the two agree."""
    assert engine_accepts(data) is schema_accepts(data)


@given(st.one_of(files, sound_files, almost_valid_files()))
@settings(max_examples=150, deadline=None)
def test_any_file_is_loaded_or_has_errors(data: dict[str, Any]) -> None:
    """A file gives declarations, or errors with a position and a source line."""
    text = json.dumps(data, indent=1)
    outcome = load_files(Sources(files=(SourceFile(file="a.yaml", raw=text.encode()),)))
    errors = [each for each in outcome.findings if each.severity is Severity.ERROR]
    assert (outcome.desired is None) is bool(errors)
    for finding in outcome.findings:
        assert finding.position is not None
        assert 1 <= finding.position.line <= text.count("\n") + 1
        assert finding.excerpt is not None
    if not engine_accepts(data):
        assert errors


@pytest.mark.parametrize("accepted", [True, False])
def test_the_law_covers_both_results(accepted: bool) -> None:
    """Of files with one replaced value some are valid and some are not, with many webhooks."""
    found = find(
        almost_valid_files(),
        lambda data: (
            isinstance(data.get("webhooks"), list)
            and len(data["webhooks"]) == 3
            and engine_accepts(data) is accepted
        ),
        settings=settings(max_examples=1_000, database=None, derandomize=True),
    )
    assert schema_accepts(found) is accepted


@given(sound_files)
@settings(max_examples=50, deadline=None)
def test_unchanged_files_are_valid(data: dict[str, Any]) -> None:
    """So one change makes an almost valid file."""
    assert engine_accepts(data)
