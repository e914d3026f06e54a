"""The profile of `plan`, and why its largest shares are necessary."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from benchmarks.measure import run
from benchmarks.workspace import Workspace, serving

WHY = {
    "YAML": "libyaml's events are turned directly into data, with one line number per webhook. "
    "`validate` as a whole takes about a quarter of the time of PyYAML's CSafeLoader. PyYAML needs "
    "five sixths of this time to create the events, one Python object each.",
    "checks and values of the file": "every field of every webhook is checked once, because "
    "accepting an invalid file would cost more. jsonschema-rs validates the file; "
    "the Python library `jsonschema`, about forty times as slow, is only imported to explain a "
    "rejected plan.",
    "HTTP and decoding of the listing": "the C parser decodes the JSON, page by page, and rejects "
    "duplicate keys and NaN. Every row becomes one frozen value, with its token wrapped so that it "
    "cannot be printed. Keeping raw rows would be faster and leak secrets.",
    "comparison": "every pair is compared field by field, secrets in constant time. Plain `==` "
    "decides; the library that explains differences is only imported for pairs that differ.",
    "imports": "a fixed cost, the same for ten webhooks: click, PyYAML and httpx. Modules that a "
    "run does not need are not imported.",
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
