"""Run the benchmarks and write the table: `python -m benchmarks`.

Everything goes to `--out`: results.json, results.md and the files that the runs need. A complete
run that is not quick also writes docs/performance.md and its plot.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.line import Line
from benchmarks.measure import Sample, median_of
from benchmarks.page import machine, page, table
from benchmarks.plot import plot
from benchmarks.profile import shares
from benchmarks.rows import ROWS, measure_growth
from benchmarks.workspace import ROOT, Workspace


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer webhooks and rounds; does not write the page"
    )
    parser.add_argument("--row", action="append", choices=[*ROWS], help="only this row; repeatable")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "benchmarks", help="where results go"
    )
    return parser


def main() -> None:
    given = parser().parse_args()
    workspace = Workspace(given.out, quick=given.quick)
    workspace.python()
    if given.quick:
        print("Quick run: too small to meet the budgets.")
    lines: list[Line] = []
    for name in given.row or ROWS:
        started = time.monotonic()
        measured = list(ROWS[name](workspace))
        lines += measured
        print(f"\n{name}, {time.monotonic() - started:.0f} s\n\n{table(measured)}", flush=True)
    save(workspace.directory, lines)
    if given.row is None:
        profiled = 1000 if given.quick else 10_000
        written = page(
            lines,
            shares(workspace, profiled),
            profiled,
            known_reasons(lines),
        )
        docs = workspace.directory if given.quick else ROOT / "docs"
        (docs / "images").mkdir(exist_ok=True)
        (docs / "performance.md").write_text(written)
        (docs / "images" / "growth.svg").write_text(draw_growth(measure_growth(workspace)))
        print(f"written: {docs / 'performance.md'}")


def save(directory: Path, lines: list[Line]) -> None:
    (directory / "results.md").write_text(f"{machine()}\n\n{table(lines)}")
    results = {
        "machine": machine(),
        "lines": [{**asdict(line), "met": line.met} for line in lines],
    }
    (directory / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def draw_growth(samples: dict[int, list[Sample]]) -> str:
    return plot(
        "webhooks plan, nothing to do",
        "webhooks",
        {
            "time, ms": {size: median_of(each) * 1000 for size, each in samples.items()},
            "peak memory, MiB": {size: median_of(each, "memory") for size, each in samples.items()},
        },
    )


def known_reasons(lines: list[Line]) -> str:
    """Return the reasons for missed budgets, where they are known."""
    known = json.loads((Path(__file__).parent / "reasons.json").read_text())
    missed = [line.title for line in lines if not line.met and line.title in known]
    reasons = [f"- {title}: {known[title]}" for title in missed]
    return "\n" + "\n".join(reasons) + "\n" if reasons else ""


if __name__ == "__main__":
    main()
