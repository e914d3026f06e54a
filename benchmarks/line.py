"""One line of the table, and the format of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import Sample, Samples, median_of, ratio

PROGRAM = "webhooks"
LATENCY = 20.0  # milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a value, its unit (x: times the lower bound), and its budget."""

    title: str
    value: float
    unit: str
    budget: float
    result: str
    baseline_result: str = ""
    peers: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.budget


def compare(
    title: str,
    samples: Samples,
    baseline: str,
    budget: float,
    more: Mapping[str, list[Sample]] | None = None,
    *,
    metric: str = "wall",
) -> Line:
    """Return the line that compares this program and other tools with the lower bound."""
    show = seconds if metric == "wall" else mebibytes
    base = median_of(samples[baseline], metric)
    others = {**samples, **(more or {})}
    return Line(
        title=title,
        value=ratio(samples[PROGRAM], samples[baseline], metric),
        unit="x",
        budget=budget,
        result=show(median_of(samples[PROGRAM], metric)),
        baseline_result=f"{baseline}: {show(base)}",
        peers=", ".join(
            f"{name} {median_of(each, metric) / base:.3g}"
            for name, each in others.items()
            if name not in (PROGRAM, baseline)
        ),
    )


def seconds(amount: float) -> str:
    return f"{amount * 1000:.0f} ms" if amount < 1 else f"{amount:.2f} s"


def mebibytes(amount: float) -> str:
    return f"{amount:.0f} MiB"
