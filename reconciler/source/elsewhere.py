"""Find declarations that a run did not read, of webhooks that its plan deletes.

Another file of the repository may declare them, one beside the files that were read, or one that a
previous revision had and that is gone. An overlay declares what it inherits, too, and a file that
is only a layer nothing. Files that cannot be parsed, now and in the commit, or that are no
configuration, are passed over.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, has_errors, in_quotes, note, warning
from reconciler.model import Organization, Secret, SecretRef
from reconciler.planning.plan import DeclaredElsewhere, FileState
from reconciler.source.document import Document
from reconciler.source.files import (
    DEFAULT_FILES,
    STDIN_NAME,
    NotReadableError,
    ReadParent,
    SourceFile,
    Sources,
    display_name,
    file_matcher,
    files_below,
    files_in,
    other_repository,
    read,
    read_regular,
    repository_of,
)
from reconciler.source.history import (
    Commit,
    Git,
    commit_at,
    matching_lines,
    no_git,
    removal,
)
from reconciler.source.load import extended, key_references
from reconciler.source.yaml import parse

_Keys: TypeAlias = frozenset[SecretRef | str]
"""The references and profiles of the API keys of an organization's files."""

_OF_ENVIRONMENT: Final = _Keys([""])
"""The key of files without one, which is no profile."""

_ORGANIZATION: Final = re.compile(
    rb"""(?m)^["']?organization["']? *:\s*["']?(.*?)["']?\s*(?:#.*)?$"""
)
_VARIABLE: Final = re.compile(rb"""\benv["']? *: *["']?(\w+)""")


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

    def is_not(self, written: bytes) -> bool:
        """Return whether an organization, as the line with its name has it, is another one."""
        # Without an organization, the overlays of others show which files are only layers.
        if self.declared is None or re.fullmatch(rb"[\w .-]+", written) is None:
            return False
        # A name may be broken into lines; one that is in quotes, or has escapes, is parsed.
        return not any(name.encode().startswith(written) for name in (self.declared, *self.names))


def keys_of(documents: Collection[Document]) -> _Keys:
    """Return the references and profiles of the API keys in files."""
    profiles = (document.data.get("profile") for document in documents)
    return frozenset(key_references(documents)).union(
        profile for profile in profiles if isinstance(profile, str)
    )


# Declarations of deleted webhooks


def declared_elsewhere(
    deleted: Collection[str],
    documents: Collection[str],
    owner: Owner,
    *,
    directory: Path,
    git: Git,
    base: str | None,
    commit: Commit | None = None,
    run_files: Mapping[str, str | None] = MappingProxyType({}),
) -> tuple[DeclaredElsewhere, ...]:
    """Return the files that declare `deleted` webhooks, or did in a previous revision.

    `documents` are the files that were read, `commit` is the one that they were read from, None for
    the working tree. The previous revision is `base`, else the one before. `run_files` are all
    files of the run, with the organizations that they name.
    """
    search = _Search(deleted, owner, directory, git)
    # Reading them for each organization of a run takes long.
    others = {file for file, name in run_files.items() if name and owner.is_not(name.encode())}
    try:
        return tuple(_declared(search, documents, base, commit, others))
    except NotReadableError:
        # What git cannot search, as a clone without all files, may declare the webhooks.
        return (search.not_searched,)


def _declared(
    search: _Search,
    documents: Collection[str],
    base: str | None,
    commit: Commit | None,
    others: Set[str],
) -> Iterator[DeclaredElsewhere]:
    """Yield the files that `declared_elsewhere` returns; `others` are of other organizations.

    Raises NotReadableError if git cannot search for them.
    """
    directory, owner = search.directory, search.owner
    names = frozenset(documents) - {STDIN_NAME}
    now = commit or commit_at("HEAD", directory, search.git)
    lines = {} if now is None else search.lines(now)
    committed = search.names(lines)
    gone: frozenset[str] = frozenset()
    if commit is None:
        yield from _not_searched(search, names, now)
        gone = frozenset(name for name in committed if not os.path.lexists(directory / name))
        not_read = _not_read(search, committed - gone, names, others, now)
    else:
        not_read = _at(commit, committed - names - others, owner)
    yield from search.declared(not_read, FileState.NOT_READ)
    # Git has no history of standard input.
    if now is not None and STDIN_NAME not in documents:
        # No commit removed these files, so no review has seen the removal: the plan is blocked.
        yield from search.declared(_at(now, gone, owner), FileState.GONE)
        yield from _removed(search, now, {*names, *lines}, base)


def _not_read(
    search: _Search,
    committed: Collection[str],
    names: Collection[str],
    others: Set[str],
    now: Commit | None,
) -> tuple[Document, ...]:
    """Return the files of the working tree that may declare webhooks, as they would be applied.

    One that is invalid, or what they extend and is gone, is that of the commit `now`, if it has
    one. `committed` are those of its files that may declare them, `names` were read, and `others`
    are of other organizations.
    """
    tracked = search.names(search.lines(None))
    around = _names_beside(names, search.directory)
    in_tree = _in_tree(tracked.union(committed, around) - others, names, search.directory)

    def read_parent(name: str) -> SourceFile:
        try:
            return _valid(in_tree.read_parent(name), now)
        except NotReadableError:
            if now is None:
                raise
            return now.read_file(name)

    sources = [
        _valid(source, now)
        for source in in_tree.files
        if source.file in committed or search.matches(source.raw)
    ]
    return _with_webhooks(sources, read_parent, search.owner)


def _removed(
    search: _Search, now: Commit, present: Collection[str], base: str | None
) -> Iterator[DeclaredElsewhere]:
    """Yield the files with deleted webhooks that commits up to `now` removed."""
    # Without a base, one commit is enough: an older removal was applied, or is still in review.
    before = commit_at(base or f"{now.id}^", now.directory, now.git)
    if before is None:
        return
    earlier = _at(before, search.names(search.lines(before)).difference(present), search.owner)
    for other in search.declared(earlier, FileState.REMOVED):
        removed_by = removal(f"{before.id}..{now.id}", f":(literal){other.file}", now.git)
        if removed_by is not None:
            yield other._replace(commit=removed_by)


def _at(commit: Commit, names: Iterable[str], owner: Owner) -> tuple[Document, ...]:
    """Return those of a commit's files that declare webhooks."""
    return _with_webhooks(_sources_at(commit, names), commit.read_file, owner)


def _sources_at(commit: Commit, names: Iterable[str]) -> Iterator[SourceFile]:
    """Yield files of a commit, without a link, a submodule, or what git cannot read."""
    for name in sorted(names):
        with suppress(NotReadableError):
            yield commit.read_file(name)


def _not_searched(
    search: _Search, names: Iterable[str], now: Commit | None
) -> Iterator[DeclaredElsewhere]:
    """Yield the repository of the files, in which any may declare the webhooks, if it is not read.

    The working directory is in another one, or git cannot read it, for example that of another
    user. It can if it has found the commit `now`.
    """
    if search.git is no_git:
        return
    other = other_repository(names, search.directory)
    if other:
        yield search.not_searched._replace(file=other, state=FileState.OTHER_REPOSITORY)
        return
    is_repository = now is None and repository_of(search.directory) is not None
    if is_repository and search.git(["rev-parse", "--git-dir"]) is None:
        yield search.not_searched


class _Search(NamedTuple):
    """The deleted webhooks, the organization that they are of, and where they are searched."""

    deleted: Collection[str]
    owner: Owner
    directory: Path
    git: Git

    @property
    def not_searched(self) -> DeclaredElsewhere:
        """Files that may declare any of the webhooks, because git cannot search them."""
        return DeclaredElsewhere("", tuple(sorted(self.deleted)), FileState.NOT_SEARCHED)

    def lines(self, commit: Commit | None) -> dict[str, bytes]:
        """Return the lines that `matches` needs, as `matching_lines` does."""
        words = ("webhooks", "configuration", "extends", "organization")
        return matching_lines(words, self.git, commit)

    def names(self, lines: Mapping[str, bytes]) -> frozenset[str]:
        """Return the names of the files that may declare the webhooks."""
        return frozenset(name for name, text in lines.items() if self.matches(text))

    def matches(self, text: bytes) -> bool:
        """Return whether the file with this text may declare the webhooks: parsing all is slow."""
        organizations = _ORGANIZATION.findall(text)
        if organizations and all(map(self.owner.is_not, organizations)):
            return False
        # What a file inherits is not in its text.
        if b"extends" in text:
            return True
        # The webhooks of other programs have no `configuration`.
        is_ours = bool(organizations) or b"configuration" in text
        return is_ours and b"webhooks" in text

    def declared(
        self, documents: Iterable[Document], state: FileState
    ) -> Iterator[DeclaredElsewhere]:
        """Yield the files that declare webhooks in this organization, with these."""
        for document in documents:
            if self.owner.owns(document):
                webhooks = _declared_names(document).intersection(self.deleted)
                if webhooks:
                    yield DeclaredElsewhere(document.file, tuple(sorted(webhooks)), state)


# Organizations that a run does not have any more


def no_longer_declared(
    before: Mapping[str | None, _Keys], now: Mapping[str | None, _Keys]
) -> list[str]:
    """Return the organizations that files named before and to which none belongs now.

    One that was renamed in CloudTruth has the same key under its new name.
    """
    # The key of an organization that was declared before belongs to that one.
    new = [keys or _OF_ENVIRONMENT for name, keys in now.items() if name not in before]
    new_keys = _Keys(chain.from_iterable(new))
    return [
        name
        for name, keys in before.items()
        if name is not None and name not in now
        if new_keys.isdisjoint(keys or _OF_ENVIRONMENT)
    ]


def organizations_gone(
    paths: Collection[str],
    read_files: Collection[str],
    now: Mapping[str | None, _Keys],
    directory: Path,
    git: Git,
    revision: str,
) -> Iterator[Finding]:
    """Yield a warning for each file of an organization that a revision has and `now` has not.

    `paths` are those of the run, which has `read_files`. Nothing deletes the webhooks of these
    organizations, so no plan shows that they are left out.
    """
    commit = commit_at(revision, directory, git)
    if commit is None:
        return
    try:
        lines = matching_lines(["organization"], git, commit)
    except NotReadableError:
        yield warning(
            "organization-removed",
            f"git cannot search the files of {revision}: an organization may be left out",
            f"`git grep organization {revision}` shows the reason",
        )
        return
    is_included = file_matcher(directory, *paths)
    texts = {file: text for file, text in lines.items() if file in read_files or is_included(file)}
    before = _organizations_at(commit, texts, now)
    keys = {name: keys_of(documents) for name, documents in before.items()}
    for name in no_longer_declared(keys, now):
        for document in before[name]:
            yield _left_out(document, name, commit, revision)


def _organizations_at(
    commit: Commit, texts: Mapping[str, bytes], now: Mapping[str | None, _Keys]
) -> dict[str | None, list[Document]]:
    """Return the organizations of a commit's files, with the files of those that `now` has not.

    `texts` are the lines of the files that may name one.
    """
    # The text is enough for most files, which are of the same organization.
    named = {
        file: frozenset(name.decode(errors="replace") for name in _ORGANIZATION.findall(lines))
        for file, lines in texts.items()
    }
    organizations: dict[str | None, list[Document]] = {name: [] for name in chain(*named.values())}
    changed = [file for file, names in named.items() if not names or names - now.keys()]
    documents = [parse(source.raw, source.file) for source in _sources_at(commit, changed)]
    for document in extended(documents, commit.read_file):
        name = document.data.get("organization")
        if isinstance(name, str):
            organizations.setdefault(name, []).append(document)
    return organizations


def _left_out(document: Document, organization: str, commit: Commit, revision: str) -> Finding:
    subject = f"organization {in_quotes(organization)}"
    message = f"{document.file} of {revision} names {subject}, which is left out"
    restore = "declare it in another file, or ignore this if CloudTruth has renamed it"
    if not os.path.lexists(commit.directory / document.file):
        message = f"{document.file} of {revision} is gone, so {subject} is left out"
        command = shlex.join(["git", "checkout", revision, "--", document.file])
        restore = f"restore it: `{command}`"
    if _declares_only_absent(document):
        return note(
            "organization-removed",
            f"{message}: its deletes that are not applied yet are dropped",
            f"if all are applied, ignore this, else {restore}",
        )
    return warning(
        "organization-removed",
        f"{message}: its webhooks stay live",
        f"{restore}; to delete the webhooks as well, do that first, as in docs/organizations.md",
    )


def _declares_only_absent(document: Document) -> bool:
    """Return whether a file only deletes webhooks, as the last one of an organization."""
    inherits = "extends" in document.data
    return bool(document.written) and not inherits and not _declared_names(document)


# Files beside those of a run


def beside(names: Collection[str], directory: Path) -> tuple[Document, ...]:
    """Return the files with webhooks beside files that were read, as they would be applied."""
    sources = _in_tree(_names_beside(names, directory), names, directory)
    return _with_webhooks(sources.files, sources.read_parent, Owner())


def variables_elsewhere(
    names: Collection[str],
    directory: Path,
    git: Git,
    environ: Mapping[str, str],
    organization: Organization | None = None,
    folders: Iterable[str] = (),
) -> dict[str, Secret | None]:
    """Return the variables that files other than `names` refer to, with values that are set here.

    These are the files of the repository, and those in `folders` and beside `names`, which git may
    not track yet, without those of the `organization`. Raises ConfigurationError if git cannot
    search them: a new secret might get the variable of another one.
    """
    try:
        texts = matching_lines(["env", "organization"], git, None)
    except NotReadableError as problem:
        message = f"the variables of other files are not known: this repository {problem}"
        raise ConfigurationError(message, hint="`git grep organization` shows the reason") from None
    for name in _names_beside(names, directory, folders):
        with suppress(NotReadableError):
            texts[name] = read_regular(directory / name)
    others = [text for name, text in texts.items() if name not in names]
    if organization is not None:
        same = {organization.id.encode(), organization.name.encode()}
        others = [text for text in others if same.isdisjoint(_ORGANIZATION.findall(text))]
    variables = {variable.decode() for text in others for variable in _VARIABLE.findall(text)}
    return {name: Secret(environ[name]) if name in environ else None for name in variables}


def _names_beside(
    names: Iterable[str], directory: Path, folders: Iterable[str] = ()
) -> frozenset[str]:
    """Return the names of the files beside others, and in `folders`.

    The files of a folder `webhooks/` are beside those of the folder around it, unless it is another
    repository.
    """
    searched = {PurePath(name).parent for name in names}.union(map(PurePath, folders))
    around = {folder.parent for folder in searched if folder.name == DEFAULT_FILES[2]}
    paths: set[str] = set()
    for name in searched | around:
        folder = directory / name
        paths |= _displayed(folder, files_in(folder), directory)
        inner = folder / DEFAULT_FILES[2]
        # Another repository may be cloned there. Its folder may not be readable.
        if not os.path.lexists(inner / ".git"):
            paths |= _displayed(inner, files_below(inner), directory)
    return frozenset(paths)


def _displayed(folder: Path, files: Iterable[PurePath | str], directory: Path) -> set[str]:
    shown = PurePath(display_name(folder, directory))
    return {(shown / file).as_posix() for file in files}


# Reading them


def _in_tree(others: Iterable[str], known: Iterable[str], directory: Path) -> Sources:
    """Read files of the working tree, without those that are `known`."""
    try:
        read_before = {os.path.realpath(directory / name) for name in known}
    except FileNotFoundError:  # the working directory was deleted
        return Sources()
    targets = {name: os.path.realpath(directory / name) for name in others}
    # A link to a file that was read declares nothing else.
    names = [name for name, target in targets.items() if target not in read_before]
    if not names:  # without paths, the default file would be read
        return Sources()
    here = ""
    with suppress(FileNotFoundError):  # the working directory was deleted, so names are absolute
        here = os.path.realpath(directory)

    def is_link(name: str) -> bool:
        return targets[name] != os.path.normpath(os.path.join(here, name))

    # Of a file and a link to it, the first is read: only from the file itself, `extends` is right.
    ordered = sorted(names, key=lambda name: (is_link(name), name))
    return read(ordered, directory=directory, stdin=bytes)


def _valid(source: SourceFile, now: Commit | None) -> SourceFile:
    """Return a file, or that of a commit if it cannot be parsed, as while a merge has conflicts."""
    if now is not None and not parse(source.raw, source.file).usable:
        with suppress(NotReadableError):
            return now.read_file(source.file)
    return source


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
    return tuple(filter(_declared_names, extended(documents, read_parent)))


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
