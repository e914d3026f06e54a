"""Find and read files.

A path may be a file, `-` for standard input, a directory, or a glob such as `teams/**/*.yaml`. A
directory means every `*.yaml` and `*.yml` (in any case) in it and in its subdirectories, sorted by
path. Hidden files and directories are skipped. Links to directories are not followed, except in a
path or in the part of a glob before its first wildcard. Only regular files of limited size are
read, and reading never blocks: a pipe is refused. Every path that cannot be read is reported, and
the other files are still returned, so that one run reports all errors.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice, takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Final, NamedTuple

from reconciler.findings import Finding, error, near

DEFAULT_FILES: Final = ("webhooks.yaml", "webhooks.yml", "webhooks")
"""The paths that are read without `-f`: the first that exists; the last one is a folder."""
DEFAULT_FILE: Final = DEFAULT_FILES[0]

STDIN: Final = "-"
STDIN_NAME: Final = "<stdin>"
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""The maximum size of a file in bytes: far above 100,000 webhooks."""

SUFFIXES: Final = (".yaml", ".yml")
"""The suffixes, in any case, of the files that are read of a folder or a glob."""
IDENTITY: Final = ("organization", "api_key", "profile")
"""The keys that name the organization of a file."""
DECLARES_WEBHOOKS: Final = rb"""(?m)^["']?webhooks["']? *:"""
"""What shows that a file declares webhooks, without parsing it."""


class SourceFile(NamedTuple):
    """One file as it was read.

    `file` is its name for display and positions: relative to the working directory if the file is
    inside, with forward slashes.
    """

    file: str
    raw: bytes

    def __repr__(self) -> str:
        return f"SourceFile({self.file!r})"  # the content may have secrets


ReadParent = Callable[[str], SourceFile]
"""Reads a parent file, given its name. Raises NotReadableError."""


_PARENT_HINT: Final = "extend a YAML file in this repository; the path is relative to the file"


class NotReadableError(Exception):
    """A file cannot be read. The message completes "it ..." and contains none of the content."""

    def __init__(
        self,
        reason: str,
        hint: str = "pass a readable YAML file, or a directory with `*.yaml` or `*.yml` files",
    ) -> None:
        super().__init__(reason)
        self.hint = hint


class MissingFileError(NotReadableError):
    """A file does not exist."""


# Parents


def _parents_in(directory: Path) -> ReadParent:
    """Return a reader of parents on disk, limited to the repository of the working directory."""

    def read_parent(name: str) -> SourceFile:
        path = directory / name
        check_real_path(name, directory)
        try:
            raw = read_regular(path)
        except NotReadableError as cause:
            raise NotReadableError(str(cause), _PARENT_HINT) from None
        return SourceFile(file=display_name(path, directory), raw=raw)

    return read_parent


def check_real_path(name: str, directory: Path) -> None:
    """Refuse a file outside of the repository of `directory`, or behind a link or in a submodule.

    A change behind a link would change the configuration without changing any file that the review
    and CI know. Raises NotReadableError.
    """
    here = Path(os.path.realpath(directory))
    # Without a repository, any file may be extended, but not through a link either.
    root = repository_of(here) or Path(here.anchor)
    written = Path(os.path.normpath(here / name))
    if not written.is_relative_to(root):  # possibly an absolute path with a link before the root
        written = Path(os.path.normpath(here / os.path.relpath(name, directory)))
    real = Path(os.path.realpath(written))
    if not (written.is_relative_to(root) and real.is_relative_to(root)):
        raise NotReadableError("is outside of this repository", _PARENT_HINT)
    folders = [folder for folder in written.parents if root in folder.parents]
    _refuse_links((written, *folders), here)
    for folder in filter(_is_repository, folders):
        shown = display_name(folder, here)
        hint = "copy the file into this repository"
        # Without a repository here, the file that extends it is likely in the same one.
        if root == Path(here.anchor):
            hint = f"run the command in {shown} if both files are in it"
        raise NotReadableError(f"is in the submodule or repository {shown}", hint)


def repository_of(path: str | Path) -> Path | None:
    """Return the top folder of the repository around a path, behind links; None without one."""
    try:
        real = Path(os.path.realpath(path))
    except FileNotFoundError:  # the working directory was deleted
        return None
    return next(filter(_is_repository, (real, *real.parents)), None)


def other_repository(names: Iterable[str], directory: Path) -> str:
    """Return the name of a repository with files, empty if there is none or `directory` is in one.

    Git, which runs in `directory`, knows none of these files.
    """
    repositories = _repositories(names, directory)
    if not repositories or repository_of(directory) in repositories:
        return ""
    return display_name(min(repositories), directory)


def further_repositories(names: Iterable[str], directory: Path) -> list[str]:
    """Return the names of the repositories with files of a run, beside that of `directory`."""
    here = repository_of(directory)
    others = sorted(_repositories(names, directory) - {here})
    return [display_name(repository, directory) for repository in others]


def _repositories(names: Iterable[str], directory: Path) -> set[Path]:
    paths = [directory / name for name in names if name != STDIN_NAME]
    # A file outside of all repositories has no history.
    return set(filter(None, map(repository_of, paths)))


def _is_repository(folder: Path) -> bool:
    # `.git` is a file in a worktree and in a submodule.
    return os.path.exists(folder / ".git")


def _refuse_links(steps: Iterable[Path], here: Path) -> None:
    for step in steps:
        if step.is_symlink():
            target = display_name(Path(os.path.realpath(step)), here)
            raise NotReadableError(
                f"leads through the link {display_name(step, here)}",
                f"use the path behind the link, {target}",
            )


# Reading


class Sources(NamedTuple):
    """The files that could be read, and the errors for the others."""

    files: tuple[SourceFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    read_parent: ReadParent = _parents_in(Path())


def read(paths: Sequence[str], *, directory: Path, stdin: Callable[[], bytes]) -> Sources:
    """Read the files that `paths` name, or without paths the default of `directory`.

    Relative paths start at `directory`, the working directory. A file named twice, even via
    a directory or link, is read once, at its first position. `stdin` is called at most
    once, and only if a path is `-`.
    """
    seen: set[str] = set()
    results: list[SourceFile | Finding] = []
    for path in dict.fromkeys(paths or (default_path(directory),)):
        try:
            if path == STDIN:
                results.append(SourceFile(file=STDIN_NAME, raw=limited(stdin())))
                continue
            for file in _expand(path, directory):
                results += _read_once(file, path, directory, seen)
        except NotReadableError as refusal:
            results.append(_unreadable(path or "an empty path", refusal))
    return Sources(
        files=tuple(result for result in results if isinstance(result, SourceFile)),
        findings=tuple(result for result in results if isinstance(result, Finding)),
        read_parent=_parents_in(directory),
    )


def _read_once(
    file: Path, path: str, directory: Path, seen: set[str]
) -> list[SourceFile | Finding]:
    """Return a file that `path` names, or its error; nothing if it is in `seen`."""
    try:
        identity = os.path.realpath(file)  # fails in a deleted directory
        if identity in seen:
            return []
        seen.add(identity)
        name = display_name(file, directory)
        return [SourceFile(file=name, raw=read_regular(file))]
    except (FileNotFoundError, MissingFileError):
        hint = "create one with `webhooks init`, or name your file with `-f FILE`"
        if not file.suffix:
            hint = "correct the path; a webhook is selected with `--only NAME`"
        elif file.suffix.lower() not in SUFFIXES:
            hint = "correct the path; to save a plan, use --out of the command plan"
        hint = suggestion(file, directory) or hint
        return [error("unreadable-file", f"there is no file {path}", hint)]
    except NotReadableError as refusal:
        is_named = file == directory / path
        return [_unreadable(path if is_named else display_name(file, directory), refusal)]


def _unreadable(shown: str, refusal: NotReadableError) -> Finding:
    return error("unreadable-file", f"cannot read {shown}: it {refusal}", refusal.hint)


def _expand(named: str, directory: Path) -> Iterator[Path]:
    """Yield the files that a path names. Raises NotReadableError if there are none."""
    if not named:  # an empty path would be the working directory, which is never intended
        raise NotReadableError("names no file", "check the variable that follows -f")
    path = directory / named
    if is_glob(named, directory):
        matches = _glob_matches(named, directory)
        if not matches:
            raise NotReadableError("matches no *.yaml or *.yml file, and no directory")
        # By text, because Windows compares paths without regard to case.
        for match in sorted(matches, key=PurePath.as_posix):
            yield from _expand(match.as_posix(), directory)
        return
    if not os.path.isdir(path):  # Path.is_dir raises if a parent directory is not accessible
        yield path
        return
    files = [file for file in _below(path) if _is_read(file)]
    if not files:
        raise NotReadableError("is a directory without *.yaml or *.yml files")
    for file in sorted(files, key=PurePath.as_posix):
        yield path / file


def _glob_matches(named: str, directory: Path) -> list[Path]:
    """Return the YAML files and the directories that a glob matches."""
    fixed = len(PurePath(fixed_part(named)).parts)
    matches = []
    for name in glob.glob(named, root_dir=directory, recursive=True):
        match = Path(name)
        # Links to directories are followed only in the part before the first wildcard.
        below_fixed = (match, *match.parents)[: len(match.parts) - fixed]
        links = [part for part in below_fixed if os.path.islink(directory / part)]
        if any(os.path.isdir(directory / link) for link in links):
            continue
        if match.suffix.lower() in SUFFIXES or os.path.isdir(directory / match):
            matches.append(match)
    return matches


def _below(directory: Path) -> Iterator[PurePath]:
    """Yield the files below a directory, as paths relative to it. Raises NotReadableError."""

    def refuse(cause: OSError) -> None:
        inside = Path(cause.filename).relative_to(directory).as_posix()
        where = "" if inside == "." else f"contains a directory, {inside}, that "
        raise NotReadableError(f"{where}cannot be opened ({cause.strerror})") from None

    for folder, folders, names in os.walk(directory, onerror=refuse):
        here = Path(folder).relative_to(directory)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (here / name for name in names)


def _is_read(path: PurePath) -> bool:
    """Return whether the file at `path`, relative to a named directory, is read."""
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def read_regular(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a regular file, at most `limit` bytes.

    Raises MissingFileError if it does not exist, NotReadableError with the reason otherwise.
    """
    # Each system has some of them; without O_BINARY, Windows would change line breaks.
    flags = ("O_NONBLOCK", "O_NOCTTY", "O_BINARY")
    try:
        descriptor = os.open(path, sum({getattr(os, flag, 0) for flag in flags}, os.O_RDONLY))
        # Opening a pipe with O_NONBLOCK returns immediately; then its kind is known.
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise NotReadableError("is not a regular file", "pipe it in with `-f -`")
            raw = stream.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise NotReadableError("is a broken link", "restore its target") from None
        raise MissingFileError("does not exist") from None
    except IsADirectoryError:  # `fdopen` refuses it
        raise NotReadableError("is a directory") from None
    except ValueError:
        raise NotReadableError("contains a NUL character") from None
    except OSError as cause:
        raise NotReadableError(f"cannot be opened ({cause.strerror})") from None
    return limited(raw, limit)


def limited(raw: bytes, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a file. Raises NotReadableError if it is larger than `limit` bytes."""
    if len(raw) > limit:
        size = f"{limit >> 10} KiB" if limit < 1 << 20 else f"{limit >> 20} MiB"
        raise NotReadableError(f"is larger than {size}", "split it, and pass each part with `-f`")
    return raw


# Which files a path includes


def default_path(directory: Path) -> str:
    """Return the path that is read without `-f`; `webhooks.yaml` if none exists."""
    *names, folder = DEFAULT_FILES
    for name in names:
        if os.path.lexists(directory / name):
            return name
    return folder if next(files_below(directory / folder), None) else DEFAULT_FILE


def files_below(directory: Path) -> Iterator[PurePath]:
    """Yield the configuration files below a directory, relative to it; none without access."""
    with suppress(NotReadableError):
        yield from filter(_is_read, _below(directory))


def files_in(directory: Path) -> Iterator[str]:
    """Yield the names of the configuration files in a directory itself; none without access."""
    for _, _, names in islice(os.walk(directory), 1):
        yield from (name for name in names if _is_read(PurePath(name)))


def is_glob(named: str, directory: Path) -> bool:
    """Return whether a path is a glob: it has `*`, `?` or `[`, and no file has this name."""
    return has_wildcard(named) and not os.path.lexists(directory / named)


def fixed_part(path: str) -> str:
    """Return the part of a glob before its first wildcard."""
    parts = PurePath(path).parts
    return PurePath(*takewhile(lambda part: not has_wildcard(part), parts)).as_posix()


def has_wildcard(path: str) -> bool:
    """Return whether a path may be a glob, if no file has this name."""
    return re.search(r"[*?\[]", path) is not None


def file_matcher(directory: Path, *paths: str) -> Callable[[str], bool]:
    """Return a predicate for the files that any path includes, whether or not they exist.

    It takes a name as `display_name` returns it.
    """
    matchers = [_path_matcher(path, directory) for path in paths]
    return lambda name: any(matches(name) for matches in matchers)


def _path_matcher(named: str, directory: Path) -> Callable[[str], bool]:
    path = PurePosixPath(display_name(directory / named, directory))

    def is_at_path(name: str) -> bool:
        file = PurePosixPath(name)
        return file == path or (file.is_relative_to(path) and _is_read(file.relative_to(path)))

    def matches(name: str) -> bool:
        file = PurePosixPath(name)
        if file.suffix.lower() in SUFFIXES and _matches(file.parts, path.parts):
            return True
        return any(
            _matches(folder.parts, path.parts) and _is_read(file.relative_to(folder))
            for folder in file.parents
        )

    if is_glob(named, directory):
        return matches
    return is_at_path


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a glob matches the parts of a path, as `glob.glob` does on disk.

    `**` is any number of folders. A hidden name needs a pattern that starts with a dot.
    """
    if not parts or not pattern:
        return not parts and (not pattern or set(pattern) == {"**"})
    is_hidden = parts[0].startswith(".")
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (not is_hidden and _matches(parts[1:], pattern))
    if is_hidden and not pattern[0].startswith("."):
        return False
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


# Names


def display_name(path: Path, directory: Path) -> str:
    """Return `path` relative to `directory`, with forward slashes.

    If the working directory was deleted, or is on another drive, `path` is returned unchanged.
    """
    try:
        return Path(os.path.relpath(path, directory)).as_posix()
    except (FileNotFoundError, ValueError):
        return path.as_posix()


def behind_links(names: Iterable[str], directory: Path) -> Iterator[str]:
    """Yield the targets of such files as are links."""
    for name in names:
        path = directory / name
        if path.is_symlink():
            yield file_name(os.readlink(path), name)


def file_name(path: str, declaring: str) -> str:
    """Return the name of the file at `path` in the file `declaring`, as `display_name` does.

    It is relative to the working directory if that is possible.
    """
    return posixpath.normpath(PurePath(posixpath.dirname(declaring), path).as_posix())


# What a user may have meant

_EXTENDS: Final = re.compile(rb"""(?m)^["']?extends["']? *:(.*(?:\n[ \t-].*)*)""")
"""What a file extends: the rest of the line, and the lines below that belong to it."""
_NAMES_ORGANIZATION: Final = re.compile(rf"""(?m)^["']?({"|".join(IDENTITY)})["']? *:""".encode())


def suggestion(missing: Path, directory: Path) -> str | None:
    """Return a hint with a similar file name beside `missing`, None without one.

    For the default file, it may be a folder around `directory`.
    """
    similar = similar_path(missing, directory)
    if similar is not None:
        return f"did you mean `-f {similar}`?"
    return _folder_around(directory) if missing == directory / DEFAULT_FILE else None


def similar_path(missing: Path, directory: Path) -> str | None:
    """Return the path of a file or folder with a similar name beside `missing`, None without one.

    It is no file that others extend, whose webhooks alone are not those of any organization. For
    the default file, it may be the folder of the organizations.
    """
    try:
        beside = set(missing.parent.iterdir())
    except OSError:
        return None
    extended, applied = _layers(missing.parent)
    is_default = missing == directory / DEFAULT_FILE
    # A saved plan has any suffix, and a named file may have one.
    is_other = not _is_read(PurePath(missing.name))
    readable = sorted(
        path.name
        for path in beside - extended
        if is_other or _is_read(PurePath(path.name)) or (path.is_dir() and not is_default)
    )
    similar = near(missing.name, readable)
    # One of several organizations is not what a user without -f wants.
    if is_default and applied and (similar is None or missing.parent / similar in applied):
        similar = os.path.commonpath([path.parent for path in applied])
    if similar is None:
        return None
    return display_name(missing.parent / similar, directory)


def folders_of_overlays(names: Iterable[str], directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that those of organizations extend, each with the folder of these.

    They are looked for in its folder and, unless that is `directory`, in the one around it.
    """
    layers = cache(_layers)  # the files of a folder are read once for all of them
    for name in names:
        path = Path(os.path.normpath(directory / name))
        folders = [path.parent]
        if len(PurePath(name).parts) > 1:
            folders.append(path.parent.parent)
        for folder in folders:
            extended, applied = layers(folder)
            if path in extended and applied:
                common = os.path.commonpath([overlay.parent for overlay in applied])
                yield name, display_name(Path(common), directory)
                break


def _folder_around(directory: Path) -> str | None:
    """Return a hint with the nearest folder around another one that has the default file."""
    for shown in ("..", "../..", "../../.."):
        if (directory / shown / DEFAULT_FILE).is_file():
            return f"did you mean to run this in {shown}, which has {DEFAULT_FILE}?"
    return None


def _layers(directory: Path) -> tuple[set[Path], list[Path]]:
    """Return the files that others in a folder, or one below, extend, and those of organizations.

    The latter extend a file and name an organization. Nothing is parsed, as files that have nothing
    to do with this program may be there.
    """
    extended: set[Path] = set()
    applied: list[Path] = []
    for path in sorted((*directory.glob("*"), *directory.glob("*/*"))):
        if not _is_read(path.relative_to(directory)):
            continue
        with suppress(NotReadableError):
            text = read_regular(path)
            extends = _EXTENDS.search(text)
            if extends is not None:
                listed = re.sub(rb"#.*", b"", extends[1])
                for name in re.findall(rb"[^\s\"',\[\]]+\.ya?ml\b", listed):
                    extended.add(Path(os.path.normpath(path.parent / os.fsdecode(name))))
                if _NAMES_ORGANIZATION.search(text):
                    applied.append(path)
    return extended, applied
