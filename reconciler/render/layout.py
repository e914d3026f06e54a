"""Lay out rows in columns, wrap lines to the width of the terminal, and add color.

A row that fits is one line, with its cells aligned to those of the other rows. A row that does not
fit keeps its first cell and wraps the others. Atoms are never split, because a part of a secret
could not be found and hidden: an atom wider than the terminal overflows. SGR codes for color are
the only control characters in any output.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, NamedTuple

from reconciler.render import PLAIN, View, paint
from reconciler.render.quote import with_options
from reconciler.render.rows import Atom, Row, sentence

_INDENT = 2
_FIELDS = 6
_SGR: Final = r"\x1b\[[0-9;]*m"


def columns(text: str) -> int:
    """Return the width of `text` in terminal columns; East Asian wide characters take two."""
    shown = text
    if "\x1b" in text:  # a color takes no column
        shown = re.sub(_SGR, "", text)
    if shown.isascii():
        return len(shown)
    # Combining characters are above the one before them.
    visible = [char for char in shown if not unicodedata.combining(char)]
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in visible)
    return len(visible) + wide


def flow(atoms: Iterable[Atom], view: View, *, start: str, indent: int = 2) -> list[str]:
    """Return `start` and the atoms as lines, wrapped at the width and continued at `indent`.

    An atom after two spaces needs no gap.
    """
    lines: list[str] = []
    line, used = start, columns(start)
    for atom in atoms:
        text = with_options(atom.text, view.connection)
        size = columns(text)
        gap = "" if not line or line.endswith("  ") else atom.gap
        # A line has at least one atom: a wider one overflows, so that it can be copied.
        if used > indent and used + len(gap) + size > view.width:
            lines.append(line.rstrip(" "))
            line, used, gap = " " * indent, indent, ""
        line, used = f"{line}{gap}{text}", used + len(gap) + size
    lines.append(line.rstrip(" "))
    return lines


def paragraphs(texts: Iterable[str], view: View) -> list[str]:
    """Return each sentence as wrapped lines."""
    lines: list[str] = []
    for text in texts:
        lines += flow(sentence(text), view, start="")
    return lines


def message_lines(start: str, text: str, view: View, indent: int = 2) -> list[str]:
    """Return `start` and a message, wrapped only on a narrow terminal: logs are searched."""
    if view.width >= PLAIN.width:
        return [f"{start} {with_options(text, view.connection)}"]
    return flow(sentence(text), view, start=start, indent=indent)


def joined(*sections: Sequence[str]) -> str:
    """Join the sections that have lines with an empty line between them."""
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


class _Columns(NamedTuple):
    """Where the cells of a table start, and the indents of lines that continue a row or a field."""

    what: int
    details: int
    place: int
    row_indent: int
    field_indent: int


def lay_out(rows: Sequence[Row], view: View) -> list[str]:
    """Return the lines of `rows`, their fields below them.

    Columns (action, details, position) are aligned over all rows, each at most its share of the
    width.
    """
    table = _columns_of(rows, view.width)
    lines: list[str] = []
    for row in rows:
        lines += _row_lines(row, table, view)
        for field in row.fields:
            start = _pad_to(" " * _FIELDS + paint(field.label, field.sign, view), table.what)
            atoms = [
                Atom(paint(f"{atom.lead}{atom.text}", atom.sign, view), gap=atom.gap)
                for atom in field.atoms
            ]
            lines += flow(atoms, view, start=start, indent=table.field_indent)
    return lines


def _columns_of(rows: Sequence[Row], width: int) -> _Columns:
    names = (_indent(row) + 2 + columns(row.name) for row in rows)
    what = 2 + widest(names, _INDENT + 2 + max(12, width // 3))
    labels = [columns(field.label) for field in chain.from_iterable(row.fields for row in rows)]
    if labels:
        # A long label is rare, and must not push all values to the right.
        what = max(what, _FIELDS + widest(labels, 20) + 2)
    details = what + 2 + widest((columns(row.what) for row in rows), max(12, width // 4))
    room = width - max((columns(row.place) for row in rows), default=0) - 2 - details
    # Only the rows that fit are aligned; the others are wrapped. That of a group has one text.
    placed = (columns(" ".join(row.pieces)) for row in rows if row.what or row.place)
    place = details + widest(placed, room) + 2
    # Below a wide first column, continued lines would be too narrow: they start further left.
    if what <= width // 2:
        return _Columns(what, details, place, row_indent=what, field_indent=what)
    return _Columns(what, details, place, row_indent=_FIELDS, field_indent=_FIELDS + 2)


def _row_lines(row: Row, table: _Columns, view: View) -> list[str]:
    """Return a row in one line, or wrapped if it does not fit."""
    head = " " * _indent(row) + paint(f"{row.sign} {row.name}", row.sign, view)
    head = _pad_to(head, table.what)
    place = paint(row.place, "faint", view)
    line = head + row.what
    # Without a reason nothing has to be aligned.
    if row.what and row.pieces:
        line = _pad_to(line, table.details)
    line += " ".join(row.pieces)
    if place:
        line = _pad_to(line, table.place) + place
    if columns(line) <= view.width:
        return [line.rstrip(" ")]
    atoms = [Atom(piece) for piece in row.pieces]
    if row.what:  # the spaces separate what would be columns
        atoms.insert(0, Atom(f"{row.what}  "))
    if place:
        atoms.append(Atom(place, gap="   "))
    return flow(atoms, view, start=head, indent=table.row_indent)


def _indent(row: Row) -> int:
    if row.nested:
        return 2 * _INDENT
    return _INDENT


def widest(sizes: Iterable[int], most: int) -> int:
    """Return the widest size up to `most`, so that an outlier does not widen the column."""
    return max((size for size in sizes if size <= most), default=0)


def _pad_to(text: str, column: int) -> str:
    """Pad `text` to `column`, with at least two spaces."""
    return text + " " * max(2, column - columns(text))
