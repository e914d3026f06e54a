"""Write the results page, docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.line import Line

_INTRODUCTION = """\
# Performance

`python -m benchmarks` writes this page. Edit the script, not the page.

Ratios are to a baseline that is measured alternately, because machines differ.
"""

_METHOD = """\
## Measure it yourself

```sh
python -m benchmarks            # about ten minutes, on an idle machine
python -m benchmarks --quick    # a smoke test
python -m benchmarks --row plan-10000 --out results
```

The other tools are in `benchmarks/peers`; octoDNS compares small records in YAML. They create a
tenth as many webhooks, and their time is multiplied by ten. The API is `benchmarks/server.py`, with
a fixed latency.
"""


def table(lines: Sequence[Line]) -> str:
    rows = [
        "| benchmark | result | baseline | ratio or value | budget | other tools, x baseline |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        unit = "x" if line.unit == "x" else f" {line.unit}"
        value = f"{line.value:.3g}" if line.unit != "requests" else f"{line.value:.0f}"
        cells = (
            line.title,
            line.result,
            line.baseline_result,
            f"{value}{unit}" if line.met else f"**{value}{unit}**",
            f"{line.budget:g}{unit}",
            line.peers,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def machine() -> str:
    """Return the date and the machine of the measurement."""
    cores = os.cpu_count() or 0
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{cores} cores{_processor()}."
    )


def page(
    lines: Sequence[Line],
    shares: Sequence[tuple[str, float]],
    profiled: int,
    reasons: str,
) -> str:
    missed = sum(not line.met for line in lines)
    verdict = f"Not met, in bold: {missed}." if missed else "Every budget is met."
    profile = [f"- {share:.0%}: {name}" for name, share in shares if share >= 0.01]
    parts = [
        _INTRODUCTION,
        f"## Budgets\n\n{machine()} {verdict}\n\n{table(lines)}{reasons}",
        "## Growth\n\n`plan` in sync, over HTTP without latency:\n\n"
        "![Time and memory of plan, from 10 to 100,000 webhooks](images/growth.svg)\n",
        f"## Where the time of `plan` goes\n\n{profiled:,} webhooks in sync, CPU time "
        "including startup:\n\n" + "\n".join(profile) + "\n",
        _METHOD,
    ]
    return "\n".join(parts)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return f" ({names[0]})" if names else ""
