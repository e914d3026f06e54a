"""The shipped schema is valid and means the same in both drafts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from reconciler.kinds import EVENT_TYPES, GLOBS, KINDS
from reconciler.source.explain import _EXPLAINERS, _MESSAGES
from reconciler.source.schema import schema_text
from tests.folders import ROOT
from tests.goldens import cases, rows

FILE = ROOT / "schemas" / "webhooks.schema.json"
SCHEMA: dict[str, Any] = json.loads(schema_text("webhooks.schema.json"))
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]

TEXTS = cases(Path(__file__).with_name("texts.txt"))
GOOD = TEXTS["every key"][0]
"""A valid file with every key."""

BAD = rows(Path(__file__).with_name("invalid.yaml"))


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Return every mapping of the schema."""
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from parts(each)
    elif isinstance(node, list):
        for each in node:
            yield from parts(each)


@pytest.mark.parametrize("draft", [Draft7Validator, Draft202012Validator])
def test_the_schema_is_equivalent_in_both_drafts(draft: Any) -> None:
    """Editors use old drafts, so the schema has only constructs with one meaning."""
    draft.check_schema(SCHEMA)
    # In Python, `$` also matches before a line break at the end of a string.
    validator = draft(json.loads(FILE.read_text("utf-8").replace('$"', '\\\\Z"')))
    assert list(validator.iter_errors(yaml.safe_load(GOOD))) == []
    for text in BAD:
        assert not validator.is_valid(yaml.safe_load(text)), text


def test_no_validating_keyword_is_next_to_a_reference() -> None:
    """Draft 7 ignores keywords next to `$ref`, so only descriptions are allowed there."""
    for part in parts(SCHEMA):
        if "$ref" in part:
            assert part.keys() <= {"$ref", "description", "markdownDescription"}


def test_every_definition_is_used() -> None:
    """Every definition is used, and there is one complete webhook for each type."""
    used = {part["$ref"].rpartition("/")[2] for part in parts(SCHEMA) if "$ref" in part}
    assert DEFINITIONS.keys() - used == {f"{name}Webhook" for name in KINDS}
    assert used <= DEFINITIONS.keys()


def test_the_schema_has_the_events_of_the_program() -> None:
    """Every event is offered for completion with a description."""
    offered = DEFINITIONS["eventType"]["anyOf"][0]
    assert sorted(offered["enum"]) == sorted((*EVENT_TYPES, *GLOBS, "*"))
    assert len(offered["enum"]) == len(offered["enumDescriptions"])
    assert len(offered["enum"]) == len(offered["markdownEnumDescriptions"])


def test_objects_are_closed_and_described() -> None:
    """An editor describes each key and reports each misspelled one."""
    for part in parts({"root": {**SCHEMA, "$defs": {}}, **DEFINITIONS}):
        if part.get("type") == "object" and "properties" in part:
            assert part["additionalProperties"] is False
            assert part["description"]
            for name, each in part["properties"].items():
                target = each if "$ref" not in each else DEFINITIONS[each["$ref"][8:]]
                assert target.get("title"), name
                assert target.get("description"), name


def test_patterns_are_equivalent_in_python_and_ecmascript() -> None:
    """Every pattern is anchored at both ends."""
    patterns = {part["pattern"] for part in parts(SCHEMA) if isinstance(part.get("pattern"), str)}
    fields = (field for kind in KINDS.values() for field in kind.fields)
    assert patterns >= {field.schema_pattern for field in fields if field.schema_pattern}
    for pattern in patterns:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert "(?" not in pattern  # the engine is linear, without look-around
        re.compile(pattern)


def test_every_keyword_of_the_schema_is_explained() -> None:
    """Every keyword that can reject a value has a message."""
    combining = {"$ref", "allOf", "if", "items", "properties", "patternProperties"}
    explained_elsewhere = {"enum"}  # of a union of events
    keywords = Draft7Validator.VALIDATORS.keys() - combining - explained_elsewhere
    assert {key for part in parts(SCHEMA) for key in part} & keywords == _EXPLAINERS.keys()


def values(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return what the schema says of a value, in all its forms."""
    node = DEFINITIONS[node["$ref"][8:]] if "$ref" in node else node
    yield node
    for form in (*node.get("anyOf", ()), node.get("then", {})):
        if form:
            yield from values(form)


def test_every_pattern_and_constant_of_the_schema_is_explained() -> None:
    """A value that does not match gets the message of its pattern or key."""
    checked_elsewhere = {"add", "exclude"}  # of an overlay
    for part in parts(SCHEMA):
        properties: dict[str, Any] = part.get("properties", {})
        for key in properties.keys() - checked_elsewhere - _MESSAGES.keys():
            if isinstance(properties[key], dict):
                for value in values(properties[key]):
                    assert "const" not in value, key
                    patterns = {value.get("pattern"), (key, value.get("pattern"))}
                    assert "pattern" not in value or not patterns.isdisjoint(_MESSAGES), key


def test_the_documentation_names_every_key() -> None:
    """docs/file.md has a row for each key of a file, and no other."""
    page = (ROOT / "docs" / "file.md").read_text("utf-8")
    section = page.partition("## Keys of the file\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`.]+)[`.]", section, flags=re.MULTILINE)
    assert sorted(rows) == sorted([*SCHEMA["properties"], "x-"])
