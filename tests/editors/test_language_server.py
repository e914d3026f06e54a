"""What an editor shows: diagnostics, completions and hover texts; ajv accepts the schema, too."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.findings import has_errors
from reconciler.kinds import KINDS
from reconciler.source.yaml import parse
from tests.editors.language_server import LanguageServer
from tests.folders import ROOT
from tests.loading import load_text
from tests.node import packages
from tests.source.test_schema_file import BAD, FILE, GOOD

EXAMPLES = [
    path
    for path in sorted((ROOT / "examples").rglob("*.y*ml"))
    if "\nwebhooks:" in path.read_text("utf-8")
]
GENERIC = "webhooks:\n  - name: a\n    type: generic\n    configuration: "
WEBHOOK = "webhooks:\n  - name: a\n    type: slack\n"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder with the packages of package-lock.json."""
    return packages(Path(__file__).parent)


@pytest.fixture(scope="module")
def editor(tools: Path) -> Iterator[LanguageServer]:
    """A running language server."""
    server = LanguageServer(tools, FILE, ROOT / "examples")
    yield server
    server.close()


@pytest.mark.parametrize(
    ("text", "word", "message"),
    [
        ("webhooks:\n  - {name: a, type: slakc}\n", "slakc", '"slack" | "generic"'),
        (f"{WEBHOOK}    configuration: {{url: x}}\n", "url", "url is not allowed"),
        (f"{GENERIC}{{url: htps://x}}\n", "htps://x", "A URL starts with https:// or http://"),
        ("# yaml-language-server: $schema=gone.json\nwebhook: []\n", "w", "gone.json"),
    ],
)
def test_errors_are_underlined(editor: LanguageServer, text: str, word: str, message: str) -> None:
    """The underlined text is the wrong word; the schema may be named on the first line."""
    (diagnostic,) = editor.diagnostics(text)
    assert message in diagnostic["message"]
    start, end = diagnostic["range"]["start"], diagnostic["range"]["end"]
    assert text.splitlines()[start["line"]][start["character"] : end["character"]] == word


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_an_example_has_no_diagnostics(editor: LanguageServer, path: Path) -> None:
    """The comment on the first line leads to the schema."""
    assert editor.diagnostics(path.read_text("utf-8"), path.parent) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
def test_completions(editor: LanguageServer, kind: Any) -> None:
    """A new webhook has a valid skeleton, and `configuration` the fields of its type."""
    items = editor.complete("webhooks:\n  - |\n")
    # With the default of every placeholder.
    offered = [re.sub(r"\$\{\d+:([^}]*)\}", r"\1", item.get("insertText", "")) for item in items]
    (skeleton,) = (text for text in offered if f"type: {kind.type}\n" in text)
    document = "webhooks:\n  - " + skeleton.replace("\n", "\n  ") + "\n"
    assert not has_errors(load_text(document).findings)
    assert editor.diagnostics(document) == []
    fields = editor.complete(f"webhooks:\n  - type: {kind.type}\n    configuration:\n      |\n")
    assert {item["label"] for item in fields} == {field.name for field in kind.fields}
    assert all(item["documentation"] for item in fields)


def test_hover_texts(editor: LanguageServer) -> None:
    """Hovering over a key shows its name and meaning."""
    shown = editor.hover("|prune: true\nwebhooks: []\n")
    assert shown.startswith("#### Delete undeclared webhooks\n")
    assert "webhooks plan" in shown


def test_ajv_in_strict_mode(tools: Path) -> None:
    """ajv accepts the schema in its strictest mode and rejects the same files."""
    texts = [GOOD, *(path.read_text("utf-8") for path in EXAMPLES), *BAD]
    documents = [parse(text.encode(), "webhooks.yaml").data for text in texts]
    done = subprocess.run(
        ["node", tools / "ajv.mjs"],
        input=json.dumps({"schema": json.loads(FILE.read_text("utf-8")), "documents": documents}),
        cwd=tools,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [text not in BAD for text in texts]
