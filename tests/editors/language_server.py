"""A client of the YAML language server over standard input and output, like an editor."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        on = dict.fromkeys(("validate", "completion", "hover"), True)
        self._settings = {"yaml": {**yaml, **on}, "http": {}}
        self._results: queue.Queue[Any] = queue.Queue()
        self._diagnostics: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._documents = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        item = {"snippetSupport": True, "documentationFormat": ["markdown"]}
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {
                "completion": {"completionItem": item},
                "hover": {"contentFormat": ["markdown"]},
                "publishDiagnostics": {},
            },
        }
        self._request("initialize", {"processId": None, "rootUri": None,
                                    "capabilities": capabilities})  # fmt: skip
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
        items: list[dict[str, Any]] = self._at("completion", text)["items"]
        return items

    def hover(self, text: str) -> str:
        """Return the hover text of the word after the `|` in a document."""
        value: str = self._at("hover", text)["contents"]["value"]
        return value

    def _request(self, method: str, params: Any) -> Any:
        self._send({"id": 0, "method": method, "params": params})
        return self._results.get(timeout=TIMEOUT)

    def close(self) -> None:
        """End the server."""
        with self._process:  # closes the pipes and waits
            self._process.kill()
            self._thread.join(timeout=TIMEOUT)

    def _at(self, what: str, text: str) -> Any:
        before, bar, after = text.partition("|")
        assert bar, "no | says where"
        position = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        uri = self._open(before + after)
        params = {"textDocument": {"uri": uri}, "position": position}
        return self._request(f"textDocument/{what}", params)

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
