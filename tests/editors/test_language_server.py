"""What an editor shows: diagnostics and completions; ajv accepts the schema, too."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.findings import has_errors
from reconciler.kinds import KINDS
from reconciler.source.yaml import parse
from tests.folders import ROOT
from tests.loading import load_text
from tests.node import packages
from tests.source.test_schema_file import BAD, FILE, GOOD
from tests.waiting import TIMEOUT


class LanguageServer:
    """The server, with the schema for every file.

    Lines and characters count from 0. Documents are unsaved files of `folder`; they may contain the
    path of a schema.
    """

    def __init__(self, tools: Path, schema: Path, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            ["node", tools / "node_modules/yaml-language-server/bin/yaml-language-server",
             "--stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )  # fmt: skip
        yaml = {"schemas": {schema.as_uri(): "*.yaml"}, "schemaStore": {"enable": False}}
        on = dict.fromkeys(("validate", "completion"), True)
        self._settings = {"yaml": {**yaml, **on}, "http": {}}
        self._results: queue.Queue[Any] = queue.Queue()
        self._diagnostics: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._documents = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        item = {"snippetSupport": True, "documentationFormat": ["markdown"]}
        document = {"completion": {"completionItem": item}, "publishDiagnostics": {}}
        capabilities = {"workspace": {"configuration": True}, "textDocument": document}
        about = {"processId": None, "rootUri": None, "capabilities": capabilities}
        self._request("initialize", about)
        self._notify("initialized", {})
        self._notify("workspace/didChangeConfiguration", {"settings": self._settings})

    def _open(self, text: str, folder: Path | None = None) -> str:
        self._documents += 1
        uri = ((folder or self._folder) / f"unsaved-{self._documents}.yaml").as_uri()
        item = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def diagnostics(self, text: str, folder: Path | None = None) -> list[dict[str, Any]]:
        """Return the diagnostics of a document, which may be in another folder."""
        uri = self._open(text, folder)
        while (published := self._diagnostics.get(timeout=TIMEOUT))["uri"] != uri:
            pass
        diagnostics: list[dict[str, Any]] = published["diagnostics"]
        return diagnostics

    def complete(self, text: str) -> list[dict[str, Any]]:
        """Return the completions at the `|` in a document."""
        before, bar, after = text.partition("|")
        assert bar, "no | says where"
        position = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        params = {"textDocument": {"uri": self._open(before + after)}, "position": position}
        items: list[dict[str, Any]] = self._request("textDocument/completion", params)["items"]
        return items

    def _request(self, method: str, params: Any) -> Any:
        self._send({"id": 0, "method": method, "params": params})
        return self._results.get(timeout=TIMEOUT)

    def close(self) -> None:
        """End the server."""
        with self._process:  # closes the pipes and waits
            self._process.kill()
            self._thread.join(timeout=TIMEOUT)

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while head := stream.readline():
            length = 0
            while head.strip():
                name, _, value = head.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                head = stream.readline()
            self._receive(json.loads(stream.read(length)))

    def _receive(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "workspace/configuration", "id": id, "params": {"items": items}}:
                wanted = [self._settings.get(each.get("section", ""), {}) for each in items]
                self._send({"id": id, "result": wanted})
            case {"method": "textDocument/publishDiagnostics", "params": published}:
                self._diagnostics.put(published)
            case {"method": _, "id": id}:
                self._send({"id": id, "result": None})
            case {"id": _, **rest}:
                self._results.put(rest.get("result"))


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
