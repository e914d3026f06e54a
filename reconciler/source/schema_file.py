"""The JSON files the package ships: found in the wheel, and beside an editable checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")


def schema_text(name: str) -> str:
    """Return the text of `schemas/<name>`; raises FileNotFoundError if there is no such file."""
    for place in _PLACES:
        path = place / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(name)
