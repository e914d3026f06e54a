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
from benchmarks.measure import Sample, middle
from benchmarks.page import machine, page, table
from benchmarks.plot import plot
from benchmarks.profile import shares
from benchmarks.rows import ROWS, grown
from benchmarks.workspace import ROOT, Workspace


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer; writes no page")
    parser.add_argument("--row", action="append", choices=[*ROWS], help="only this row; repeatable")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "benchmarks", help="where results go"
    )
    return parser


def main() -> None:
    given = parser().parse_args()
    shop = Workspace(given.out, quick=given.quick)
    shop.python()
    if given.quick:
        print("Quick: with so few webhooks and runs, budgets are not met, and need not be.")
    lines: list[Line] = []
    for name in given.row or ROWS:
        started = time.monotonic()
        found = list(ROWS[name](shop))
        lines += found
        print(f"\n{name}, {time.monotonic() - started:.0f} s\n\n{table(found)}", flush=True)
    save(shop.place, lines)
    if given.row is None:
        profiled = 1000 if given.quick else 10_000
        written = page(lines, grown(shop), shares(shop, profiled), profiled, known_reasons(lines))
        docs = shop.place if given.quick else ROOT / "docs"
        (docs / "images").mkdir(exist_ok=True)
        (docs / "performance.md").write_text(written)
        (docs / "images" / "growth.svg").write_text(drawn(grown(shop)))
        print(f"written: {docs / 'performance.md'}")


def save(place: Path, lines: list[Line]) -> None:
    (place / "results.md").write_text(f"{machine()}\n\n{table(lines)}")
    results = {
        "machine": machine(),
        "lines": [{**asdict(line), "met": line.met} for line in lines],
    }
    (place / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def drawn(samples: dict[int, list[Sample]]) -> str:
    return plot(
        "webhooks plan, nothing to do",
        "webhooks",
        {
            "time, ms": {size: middle(each) * 1000 for size, each in samples.items()},
            "peak memory, MiB": {size: middle(each, "memory") for size, each in samples.items()},
        },
    )


def known_reasons(lines: list[Line]) -> str:
    """Return the reasons for missed budgets, where they are known."""
    known = json.loads((Path(__file__).parent / "reasons.json").read_text())
    missed = [each.what for each in lines if not each.met and each.what in known]
    found = [f"- {what}: {known[what]}" for what in missed]
    return "\n" + "\n".join(found) + "\n" if found else ""


if __name__ == "__main__":
    main()
