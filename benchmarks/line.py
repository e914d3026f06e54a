"""One line of the table, and the format of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import Sample, Samples, middle, ratio

PROGRAM = "webhooks"
LATENCY = 20.0  # milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a value, its unit (x: times the lower bound), and its budget."""

    what: str
    figure: float
    unit: str
    budget: float
    ours: str
    against: str = ""
    peers: str = ""

    @property
    def met(self) -> bool:
        return self.figure <= self.budget


def compared(
    title: str,
    samples: Samples,
    floor: str,
    budget: float,
    more: Mapping[str, list[Sample]] | None = None,
    *,
    what: str = "wall",
) -> Line:
    """Compare this program with its lower bound, and return the ratios of all tools."""
    show = seconds if what == "wall" else mebibytes
    base = middle(samples[floor], what)
    others = {**samples, **(more or {})}
    return Line(
        what=title,
        figure=ratio(samples[PROGRAM], samples[floor], what),
        unit="x",
        budget=budget,
        ours=show(middle(samples[PROGRAM], what)),
        against=f"{floor}: {show(base)}",
        peers=", ".join(
            f"{name} {middle(each, what) / base:.3g}"
            for name, each in others.items()
            if name not in (PROGRAM, floor)
        ),
    )


def seconds(amount: float) -> str:
    return f"{amount * 1000:.0f} ms" if amount < 1 else f"{amount:.2f} s"


def mebibytes(amount: float) -> str:
    return f"{amount:.0f} MiB"
