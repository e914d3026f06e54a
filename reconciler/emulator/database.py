"""One SQLite database, in memory or in a file, for any number of threads.

For: connection, tables, transactions and ids, which all that is stored has in common.
Promises: a transaction has the database to itself and happens whole or not at all; an id is never
given out twice, not even after a delete or in a later run on the same file; with a seed the same
calls give the same ids.
Refuses: to survive a power cut for sure. It does survive a killed process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS ids (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS organizations (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    maintenance INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE, organization TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memberships (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL,
    organization TEXT NOT NULL, role TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS webhooks (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, organization TEXT NOT NULL,
    name TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS webhooks_by_creation ON webhooks (organization, seq);
CREATE INDEX IF NOT EXISTS webhooks_by_name ON webhooks (organization, name, seq);
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    organization TEXT, user TEXT, fault TEXT, changed TEXT);
"""


class Database:
    """A connection that threads take turns to use."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:", *, seed: int | None = None):
        """Open or create the file at `path`, and let nobody but its owner read it."""
        path = os.fspath(path)
        self._seed = seed
        self._lock = threading.RLock()
        self._depth = 0
        if path != ":memory:":
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            if os.path.isfile(path):  # not a device
                with suppress(PermissionError):  # another user's file
                    os.chmod(path, 0o600)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA busy_timeout = 10000")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")

    def close(self) -> None:
        """Close the database; closing twice is fine."""
        with self._lock:
            self._connection.close()

    def __del__(self) -> None:
        # A store in memory is often simply dropped; that deserves no warning.
        if hasattr(self, "_connection"):
            self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a query gives."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row that a query gives, or None."""
        with self._lock:
            return self._connection.execute(query, values).fetchone()

    def write(self, query: str, values: Sequence[Any]) -> int:
        """Carry out a change and return the number of the row inserted, if one was."""
        with self._lock:
            # A single statement is a transaction of its own unless one is open.
            return self._connection.execute(query, values).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing, with the database to oneself; can be nested."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def new_id(self) -> str:
        """Give out an id that was never given out before."""
        with self.transaction():
            salt = 0
            while True:
                (last,) = self._connection.execute(
                    "SELECT coalesce(max(seq), 0) FROM ids"
                ).fetchone()
                if self._seed is None:
                    fresh = str(uuid.uuid4())
                else:
                    # Drawn from the position, not from a generator, so that a second run on the
                    # same file does not begin again with the ids of the first.
                    text = f"{self._seed}:{last}:{salt}".encode()
                    digest = blake2b(text, digest_size=16).digest()
                    fresh = str(uuid.UUID(bytes=digest, version=4))
                try:
                    self._connection.execute("INSERT INTO ids (id) VALUES (?)", (fresh,))
                except sqlite3.IntegrityError:
                    salt += 1
                else:
                    return fresh

    def take_id(self, id: str) -> str:
        """Mark an id from outside as given out; ValueError if it was already."""
        try:
            self.write("INSERT INTO ids (id) VALUES (?)", (id,))
        except sqlite3.IntegrityError:
            raise ValueError(f"the id {id} was used before") from None
        return id
