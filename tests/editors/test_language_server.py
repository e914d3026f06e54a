"""What an editor shows: diagnostics, completions and hover texts."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest

from reconciler.kinds import KINDS
from reconciler.kinds.events import EVENT_TYPES
from tests.editors.language_server import LanguageServer
from tests.editors.test_validators import validate

GENERIC = "webhooks:\n  - name: a\n    type: generic\n    configuration: "
WEBHOOK = "webhooks:\n  - name: a\n    type: slack\n"


def has_documentation(item: dict[str, Any]) -> bool:
    said = item.get("documentation", "")
    return bool(said["value"] if isinstance(said, dict) else said)


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
    """The underlined text is the wrong word, and the message lists the valid ones."""
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


EVENTS = {*EVENT_TYPES, '"*"', '"*_deleted"', "value_*"}
ROOT_KEYS = {"version", "organization", "prune", "scope", "ignore", "protect", "limits",
             "defaults", "webhooks"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "offered", "others"),
    [
        ("|\n", ROOT_KEYS, True),
        ("webhooks:\n  - name: a\n    type: |\n", KINDS.keys(), False),
        (f"{WEBHOOK}    event_types: [|]\n", EVENTS, True),
        (f"{WEBHOOK}    event_types:\n      - |\n", EVENTS, True),
        *(
            (
                f"webhooks:\n  - name: a\n    type: {kind.type}\n    configuration:\n      |\n",
                {each.name for each in kind.fields},
                False,
            )
            for kind in KINDS.values()
        ),
    ],
)
def test_completions(
    editor: LanguageServer, text: str, offered: Collection[str], others: bool
) -> None:
    """Each completion has an explanation; `configuration` offers only the fields of the type."""
    items = {each["label"]: each for each in editor.complete(text)}
    assert set(offered) <= set(items)
    assert others or set(offered) == set(items)
    assert all(has_documentation(items[each]) for each in offered)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_skeleton_of_each_type_is_offered(editor: LanguageServer, kind: str) -> None:
    """A new webhook has a skeleton for each type, which is valid once it is filled in."""
    items = editor.complete("webhooks:\n  - |\n")
    # With the default of every placeholder.
    offered = [re.sub(r"\$\{\d+:([^}]*)\}", r"\1", each.get("insertText", "")) for each in items]
    (skeleton,) = (each for each in offered if f"type: {kind}" in each and "configuration:" in each)
    document = "webhooks:\n  - " + skeleton.replace("\n", "\n  ") + "\n"
    assert validate(document), document
    assert editor.diagnostics(document) == []
    assert any("state: absent" in each for each in offered)


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
