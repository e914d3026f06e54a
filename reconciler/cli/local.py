"""`--local`: an emulated CloudTruth inside this process.

For: trying files and commands without an account.
Promises: no secret is stored, only that one is set; nobody but the user can read the file; git does
not show the default folder.
Refuses: to compare secrets. It reads back a mask, as a server may that keeps them to itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reconciler.api.in_process import InProcess
from reconciler.cli.context import LOCAL_FOLDER, Context
from reconciler.emulator.behaviour import MASK, Behaviour
from reconciler.emulator.emulator import LOCAL_KEY, Emulator
from reconciler.emulator.messages import Request
from reconciler.emulator.store import LogEntry, Row, Store
from reconciler.errors import UsageError
from reconciler.kinds import KINDS, Field
from reconciler.model import Secret
from reconciler.render.quote import quote
from reconciler.source.literals import url_credential


def emulated(context: Context) -> tuple[Store, InProcess, Secret]:
    """Return the emulator's store, the transport to it, and a key that it accepts.

    Raises UsageError if the file cannot be opened as the emulator's database, or if the command
    also writes its result there.
    """
    path = context.local_db
    for option in ("report", "out"):
        named = context.options.get(option)
        if named and (context.process.directory / named).resolve() == path.resolve():
            raise UsageError(
                f"--{option} and --local-db name the same file, {quote(str(named))}",
                hint=f"name another file in --{option}",
            )
    context.console.note(
        f"LOCAL: emulated CloudTruth in {quote(path.as_posix())}. Nothing is delivered; it stands "
        "for any organization."
    )
    if path.parent.name == LOCAL_FOLDER:
        _make_folder(path.parent)
    store = open_store(path, _LocalStore)
    emulator = Emulator(store, Behaviour(any_key=True, **known_types()))
    adapter = InProcess(emulator.handle, request=Request)
    return store, adapter, Secret(LOCAL_KEY)


def open_store(path: Path | None, kind: type[Store] = Store) -> Store:
    """Open the emulator's database, in memory without `path`. Raises UsageError if that fails."""
    try:
        return kind(path) if path is not None else kind()
    except (OSError, sqlite3.Error):
        raise UsageError(
            f"{quote(str(path))} cannot be opened as the emulator's database",
            hint="name a file that does not exist yet, in a directory that does",
        ) from None


def known_types() -> dict[str, Any]:
    """Return what tells the emulator, which shares no code, which types this version knows."""
    fields = [field for kind in KINDS.values() for field in kind.fields]
    secret = dict.fromkeys(each.name for each in fields if each.secret and not each.address)
    return {"types": tuple(KINDS), "secret_fields": tuple(secret)}


def _make_folder(folder: Path) -> None:
    """Make the default folder, which git ignores as a whole by a file inside it."""
    with suppress(OSError):  # opening the database reports what is wrong
        folder.mkdir(mode=0o700, exist_ok=True)
        with open(folder / ".gitignore", "x", encoding="ascii") as file:
            file.write("# Created by webhooks --local.\n*\n")


class _LocalStore(Store):
    """A store that forgets secrets: those of webhooks, and the bodies of requests in the log."""

    def insert(self, record: Mapping[str, Any]) -> Row:
        return super().insert(_without_secrets(record))

    def update(self, id: str, record: Mapping[str, Any]) -> str:
        return super().update(id, _without_secrets(record))

    def record(self, **entry: Any) -> LogEntry:
        return super().record(**{**entry, "body": ""})


def _without_secrets(record: Mapping[str, Any]) -> dict[str, Any]:
    kind = KINDS[record["type"]]
    shown = {
        name: _masked(field, value) if field is not None and value else value
        for name, value in record["configuration"].items()
        for field in [kind.field(name)]
    }
    return {**record, "configuration": shown}


def _masked(field: Field, value: Any) -> Any:
    if not field.secret:
        return value
    if not field.address:
        return MASK
    if url_credential(value) is None:
        return value
    try:
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{MASK}"
    except ValueError:
        return f"https://{MASK}"
