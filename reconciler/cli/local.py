"""Run emulators: in this process for `--local`, or over HTTP for `webhooks emulator`.

`--local` is for trying files and commands without an account. It stores that a secret is set, not
its value, so it cannot compare secrets: it reads back a mask, as a server that hides them does.
Only the user can read its file, and git ignores its default folder.
"""

from __future__ import annotations

import gc
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from reconciler.api.connections import InProcess
from reconciler.cli.session import Session
from reconciler.emulator.behavior import MASK, Behavior
from reconciler.emulator.emulator import LOCAL_KEY, Emulator
from reconciler.emulator.messages import Exchange, Request
from reconciler.emulator.store import Store
from reconciler.emulator.webhooks import PATH
from reconciler.errors import OutputError, ReconcilerError, UsageError
from reconciler.kinds import KINDS
from reconciler.model import Secret
from reconciler.render.quote import prose, quote
from reconciler.source.secrets import url_credential

_FOLDER: Final = ".webhooks-local"
"""The default folder of the database."""


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
        if path.parent.is_symlink():
            hint = "remove the link, or use --local-db with another path"
            raise UsageError(f"{quote(path.parent.as_posix())} is a link", hint=hint)
        with suppress(OSError):  # opening the database reports the error
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(path.parent / ".gitignore", "x", encoding="ascii") as file:
                file.write("# Created by webhooks --local.\n*\n")
    store_of = partial(_LocalStore, redacted=session.console.redacted)
    with closing(_open_store(path, store_of)) as store:
        emulators: list[Emulator] = []
        behavior = Behavior(any_key=True, **_known_types())

        def handle(request: Request) -> Any:
            return emulators[0].handle(request)

        def key_of(declared: str | None) -> Secret:
            name = declared or next(iter(session.organizations), None)
            if not emulators:  # the first organization of a new database has this name
                emulators.append(Emulator(store, behavior, organization=name))
            return Secret(LOCAL_KEY if name is None else _key_of(store, name))

        yield InProcess(handle, request=Request), key_of


def _key_of(store: Store, name: str) -> str:
    """Return the key of an organization, which is created if the database does not have it."""
    with store.transaction():
        known = {each.name: each for each in reversed(store.organizations())}
        found = known.get(name) or store.add_organization(name)
        key = f"{LOCAL_KEY}-{found.id}"
        if store.user_of_key(key) is None:
            store.add_user(found.id, key=key, role="OWNER", name="Local")
    return key


def serve(session: Session, own: Mapping[str, Any]) -> None:
    """Serve an emulator until Ctrl-C; `own` are the options of `webhooks emulator` by name.

    Raises UsageError and OutputError for files that cannot be used, ReconcilerError for an address.
    """
    # Imported here, because --local needs no server.
    from reconciler.emulator.server import Server

    gc.enable()  # a server may run for days
    directory, organization = session.process.directory, own["organization"]
    key, db, page_size = own["key"], own["db"], own["page_size"]
    behavior = Behavior(
        any_key=key is None,
        read_back=own["read_back"],
        page_size=min(page_size, Behavior.page_size),
        max_page_size=page_size,
        **_known_types(hidden=("channel",) if own["hide_channel"] else ()),
    )
    with closing(_open_store(":memory:" if db is None else directory / db)) as store:
        emulator = Emulator(store, behavior, organization=organization)
        if organization not in (None, name := store.organizations()[0].name):
            raise UsageError(
                f"the database {db} belongs to organization {quote(name)}",
                hint="use another --db for this organization",
            )
        if (seed := own["seed"]) is not None and not store.webhooks():
            _create(emulator, directory / seed, seed)
        # After the database, so that one file cannot be used for both.
        emulator.listener = None if own["log"] is None else _log(session, own["log"])
        if key is not None and store.user_of_key(key) is None:
            store.add_user(emulator.organization, key=key, role="OWNER")
        try:
            server = Server(emulator, host=own["host"], port=own["port"])
        except OSError:
            raise ReconcilerError(
                f"cannot listen on {own['host']} port {own['port']}",
                hint="choose another --host or --port",
            ) from None
        session.console.info(
            f"Emulator listening on {server.url}\n"
            f"  export CLOUDTRUTH_SERVER_URL={server.url} CLOUDTRUTH_API_KEY={key or 'any'}"
        )
        with suppress(KeyboardInterrupt):
            server.run()


def _create(emulator: Emulator, path: Path, name: str) -> None:
    """Create the webhooks of the seed file. Raises UsageError if the API would reject one."""
    hint = 'use a file with a list such as [{"name": "Deploys", "type": "slack", ...}]'
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"cannot read a JSON list of webhooks from {name}", hint=hint)
    headers = {"authorization": f"Api-Key {LOCAL_KEY}", "content-type": "application/json"}
    for number, row in enumerate(rows, 1):
        body = json.dumps({"organization": emulator.organization, **row}).encode()
        response = emulator.handle(Request(method="POST", path=PATH, headers=headers, body=body))
        if response.status != 201:
            rejected = f"{name}: webhook {number} was rejected: {response.body.decode()}"
            raise UsageError(rejected, hint="correct it in the seed file")


def _log(session: Session, name: str) -> Callable[[Exchange, int], None]:
    """Return a function that writes each request as a line of JSON."""
    file = session.process.stdout
    if name != "-":
        from reconciler.source.write import FileKind, check_kind  # --local writes no log

        path = session.process.directory / name
        check_kind(path, FileKind.REQUESTS)
        try:
            file = path.open("a", encoding="utf-8")
        except OSError:
            raise OutputError(
                f"cannot write log file {name}",
                hint="use a writable path, or - for standard output",
            ) from None

    def write(exchange: Exchange, status: int) -> None:
        sent = asdict(exchange.request)
        del sent["headers"]  # they contain the key
        sent["body"] = sent["body"].decode("utf-8", "replace")
        entry = {**sent, "status": status, "changed": exchange.changed}
        file.write(prose(json.dumps(entry)) + "\n")
        file.flush()

    return write


def _open_store(path: Path | str, kind: Callable[..., Store] = Store) -> Store:
    """Open the emulator's database. Raises UsageError if that fails."""
    try:
        return kind(path)
    except (OSError, sqlite3.Error):
        raise UsageError(
            f"{quote(str(path))} cannot be opened as the emulator's database",
            hint="use an existing directory and a new file name",
        ) from None


def _known_types(*, hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the known types for the emulator, which shares no code with the product.

    `hidden` are fields that it hides although they are not secret.
    """
    fields = [field for kind in KINDS.values() for field in kind.fields]
    secret = dict.fromkeys(each.name for each in fields if each.secret and not each.is_url)
    return {"types": tuple(KINDS), "masked_fields": (*secret, *hidden)}


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
                shown[field.name] = self._masked(shown[field.name]) if field.is_url else MASK
        return super().save({**record, "configuration": shown})

    def _masked(self, url: str) -> str:
        """Return a URL, or only scheme and host if it contains a credential."""
        is_public = url_credential(url) is None and self._redacted(url) == url
        return url if is_public else f"{Secret(url).origin() or 'https:/'}/{MASK}"
