"""What the emulated server remembers: organizations, users, webhooks and the log.

For: the handler, and tests that prepare a situation or ask what is really stored.
Promises: usable from any thread; keys are kept only as digests; a webhook's JSON text is kept
ready-made, so that long lists are cheap.
Refuses: to validate. Tests may store a webhook that the API would not accept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from reconciler.emulator import request_log
from reconciler.emulator.database import Database
from reconciler.emulator.request_log import LogEntry


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


class Store:
    """The tables and the operations on them."""

    def __init__(self, path: str | os.PathLike[str] = ":memory:", *, seed: int | None = None):
        """Open or create the file at `path`; ids follow from `seed` if it is given."""
        self._db = Database(path, seed=seed)

    def close(self) -> None:
        """Close the database; closing twice is fine."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Do all or nothing, with the store to oneself; can be nested."""
        return self._db.transaction()

    def record(self, entry: LogEntry) -> int:
        """Append to the log and return the number that the entry got."""
        return request_log.append(self._db, entry)

    def log(self, *, after: int = 0) -> list[LogEntry]:
        """Return the log's entries with a number above `after`, in order."""
        return request_log.read(self._db, after=after)

    # Organizations and users

    def add_organization(
        self, name: str, *, id: str | None = None, maintenance: bool = False
    ) -> Organization:
        """Create an organization."""
        with self.transaction():
            made = Organization(id=id or self._db.new_id(), name=name, maintenance=maintenance)
            self._db.write(
                "INSERT INTO organizations (id, name, maintenance) VALUES (?, ?, ?)",
                (made.id, name, maintenance),
            )
            return made

    def organizations(self) -> list[Organization]:
        """Return all organizations, oldest first."""
        found = self._db.rows("SELECT id, name, maintenance FROM organizations ORDER BY seq")
        return [Organization(id=i, name=n, maintenance=bool(m)) for i, n, m in found]

    def add_user(self, organization: str, *, key: str, role: str = "ADMIN", name: str = "") -> User:
        """Create a user with a key for that organization, and their membership of it."""
        with self.transaction():
            # Real user ids hold a bar, which has to be percent-encoded in a path.
            user = User(
                id=f"auth0|{self._db.new_id().replace('-', '')[:24]}",
                name=name or "Service account",
                organization=organization,
                role=role,
            )
            self._db.write(
                "INSERT INTO users (id, name, key, organization) VALUES (?, ?, ?, ?)",
                (user.id, user.name, _digest(key), organization),
            )
            self.add_membership(user.id, organization, role=role)
            return user

    def add_membership(self, user: str, organization: str, *, role: str) -> Membership:
        """Let a user see one more organization; their key still targets the first one."""
        with self.transaction():
            made = Membership(id=self._db.new_id(), user=user, organization=organization, role=role)
            self._db.write(
                "INSERT INTO memberships (id, user, organization, role) VALUES (?, ?, ?, ?)",
                (made.id, user, organization, role),
            )
            return made

    def user_of_key(self, key: str | None) -> User | None:
        """Return whose key it is; without a key, the first user."""
        found = self._db.row(
            "SELECT u.id, u.name, u.organization, m.role FROM users u JOIN memberships m"
            " ON m.user = u.id AND m.organization = u.organization"
            " WHERE ? IS NULL OR u.key = ? ORDER BY u.seq LIMIT 1",
            (None if key is None else _digest(key),) * 2,
        )
        if found is None:
            return None
        return User(id=found[0], name=found[1], organization=found[2], role=found[3])

    def revoke(self, key: str) -> None:
        """Make a key worthless from now on."""
        self._db.write("DELETE FROM users WHERE key = ?", (_digest(key),))

    def memberships(self, user: str) -> list[Membership]:
        """Return a user's memberships, oldest first."""
        found = self._db.rows(
            "SELECT id, user, organization, role FROM memberships WHERE user = ? ORDER BY seq",
            (user,),
        )
        return [Membership(id=i, user=u, organization=o, role=r) for i, u, o, r in found]

    # Webhooks

    def insert(self, record: Mapping[str, Any]) -> Row:
        """Store a webhook as it is; one without `id` gets a new one, server fields become null."""
        with self.transaction():
            given = record.get("id")
            fields: dict[str, Any] = {
                **record,
                "id": self._db.new_id() if given is None else self._db.take_id(given),
            }
            for field in ("last_run", "last_error"):
                fields.setdefault(field, None)
            values = (fields["id"], fields["organization"], fields["name"], _dump(fields))
            seq = self._db.write(
                "INSERT INTO webhooks (id, organization, name, data) VALUES (?, ?, ?, ?)", values
            )
            return _row((seq, *values))

    def update(self, id: str, record: Mapping[str, Any]) -> str:
        """Replace the webhook of that id, and return its JSON text; its place in lists stays."""
        data = _dump({**record, "id": id})
        self._db.write(
            "UPDATE webhooks SET organization = ?, name = ?, data = ? WHERE id = ?",
            (record["organization"], record["name"], data, id),
        )
        return data

    def delete(self, id: str) -> None:
        """Remove a webhook."""
        self._db.write("DELETE FROM webhooks WHERE id = ?", (id,))

    def row(self, id: str) -> Row | None:
        """Return one stored webhook."""
        found = self._db.row(f"{_ROW} WHERE id = ?", (id,))
        return _row(found) if found else None

    def rows(self, organization: str) -> list[Row]:
        """Return an organization's webhooks, oldest first."""
        found = self._db.rows(f"{_ROW} WHERE organization = ? ORDER BY seq", (organization,))
        return [_row(item) for item in found]

    def count(self, organization: str) -> int:
        """Return how many webhooks an organization has."""
        query = "SELECT count(*) FROM webhooks WHERE organization = ?"
        return int(self._db.row(query, (organization,))[0])

    def page(self, organization: str, *, by_name: bool, offset: int, limit: int) -> list[str]:
        """Return the JSON texts of one page, in order of creation or of name."""
        query = _PAGE_BY_NAME if by_name else _PAGE
        return [data for (data,) in self._db.rows(query, (organization, limit, offset))]

    def name_taken(
        self, organization: str, name: str, *, case_blind: bool, except_id: str | None
    ) -> bool:
        """Tell whether another webhook of the organization bears the name."""
        if case_blind:
            others = [row.name for row in self.rows(organization) if row.id != except_id]
            return name.casefold() in map(str.casefold, others)
        query = "SELECT 1 FROM webhooks WHERE organization = ? AND name = ? AND id IS NOT ?"
        return self._db.row(query, (organization, name, except_id)) is not None

    def webhooks(self, organization: str | None = None) -> list[dict[str, Any]]:
        """Return what is really stored, secrets in plain, oldest first; by default everywhere."""
        query = "SELECT data FROM webhooks WHERE ? IS NULL OR organization = ? ORDER BY seq"
        values = (organization, organization)
        return [json.loads(data) for (data,) in self._db.rows(query, values)]


_ROW = "SELECT seq, id, organization, name, data FROM webhooks"
_PAGE = "SELECT data FROM webhooks WHERE organization = ? ORDER BY seq LIMIT ? OFFSET ?"
_PAGE_BY_NAME = (
    "SELECT data FROM webhooks WHERE organization = ? ORDER BY name, seq LIMIT ? OFFSET ?"
)

# Made once: json.dumps would build a new encoder on each call.
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _row(values: tuple[int, str, str, str, str]) -> Row:
    return Row(seq=values[0], id=values[1], organization=values[2], name=values[3], data=values[4])


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
