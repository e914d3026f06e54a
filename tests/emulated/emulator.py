"""An emulator that fails on demand: lost responses, late writes, stale lists."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote

from reconciler import emulator as product
from reconciler.emulator import LOCAL_KEY, messages
from reconciler.emulator.messages import Exchange, Request
from reconciler.emulator.store import Row, Store
from tests.emulated.faults import FaultSource, Response, Script, with_fault
from tests.emulated.variant import Variant

__all__ = ["LOCAL_KEY", "Emulator", "Request", "Response"]


class SeededStore(Store):
    """A store whose ids depend on a seed and on the number of earlier ids."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given = 0
        super().__init__()

    def new_id(self) -> str:
        text = f"{self._seed}:{self._given}:0".encode()
        self._given += 1
        return str(uuid.UUID(bytes=blake2b(text, digest_size=16).digest(), version=4))

    def rename(self, organization: str, name: str) -> None:
        """Change the name of an organization."""
        self._execute("UPDATE organizations SET name = ? WHERE id = ?", name, organization)

    def rows(self, organization: str) -> list[Row]:
        """Return an organization's webhooks, oldest first."""
        query = "SELECT seq, id, organization, name, data FROM webhooks WHERE organization = ?"
        return [Row(*row) for row in self._execute(f"{query} ORDER BY seq", organization)]


class LogEntry(NamedTuple):
    """A request, as received.

    `status` is the one that the client received, 0 if none; `changed` is the id of the written
    webhook, even if the client received an error.
    """

    method: str
    path: str
    query: str
    status: int
    body: str
    changed: str | None


class Emulator(product.Emulator):
    """One server. `behavior` and `faults` may be replaced at any time.

    The same requests give byte-identical responses, unless a `store` is given.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        behavior: Variant | None = None,
        faults: FaultSource | None = None,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
        listener: Callable[[LogEntry], None] | None = None,
    ) -> None:
        self.faults: FaultSource = Script() if faults is None else faults
        self.log: list[LogEntry] = []
        """Every request, in order."""
        self._randomness = random.Random(seed).random
        self._lag = Lag()
        self._late: list[tuple[float, Request]] = []
        self.clock = clock
        self.is_frozen: Callable[[str], bool] = lambda key: False
        """Whether lists never show the writes to a webhook, until `thaw`."""
        self._notify = listener
        super().__init__(store or SeededStore(seed), behavior or Variant())

    def handle(self, request: Request) -> Response:
        """Process a request, or fail as the faults require."""
        with self.store.transaction():
            now = self.clock()
            self._commit_due_writes(now)
            fault = self.faults.take(request.method, request.path, request.body)
            exchange = self._begin(request, now)
            if fault is None or fault.commit:
                complete = self.respond(exchange)
            else:
                complete = Response(status=502, headers=(("content-length", "0"),))
                if fault.commit_after is not None:
                    self._late.append((now + fault.commit_after, request))
            if fault is None:
                self._record(exchange, complete.status)
                return Response(
                    status=complete.status, headers=complete.headers, body=complete.body
                )
            response = with_fault(complete, fault)
            self._record(exchange, response.status if fault.has_response else 0)
            return response

    def webhook(self, name: str) -> dict[str, Any]:
        """Return the stored webhook of this name."""
        (found,) = (each for each in self.store.webhooks(self.organization) if each["name"] == name)
        return found

    def change(self, name: str, **fields: Any) -> None:
        """Change fields of a webhook, like another user."""
        row = self.webhook(name)
        self.store.save({**row, **fields})

    def configure(self, name: str, **fields: Any) -> None:
        """Change fields of the configuration of a webhook, like another user."""
        self.change(name, configuration={**self.webhook(name)["configuration"], **fields})

    @property
    def organization(self) -> str:
        """The id of the oldest organization."""
        return self.store.organizations()[0].id

    def commit_due_writes(self) -> None:
        """Commit the late writes that are due; `handle` does this first."""
        with self.store.transaction():
            self._commit_due_writes(self.clock())

    def thaw(self) -> None:
        """Show every write in lists."""
        self.is_frozen = lambda key: False
        self._lag = Lag()

    def _begin(self, request: Request, now: float) -> Exchange:
        return StaleExchange(
            request=request,
            store=self.store,
            behavior=self.behavior,
            now=now,
            lag=self._lag,
            randomness=self._randomness,
        )

    def _record(self, exchange: Exchange, status: int) -> None:
        request = exchange.request
        entry = LogEntry(
            method=request.method,
            path=request.path,
            query=request.query,
            status=status,
            body=request.body.decode("utf-8", "replace"),
            changed=exchange.changed,
        )
        if self._notify is not None:
            self._notify(entry)
        self.log.append(entry)

    def respond(self, exchange: Exchange) -> messages.Response:
        assert isinstance(exchange, StaleExchange)
        behavior, store = exchange.behavior, self.store
        named = unquote(exchange.request.path.rstrip("/").rpartition("/")[2])
        before = store.row(named) or store.row(named.lower())
        response = super().respond(exchange)
        if not isinstance(behavior, Variant):
            return response
        response = response.with_headers(*(("set-cookie", each) for each in behavior.cookies))
        frozen = exchange.changed is not None and self.is_frozen(exchange.changed)
        if not (behavior.stale or frozen):
            return response
        if exchange.changed is not None:
            after = store.row(exchange.changed)
            for organization in sorted({row.organization for row in (before, after) if row}):
                write = Write(
                    organization=organization,
                    id=exchange.changed,
                    before=before if before and before.organization == organization else None,
                    visible_from=math.inf if frozen else exchange.now + behavior.stale_list_seconds,
                    listings_left=behavior.stale_list_reads,
                )
                self._lag.add(write)
        return response

    def _commit_due_writes(self, now: float) -> None:
        if not self._late:
            return
        due = [item for item in self._late if item[0] <= now]
        self._late = [item for item in self._late if item[0] > now]
        for moment, request in sorted(due, key=lambda item: item[0]):
            exchange = self._begin(request, moment)
            self.respond(exchange)
            self._record(exchange, 0)


@dataclass(slots=True, kw_only=True)
class Write:
    """A write that lists do not show yet; `before` is the row that they show instead."""

    organization: str
    id: str
    before: Row | None
    visible_from: float
    listings_left: int


class Lag:
    """The writes that lists do not show yet, oldest first, as with a stale replica.

    Each write stays invisible until a number of listings of its organization have been returned and
    a number of seconds have passed; several writes to one webhook become visible in order. Guarded
    by the emulator's lock.
    """

    def __init__(self) -> None:
        """Start with everything visible."""
        self._writes: list[Write] = []

    def add(self, write: Write) -> None:
        """Hide a write from listings until it is due."""
        self._writes.append(write)

    def begin_listing(self, organization: str, now: float) -> None:
        """Start the next listing of the organization.

        Show the writes that are due, and decrement the counters of the others. Only a first page
        starts a listing: the later pages are as stale as the first.
        """
        if not self._writes:
            return
        kept: list[Write] = []
        for write in self._writes:
            if write.organization == organization:
                if write.listings_left <= 0 and write.visible_from <= now:
                    continue
                write.listings_left -= 1
            kept.append(write)
        self._writes = kept

    def hides(self, organization: str) -> bool:
        """Return whether the current listing of the organization is stale."""
        return any(write.organization == organization for write in self._writes)

    def overlay(self, organization: str, rows: Sequence[Row]) -> list[Row]:
        """Return the rows as the list still shows them, in order of creation."""
        seen = {row.id: row for row in rows}
        hidden: set[str] = set()
        for write in self._writes:
            if write.organization != organization or write.id in hidden:
                continue
            hidden.add(write.id)
            if write.before is None:
                seen.pop(write.id, None)
            else:
                seen[write.id] = write.before
        return sorted(seen.values(), key=lambda row: row.seq)


class StaleExchange(Exchange):
    """An exchange with a server whose lists are stale and whose order may be random."""

    def __init__(
        self, *, now: float, lag: Lag, randomness: Callable[[], float], **known: Any
    ) -> None:
        super().__init__(**known)
        self.now = now
        self.lag = lag
        self.randomness = randomness
