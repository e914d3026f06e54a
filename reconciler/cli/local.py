"""Run the emulator of `--local` in this process.

`--local` is for trying files and commands without an account. It stores that a secret is set, not
its value, so it cannot compare secrets: it reads back a mask, as a server that hides them does.
Only the user can read its file, and git ignores its default folder.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from reconciler.api.connections import InProcess
from reconciler.cli.session import Session
from reconciler.emulator import LOCAL_KEY, Emulator
from reconciler.emulator.messages import Behavior, Request
from reconciler.emulator.store import Store
from reconciler.errors import UsageError
from reconciler.kinds import KINDS
from reconciler.model import Secret
from reconciler.planning.names import Globs
from reconciler.render.quote import quote
from reconciler.source.secrets import url_credential

_FOLDER: Final = ".webhooks-local"
"""The default folder of the database."""
_MASK: Final = "*****"


@contextmanager
def emulated(session: Session) -> Iterator[tuple[InProcess, Callable[[str | None], Secret]]]:
    """Run the emulator of `--local`: yield a transport to it, and a function that returns keys.

    The function takes the name that files declare; an organization is created if the database does
    not have it. Without a name, the key is that of --organization or of the oldest organization.
    Raises UsageError if the file cannot be opened as the emulator's database.
    """
    options, directory = session.options, session.process.directory
    path = directory / (options.get("local_db") or f"{_FOLDER}/webhooks.db")
    session.console.info(
        f"LOCAL: using the emulator database {quote(path.as_posix())}. Nothing is delivered; any "
        "organization is accepted."
    )
    if path.parent.name == _FOLDER:
        # A repository may contain the link, which would place the database anywhere.
        if path.parent.is_symlink():
            hint = "remove the link, or use --local-db with another path"
            raise UsageError(f"{quote(path.parent.as_posix())} is a link", hint=hint)
        # Only the user can read the database, and git ignores it.
        with suppress(OSError):  # opening the database reports the error
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(path.parent / ".gitignore", "x", encoding="ascii") as file:
                file.write("# Created by webhooks --local.\n*\n")
    try:
        local_store = _LocalStore(path, redacted=session.console.redacted)
    except (OSError, sqlite3.Error):
        raise UsageError(
            f"{quote(str(path))} cannot be opened as the emulator's database",
            hint="use an existing directory and a new file name",
        ) from None
    with closing(local_store) as store:
        local = _Local(store, session.organizations)
        yield InProcess(local.handle, request=Request), local.key_of


class _Local:
    """The emulator, which starts with the first key: a new database has its organization."""

    def __init__(self, store: Store, selected: Sequence[str]) -> None:
        self._store = store
        self._selected = selected
        self._emulator: Emulator | None = None

    def handle(self, request: Request) -> Any:
        """Answer a request, which needs a key."""
        assert self._emulator is not None
        return self._emulator.handle(request)

    def key_of(self, declared: str | None) -> Secret:
        """Return the key of the organization that files declare, else of the selected one.

        The first call starts the emulator.
        """
        name = declared or _selected(self._store, self._selected)
        if self._emulator is None:
            # The emulator shares no code with the product, so it is told which types exist.
            behavior = Behavior(any_key=True, types=tuple(KINDS))
            self._emulator = Emulator(self._store, behavior, organization=name)
        key = LOCAL_KEY
        if name is not None:
            key = _key_of(self._store, name)
        return Secret(key)


def _selected(store: Store, patterns: Sequence[str]) -> str | None:
    """Return the organization that --organization selects; a new one has the name as it is.

    Raises UsageError for a glob that matches none.
    """
    matches = Globs(patterns).match
    matching = [known.name for known in store.organizations() if matches(known.name)]
    if matching or not patterns:
        return next(iter(matching), None)
    name = patterns[0]
    if any(char in name for char in "*?["):
        raise UsageError(
            f"--organization {quote(name)} matches no organization of the emulator",
            hint="a name without wildcards creates one",
        )
    return name


def _key_of(store: Store, name: str) -> str:
    """Return the key of an organization, which is created if the database does not have it."""
    with store.transaction():
        # Of organizations with one name, the oldest.
        known = {
            organization.name: organization for organization in reversed(store.organizations())
        }
        organization = known.get(name) or store.add_organization(name)
        key = f"{LOCAL_KEY}-{organization.id}"
        if store.user_of_key(key) is None:
            store.add_user(organization.id, key=key, role="OWNER", name="Local")
    return key


class _LocalStore(Store):
    """A store of webhooks without their secrets.

    `redacted` removes the values of secret references from a text.
    """

    def __init__(self, path: Path, *, redacted: Callable[[str], str]) -> None:
        super().__init__(path)
        self._redacted = redacted

    def save(self, record: Mapping[str, Any]) -> str:
        kind = KINDS[record["type"]]
        shown = dict(record["configuration"])
        for field in kind.fields:
            if field.secret and shown.get(field.name):
                shown[field.name] = self._masked(shown[field.name]) if field.is_url else _MASK
        return super().save({**record, "configuration": shown})

    def _masked(self, url: str) -> str:
        """Return a URL, or only scheme and host if it contains a credential."""
        is_public = url_credential(url) is None and self._redacted(url) == url
        if is_public:
            return url
        return f"{Secret(url).origin() or 'https:/'}/{_MASK}"
