"""A copy of the program, to which a test adds what somebody could add by following a checklist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.waiting import PATIENCE

ROOT: Final = Path(__file__).parents[1]
Edit = Callable[[str], str]


def after(anchor: str, line: str) -> Edit:
    """Return how to put a line below the line that holds `anchor`."""

    def edit(text: str) -> str:
        assert text.count(anchor) == 1, anchor
        at = text.index("\n", text.index(anchor)) + 1
        return text[:at] + line + text[at:]

    return edit


def instead(old: str, new: str) -> Edit:
    """Return how to replace the one `old`."""

    def edit(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return edit


def new_file(path: Path) -> Edit:
    """Return how to make a file that was not there, with the content of another."""

    def edit(text: str) -> str:
        assert not text
        return path.read_text("utf-8")

    return edit


def by_script(text: str) -> str:
    """Change nothing: a script of the program writes this file."""
    return text


class Copy:
    """A copy of the program in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("reconciler", "schemas", "scripts", "docs", "examples"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def add(self, edits: Mapping[str, Edit]) -> None:
        """Make the edits, each of a file."""
        for name, edit in edits.items():
            path = self.folder / name
            text = edit(path.read_text("utf-8") if path.exists() else "")
            path.write_text(text, "utf-8")

    def python(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder, where the copy goes before what is installed."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**kept, **environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def webhooks(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the copy."""
        return self.python("-m", "reconciler", *arguments, **environ)
