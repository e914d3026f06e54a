"""The declaration before this pull request, read out of git without touching the work tree.

The commit is the merge base, so that what others changed on the target branch meanwhile is not
taken for this pull request's. Nothing is checked out: no hook, filter or link of the repository
has a say. Where git cannot tell (a shallow clone, no git at all) there is no base, and a reason.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from reconciler.source.files import DEFAULT_FILE, STDIN, SourceFile, display_name, is_read
from reconciler.values import dataclass

Git: TypeAlias = Callable[[Sequence[str]], bytes | None]
"""Runs git with the arguments in the working directory; None if it fails."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the files said at `commit`; a file that was not there is not in `files`."""

    commit: str
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBase:
    """Why there is none, as a sentence."""

    reason: str


def git_in(directory: Path) -> Git:
    """Return how to run git in `directory`."""

    def run(arguments: Sequence[str]) -> bytes | None:
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and every argument is ours or a path
                ["git", *arguments],  # noqa: S607 - the runner's own git
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 else None

    return run


def read_base(branch_tip: str, paths: Sequence[str], *, directory: Path, git: Git) -> Base | NoBase:
    """Return what `paths` declared where this work tree and the branch at `branch_tip` part."""
    if not _COMMIT.fullmatch(branch_tip):
        return NoBase(reason="the event names no base commit")
    found = git(["merge-base", branch_tip, "HEAD"])
    commit = (found or b"").decode("ascii", "replace").strip()
    if not _COMMIT.fullmatch(commit):
        return NoBase(reason="git does not know the base commit; check out with fetch-depth: 0")
    files: dict[str, SourceFile] = {}
    for path in paths or (DEFAULT_FILE,):
        if path == STDIN:
            return NoBase(reason="standard input has no history")
        there = PurePosixPath(display_name(directory / path, directory=directory))
        listing = git(["--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", str(there)])
        if listing is None:
            return NoBase(reason="git cannot look for the files in the base commit")
        for name, blob in _entries(there, listing):
            raw = git(["cat-file", "blob", blob])
            if raw is None:
                return NoBase(reason="git cannot read the files of the base commit")
            files.setdefault(name, SourceFile(file=name, raw=raw))
    return Base(commit=commit, files=tuple(files.values()))


def _entries(path: PurePosixPath, listing: bytes) -> list[tuple[str, str]]:
    """Return name and blob of the file at `path`, or of those that are read in a directory."""
    entries: list[tuple[str, str]] = []
    for line in listing.split(b"\0"):
        about, _, raw_name = line.partition(b"\t")
        words = about.split()
        if len(words) != 3 or words[0] not in (b"100644", b"100755"):  # a link or a submodule
            continue
        name = PurePosixPath(os.fsdecode(raw_name))
        if name == path or is_read(name.relative_to(path)):
            entries.append((str(name), words[2].decode("ascii")))
    return sorted(entries)
