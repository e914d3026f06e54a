"""A plot as SVG with two logarithmic axes, without a library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 50, 60
_COLORS = ("#0b6bcb", "#c2410c")

Curve = Mapping[int, float]


def plot(title: str, across: str, curves: Mapping[str, Curve]) -> str:
    """Draw positive values over positive counts, one curve for each name."""
    counts = [count for curve in curves.values() for count in curve]
    values = [value for curve in curves.values() for value in curve.values()]
    x = _Scale(counts, _LEFT, _WIDTH - _RIGHT)
    y = _Scale(values, _HEIGHT - _BOTTOM, _TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13" role="img" aria-label="{title}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 28, title, size=16),
        *_grid(x, y),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 15, across, anchor="middle"),
    ]
    for (name, curve), color in zip(curves.items(), _COLORS, strict=False):
        points = [(x(count), y(value)) for count, value in sorted(curve.items())]
        joined = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        lines.append(f'<polyline points="{joined}" fill="none" stroke="{color}" stroke-width="2"/>')
        lines.extend(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{color}"/>' for a, b in points)
        end, height = points[-1]
        lines.append(_text(end + 10, height + 4, name, color=color))
    return "\n".join([*lines, "</svg>", ""])


class _Scale:
    """Places powers of ten evenly between two edges."""

    def __init__(self, values: list[int] | list[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + part * (self._end - self._start)


def _grid(x: _Scale, y: _Scale) -> Iterator[str]:
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    for power in range(x.low, x.high + 1):
        at = x(10**power)
        yield f'<path d="M{at:.1f} {top}V{bottom}" stroke="#ddd"/>'
        yield _text(at, bottom + 20, f"{10**power:,}", anchor="middle")
    for power in range(y.low, y.high + 1):
        at = y(10.0**power)
        yield f'<path d="M{left} {at:.1f}H{right}" stroke="#ddd"/>'
        yield _text(left - 8, at + 4, f"{10.0**power:,g}", anchor="end")


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", color: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{color}">{text}</text>'
    )
