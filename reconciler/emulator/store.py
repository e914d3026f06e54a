"""Store organizations, users, webhooks and parameters of the emulated server.

It is one SQLite database, in memory or in a file, usable from any thread. Transactions are
exclusive and atomic. Keys are stored as digests only. Webhooks are stored as JSON text, so that
long lists are cheap. Nothing is validated: tests may store a webhook that the API would reject. The
file survives a killed process, but possibly not a power cut.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any, NamedTuple

from reconciler.emulator.messages import dump

_TABLES = """
CREATE TABLE IF NOT EXISTS organizations (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE, organization TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memberships (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL,
    organization TEXT NOT NULL, role TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS webhooks (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, organization TEXT NOT NULL,
    name TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS parameters (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, project TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY, due REAL NOT NULL, webhook TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS webhooks_by_creation ON webhooks (organization, seq);
CREATE INDEX IF NOT EXISTS webhooks_by_name ON webhooks (organization, name, seq);
"""
_USERS = (
    "SELECT u.id, u.name, o.id, o.name, m.id, m.role FROM users u JOIN memberships m"
    " ON m.user = u.id JOIN organizations o ON o.id = m.organization WHERE "
)


class Organization(NamedTuple):
    """An organization; `id` is opaque."""

    id: str
    name: str


class User(NamedTuple):
    """The owner of one key, with their membership of one organization."""

    id: str
    name: str
    organization: str
    organization_name: str
    membership: str
    role: str


class Row(NamedTuple):
    """A stored webhook: its position in lists, and its JSON text with plain secrets."""

    seq: int
    id: str
    organization: str
    name: str
    data: str


class Store:
    """The tables and the operations on them."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        """Open or create the file at `path`, readable by its owner only."""
        path = os.fspath(path)
        self._lock = threading.RLock()
        if path != ":memory:":
            # A link in a repository may lead to any file.
            flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(path, flags, 0o600))
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA busy_timeout = 10000")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        if os.path.isfile(path):  # a database, not a device
            with suppress(PermissionError):  # another user's file
                os.chmod(path, 0o600)

    def close(self) -> None:
        """Close the database; closing twice is fine."""
        with self._lock:
            self._connection.close()

    def __del__(self) -> None:
        # A store in memory is often dropped without closing; that needs no warning.
        if hasattr(self, "_connection"):
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction, with exclusive use of the store; can be nested."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            with self._connection:  # commits, or rolls back after an exception
                self._connection.execute("BEGIN IMMEDIATE")
                yield

    def new_id(self) -> str:
        """Return a new unique id."""
        return str(uuid.uuid4())

    # Organizations and users

    def add_organization(self, name: str) -> Organization:
        """Create an organization."""
        organization = Organization(id=self.new_id(), name=name)
        self._insert("organizations", id=organization.id, name=name)
        return organization

    def organizations(self) -> list[Organization]:
        """Return all organizations, oldest first."""
        rows = self._execute("SELECT id, name FROM organizations ORDER BY seq")
        return [Organization(*row) for row in rows]

    def add_user(self, organization: str, *, key: str, role: str = "ADMIN", name: str = "") -> None:
        """Create a user with a key for that organization, and their membership of it."""
        with self.transaction():
            # Real user ids contain a bar, which must be percent-encoded in a path.
            id_ = f"auth0|{self.new_id().replace('-', '')[:24]}"
            values = {"name": name or "Service account", "key": _digest(key)}
            self._insert("users", id=id_, organization=organization, **values)
            self.add_membership(id_, organization, role=role)

    def add_membership(self, user: str, organization: str, *, role: str) -> None:
        """Add a user to another organization; their key still targets the first one."""
        values = {"user": user, "organization": organization, "role": role}
        self._insert("memberships", id=self.new_id(), **values)

    def user_of_key(self, key: str | None) -> User | None:
        """Return the owner of a key in the organization that it targets, None if no user has it.

        Without a key, return the first user.
        """
        digest = None if key is None else _digest(key)
        condition = "m.organization = u.organization AND (? IS NULL OR u.key = ?) ORDER BY u.seq"
        users = self._execute(_USERS + condition, digest, digest)
        return User(*users[0]) if users else None

    def memberships(self, user: str) -> list[User]:
        """Return a user in each of their organizations, in the order of these."""
        return [User(*row) for row in self._execute(f"{_USERS} u.id = ? ORDER BY o.seq", user)]

    # Webhooks

    def save(self, record: Mapping[str, Any]) -> str:
        """Store a webhook without validation and return its JSON text.

        It replaces the one with its `id`, keeping its position in lists. A missing `id` is
        generated, missing server fields are null.
        """
        stored = {**record, "id": record.get("id") or self.new_id()}
        for field in ("last_run", "last_error"):
            stored.setdefault(field, None)
        data = dump(stored)
        self._execute(
            "INSERT INTO webhooks (id, organization, name, data) VALUES (?, ?, ?, ?) ON CONFLICT"
            " (id) DO UPDATE SET (organization, name, data) ="
            " (excluded.organization, excluded.name, excluded.data)",
            stored["id"],
            stored["organization"],
            stored["name"],
            data,
        )
        return data

    def delete(self, id: str) -> None:
        """Remove a webhook."""
        self._execute("DELETE FROM webhooks WHERE id = ?", id)

    def row(self, id: str) -> Row | None:
        """Return one stored webhook."""
        query = "SELECT seq, id, organization, name, data FROM webhooks WHERE id = ?"
        return next((Row(*row) for row in self._execute(query, id)), None)

    def texts(self, organization: str, ordering: str = "") -> list[str]:
        """Return the JSON texts of an organization's webhooks.

        `ordering` is a comma-separated list of fields, descending with a leading `-`; names other
        than `id`, `name` and `organization` are ignored.
        """
        terms: list[str] = []
        for key in ordering.split(","):
            field = key.strip().removeprefix("-")
            if field in ("id", "name", "organization"):
                terms.append(f"{field} DESC" if key.strip().startswith("-") else field)
        order = ", ".join([*terms, "seq"])
        query = f"SELECT data FROM webhooks WHERE organization = ? ORDER BY {order}"  # noqa: S608
        return [data for (data,) in self._execute(query, organization)]

    def webhooks(self, organization: str | None = None) -> list[dict[str, Any]]:
        """Return stored webhooks with plain secrets, oldest first; by default all."""
        query = "SELECT data FROM webhooks WHERE ? IS NULL OR organization = ? ORDER BY seq"
        rows = self._execute(query, organization, organization)
        return [json.loads(data) for (data,) in rows]

    # Parameters and deliveries

    def save_parameter(self, project: str, record: Mapping[str, Any]) -> None:
        """Store a parameter of a project. It replaces the one with its `id`."""
        self._execute(
            "INSERT INTO parameters (id, project, data) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET data = excluded.data",
            record["id"],
            project,
            dump(record),
        )

    def delete_parameter(self, id: str) -> None:
        """Remove a parameter and its values."""
        self._execute("DELETE FROM parameters WHERE id = ?", id)

    def parameters(self, project: str | None = None) -> list[dict[str, Any]]:
        """Return the parameters of a project, oldest first; by default those of all projects."""
        query = "SELECT data FROM parameters WHERE ? IS NULL OR project = ? ORDER BY seq"
        return [json.loads(data) for (data,) in self._execute(query, project, project)]

    def add_delivery(self, webhook: str, due: float, changes: Mapping[str, Any]) -> None:
        """Store changes of a webhook that a delivery makes at the time `due` (a Unix time)."""
        self._insert("deliveries", webhook=webhook, due=due, data=dump(changes))

    def apply_deliveries(self, now: float) -> None:
        """Change the webhooks whose deliveries are due, in the order of the deliveries."""
        query = "SELECT webhook, data FROM deliveries WHERE due <= ? ORDER BY seq"
        deliveries = self._execute(query, now)
        if deliveries:
            self._execute("DELETE FROM deliveries WHERE due <= ?", now)
        for id_, changes in deliveries:
            row = self.row(id_)
            if row is not None:
                self.save({**json.loads(row.data), **json.loads(changes)})

    def _execute(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            # Outside a transaction, a single statement is atomic.
            return self._connection.execute(query, values).fetchall()

    def _insert(self, table: str, **values: str | float) -> None:
        marks = ", ".join("?" * len(values))
        query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608
        self._execute(query, *values.values())


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
