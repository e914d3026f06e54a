"""What an editor shows: diagnostics, completions, hover texts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES
from tests.editors.language_server import LanguageServer
from tests.editors.test_validators import validate

GENERIC = "webhooks:\n  - name: a\n    type: generic\n    configuration: "
WEBHOOK = "webhooks:\n  - name: a\n    type: slack\n"


def texts(items: list[dict[str, Any]]) -> dict[str, str]:
    return {each["label"]: each.get("insertText", "") for each in items}


def documented(item: dict[str, Any]) -> bool:
    said = item.get("documentation", "")
    return bool(said["value"] if isinstance(said, dict) else said)


def filled(snippet: str) -> str:
    """Return a snippet with the default of every placeholder."""
    return re.sub(r"\$\{\d+:([^}]*)\}", r"\1", snippet)


@pytest.mark.parametrize(
    ("text", "word", "message"),
    [
        ("webhooks:\n  - {name: a, type: slakc}\n", "slakc", '"slack" | "generic"'),
        (f"{WEBHOOK}    event_types: [value_creatd]\n", "value_creatd", "value_created"),
        (f"{WEBHOOK}    configuration: {{channl: x}}\n", "channl", "channl is not allowed"),
        (f"{WEBHOOK}    configuration: {{url: x}}\n", "url", "url is not allowed"),
        (f"{GENERIC}{{url: htps://x}}\n", "htps://x", "A URL starts with https:// or http://"),
        (f"{GENERIC}{{url: {{evn: X}}}}\n", "evn", "evn is not allowed"),
        (f'{GENERIC}{{password: ""}}\n', '""', "shorter than the minimum length"),
        ("prune: 3\nwebhooks: []\n", "3", "boolean"),
        ("webhook: []\n", "webhook", "webhook is not allowed"),
        ("webhooks: []\nwebhooks: []\n", "webhooks: []", "unique"),
    ],
)  # fmt: skip
def test_errors_are_underlined(editor: LanguageServer, text: str, word: str, message: str) -> None:
    """The underlined text is the wrong word, and the message has the valid ones."""
    found = editor.diagnostics(text)
    said = {_underlined(text, each["range"]): each["message"] for each in found}
    assert word in said
    assert message in said[word]


def _underlined(text: str, place: dict[str, Any]) -> str:
    line = text.splitlines()[place["start"]["line"]]
    return line[place["start"]["character"] : place["end"]["character"]]


def test_a_file_finds_the_schema_by_its_first_line(editor: LanguageServer) -> None:
    """The comment on the first line of starter files leads to the schema, relative to the file."""
    line = "# yaml-language-server: $schema={}\nwebhook: []\n"
    found = editor.diagnostics(line.format("../schemas/webhooks.schema.json"))
    assert [each["message"] for each in found] != []
    assert all("Problems loading" not in each["message"] for each in found)
    found = editor.diagnostics(line.format("../schemas/not-there.json"))
    assert "not-there.json" in found[0]["message"]


def test_types_are_offered(editor: LanguageServer) -> None:
    """After `type:` every known type is offered with its purpose."""
    items = editor.complete("webhooks:\n  - name: a\n    type: |\n")
    assert {each["label"] for each in items} == set(KINDS)
    assert all(documented(each) for each in items)


@pytest.mark.parametrize("place", ["event_types: [|]\n", "event_types:\n      - |\n"])
def test_events_are_offered(editor: LanguageServer, place: str) -> None:
    """Every event and common glob is offered with an explanation, quoted where YAML needs it."""
    items = {each["label"]: each for each in editor.complete(f"{WEBHOOK}    {place}")}
    assert set(EVENT_TYPES) <= set(items)
    assert {'"*"', '"*_deleted"', "value_*"} <= set(items)
    assert all(documented(items[name]) for name in EVENT_TYPES)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_skeleton_of_each_type_is_offered(editor: LanguageServer, kind: str) -> None:
    """A new webhook has a skeleton for each type, which is valid once it is filled in."""
    items = editor.complete("webhooks:\n  - |\n")
    whole = [
        filled(text)
        for text in texts(items).values()
        if f"type: {kind}" in text and "configuration:" in text
    ]
    assert len(whole) == 1
    document = "webhooks:\n  - " + whole[0].replace("\n", "\n  ") + "\n"
    assert validate(document), document
    assert editor.diagnostics(document) == []


def test_a_webhook_to_delete_is_offered(editor: LanguageServer) -> None:
    """There is a skeleton with `state: absent`."""
    offered = texts(editor.complete("webhooks:\n  - |\n"))
    assert any("state: absent" in filled(text) for text in offered.values())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_fields_are_those_of_the_type(editor: LanguageServer, kind: str) -> None:
    """In `configuration` only the fields of the webhook's type are offered."""
    text = f"webhooks:\n  - name: a\n    type: {kind}\n    configuration:\n      |\n"
    items = editor.complete(text)
    assert {each["label"] for each in items} == {each.name for each in KINDS[kind].fields}
    assert all(documented(each) for each in items)


def test_root_keys_are_offered(editor: LanguageServer) -> None:
    """At the beginning of a file every key is offered with an explanation."""
    items = {each["label"]: each for each in editor.complete("|\n")}
    keys = {"version", "organization", "prune", "scope", "ignore", "protect", "limits",
            "defaults", "webhooks"}  # fmt: skip
    assert keys <= set(items)
    assert all(documented(items[key]) for key in keys)


@pytest.mark.parametrize(
    ("text", "heading", "words"),
    [
        ("|prune: true\nwebhooks: []\n", "Delete undeclared webhooks", "webhooks plan"),
        ("webhooks: []\n|protect: []\n", "Protect", "never deleted"),
        (f"{WEBHOOK}    |previously: [b]\n", "Previous names", "is **renamed**"),
        (WEBHOOK.replace("slack", "|slack"), "Slack", "bot token"),
        (f"{WEBHOOK}    event_types: [|value_created]\n", "Event", "value was created"),
        (f"{WEBHOOK}    configuration: {{|username: x}}\n", "Username", "chat:write.customize"),
        (f"{WEBHOOK}    configuration: {{|channel: x}}\n", "Channel", "use quotes"),
        (f"{WEBHOOK}    configuration: {{token: {{|env: X}}}}\n", "Variable", "environment"),
    ],
)
def test_hover_texts(editor: LanguageServer, text: str, heading: str, words: str) -> None:
    """Hovering over a key or a value shows its name and meaning."""
    shown = editor.hover(text)
    assert shown.startswith(f"#### {heading}\n")
    assert words in shown
