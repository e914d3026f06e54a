"""Bugs that the simulation must find, as edits to a copy of the package."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.goldens import cases

SEEDS = 600
"""The maximum number of histories to find a bug."""


class Bug(NamedTuple):
    """A bug: in `file` of the package, `old` becomes `new`.

    The first history to reveal it comes soon after the seed `start`.
    """

    file: str
    old: str
    new: str
    start: int = 0


def _bug(place: str, edit: str, new: str) -> Bug:
    file, _, start = place.partition(" ")
    return Bug(file, edit.removesuffix("\n"), new.removesuffix("\n"), int(start or 0))


BUGS = {
    title: _bug(*text.split("\n", 1), new)
    for title, (text, new) in cases(Path(__file__).with_name("bugs.txt")).items()
}
"""By title in bugs.txt: file and start, the old lines, and the new ones."""
