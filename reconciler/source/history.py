"""Read files from commits, which files git tracks, and which branches there are.

`Commit` reads everything that a run takes from git: the files of `--base`, policies of the base
branch, and the configuration of a reconciler. The working tree is not changed, no hooks or filters
run, and of links only those to files of the same commit are followed. If git
cannot provide the files (a shallow clone, no repository, no git), NoBaseError has the reason.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, TypeAlias

from reconciler.source import files

Git: TypeAlias = Callable[[Sequence[str]], bytes | None]
"""Runs git with the arguments in the working directory; None if it fails.

A search (`grep`) that finds nothing has not failed.
"""


class NoBaseError(Exception):
    """A commit cannot be read; the message is the reason. The hint may be empty."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


_COMMIT: Final = re.compile(r"[0-9a-f]{12,64}")
_NULL: Final = r"0{40}(?:0{24})?"  # SHA-1 or SHA-256
_LAST: Final = ("log", "-1", "--no-follow", "--no-show-signature", "--abbrev=12")
_REGULAR: Final = ("100644", "100755")
_LINKS: Final = ("120000", "160000")
"""The modes of a link and of a submodule."""
_SIMILAR: Final = 50
"""The percentage from which git calls two files a rename."""


# The files of a commit


class Commit(NamedTuple):
    """The files of a commit. Names are relative to `directory`, as on disk."""

    id: str
    directory: Path
    git: Git

    def read_file(self, name: str) -> files.SourceFile:
        """Return a regular file.

        Raises MissingFileError if the commit has no such file, and NotReadableError if its path
        leads through a link or a submodule, or if git fails: then its content is not known.
        """
        name = files.display_name(self.directory / name, self.directory)
        path = PurePosixPath(name)
        steps = _steps(path)
        missing = files.MissingFileError(f"does not exist at commit {self.id}")
        try:
            entries = {entry.name: entry for entry in self._list(self.id, "--", *steps)}
        except files.NotReadableError:
            # Git fails for a path outside of the repository, but certainly no commit has that file.
            if self._is_outside(path):
                raise missing from None
            raise
        for step in steps:
            if step in entries and entries[step].mode in _LINKS:
                hint = "use the path behind it, even on the base branch"
                raise files.NotReadableError(f"leads through {step}, a link or a submodule", hint)
        if name not in entries or entries[name].mode not in _REGULAR:
            raise missing
        return self._source_file(entries[name])

    def read(self, paths: Sequence[str]) -> files.Sources:
        """Return the files that `paths` include, or without paths those of the default.

        Raises NoBaseError.
        """
        if re.fullmatch(_NULL, self.id):
            return files.Sources()
        for path in paths:
            if path == files.STDIN:
                raise NoBaseError("standard input (-f -) has no history")
        roots = [self._root(path) for path in paths or files.DEFAULT_FILES]
        read_files: dict[str, files.SourceFile] = {}
        try:
            entries = self._list("-r", self.id, "--", *roots)
            for path in paths or (_default_path(entries),):
                for name, entry in self._included(path, entries).items():
                    read_files.setdefault(name, self._source_file(entry))
        except files.NotReadableError as problem:
            reason = f"a file of the configuration {problem}"
            raise NoBaseError(reason, problem.hint) from None
        return files.Sources(files=tuple(read_files.values()), read_parent=self.read_file)

    def _root(self, path: str) -> str:
        """Return the name of a path, or of the folder in which a glob matches files."""
        if files.is_glob(path, self.directory):
            path = files.fixed_part(path)
        return files.display_name(self.directory / path, self.directory)

    def _included(self, path: str, entries: Iterable[_Entry]) -> dict[str, _Entry]:
        """Return the regular files that a path includes, in order, by their names behind links.

        Raises NotReadableError.
        """
        matches = files.file_matcher(self.directory, path)
        included: dict[str, _Entry] = {}
        # A file with several names has the first of them, as on disk.
        for entry in filter(lambda entry: matches(entry.name), entries):
            if entry.mode in _LINKS:
                target = self._behind(entry)
                if target.mode in _REGULAR:
                    included.setdefault(target.name, target._replace(name=entry.name))
            elif entry.mode in _REGULAR:
                included.setdefault(entry.name, entry)
        if not included:
            # Behind a link or in a submodule there may be files, which are not known.
            with suppress(files.MissingFileError):
                self.read_file(path)
        return dict(sorted(included.items(), key=lambda item: item[1].name))

    def _behind(self, link: _Entry) -> _Entry:
        """Return the file or folder to which a link leads, without another link on the way.

        Raises NotReadableError, as for a submodule.
        """
        with suppress(files.NotReadableError):
            target = os.fsdecode(_read(self.git, "cat-file", "blob", link.object))
            name = files.file_name(target, link.name)
            for entry in self._list(self.id, "--", name):
                if entry.name == name and entry.mode not in _LINKS:
                    return entry
        self.read_file(link.name)
        raise AssertionError  # it refuses a link

    def _list(self, *arguments: str) -> list[_Entry]:
        """Return what `git ls-tree` lists. Raises NotReadableError."""
        return list(_entries(_read(self.git, "--literal-pathspecs", "ls-tree", "-z", *arguments)))

    def _source_file(self, entry: _Entry) -> files.SourceFile:
        content = _read(self.git, "cat-file", "blob", entry.object)  # fails in a partial clone
        return files.SourceFile(file=entry.name, raw=files.limited(content))

    def _is_outside(self, path: PurePosixPath) -> bool:
        """Return whether a path is outside of the repository."""
        folder = folder_in(self.git)
        if folder is None:
            return False
        inside = posixpath.normpath(posixpath.join(folder, str(path)))
        return inside.startswith("..") or path.is_absolute()


def _default_path(entries: Iterable[_Entry]) -> str:
    """Return the path that is read without `-f`."""
    names = [PurePosixPath(entry.name) for entry in entries]
    for default in files.DEFAULT_FILES:
        if any(name.is_relative_to(default) for name in names):
            return default
    return files.DEFAULT_FILE


def _steps(path: PurePosixPath) -> list[str]:
    """Return a path with the folders around it.

    Git follows no link and no submodule, so a file behind one seems to be missing.
    """
    return [str(step) for step in (path, *path.parents) if step.name not in ("", "..")]


class _Entry(NamedTuple):
    """A file or folder in a listing of git. `object` is the id of its content, for `ls-tree`."""

    mode: str
    object: str
    name: str


def _entries(listing: bytes) -> Iterator[_Entry]:
    """Yield the entries that `ls-tree` or `ls-files --stage` lists."""
    for line in filter(None, listing.split(b"\0")):
        about, _, name = line.partition(b"\t")
        # `ls-tree` ends with the id, `ls-files` with the stage, which nothing uses.
        mode, *_, last = about.decode().split(" ")
        yield _Entry(mode, last, str(PurePosixPath(os.fsdecode(name))))


def _regular(entries: Iterable[_Entry]) -> Iterator[_Entry]:
    """Yield the regular files of a listing."""
    return (entry for entry in entries if entry.mode in _REGULAR)


@lru_cache(maxsize=1024)
def _read(git: Git, *arguments: str) -> bytes:
    """Return the output of a command about a commit or a blob: for a hash, it is always the same.

    Raises NotReadableError if git fails, which may be temporary.
    """
    output = git(arguments)
    if output is None:
        raise files.NotReadableError("cannot be read by git")
    return output


# Revisions


def is_revision(named: Sequence[str], directory: Path) -> bool:
    """Return whether the values of `--base` are one revision, not the paths of files."""
    return len(named) == 1 and named[0] != files.STDIN and not os.path.exists(directory / named[0])


def commit_of(revision: str, git: Git) -> str | None:
    """Return the abbreviated hash of the commit that a revision names now; None without one."""
    # A revision may start with a dash, or be a tag, which has a separate hash.
    named = ["--end-of-options", f"{revision}^{{commit}}"]
    return _commit(git(["rev-parse", "--verify", "--quiet", "--short=12", *named]))


def commit_at(revision: str, directory: Path, git: Git) -> Commit | None:
    """Return the commit that a revision names now, in any form that git understands, or None.

    The null commit, which CI systems pass before a branch's first push, has no files.
    """
    commit: str | None = revision
    if not re.fullmatch(_NULL, revision):
        commit = commit_of(revision, git)
    if commit is None:
        return None
    return Commit(commit, directory, git)


def _commit(output: bytes | None) -> str | None:
    commit = (output or b"").decode("ascii", "replace").strip()
    return commit if _COMMIT.fullmatch(commit) else None


# What commits changed


class Change(NamedTuple):
    """A commit that changed files, the one before it, and earlier names of files it renamed.

    `time` is that of the commit, as GitHub writes it.
    """

    commit: str
    before: str
    renamed: frozenset[str]
    time: str


def last_change(
    names: Collection[str], folders: Iterable[str], others: Iterable[str], until: Commit
) -> Change | None:
    """Return the last commit that changed a file of `names` or below `folders`, if there is one.

    Below `folders`, only configuration files count, without `others`. Before the first commit of
    all is the null commit. Raises NoBaseError if git fails, or where a shallow clone ends.
    """
    directory, git = until.directory, until.git
    if re.fullmatch(_NULL, until.id):
        return None
    # A merge brings its changes to the branch at once: its parent is what was applied before.
    options = ["--first-parent", "-m", "--format=%ct %h %p", "--name-status", "--no-renames"]
    specs = _pathspecs(names, folders, others, directory)
    listing = git([*_LAST, *options, until.id, "--", *specs])
    if listing is None:
        raise NoBaseError("git cannot list the file changes")
    if not listing:
        return None
    hashes, *statuses = listing.decode("ascii", "replace").splitlines()
    seconds, commit, *parents = hashes.split()
    # A shallow clone shows its oldest commit as if it had no parent.
    if not parents and is_shallow(git):
        raise NoBaseError(
            f"this clone is shallow and lacks the commit before {commit}, which changed the files; "
            "fetch it with `git fetch --unshallow`"
        )
    before = parents[0] if parents else "0" * 40
    renamed: Collection[str] = ()
    # What it added may have had another name before.
    if parents and any(status.startswith("A") for status in statuses):
        now = Commit(commit, directory, git)
        renamed = renames(Commit(before, directory, git), tuple(names), now)
    time = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Change(commit, before, frozenset(renamed), time)


def _pathspecs(
    names: Iterable[str], folders: Iterable[str], others: Iterable[str], directory: Path
) -> Iterator[str]:
    """Yield the files for git: `names`, and the configuration files of folders but `others`.

    A folder may be a glob, which also matches files.
    """
    for name in names:
        yield f":(literal){name}"
    for folder in folders:
        escaped = re.sub(r"[][*?\\]", r"\\\g<0>", folder)
        if files.is_glob(folder, directory):
            escaped = folder
            yield f":(glob){folder}"
        # In any case, as files.py reads them from a folder.
        for suffix in ("[yY][aA][mM][lL]", "[yY][mM][lL]"):
            yield f":(glob){escaped}/**/*.{suffix}"
    for name in others:
        yield f":(exclude,literal){name}"


def is_shallow(git: Git) -> bool:
    """Return whether a clone lacks commits, or git does not know it."""
    return (git(["rev-parse", "--is-shallow-repository"]) or b"").strip() != b"false"


def removal(span: str, spec: str, git: Git) -> str | None:
    """Return the last commit of a span that removed a file of a pathspec, abbreviated, if any."""
    options = ["--format=%h", "--diff-filter=D", "--end-of-options", span]
    return _commit(git([*_LAST, *options, "--", spec]))


def were_moved(
    names: Iterable[str], paths: Sequence[str], directory: Path, git: Git, *, rewritten: bool
) -> bool:
    """Return whether git has no files at paths any more, and `paths` include what one became.

    The disk is not asked: a sparse checkout lacks the files of others. Only if it may be
    `rewritten`, a file with less than half of a former one counts: it may be of another setup.
    """
    became = renames if rewritten else _kept
    now = Commit("HEAD", directory, git)
    specs = {
        name: f":({'glob' if files.has_wildcard(name) else 'literal'}){name}" for name in names
    }
    if git(["ls-files", "--", *specs.values()]) != b"":
        return False
    for name, spec in specs.items():
        removed_by = removal("HEAD", spec, git)
        if removed_by is not None:
            before = Commit(f"{removed_by}^", directory, git)
            matches = files.file_matcher(directory, name)
            if any(map(matches, became(before, paths, now))):
                return True
    return False


def renames(commit: Commit, paths: Sequence[str], now: Commit | None) -> Mapping[str, str]:
    """Return the current names of included files that were renamed, by their old names.

    These are the names in the commit `now`, or else in the index.
    """
    return {
        old: new
        for old, new, percent in _renamed(commit, paths, now)
        if percent >= _SIMILAR or _declares(commit, old)
    }


def _kept(commit: Commit, paths: Sequence[str], now: Commit) -> Iterator[str]:
    """Yield the old names of such files of which at least half is in the new one."""
    for old, new, percent in _renamed(commit, paths, now):
        with suppress(files.NotReadableError):
            sizes = [len(commit.read_file(old).raw), len(now.read_file(new).raw)]
            # The percentage is of the larger file: one that others were merged into has more.
            if percent * max(sizes) >= _SIMILAR * sizes[0]:
                yield old


def _renamed(
    commit: Commit, paths: Sequence[str], now: Commit | None
) -> Iterator[tuple[str, str, int]]:
    """Yield the old and the new name of each such file, and the percentage that is the same."""
    if re.fullmatch(_NULL, commit.id):
        return
    options = ["--name-status", "-z", "--find-renames=1%", "--diff-filter=R", "--relative"]
    versions = ["--cached", commit.id] if now is None else [commit.id, now.id]
    listing = commit.git(["diff", *options, *versions]) or b""
    names = list(map(os.fsdecode, listing.split(b"\0")))
    included = paths or (files.default_path(commit.directory),)
    is_included = files.file_matcher(commit.directory, *included)
    # Each rename has three fields: the status, the old name and the new one.
    for status, old, new in zip(names[::3], names[1::3], names[2::3], strict=False):
        if is_included(new):
            yield old, new, int(status[1:])


def _declares(commit: Commit, name: str) -> bool:
    """Return whether a file that was removed looks like one with webhooks of this program.

    Then a new file has probably replaced it, however much of it was rewritten.
    """
    with suppress(files.NotReadableError):
        raw = commit.read_file(name).raw
        declares = re.search(files.DECLARES_WEBHOOKS, raw) is not None
        return declares and b"apiVersion" not in raw
    return False


# Branches


def has_branch(git: Git, name: str) -> bool:
    """Return whether a branch exists here or, as far as git knows, in `origin`."""
    references = (f"refs/heads/{name}", f"refs/remotes/origin/{name}")
    return any(git(["rev-parse", "--verify", "--quiet", reference]) for reference in references)


def has_all_branches(git: Git, head: str) -> bool:
    """Return whether a clone certainly has all branches of `origin`.

    `head` is the commit of an open pull request.
    """
    # After a checkout of one commit, a step may fetch the target branch, but not that of `head`.
    contained = git(["for-each-ref", f"--contains={head}", "refs/heads", "refs/remotes/origin"])
    fetched = git(["config", "--get-all", "remote.origin.fetch"]) or b""
    is_configured = b"+refs/heads/*:refs/remotes/origin/*" in fetched.split()
    return bool(contained) and is_configured and not is_shallow(git)


def default_branch(git: Git) -> str:
    """Return the branch that is applied; empty if git does not know the default branch."""

    def line(*arguments: str) -> str:
        return (git(arguments) or b"").decode().strip()

    # Only a clone has this reference; a repository that was never pushed has its own branches.
    remote = line("symbolic-ref", "--short", "refs/remotes/origin/HEAD").removeprefix("origin/")
    local = line("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    usual = [name for name in ("main", "master", "trunk") if name in local]
    current = line("symbolic-ref", "--short", "HEAD")
    return next(filter(None, (remote, *usual, current)), "")


# The working tree


def tracked(
    names: Iterable[str], *, directory: Path, git: Git, commit: Commit | None = None
) -> frozenset[str]:
    """Return the paths of `names` whose content git tracks, or a commit has; none without git."""
    listed = ["ls-files", "--stage"] if commit is None else ["ls-tree", commit.id]
    command = ["--literal-pathspecs", *listed, "-z", "--"]
    paths = {name: files.display_name(directory / name, directory) for name in names}
    if not paths:
        return frozenset()  # without paths, git would list everything
    listing = git([*command, *paths.values()])
    if listing is None:  # for all, if one is outside of the repository
        listing = b"".join(git([*command, path]) or b"" for path in paths.values())
    in_git = {entry.name for entry in _regular(_entries(listing))}
    return frozenset(name for name, path in paths.items() if path in in_git)


def matching_lines(texts: Iterable[str], git: Git, commit: Commit | None) -> dict[str, bytes]:
    """Return the lines with one of `texts`, by the names of the configuration files that have some.

    These are all files of a commit, in any folder, else those in the working tree that git tracks;
    none outside of a repository. Raises NotReadableError if git cannot search them.
    """
    # Each of the first options may be set otherwise in the configuration of git.
    options = ["--no-full-name", "--no-line-number", "--no-column", "--no-color"]
    options += ["--no-recurse-submodules", "--text", "--fixed-strings", "-z"]
    patterns = [word for text in texts for word in ("-e", text)]
    revision, prefix = [], b""
    if commit is not None:
        revision, prefix = [commit.id], f"{commit.id}:".encode()
    specs = [f":(top,icase)*{suffix}" for suffix in files.SUFFIXES]
    output = git(["grep", *options, *patterns, *revision, "--", *specs])
    if output is None:
        if commit is None and folder_in(git) is None:
            return {}
        raise files.NotReadableError("cannot be searched by git")
    lines: defaultdict[str, bytes] = defaultdict(bytes)
    for match in filter(None, output.split(b"\n")):
        name, _, line = match.partition(b"\0")
        lines[os.fsdecode(name.removeprefix(prefix))] += line + b"\n"
    return lines


# Git


def git_in(directory: Path) -> Git:
    """Return a function that runs git in `directory`."""

    def run(arguments: Sequence[str]) -> bytes | None:
        import subprocess  # most runs do not need git

        program = _program()
        if program is None:
            return None
        try:
            return subprocess.check_output(  # noqa: S603 - no shell, all arguments are ours or paths
                [program, *arguments],
                cwd=directory,
                # Standard input may be the configuration (`-f -`), which git must not read.
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
            )
        except subprocess.CalledProcessError as failure:
            # A search without a match ends with 1, a search that fails with 128.
            is_without_match = arguments[0] == "grep" and failure.returncode == 1
            return b"" if is_without_match else None
        # ValueError: a path with a NUL character.
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    return run


def folder_in(git: Git) -> str | None:
    """Return the working directory, from the top folder of its repository; None without one.

    The top folder is "".
    """
    prefix = git(["rev-parse", "--show-prefix"])
    return None if prefix is None else os.fsdecode(prefix).removesuffix("\n").rstrip("/")


def no_git(arguments: Sequence[str]) -> bytes | None:
    """Run nothing: for callers of the library that want no git."""
    return None


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
