"""The profile of `plan`, and why its largest shares are necessary."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from benchmarks.measure import run
from benchmarks.workspace import Workspace, serving

WHY = {
    "YAML": "libyaml's events are turned directly into data. `validate` takes about a quarter of "
    "the time of PyYAML's CSafeLoader.",
    "checks and values of the file": "every field of every webhook is checked once. `jsonschema`, "
    "about forty times as slow as jsonschema-rs, is only imported to explain a rejected file.",
    "HTTP and decoding of the listing": "every row is one frozen value, with its token wrapped "
    "so that it cannot be printed.",
    "comparison": "every pair is compared field by field, secrets in constant time.",
    "imports": "a fixed cost: click, PyYAML and httpx. Modules that a run does not need are not "
    "imported.",
    "rendering": "one pass over the output.",
    "the rest": "startup and exit of the interpreter, garbage collection, the sampling itself.",
}


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
