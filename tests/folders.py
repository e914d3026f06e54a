"""Folders for tests: files, git repositories, and edited copies of the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.waiting import TIMEOUT

ROOT: Final = Path(__file__).parents[1]


def write(folder: Path, files: Mapping[str, str]) -> dict[Path, bytes]:
    """Write files into a folder and return their contents."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return {folder / name: text.encode() for name, text in files.items()}


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity, and return its output."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str = "a commit") -> str:
    """Commit everything in a folder, also if nothing changed, and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def tracked() -> list[str]:
    """Return the files that git tracks; skip the test outside a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("only a checkout has a list of its files")
    names = git(ROOT, "ls-files", "-z").split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def copy_parts(folder: Path, *names: str) -> None:
    """Copy folders and files of this repository, and pyproject.toml."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
    for name in (*names, "pyproject.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)


def python(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder whose packages come before installed ones."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**kept, **environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@contextmanager
def running(folder: Path, *command: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, which may import this repository, in a block; yield its process.

    Its output and its errors are one stream.
    """
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=folder, env={**kept, **environ}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


Edit = Callable[[str], str]


def line_after(anchor: str, line: str) -> Edit:
    """Return an edit that inserts a line below the line with `anchor`."""

    def edit(text: str) -> str:
        assert text.count(anchor) == 1, anchor
        at = text.index("\n", text.index(anchor)) + 1
        return text[:at] + line + text[at:]

    return edit


def replacing(old: str, new: str) -> Edit:
    """Return an edit that replaces the only occurrence of `old`."""

    def edit(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return edit


def new_file(path: Path) -> Edit:
    """Return an edit that creates a file with the content of another."""

    def edit(text: str) -> str:
        assert not text
        return path.read_text("utf-8")

    return edit


class ProgramCopy:
    """A copy of the program in a folder."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        copy_parts(folder, "reconciler", "schemas", *names)

    def add(self, edits: Mapping[str, Edit]) -> None:
        """Apply the edits, by file name."""
        for name, edit in edits.items():
            path = self.folder / name
            text = edit(path.read_text("utf-8") if path.exists() else "")
            path.write_text(text, "utf-8")

    def python(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python on the copy."""
        return python(self.folder, *arguments, **environ)

    def webhooks(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the copy."""
        return self.python("-m", "reconciler", *arguments, **environ)
