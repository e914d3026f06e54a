"""Find declarations that a run did not read, of webhooks that its plan deletes.

A file beside the files that were read may declare them, or a file that a previous revision had and
that is gone. Files that cannot be parsed, or that are no configuration, are passed over.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from reconciler.planning.plan import DeclaredElsewhere, FileState
from reconciler.source.document import Document
from reconciler.source.files import (
    DEFAULT_FILES,
    STDIN,
    STDIN_NAME,
    NotReadableError,
    display_name,
    files_below,
    read_regular,
)
from reconciler.source.history import Commit, Git, commit_at, removal
from reconciler.source.yaml import parse


class Owner(NamedTuple):
    """The organization of the files that were read, and the names of that of the API key."""

    declared: str | None
    names: Collection[str]

    def owns(self, document: Document) -> bool:
        """Return whether a file belongs to the same organization, or neither names one."""
        organization = document.data.get("organization")
        if organization is None:
            return self.declared is None
        return organization == self.declared or organization in self.names


def beside(read: Collection[str], directory: Path) -> Iterator[Document]:
    """Yield the configuration files beside the files that were `read`, without those.

    The files of a folder `webhooks/` are beside those of the folder around it.
    """
    try:
        known = {os.path.realpath(directory / name) for name in read}
    except FileNotFoundError:  # the working directory was deleted
        return
    paths: set[Path] = set()
    for name in _folders(read):
        folder = directory / name
        paths |= {folder / file for file in files_below(folder) if len(file.parts) == 1}
        inner = folder / DEFAULT_FILES[2]
        paths |= {inner / file for file in files_below(inner)}
    for path in sorted(paths):
        # A link to a file that was read declares nothing else.
        if os.path.realpath(path) in known:
            continue
        with suppress(NotReadableError):
            document = parse(read_regular(path), display_name(path, directory=directory))
            if _declared_names(document):
                yield document


def _folders(read: Collection[str]) -> set[str]:
    """Return the folders of files; `webhooks/` belongs to the folder around it."""
    folders = {posixpath.dirname(PurePath(name).as_posix()) for name in read}
    around = {
        posixpath.dirname(folder)
        for folder in folders
        if posixpath.basename(folder) == DEFAULT_FILES[2]
    }
    return folders | around


def _declared_names(document: Document) -> frozenset[str]:
    """Return the names of the webhooks that a file declares; none for other files."""
    if not document.usable or "apiVersion" in document.data:  # Kubernetes
        return frozenset()
    declared = (entry for entry in document.written if entry.data.get("state") != "absent")
    return frozenset(entry.name for entry in declared if entry.name is not None)


def declared_elsewhere(
    deleted: Collection[str],
    documents: Iterable[str],
    paths: Sequence[str],
    owner: Owner,
    *,
    directory: Path,
    git: Git,
    base: str | None,
    commit: Commit | None = None,
) -> tuple[DeclaredElsewhere, ...]:
    """Return the files that declare `deleted` webhooks, or did in a previous revision.

    `documents` are the files that were read, `paths` the paths that name them, `commit` is the one
    that they were read from, None for the working tree. The previous revision is `base`, else the
    one before.
    """
    read = [name for name in documents if name != STDIN_NAME]
    others = beside(read, directory) if commit is None else _beside_at(commit, read)
    candidates: list[tuple[Document, FileState, str]] = [
        (document, FileState.NOT_READ, "") for document in others
    ]
    now = commit or commit_at("HEAD", directory, git)
    # Git has no history of standard input.
    if now is not None and STDIN not in paths:
        candidates += _gone(now, read, paths, base, in_tree=commit is None)
    declared: list[DeclaredElsewhere] = []
    for document, state, removed_by in candidates:
        names = tuple(sorted(_declared_names(document).intersection(deleted)))
        if names and owner.owns(document):
            declared.append(DeclaredElsewhere(document.file, names, state, removed_by))
    return tuple(declared)


def _gone(
    now: Commit, read: Collection[str], paths: Sequence[str], base: str | None, *, in_tree: bool
) -> Iterator[tuple[Document, FileState, str]]:
    """Yield the files that `paths` included before, and those that were beside files `read`.

    `in_tree` compares the working tree, too.
    """
    committed = now.names(paths) | _names_beside(now, read)
    # No commit removed these files, so no review has seen the removal: the plan is blocked.
    if in_tree:
        for name in sorted(committed):
            if not os.path.lexists(now.directory / name):
                for document in _parsed(now, name):
                    yield document, FileState.GONE, ""
    # Without a base, one commit is enough: an older removal was applied, or is still in review.
    before = commit_at(base or f"{now.id}^", now.directory, now.git)
    if before is None:
        return
    for name in sorted((before.names(paths) | _names_beside(before, read)) - committed):
        removed_by = removal(before.id, name, now)
        if removed_by is not None:
            for document in _parsed(before, name):
                yield document, FileState.REMOVED, removed_by


def _parsed(commit: Commit, name: str) -> Iterator[Document]:
    """Yield the file of a commit, nothing if it cannot be read."""
    with suppress(NotReadableError):
        yield parse(commit.read_file(name).raw, name)


def _beside_at(commit: Commit, read: Collection[str]) -> Iterator[Document]:
    """Yield what `beside` does, from a commit."""
    for name in sorted(_names_beside(commit, read)):
        yield from filter(_declared_names, _parsed(commit, name))


def _names_beside(commit: Commit, read: Collection[str]) -> frozenset[str]:
    """Return the names of a commit's files beside those that were `read`, without those."""
    folders = _folders(read)
    inner = [posixpath.join(folder, DEFAULT_FILES[2]) for folder in folders]
    names = commit.names([folder or "." for folder in (*folders, *inner)])
    return frozenset(
        name
        for name in names.difference(read)
        if posixpath.dirname(name) in folders
        or any(PurePath(name).is_relative_to(folder) for folder in inner)
    )
