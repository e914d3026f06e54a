"""The profile of `plan`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from benchmarks.measure import run
from benchmarks.workspace import Workspace, serving


def shares(workspace: Workspace, count: int) -> list[tuple[str, float]]:
    """Return each stage's share of the CPU time of a `plan` in sync, largest first."""
    folder = workspace.file(count)
    found = folder / "profile.json"
    script = str(Path(__file__).parent / "sampler.py")
    total: Counter[str] = Counter()
    with serving(count) as server:
        command = workspace.command(
            folder, workspace.python(), script, str(found), "plan", server=server
        )
        for _ in range(workspace.rounds(8)):
            run(command)
            total.update(json.loads(found.read_text()))
    everything = sum(total.values())
    return [(name, seen / everything) for name, seen in total.most_common()]
