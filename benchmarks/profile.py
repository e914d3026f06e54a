"""The profile of `plan`, and why its largest shares stay."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from benchmarks.measure import run
from benchmarks.workshop import Workshop, serving

WHY = {
    "YAML": "libyaml's events, turned straight into data with a line for each webhook. Already a "
    "fraction of PyYAML's fastest loader; what is left is one Python object for each key and "
    "value, which any YAML reader for Python has to make.",
    "checks and values of the file": "every field of every webhook is looked at once, as "
    "accepting a wrong file would cost more than any time. Plain code; the JSON Schema library, "
    "some forty times as slow, is loaded only to explain a mistake.",
    "HTTP and decoding of the listing": "JSON is decoded by the C parser, page by page, with "
    "duplicate keys and NaN refused; every row becomes one frozen value, with its token wrapped "
    "so that it can never be printed. Keeping raw rows would be faster and leak secrets.",
    "comparison": "every pair is compared field by field, secrets in constant time. Plain `==` "
    "decides; the library that explains differences is loaded only for pairs that differ.",
    "imports": "a fixed cost, the same for ten webhooks: click, PyYAML and httpx. Everything "
    "that a run does not need is loaded lazily.",
    "rendering": "one pass over what is shown.",
    "the rest": "the interpreter's own start and end, the garbage that goes, the sampling itself.",
}


def shares(shop: Workshop, count: int) -> list[tuple[str, float]]:
    """Return each stage's share of the processor's time of a `plan` in sync, largest first."""
    folder = shop.file(count)
    found = folder / "profile.json"
    script = str(Path(__file__).parent / "sampler.py")
    total: Counter[str] = Counter()
    with serving(count) as server:
        command = shop.command(folder, shop.python(), script, str(found), "plan", server=server)
        for _ in range(shop.rounds(8)):
            run(command)
            total.update(json.loads(found.read_text()))
    everything = sum(total.values())
    return [(name, seen / everything) for name, seen in total.most_common()]
