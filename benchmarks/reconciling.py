"""Rounds of `reconcile` without changes; `python -m tests.reconcile rounds` measures memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import declaration
from benchmarks.line import Line
from benchmarks.workspace import Server, Workspace, git, serving

WEBHOOKS = 10
_ROUNDS = 2


def reconciling(workspace: Workspace) -> Iterator[Line]:
    """The requests of a round."""
    folder = workspace.directory / "data" / "reconcile"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "webhooks.yaml").write_text("organization: Acme\n" + "".join(declaration(WEBHOOKS)))
    for words in ("init -q", "add webhooks.yaml", "commit -qm files --allow-empty"):
        git(folder, *words.split())
    with serving(WEBHOOKS) as server:
        requests = _requests(workspace, folder, server) / _ROUNDS
    yield Line(
        title="`reconcile` in sync: requests",
        value=requests,
        unit="requests",
        budget=2,
        result=f"{requests * _ROUNDS:.0f} in {_ROUNDS} rounds",
        baseline_result="the organization and one page",
    )


def _requests(workspace: Workspace, folder: Path, server: Server) -> int:
    """Return the number of requests of the first rounds."""
    command = workspace.webhooks(
        folder, "reconcile", "--rev", "HEAD", "--every", "10s", server=server
    )
    process = subprocess.Popen(
        command.arguments, cwd=folder, env=command.environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        rounds = 0
        while rounds < _ROUNDS:
            line = process.stdout.readline()
            rounds += "No changes." in line
            if not line or "nothing was written" in line:
                raise RuntimeError(f"not a round without changes: {line}")
        counts = server.counts()
    finally:
        process.terminate()
        process.communicate()
    return sum(count for method, count in counts.items() if method.isupper())
