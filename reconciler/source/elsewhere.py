"""Find declarations that a run did not read, of webhooks that its plan deletes.

A file beside the files that were read may declare them, or a file that a previous revision had and
that is gone. Files that cannot be parsed, or that are no configuration, are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from reconciler.planning.plan import DeclaredElsewhere, FileState
from reconciler.source.files import (
    DEFAULT_FILES,
    STDIN_NAME,
    NotReadableError,
    display_name,
    files_below,
    read_regular,
)
from reconciler.source.history import Git, blob, names_at, removal
from reconciler.source.yaml import Document, parse


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

    Beside `webhooks.yaml` these include the files of the folder `webhooks/`.
    """
    try:
        known = {os.path.realpath(directory / name) for name in read}
    except FileNotFoundError:  # the working directory was deleted
        return
    paths: set[Path] = set()
    for name in read:
        folder = (directory / name).parent
        paths |= {folder / each for each in files_below(folder) if len(each.parts) == 1}
        if PurePath(name).name in DEFAULT_FILES[:2]:
            inner = folder / DEFAULT_FILES[2]
            paths |= {inner / each for each in files_below(inner)}
    for path in sorted(paths):
        if os.path.realpath(path) in known:
            continue
        with suppress(NotReadableError):
            document = parse(read_regular(path), display_name(path, directory=directory))
            if declared_names(document):
                yield document


def declared_names(document: Document) -> frozenset[str]:
    """Return the names of the webhooks that a file declares; none for other files."""
    is_configuration = document.usable and "apiVersion" not in document.data  # Kubernetes
    entries = document.data.get("webhooks") if is_configuration else None
    rows = entries if isinstance(entries, list) else []
    declared = (row for row in rows if isinstance(row, dict) and row.get("state") != "absent")
    return frozenset(row["name"] for row in declared if isinstance(row.get("name"), str))


def declared_elsewhere(
    deleted: Collection[str],
    documents: Iterable[str],
    paths: Sequence[str],
    owner: Owner,
    *,
    directory: Path,
    git: Git,
    base: str | None,
) -> tuple[DeclaredElsewhere, ...]:
    """Return the files that declare `deleted` webhooks, or did in a previous revision.

    `documents` are the files that were read, `paths` the paths that name them. Revisions are HEAD
    for the working tree, and `base`, else the commit before HEAD.
    """
    read = [name for name in documents if name != STDIN_NAME]
    candidates: list[tuple[Document, FileState, str]] = [
        (document, FileState.NOT_READ, "") for document in beside(read, directory)
    ]
    committed = names_at("HEAD", paths, directory=directory, git=git)
    for name in sorted(committed):
        raw = None if os.path.lexists(directory / name) else blob("HEAD", name, git)
        if raw is not None:
            candidates.append((parse(raw, name), FileState.GONE, ""))
    previous = base or "HEAD^"
    for name in sorted(names_at(previous, paths, directory=directory, git=git) - committed):
        raw, commit = blob(previous, name, git), removal(previous, name, git)
        if raw is not None and commit is not None:
            candidates.append((parse(raw, name), FileState.REMOVED, commit))
    found: list[DeclaredElsewhere] = []
    for document, state, commit in candidates:
        names = tuple(sorted(declared_names(document) & frozenset(deleted)))
        if names and owner.owns(document):
            found.append(DeclaredElsewhere(document.file, names, state, commit))
    return tuple(found)
