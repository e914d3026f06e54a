#!/usr/bin/env python3
"""Prepare a release, or print the notes of one.

    python scripts/release.py prepare 0.2.0    edits the files of the release commit
    python scripts/release.py notes v0.2.0     prints the changelog's section, for the workflow

`prepare` sets the version, gives the changelog's `Unreleased` section the version and the date,
and makes workflows and documents install that version from PyPI instead of a commit.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
VERSION_FILE: Final = ROOT / "reconciler" / "__init__.py"
CHANGELOG: Final = ROOT / "CHANGELOG.md"
WORKFLOWS_MODULE: Final = ROOT / "reconciler" / "ci" / "workflows.py"
"""The module that decides what workflows install: `_RELEASED`."""

_VERSION: Final = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_NUMBER: Final = re.compile(r"\d+\.\d+\.\d+")
_REQUIREMENT: Final = re.compile(
    r"cloudtruth-webhooks(?: @ git\+https://[\w./-]+@COMMIT|==\d[\w.]*)"
)

SENTENCES: Final = {
    "README.md": (
        (
            "It is not on PyPI yet: install from a clone or from a commit of this repository.",
            "To install a release: `pipx install cloudtruth-webhooks`.",
        ),
    ),
    "docs/github.md": (
        (
            "`COMMIT` is the commit of cloudtruth-webhooks that you reviewed; the workflows "
            "install the same one.",
            "The workflows install the same version.",
        ),
    ),
    "docs/ci.md": (
        (
            "`COMMIT` is the commit of cloudtruth-webhooks that you reviewed:",
            "the version is the one that you reviewed:",
        ),
    ),
}
"""By document: sentences before the first release, and their replacements."""

REQUIREMENTS: Final = {"docs/github.md": 2, "docs/ci.md": 1}
"""The documents that install the program, and how often."""


def version() -> str:
    """Return the version in the source."""
    found = _VERSION.search(VERSION_FILE.read_text("utf-8"))
    assert found is not None
    return found[1]


def notes(tag: str) -> str:
    """Return the changelog's section for the version in the source.

    Raises ValueError if the tag is for another version, or there is no section.
    """
    if tag != f"v{version()}":
        raise ValueError(f"the tag {tag} does not match version {version()}")
    heading = re.escape(version())
    text = CHANGELOG.read_text("utf-8")
    found = re.search(rf"^## \[{heading}\][^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if found is None or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no section for {version()}")
    return found[1].strip() + "\n"


def prepare(new: str) -> None:
    """Edit the files of a release commit. Raises ValueError for an invalid version."""
    if not _NUMBER.fullmatch(new):
        raise ValueError(f"{new} is not a version such as 0.2.0")
    if f"## [{new}]" in CHANGELOG.read_text("utf-8"):
        raise ValueError(f"CHANGELOG.md already has a section for {new}")
    today = datetime.now(UTC).date().isoformat()
    _edit(VERSION_FILE, _VERSION, f'__version__ = "{new}"')
    _edit(CHANGELOG, re.compile(r"^## \[Unreleased\]$", re.M), f"\\g<0>\n\n## [{new}] - {today}")
    first = "_RELEASED: Final = False" in WORKFLOWS_MODULE.read_text("utf-8")
    _edit(
        WORKFLOWS_MODULE, re.compile(r"^_RELEASED: Final = \w+$", re.M), "_RELEASED: Final = True"
    )
    for name, sentences in SENTENCES.items():
        for before, after in sentences if first else ():
            words = re.compile(r"\s+".join(map(re.escape, before.split())))
            _edit(ROOT / name, words, after)
    for name, times in REQUIREMENTS.items():
        _edit(ROOT / name, _REQUIREMENT, f"cloudtruth-webhooks=={new}", times=times)


def _edit(path: Path, pattern: re.Pattern[str], replacement: str, *, times: int = 1) -> None:
    text, count = pattern.subn(replacement, path.read_text("utf-8"))
    if count != times:
        raise ValueError(f"{path.name}: {pattern.pattern} occurs {count} times, not {times}")
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["prepare", new]:
                prepare(new)
            case ["notes", tag]:
                sys.stdout.write(notes(tag))
            case _:
                sys.exit(__doc__)
    except ValueError as problem:
        sys.exit(f"::error::{problem}")
