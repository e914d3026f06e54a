"""Where in a file something is written: exact positions and source lines for findings."""

from __future__ import annotations

from reconciler.findings import Position
from reconciler.model import Path


def locate(text: str, file: str, path: Path, *, key: bool = False) -> Position:
    """Return where the value at `path` is written, or with `key` the key that introduces it.

    Aliases and merges lead to the place where the value itself stands. What does not exist is
    anchored at the nearest ancestor that does: its key, or for a list item its `name`.
    """
    raise NotImplementedError


def excerpt(text: str, position: Position) -> str:
    """Return the source line of `position` with everything that may be secret starred out."""
    raise NotImplementedError


def comment_after(text: str, path: Path) -> str | None:
    """Return the comment that stands where the (empty) value at `path` should be, if one does."""
    raise NotImplementedError
