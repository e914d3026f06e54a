"""Read previous revisions of configuration files from git, and which files it tracks.

The working tree is not changed, no hooks or filters run, and no links are followed. If git cannot
provide the files (a shallow clone, no repository, no git), NoBaseError has the reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from reconciler.source import files

Git: TypeAlias = Callable[[Sequence[str]], bytes | None]
"""Runs git with the arguments in the working directory; None if it fails."""

_COMMIT: Final = re.compile(r"[0-9a-f]{12,64}")


class NoBaseError(Exception):
    """The base cannot be read; the message is the reason."""


def git_in(directory: Path) -> Git:
    """Return a function that runs git in `directory`."""

    def run(arguments: Sequence[str]) -> bytes | None:
        import subprocess  # most runs do not need git

        if (program := _program()) is None:
            return None
        try:
            return subprocess.check_output(  # noqa: S603 - no shell, all arguments are ours or paths
                [program, *arguments],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    return run


def _program() -> str | None:
    """Return the path of git, None without it.

    Windows, and an entry of PATH such as `.`, would run a program in the current directory, which
    may be a checkout of files that others wrote.
    """
    name = "git.exe" if os.name == "nt" else "git"
    for folder in filter(os.path.isabs, os.get_exec_path()):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def read_base(branch_tip: str, paths: Sequence[str], *, directory: Path, git: Git) -> files.Sources:
    """Return the files of `paths` at the merge base of `HEAD` and `branch_tip`.

    Later commits on the branch therefore do not count as changes. A file that was renamed since
    then has the name that it had there. Raises NoBaseError.
    """
    if not _COMMIT.fullmatch(branch_tip):
        raise NoBaseError("the event has no base commit")
    commit = _commit(git(["merge-base", branch_tip, "HEAD"]))
    if commit is None:
        raise NoBaseError("the base commit is not in this clone; check out with fetch-depth: 0")
    return _read(commit, paths, directory=directory, git=git)


def _renames(commit: str, paths: Sequence[str], *, directory: Path, git: Git) -> Mapping[str, str]:
    """Return the current names of included files that were renamed, by their old names."""
    options = ["--name-status", "-z", "--find-renames", "--diff-filter=R", "--relative"]
    listing = git(["diff", "--cached", *options, commit]) or b""
    names = [os.fsdecode(each) for each in listing.split(b"\0")]
    now = paths or (files.default_path(directory),)
    reads = [files.file_matcher(path, directory) for path in now]
    return {
        old: new
        for old, new in zip(names[1::3], names[2::3], strict=False)
        if any(each(new) for each in reads)
    }


def is_revision(named: Sequence[str], directory: Path) -> bool:
    """Return whether the values of `--base` are one revision, not the paths of files."""
    return len(named) == 1 and named[0] != files.STDIN and not os.path.exists(directory / named[0])


def commit_of(revision: str, git: Git) -> str | None:
    """Return the abbreviated hash of the commit that a revision names now; None without one."""
    named = ["--end-of-options", f"{revision}^{{commit}}"]
    return _commit(git(["rev-parse", "--verify", "--quiet", "--short=12", *named]))


def read_revision(
    revision: str, paths: Sequence[str], *, directory: Path, git: Git
) -> files.Sources:
    """Return the files of `paths` at a revision, in any form that git understands.

    A file that was renamed since then has its current name. The null commit, which CI systems pass
    before a branch's first push, has no files. Raises NoBaseError.
    """
    if re.fullmatch(r"0{40}(?:0{24})?", revision):
        return files.Sources()
    commit = commit_of(revision, git)
    if commit is None:
        raise NoBaseError("not an existing path, and git has no such revision in this clone")
    found = _read(commit, paths, directory=directory, git=git)
    read_files = {each.file: each for each in found.files}
    for old, new in _renames(commit, paths, directory=directory, git=git).items():
        with suppress(files.NotReadableError):
            read_files[new] = found.read_parent(old)._replace(file=new)
            read_files.pop(old, None)
    return found._replace(files=tuple(read_files.values()))


def names_at(revision: str, paths: Sequence[str], *, directory: Path, git: Git) -> frozenset[str]:
    """Return the names of the files that `paths` include at a revision; none without git."""
    commit = commit_of(revision, git)
    if commit is None or files.STDIN in paths:
        return frozenset()
    named = paths or (files.default_path(directory),)
    matchers = [files.file_matcher(path, directory) for path in named]
    listed = _regular(git(["ls-tree", "-r", "-z", commit]) or b"")
    return frozenset(name for name in listed if any(matches(name) for matches in matchers))


def blob(revision: str, name: str, git: Git) -> bytes | None:
    """Return the content of a file at a revision."""
    return git(["cat-file", "blob", f"{revision}:./{name}"])


def removal(revision: str, name: str, git: Git) -> str | None:
    """Return the commit after `revision` that removed a file, abbreviated; None if not known."""
    span = ["--end-of-options", f"{revision}..HEAD", "--", f":(literal){name}"]
    output = git(["log", "-1", "--format=%h", "--abbrev=12", "--diff-filter=D", *span])
    return _commit(output)


def _default_at(commit: str, git: Git) -> str:
    """Return the path that is read without `-f` at a commit."""
    listing = git(["ls-tree", "-z", "--name-only", commit, "--", *files.DEFAULT_FILES]) or b""
    present = os.fsdecode(listing).split("\0")
    return next((name for name in files.DEFAULT_FILES if name in present), files.DEFAULT_FILE)


def tracked(names: Iterable[str], *, directory: Path, git: Git) -> frozenset[str]:
    """Return the paths of `names` whose content git tracks; none without git."""
    command = ["--literal-pathspecs", "ls-files", "--stage", "-z", "--"]
    shown = {name: files.display_name(directory / name, directory=directory) for name in names}
    return frozenset(
        name for name, path in shown.items() if path in _regular(git([*command, path]) or b"")
    )


def read_blob(name: str, commit: str, git: Git) -> bytes | None:
    """Return a file at a commit, None if it does not exist there.

    Raises NotReadableError if its path leads through a link or a submodule at the commit.
    """
    path = PurePosixPath(name)
    steps = [str(step) for step in (path, *path.parents) if step.name not in ("", "..")]
    listing = git(["--literal-pathspecs", "ls-tree", "-z", commit, "--", *steps]) or b""
    for line in listing.split(b"\0"):
        if line.startswith((b"120000 ", b"160000 ")):
            step = os.fsdecode(line.partition(b"\t")[2])
            hint = "use the path behind it, also on the base branch"
            raise files.NotReadableError(f"leads through {step}, a link or a submodule", hint)
    return git(["cat-file", "blob", f"{commit}:./{name}"])


def _commit(output: bytes | None) -> str | None:
    commit = (output or b"").decode("ascii", "replace").strip()
    return commit if _COMMIT.fullmatch(commit) else None


def _read(commit: str, paths: Sequence[str], *, directory: Path, git: Git) -> files.Sources:
    """Read files at a commit."""
    read_files: dict[str, files.SourceFile] = {}

    def read(name: str) -> files.SourceFile:
        name = files.display_name(directory / name, directory=directory)
        if (raw := git(["cat-file", "blob", f"{commit}:./{name}"])) is None:
            raise files.NotReadableError("does not exist at the base commit")
        return files.SourceFile(file=name, raw=raw)

    for path in paths or (_default_at(commit, git),):
        if path == files.STDIN:
            raise NoBaseError("standard input (-f -) has no history")
        if files.is_glob(path, directory):
            raise NoBaseError("globs have no history; pass a directory or files")
        there = PurePosixPath(files.display_name(directory / path, directory=directory))
        listing = git(["--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", str(there)])
        if listing is None:
            raise NoBaseError("git cannot list the files of the base commit")
        for name in sorted(filter(files.file_matcher(path, directory), _regular(listing))):
            try:
                read_files.setdefault(name, read(name))
            except files.NotReadableError:
                raise NoBaseError("git cannot read the files of the base commit") from None
    return files.Sources(files=tuple(read_files.values()), read_parent=read)


def _regular(listing: bytes) -> Iterator[str]:
    """Yield the regular files that `ls-tree` or `ls-files --stage` lists."""
    for line in listing.split(b"\0"):
        about, _, name = line.partition(b"\t")
        if about.startswith((b"100644 ", b"100755 ")):  # no links and submodules
            yield str(PurePosixPath(os.fsdecode(name)))
