"""Find declarations that a run did not read, of webhooks that its plan deletes.

A file beside the files that were read may declare them, or a file that a previous revision had and
that is gone. An overlay declares what it inherits, too, and a file that is only a layer nothing.
Files that cannot be parsed, now and in the commit, or that are no configuration, are passed over.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from reconciler.findings import has_errors
from reconciler.model import SecretRef
from reconciler.planning.plan import DeclaredElsewhere, FileState
from reconciler.source.document import Document
from reconciler.source.files import (
    DEFAULT_FILES,
    STDIN,
    STDIN_NAME,
    NotReadableError,
    ReadParent,
    SourceFile,
    display_name,
    files_below,
    read,
)
from reconciler.source.history import Commit, Git, commit_at, removal
from reconciler.source.load import key_references
from reconciler.source.yaml import parse


class Owner(NamedTuple):
    """The organization of the files that were read, its names, and the API keys of the files."""

    declared: str | None = None
    names: Collection[str] = ()
    keys: Collection[SecretRef | str] = ()

    def owns(self, document: Document) -> bool:
        """Return whether a file belongs to the same organization, or neither names one."""
        organization = document.data.get("organization")
        if organization is not None:
            return organization == self.declared or organization in self.names
        keys = keys_of([document])
        # Without `organization`, the key decides.
        if keys and self.keys:
            return not keys.isdisjoint(self.keys)
        return self.declared is None


def keys_of(documents: Collection[Document]) -> frozenset[SecretRef | str]:
    """Return the references and profiles of the API keys in files."""
    profiles = (document.data.get("profile") for document in documents)
    return frozenset(key_references(documents)).union(
        profile for profile in profiles if isinstance(profile, str)
    )


def beside(
    names: Collection[str], directory: Path, owner: Owner, now: Commit | None = None
) -> tuple[Document, ...]:
    """Return the files with webhooks beside files that were read, as they would be applied.

    The files of a folder `webhooks/` are beside those of the folder around it. One that is invalid,
    or what they extend and is gone, is that of the commit `now`, if it has one.
    """
    try:
        known = {os.path.realpath(directory / name) for name in names}
    except FileNotFoundError:  # the working directory was deleted
        return ()
    paths: set[Path] = set()
    for name in _folders(names):
        folder = directory / name
        paths |= {folder / file for file in files_below(folder) if len(file.parts) == 1}
        inner = folder / DEFAULT_FILES[2]
        paths |= {inner / file for file in files_below(inner)}
    # A link to a file that was read declares nothing else.
    others = [path for path in sorted(paths) if os.path.realpath(path) not in known]
    if not others:  # without paths, the default file would be read
        return ()
    in_tree = read(
        [display_name(path, directory=directory) for path in others],
        directory=directory,
        stdin=bytes,
    )

    def read_parent(name: str) -> SourceFile:
        try:
            return _valid(in_tree.read_parent(name), now)
        except NotReadableError:
            if now is None:
                raise
            return now.read_file(name)

    return _with_webhooks([_valid(source, now) for source in in_tree.files], read_parent, owner)


def _valid(source: SourceFile, now: Commit | None) -> SourceFile:
    """Return a file, or that of a commit if it cannot be parsed, as while a merge has conflicts."""
    if now is not None and not parse(source.raw, source.file).usable:
        with suppress(NotReadableError):
            return now.read_file(source.file)
    return source


def _folders(names: Collection[str]) -> set[str]:
    """Return the folders of files; `webhooks/` belongs to the folder around it."""
    folders = {posixpath.dirname(PurePath(name).as_posix()) for name in names}
    around = {
        posixpath.dirname(folder)
        for folder in folders
        if posixpath.basename(folder) == DEFAULT_FILES[2]
    }
    return folders | around


def _with_webhooks(
    sources: Iterable[SourceFile], read_parent: ReadParent, owner: Owner
) -> tuple[Document, ...]:
    """Return the files that declare webhooks and may be the owner's, merged with their parents."""
    documents = [parse(source.raw, source.file) for source in sources]
    # Merging the files of all organizations for each of them would take long.
    if owner.declared is not None:
        documents = [
            document
            for document in documents
            if "organization" not in document.data or owner.owns(document)
        ]
    if any("extends" in document.data for document in documents):
        from reconciler.source.extend import extend  # most files extend nothing

        documents = [*extend(documents, read_parent)]
    return tuple(filter(_declared_names, documents))


def _declared_names(document: Document) -> frozenset[str]:
    """Return the names of the webhooks that a file declares; none for other files."""
    if "apiVersion" in document.data:  # Kubernetes
        return frozenset()
    written = document.written
    # An error leaves webhooks out of a merged file, but not out of what its author wants.
    if any(has_errors(layer.findings) for layer in document.layers):
        written = [entry for layer in document.layers for entry in layer.written]
    declared = (entry for entry in written if entry.data.get("state") != "absent")
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
    names = [name for name in documents if name != STDIN_NAME]
    now = commit or commit_at("HEAD", directory, git)
    if commit is None:
        others = beside(names, directory, owner, now)
    else:
        others = _at(commit, _names_beside(commit, names), owner)
    candidates: list[tuple[Document, FileState, str]] = [
        (document, FileState.NOT_READ, "") for document in others
    ]
    # Git has no history of standard input.
    if now is not None and STDIN not in paths:
        candidates += _gone(now, names, paths, base, owner, in_tree=commit is None)
    declared: list[DeclaredElsewhere] = []
    for document, state, removed_by in candidates:
        webhooks = tuple(sorted(_declared_names(document).intersection(deleted)))
        if webhooks and owner.owns(document):
            declared.append(DeclaredElsewhere(document.file, webhooks, state, removed_by))
    return tuple(declared)


def _gone(
    now: Commit,
    names: Collection[str],
    paths: Sequence[str],
    base: str | None,
    owner: Owner,
    *,
    in_tree: bool,
) -> Iterator[tuple[Document, FileState, str]]:
    """Yield the files that `paths` included before, and those that were beside the files `names`.

    `in_tree` compares the working tree, too.
    """
    committed = now.names(paths) | _names_beside(now, names)
    # No commit removed these files, so no review has seen the removal: the plan is blocked.
    if in_tree:
        gone = [name for name in committed if not os.path.lexists(now.directory / name)]
        for document in _at(now, gone, owner):
            yield document, FileState.GONE, ""
    # Without a base, one commit is enough: an older removal was applied, or is still in review.
    before = commit_at(base or f"{now.id}^", now.directory, now.git)
    if before is None:
        return
    removed = (before.names(paths) | _names_beside(before, names)) - committed.union(names)
    for document in _at(before, removed, owner):
        removed_by = removal(before.id, document.file, now)
        if removed_by is not None:
            yield document, FileState.REMOVED, removed_by


def _at(commit: Commit, names: Iterable[str], owner: Owner) -> tuple[Document, ...]:
    """Return those of a commit's files that declare webhooks; one that git cannot read is none."""
    sources = []
    for name in sorted(names):
        with suppress(NotReadableError):
            sources.append(commit.read_file(name))
    return _with_webhooks(sources, commit.read_file, owner)


def _names_beside(commit: Commit, known: Collection[str]) -> frozenset[str]:
    """Return the names of a commit's files beside those that are `known`, without those."""
    folders = _folders(known)
    inner = [posixpath.join(folder, DEFAULT_FILES[2]) for folder in folders]
    names = commit.names([folder or "." for folder in (*folders, *inner)])
    return frozenset(
        name
        for name in names.difference(known)
        if posixpath.dirname(name) in folders
        or any(PurePath(name).is_relative_to(folder) for folder in inner)
    )
