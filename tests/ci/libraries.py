"""The libraries with which GitHub evaluates expressions and reads workflows, in one process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.ci.actions import split_functions


class GitHubLibraries:
    """A process of Node.js with `@actions/expressions` and `@actions/workflow-parser`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", folder / "github.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def evaluate(self, expression: str, contexts: Mapping[str, Any]) -> Any:
        """Return the value of an expression, with contexts as `actions.evaluate` takes them."""
        values, functions = split_functions(contexts)
        states = {name: function() for name, function in functions.items()}
        return self._send({"expression": expression, "contexts": values, "states": states})

    def problems(self, path: str, files: Mapping[str, str]) -> Any:
        """Return the errors in a workflow, which may call others of `files`, or in an action."""
        return self._send({"path": path, "files": files})

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        response = json.loads(self._process.stdout.readline())
        assert "value" in response, (response, request)
        return response["value"]
