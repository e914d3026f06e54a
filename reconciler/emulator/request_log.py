"""The log of every request, in the order in which they were carried out.

For: tests and people who ask what a client really did.
Promises: one entry a request, in the same transaction as what the request changed.
Refuses: to hide secrets. Bodies are kept as they came; keys are not kept at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.emulator.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One request as it arrived.

    `status` is what the client was told, 0 if nothing; `body` is the request's, secrets included;
    `changed` is the id of the webhook that was really written, whatever the client was told.
    """

    seq: int = 0
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


def append(database: Database, entry: LogEntry) -> int:
    """Append to the log and return the number that the entry got."""
    return database.write(
        "INSERT INTO log (time, method, path, query, status, body, organization, user, fault,"
        " changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
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
        ),
    )


def read(database: Database, *, after: int) -> list[LogEntry]:
    """Return the entries with a number above `after`, in order."""
    found = database.rows(
        "SELECT seq, time, method, path, query, status, body, organization, user, fault, changed"
        " FROM log WHERE seq > ? ORDER BY seq",
        (after,),
    )
    return [LogEntry(**dict(zip(LogEntry.__slots__, row, strict=True))) for row in found]
