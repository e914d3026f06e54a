"""Explanations of schema errors: one for each, with its position and a fix."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.findings import Finding
from reconciler.source import explain as module
from reconciler.source.excerpt import placed
from reconciler.source.schema import accepts, parts, schema
from reconciler.source.yaml import Document, parse


def read(text: str) -> Document:
    document = parse(text.encode(), "w.yaml")
    assert document.usable
    return document


def rejected(data: Any) -> list[Finding]:
    """Return what the schema rejects in a file, with positions as paths."""
    document = data
    if not isinstance(data, Document):
        document = Document(file="w.yaml", text="{}\n", data=data)
    return module.explain(document, [each for each in parts(document.data) if not accepts(each)])


SLACK = "name: a, type: slack"
GENERIC = "name: a, type: generic"


COMPLETE: dict[str, dict[str, Any]] = {
    "slack": {"token": {"env": "A"}, "channel": "#a", "username": "b"},
    "generic": {"url": "https://x"},
}


def webhook(type_: str, **configuration: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "type": type_,
        "event_types": ["value_created", "*_deleted", "[pt]*"],
        "configuration": {**COMPLETE[type_], **configuration},
    }


@pytest.mark.parametrize("type_", COMPLETE)
def test_complete_webhooks_are_accepted(type_: str) -> None:
    """A webhook with all required fields is valid, with every optional field too."""
    complete = webhook(type_)
    assert rejected({"webhooks": [complete]}) == []
    complete |= {"id": "x", "previously": ["b"], "organization": "Acme", "state": "present"}
    assert rejected({"webhooks": [complete]}) == []


SECRET = "hunter2"
SECRETS = [
    f"{{{GENERIC}, configuration: {{url: {SECRET}}}}}",
    f"{{{GENERIC}, configuration: {{password: [{SECRET}]}}}}",
    f"{{{GENERIC}, configuration: {{pasword: {SECRET}}}}}",
    f"{{{SLACK}, configuration: {{url: 'https://{SECRET}'}}}}",
    f"{{{SLACK}, configuration: {{token: {{{SECRET}: {SECRET}}}}}}}",
    f"{{{SLACK}, configuration: {{token: {{env: {SECRET}-x}}}}}}",
    f"{{{SLACK}, configuration: {{token: {{env: A, version: {SECRET}}}}}}}",
    f"{{{SLACK}, configuration: {{token: #{SECRET}\n}}}}",
    f"{{{SLACK}, configuration: {{channel: 5, token: {SECRET}}}}}",
    f"{{{SLACK}, configuration: {{token: {SECRET}, channel: 5}}}}",
    f"{{{SLACK}, token: {SECRET}}}",
    f"{{name: a, type: xoxb-{SECRET}}}",
    f"{{{SLACK}, event_types: [xoxb-{SECRET}]}}",
    f"{{{SLACK}, xoxb-{SECRET}: 1}}",
]


@pytest.mark.parametrize("item", SECRETS)
def test_no_value_of_a_secret_is_shown(item: str) -> None:
    """No error of a secret repeats its value."""
    document = read(f"webhooks: [{item}]")
    found = placed({document.file: document}, rejected(document))
    assert found
    assert SECRET not in repr(found)


def test_every_keyword_of_the_schema_is_explained() -> None:
    """Each keyword that the engine reports has a message."""

    def keywords(part: Any) -> set[str]:
        found: set[str] = set()
        if isinstance(part, dict):
            found |= {key for key in part if key in KEYWORDS}
            for key, each in part.items():
                if key not in ("default", "examples", "defaultSnippets"):
                    found |= keywords(each)
        elif isinstance(part, list):
            for each in part:
                found |= keywords(each)
        return found

    explained_elsewhere = {"enum"}  # of a union: `_bad_event`
    assert keywords(schema()) - explained_elsewhere == module.WORDS.keys()


KEYWORDS = frozenset(Draft7Validator.VALIDATORS) - {
    "$ref", "allOf", "if", "items", "properties", "patternProperties",
}  # fmt: skip
"""The keywords that can reject a value themselves."""


@pytest.mark.parametrize("data", [{}, {"webhooks": 1}, {"defaults": []}, {"webhooks": [[]]}])
def test_any_data_is_explained(data: Any) -> None:
    """Data of any shape gives findings, never an exception."""
    assert rejected(data)
