"""What the emulated server remembers, in SQLite: in memory or in a file.

For: organizations, users, webhooks, and the log of every request.
Promises: usable from any thread; all that one request does is one transaction; an id is never
given out twice, not even after a delete or in a later run on the same file; with a seed the same
calls give the same ids; keys are kept only as digests.
Refuses: to validate. Tests may store a webhook that the API would not accept.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """An organization; `id` is opaque."""

    id: str
    name: str
    maintenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user's role in an organization."""

    id: str
    user: str
    organization: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The owner of one key; `organization` is the one that the key targets."""

    id: str
    name: str
    organization: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stored webhook: where it stands in lists, and its JSON text with secrets in plain."""

    seq: int
    id: str
    organization: str
    name: str
    data: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request as it arrived.

    `status` is what the client was told, 0 if nothing; `body` is the request's, secrets included;
    `changed` is the id of the webhook that was really written, whatever the client was told.
    """

    seq: int
    time: float
    method: str
    path: str
    query: str
    status: int
    body: str
    organization: str | None
    user: str | None
    fault: str | None
    changed: str | None


class Store:
    """The tables and the operations on them."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:", *, seed: int | None = None):
        """Open or create the file at `path`; a new one is readable by its owner alone."""
        self._path = os.fspath(path)
        self._seed = seed
        self._lock = threading.RLock()
        self._depth = 0
        if self._path != ":memory:":
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA busy_timeout = 10000")
        # A killed process loses nothing; only a power cut could, and this is no place for treasure.
        self._db.execute("PRAGMA synchronous = OFF")
        if self._path == ":memory:":
            # Rolling back needs no journal on disk here, and a fresh database is made much sooner.
            self._db.executescript(f"BEGIN; {_TABLES} COMMIT;")
        else:
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing, with the store to oneself; can be nested."""
        with self._lock:
            if self._depth:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth = 0

    def new_id(self) -> str:
        """Give out an id that was never given out before."""
        with self.transaction():
            salt = 0
            while True:
                (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM ids").fetchone()
                if self._seed is None:
                    fresh = str(uuid.uuid4())
                else:
                    # Drawn from the position, not from a generator, so that a second run on the
                    # same file does not begin again with the ids of the first.
                    text = f"{self._seed}:{last}:{salt}".encode()
                    digest = blake2b(text, digest_size=16).digest()
                    fresh = str(uuid.UUID(bytes=digest, version=4))
                try:
                    self._db.execute("INSERT INTO ids (id) VALUES (?)", (fresh,))
                except sqlite3.IntegrityError:
                    salt += 1
                else:
                    return fresh

    # Organizations and users

    def add_organization(
        self, name: str, *, id: str | None = None, maintenance: bool = False
    ) -> Organization:
        """Create an organization."""
        with self.transaction():
            made = Organization(id=id or self.new_id(), name=name, maintenance=maintenance)
            self._db.execute(
                "INSERT INTO organizations (id, name, maintenance) VALUES (?, ?, ?)",
                (made.id, name, maintenance),
            )
            return made

    def organizations(self) -> list[Organization]:
        """Return all organizations, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT id, name, maintenance FROM organizations ORDER BY seq")
            return [Organization(id=i, name=n, maintenance=bool(m)) for i, n, m in rows.fetchall()]

    def add_user(self, organization: str, *, key: str, role: str = "ADMIN", name: str = "") -> User:
        """Create a user with a key for that organization, and their membership of it."""
        with self.transaction():
            # Real user ids hold a bar, which has to be percent-encoded in a path.
            user = User(
                id=f"auth0|{self.new_id().replace('-', '')[:24]}",
                name=name or "Service account",
                organization=organization,
                role=role,
            )
            self._db.execute(
                "INSERT INTO users (id, name, key, organization) VALUES (?, ?, ?, ?)",
                (user.id, user.name, _digest(key), organization),
            )
            self.add_membership(user.id, organization, role=role)
            return user

    def add_membership(self, user: str, organization: str, *, role: str) -> Membership:
        """Let a user see one more organization; their key still targets the first one."""
        with self.transaction():
            made = Membership(id=self.new_id(), user=user, organization=organization, role=role)
            self._db.execute(
                "INSERT INTO memberships (id, user, organization, role) VALUES (?, ?, ?, ?)",
                (made.id, user, organization, role),
            )
            return made

    def user_of_key(self, key: str | None) -> User | None:
        """Return whose key it is; without a key, the first user."""
        with self._lock:
            row = self._db.execute(
                "SELECT u.id, u.name, u.organization, m.role FROM users u JOIN memberships m"
                " ON m.user = u.id AND m.organization = u.organization"
                " WHERE ?1 IS NULL OR u.key = ?1 ORDER BY u.seq LIMIT 1",
                (None if key is None else _digest(key),),
            ).fetchone()
        return User(id=row[0], name=row[1], organization=row[2], role=row[3]) if row else None

    def memberships(self, user: str) -> list[Membership]:
        """Return a user's memberships, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, user, organization, role FROM memberships WHERE user = ? ORDER BY seq",
                (user,),
            )
            return [Membership(id=i, user=u, organization=o, role=r) for i, u, o, r in rows]

    # Webhooks

    def insert(self, record: Mapping[str, Any]) -> Row:
        """Store a webhook as it is; one without `id` gets a new one, server fields become null."""
        with self.transaction():
            if given := record.get("id"):
                self._db.execute("INSERT INTO ids (id) VALUES (?)", (given,))
            record = {**record, "id": given or self.new_id()}
            for field in ("last_run", "last_error"):
                record.setdefault(field, None)
            data = _dump(record)
            cursor = self._db.execute(
                "INSERT INTO webhooks (id, organization, name, data) VALUES (?, ?, ?, ?)",
                (record["id"], record["organization"], record["name"], data),
            )
            assert cursor.lastrowid is not None
            return Row(
                seq=cursor.lastrowid,
                id=record["id"],
                organization=record["organization"],
                name=record["name"],
                data=data,
            )

    def update(self, id: str, record: Mapping[str, Any]) -> None:
        """Replace the webhook of that id; its place in lists stays."""
        with self.transaction():
            self._db.execute(
                "UPDATE webhooks SET organization = ?, name = ?, data = ? WHERE id = ?",
                (record["organization"], record["name"], _dump({**record, "id": id}), id),
            )

    def delete(self, id: str) -> None:
        """Remove a webhook."""
        with self.transaction():
            self._db.execute("DELETE FROM webhooks WHERE id = ?", (id,))

    def row(self, id: str) -> Row | None:
        """Return one stored webhook."""
        with self._lock:
            found = self._db.execute(f"{_ROW} WHERE id = ?", (id,)).fetchone()
        return _row(found) if found else None

    def rows(self, organization: str) -> list[Row]:
        """Return an organization's webhooks, oldest first."""
        with self._lock:
            found = self._db.execute(f"{_ROW} WHERE organization = ? ORDER BY seq", (organization,))
            return [_row(item) for item in found.fetchall()]

    def count(self, organization: str) -> int:
        """Return how many webhooks an organization has."""
        with self._lock:
            (number,) = self._db.execute(
                "SELECT count(*) FROM webhooks WHERE organization = ?", (organization,)
            ).fetchone()
        return int(number)

    def page(self, organization: str, *, by_name: bool, offset: int, limit: int) -> list[str]:
        """Return the JSON texts of one page, in order of creation or of name."""
        query = _PAGE_BY_NAME if by_name else _PAGE
        with self._lock:
            found = self._db.execute(query, (organization, limit, offset))
            return [data for (data,) in found.fetchall()]

    def name_taken(
        self, organization: str, name: str, *, case_blind: bool, except_id: str | None
    ) -> bool:
        """Tell whether another webhook of the organization bears the name."""
        if case_blind:
            folded = name.casefold()
            names = [(row.name.casefold(), row.id) for row in self.rows(organization)]
            return any(other == folded and owner != except_id for other, owner in names)
        with self._lock:
            found = self._db.execute(
                "SELECT 1 FROM webhooks WHERE organization = ? AND name = ? AND id IS NOT ?",
                (organization, name, except_id),
            ).fetchone()
        return found is not None

    def webhooks(self, organization: str | None = None) -> list[dict[str, Any]]:
        """Return what is really stored, secrets in plain, oldest first; by default everywhere."""
        with self._lock:
            found = self._db.execute(
                "SELECT data FROM webhooks WHERE ?1 IS NULL OR organization = ?1 ORDER BY seq",
                (organization,),
            )
            return [json.loads(data) for (data,) in found.fetchall()]

    # The log

    def record(self, entry: LogEntry) -> LogEntry:
        """Append to the log; the number is given out here."""
        values = (
            entry.time,
            entry.method,
            entry.path,
            entry.query,
            entry.status,
            entry.body,
            entry.organization,
            entry.user,
            entry.fault,
            entry.changed,
        )
        with self.transaction():
            cursor = self._db.execute(
                "INSERT INTO log (time, method, path, query, status, body, organization, user,"
                " fault, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return LogEntry(cursor.lastrowid or 0, *values)

    def log(self, *, after: int = 0) -> list[LogEntry]:
        """Return the entries with a number above `after`, in order."""
        with self._lock:
            found = self._db.execute(
                "SELECT seq, time, method, path, query, status, body, organization, user, fault,"
                " changed FROM log WHERE seq > ? ORDER BY seq",
                (after,),
            )
            return [LogEntry(*row) for row in found.fetchall()]


_ROW = "SELECT seq, id, organization, name, data FROM webhooks"
_PAGE = "SELECT data FROM webhooks WHERE organization = ? ORDER BY seq LIMIT ? OFFSET ?"
_PAGE_BY_NAME = (
    "SELECT data FROM webhooks WHERE organization = ? ORDER BY name, seq LIMIT ? OFFSET ?"
)


def _row(values: tuple[int, str, str, str, str]) -> Row:
    return Row(seq=values[0], id=values[1], organization=values[2], name=values[3], data=values[4])


def _dump(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
