"""What CloudTruth answers: is it there, does it know the key, what may the key do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent_encoded

from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.doctor.published import compare
from reconciler.doctor.readback import read_back
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    OrganizationError,
    PermissionDeniedError,
    ProtocolError,
    ReconcilerError,
    UnreachableError,
)
from reconciler.model import LiveWebhook, Organization
from reconciler.ports import Clock, Workers
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.values import dataclass

if TYPE_CHECKING:
    from reconciler.api.calls import Reply
    from reconciler.api.transport import Transport

_SKEW: Final = 60.0
"""Seconds by which two clocks may differ."""
_STRONG: Final = ("OWNER", "ADMIN")
_LOOK_AT_URL: Final = "check the server URL, and that a firewall lets requests out"
_RUN_AGAIN: Final = "run again; if it stays, ask CloudTruth's support"


@dataclass(slots=True)
class Service:
    """One server, asked once for each thing.

    `open` is without a credential, `keyed` has the key. Both must lead to the same server.
    """

    open: Transport
    keyed: Transport | None
    clock: Clock
    workers: Workers
    guards: tuple[str, ...] = ()
    _date: str | None = field(default=None, init=False)

    def look(self) -> tuple[Check, ...]:
        """Ask for everything; what makes no sense after a failure is left out."""
        reached, description = self._reach()
        checks = [reached]
        if reached.fix is None:
            checks += (
                compare(description)
                if description is not None
                else [unknown("schema", "the server does not describe itself")]
            )
            if self.keyed is not None:
                checks += self._with_key(self.keyed)
        skew = self._skew()
        return (*checks, *([skew] if skew is not None else []))

    def _reach(self) -> tuple[Check, Any]:
        from reconciler.api.client import SCHEMA
        from reconciler.api.transport import LARGE

        started = self.clock.monotonic()
        try:
            reply = self.open.request(
                "GET", SCHEMA, params={"format": "json"}, expect=200, cap=LARGE
            )
        except UnreachableError as problem:
            return self._failure("http", problem), None
        except ApiError as problem:
            if problem.status is None:
                return self._failure("http", problem), None
            return ok("http", f"the server answers (HTTP {problem.status})"), None
        except ReconcilerError as problem:
            return self._failure("http", problem), None
        self._see(reply.headers)
        took = (self.clock.monotonic() - started) * 1000
        return ok("http", f"the server answers, after {took:.0f} ms"), reply.data

    def _with_key(self, keyed: Transport) -> list[Check]:
        from reconciler.api.discovery import ORGANIZATIONS

        try:
            reply = keyed.request("GET", ORGANIZATIONS, expect=200)
        except PermissionDeniedError as problem:
            if problem.detail is None:
                return [self._failure("key", problem)]
        except ReconcilerError as problem:
            return [self._failure("key", problem)]
        else:
            self._see(reply.headers)
        checks = [ok("key", "the server accepts it")]
        listing, rows = self._listing(keyed)
        checks += self._organization(keyed, rows)
        return checks + listing

    def _organization(self, keyed: Transport, rows: tuple[LiveWebhook, ...]) -> list[Check]:
        from reconciler.api.discovery import organization

        try:
            found = organization(keyed, self.workers, lambda: rows)
        except OrganizationError as problem:
            return [fail("organization", problem.message, fix=problem.hint or _RUN_AGAIN)]
        except ReconcilerError as problem:
            return [self._failure("organization", problem)]
        return [self._guarded(found), _role(found), _maintenance(found)]

    def _guarded(self, found: Organization) -> Check:
        aside = f"{quote(found.name)}, id {quote(found.id)}"
        others = [each for each in self.guards if each not in (found.id, found.name)]
        if others:
            return fail(
                "organization",
                "the key belongs to another one than the one asked for",
                aside=f"{aside}; asked for: {', '.join(quote(each) for each in others)}",
                fix="use a key of that organization, or correct `organization`",
            )
        asked = ", as asked for" if self.guards else ""
        return ok("organization", f"found{asked}", aside=aside)

    def _listing(self, keyed: Transport) -> tuple[list[Check], tuple[LiveWebhook, ...]]:
        from reconciler.api import wire
        from reconciler.api.client import WEBHOOKS
        from reconciler.api.paging import PAGE_SIZE
        from reconciler.api.transport import LARGE

        params: dict[str, str | int] = {"ordering": "name", "page": 1, "page_size": PAGE_SIZE}
        try:
            reply = keyed.request("GET", WEBHOOKS, params=params, expect=200, cap=LARGE)
            results = reply.data.get("results") if isinstance(reply.data, dict) else None
            if not isinstance(results, list):
                raise ProtocolError("the list of webhooks is no list")
            rows = tuple(wire.live_webhook(each) for each in results)
        except ReconcilerError as problem:
            return [self._failure("webhooks", problem)], ()
        return [
            _pages(reply.data, len(rows), PAGE_SIZE),
            *self._methods(keyed, reply, rows),
            *read_back(rows),
        ], rows

    def _methods(
        self, keyed: Transport, listed: Reply, rows: tuple[LiveWebhook, ...]
    ) -> list[Check]:
        from reconciler.api.client import WEBHOOKS

        offered = _allowed(listed.headers)
        checks = [_of_list(offered)]
        if not rows:
            return [*checks, unknown("methods", "of a webhook: none is live to ask of")]
        path = f"{WEBHOOKS}{percent_encoded(rows[0].id, safe='')}/"
        try:
            one = keyed.request("GET", path, expect=200)
        except ReconcilerError as problem:
            return [*checks, self._failure("methods", problem)]
        return [*checks, _of_one(_allowed(one.headers))]

    def _failure(self, name: str, problem: ReconcilerError) -> Check:
        """Say what a request ended in; the host stays out, what the server says is an aside."""
        said = None
        if isinstance(problem, ApiError) and 300 <= (problem.status or 0) < 400:
            message, said = (
                f"the server sends us elsewhere (HTTP {problem.status})",
                problem.message,
            )
        elif isinstance(problem, ApiError):
            message = problem.message.replace(self.open.origin.host, "the server")
            if problem.status is not None and "HTTP" not in message:
                message += f" (HTTP {problem.status})"
            if problem.detail is not None:
                said = f"it says {quote(problem.detail)}"
        else:
            message, said = "the connection cannot be made as it is set", quote(problem.message)
        unreached = isinstance(problem, UnreachableError)
        cure = problem.hint or (_LOOK_AT_URL if unreached else _RUN_AGAIN)
        if isinstance(problem, AuthenticationError):
            cure = "make a new key in CloudTruth, or check which one is used; " + cure
        return fail(name, message, fix=cure, aside=said)

    def _see(self, headers: Mapping[str, str]) -> None:
        self._date = headers.get("date", self._date)

    def _skew(self) -> Check | None:
        from reconciler.api.pace import moment

        theirs = None if self._date is None else moment(self._date)
        return None if theirs is None else skew((self.clock.now() - theirs).total_seconds())


def skew(seconds: float) -> Check:
    """Judge by how many seconds this machine's clock is ahead of the server's."""
    if abs(seconds) <= _SKEW:
        return ok("clock", "this machine's and the server's agree")
    direction = "ahead of" if seconds > 0 else "behind"
    return warn(
        "clock",
        f"this machine's is {abs(seconds):.0f} s {direction} the server's",
        fix="set this machine's clock: certificates and keys are judged by it",
    )


def _role(found: Organization) -> Check:
    role = (found.role or "").upper()
    if not role:
        return unknown("role", "the server does not tell the key's role")
    if role in _STRONG:
        return ok("role", role)
    return warn(
        "role",
        f"{quote(role)} reads webhooks at most: apply is likely to be refused",
        fix="for apply use the key of a service account with role ADMIN; for plan this will do",
    )


def _maintenance(found: Organization) -> Check:
    if found.maintenance:
        return fail(
            "maintenance",
            "the organization is in maintenance: nothing can be changed",
            fix="wait until CloudTruth has finished; plan works meanwhile",
        )
    return ok("maintenance", "none")


def _pages(data: Mapping[str, Any], rows: int, asked: int) -> Check:
    count = data.get("count")
    if not isinstance(count, int) or isinstance(count, bool):
        return unknown(
            "pages", f"{plural(rows, 'webhook')} on the first; the server does not count"
        )
    if count == 0:
        return ok("pages", f"{asked} rows asked for; no webhook is live")
    if count > rows:
        return ok("pages", f"{asked} rows asked for, {rows} granted; {count} webhooks in all")
    return ok("pages", f"{asked} rows asked for; all {plural(count, 'webhook')} on one")


def _allowed(headers: Mapping[str, str]) -> frozenset[str]:
    return frozenset(each.strip().upper() for each in headers.get("allow", "").split(","))


def _of_list(offered: frozenset[str]) -> Check:
    if not offered - {""}:
        return unknown("methods", "the server does not say what it offers")
    if "POST" not in offered:
        return fail("methods", "of the list: no POST, so nothing can be created", fix=_OTHER_SERVER)
    return ok("methods", f"of the list: {_shown(offered)}")


def _of_one(offered: frozenset[str]) -> Check:
    if not offered - {""}:
        return unknown("methods", "the server does not say what a webhook offers")
    if not offered & {"PATCH", "PUT"}:
        return fail(
            "methods", "of a webhook: neither PATCH nor PUT, so no updates", fix=_OTHER_SERVER
        )
    if "DELETE" not in offered:
        return fail("methods", "of a webhook: no DELETE", fix=_OTHER_SERVER)
    if "PATCH" not in offered:
        return warn(
            "methods",
            f"of a webhook: {_shown(offered)}, no PATCH",
            fix="nothing to mend: updates send the whole webhook, and need its secrets at hand",
        )
    return ok("methods", f"of a webhook: {_shown(offered)}")


_OTHER_SERVER: Final = "check the server URL; a proxy may also forbid methods"


def _shown(offered: frozenset[str]) -> str:
    usual = ("GET", "POST", "PATCH", "PUT", "DELETE")
    return ", ".join(each for each in usual if each in offered)
