"""Lay out rows in columns, wrap lines to the width of the terminal, and add color.

A row that fits is one line, with its cells aligned to those of the other rows. A row that does not
fit keeps its first cell and wraps the others. Text is never truncated and atoms are never split: an
atom wider than the terminal overflows. SGR codes for color are the only control characters in any
output.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.render.rows import Atom, Row, sentence

_INDENT = 2
_FIELDS = 6
_CODES: Final = {
    "+": "32",
    "~": "33",
    "-": "31",
    "!": "35",
    "x": "31",
    "✗": "1;31",
    "?": "35",
    "✓": "32",
    "error": "1;31",
    "warning": "1;33",
    "note": "1;36",
    "good": "1;32",
    "strong": "1",
    "faint": "2",
}
_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")


def paint(text: str, style: str, color: bool) -> str:
    """Return `text` in a style, unchanged without color or for a style that has none."""
    code = _CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if color and code and text else text


def columns(text: str) -> int:
    """Return the width of `text` in terminal columns; East Asian wide characters take two."""
    shown = _SGR.sub("", text) if "\x1b" in text else text
    if shown.isascii():
        return len(shown)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in shown
    )


def fitted(text: str, width: int) -> str:
    """Return `text` in exactly `width` columns: padded, or cut with `...` at the end."""
    if columns(text) <= width:
        return text + " " * (width - columns(text))
    shown = text[: max(0, width - 3)]
    while columns(shown) > max(0, width - 3):
        shown = shown[:-1]
    return fitted(f"{shown}...", width) if width >= 3 else "." * width


def flow(atoms: Iterable[Atom], *, start: str, indent: int, width: int) -> list[str]:
    """Return `start` and the atoms as lines, wrapped at `width` and continued at `indent`.

    An atom after two spaces needs no gap.
    """
    lines: list[str] = []
    line, used = start, columns(start)
    for atom in atoms:
        size = columns(atom.text)
        gap = "" if not line or line.endswith("  ") else atom.gap
        if used > indent and used + len(gap) + size > width:
            lines.append(line.rstrip(" "))
            line, used, gap = " " * indent, indent, ""
        line, used = f"{line}{gap}{atom.text}", used + len(gap) + size
    lines.append(line.rstrip(" "))
    return lines


def paragraph(text: str, *, width: int, start: str = "", indent: int = 2) -> list[str]:
    """Return `start` and a sentence as wrapped lines."""
    return flow(sentence(text), start=start, indent=indent, width=width)


def lay_out(rows: Sequence[Row], *, width: int, color: bool) -> list[str]:
    """Return the lines of `rows`, their fields below them.

    Columns (action, details, position) are aligned over all rows, each at most its share of
    `width`.
    """
    indents = [2 * _INDENT if row.nested else _INDENT for row in rows]
    names = (indent + 2 + columns(row.name) for row, indent in zip(rows, indents, strict=True))
    name = _widest(names, _INDENT + 2 + max(12, width // 3))
    label = _widest((columns(line.label) for row in rows for line in row.fields), 20)
    values = _FIELDS + label + 2 if any(row.fields for row in rows) else 0
    what_start = max(name + 2, values)
    details_start = (
        what_start + _widest((columns(row.what) for row in rows), max(12, width // 4)) + 2
    )
    room = width - max((columns(row.place) for row in rows), default=0) - 2 - details_start
    fitting = (size for row in rows if (size := columns(" ".join(row.pieces))) <= room)
    place_start = details_start + max(fitting, default=0) + 2
    row_indent, field_indent = _FIELDS, _FIELDS + 2
    if what_start <= width // 2:
        row_indent = field_indent = what_start
    lines: list[str] = []
    for row, indent in zip(rows, indents, strict=True):
        head = _pad_to(" " * indent + paint(f"{row.sign} {row.name}", row.sign, color), what_start)
        where = paint(row.place, "faint", color)
        line = head + row.what
        if row.what and row.pieces:
            line = _pad_to(line, details_start)
        line += " ".join(row.pieces)
        line = _pad_to(line, place_start) + where if where else line
        if columns(line) <= width:
            lines.append(line.rstrip(" "))
        else:
            cells = [f"{row.what}   "] if row.what else []
            atoms = [Atom(each) for each in (*cells, *row.pieces)]
            atoms += [Atom(where, gap="   ")] if where else []
            lines += flow(atoms, start=head, indent=row_indent, width=width)
        for each in row.fields:
            start = _pad_to(" " * _FIELDS + paint(each.label, each.sign, color), what_start)
            atoms = [
                Atom(paint(f"{atom.lead}{atom.text}", atom.sign, color), gap=atom.gap)
                for atom in each.atoms
            ]
            lines += flow(atoms, start=start, indent=field_indent, width=width)
    return lines


def _widest(sizes: Iterable[int], most: int) -> int:
    """Return the widest size up to `most`, so that an outlier does not widen the column."""
    return max((size for size in sizes if size <= most), default=0)


def _pad_to(text: str, column: int) -> str:
    """Pad `text` to `column`, with at least two spaces."""
    return text + " " * max(2, column - columns(text))
