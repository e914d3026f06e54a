"""A CloudTruth API in one call: request in, answer out.

For: tests, simulations and `--local`, which need a server without a network; the HTTP server of
`server.py` is a thin shell around it.
Promises: thread-safe; one request is one transaction and one line of the log (two, if a part of it
happens late); with a seed, the same requests give byte-identical answers; time and randomness are
only those it is given.
Refuses: to know the client. It imports nothing of the product outside this folder, so that a
misunderstanding of the API cannot be shared by both sides.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, unquote

from reconciler.emulator import accounts, answers, published, webhooks
from reconciler.emulator.answers import RefusedError, refuse
from reconciler.emulator.context import Context
from reconciler.emulator.dials import ROLES, Dials
from reconciler.emulator.faults import Fault, FaultSource, Script
from reconciler.emulator.lag import Lag
from reconciler.emulator.messages import Answer, Request
from reconciler.emulator.request_log import LogEntry
from reconciler.emulator.store import Store

__all__ = ["LOCAL_KEY", "Answer", "Emulator", "Request"]

LOCAL_KEY = "local-emulator-key"
"""The key of the organization "Acme" that every new store begins with."""

_ROUTE = re.compile(
    r"/api/(?:v1/(?:"
    r"(?P<webhooks>webhooks/(?:(?P<webhook>[^/]+)/)?)"
    r"|(?P<organizations>organizations/)"
    r"|(?P<current>users/current/)"
    r"|memberships/(?P<membership>[^/]+)/"
    r")|(?P<schema>schema/))"
)
_SAFE = ("GET", "HEAD", "OPTIONS")


class Emulator:
    """One server. `dials` and `faults` may be replaced at any time; `store` shows what it holds."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        dials: Dials | None = None,
        faults: FaultSource | None = None,
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        randomness: Callable[[], float] | None = None,
        listener: Callable[[LogEntry], None] | None = None,
    ) -> None:
        """Serve a store; by default a new one in memory, whose ids follow from `seed`.

        `clock` counts seconds; `randomness` gives numbers from 0 to 1 and follows from `seed` too
        unless given. `listener` gets each line of the log, in order, and must not call back.
        """
        self.store = Store(seed=seed) if store is None else store
        self.dials = Dials() if dials is None else dials
        self.faults: FaultSource = Script() if faults is None else faults
        self._clock = clock
        self._randomness = random.Random(seed).random if randomness is None else randomness  # noqa: S311
        self._listener = listener
        self._lag = Lag()
        self._late: list[tuple[float, Request]] = []
        self._lock = threading.RLock()
        with self.store.transaction():
            if not self.store.organizations():
                acme = self.store.add_organization("Acme")
                self.store.add_user(acme.id, key=LOCAL_KEY, role="OWNER", name="Local")

    @property
    def organization(self) -> str:
        """The id of the oldest organization."""
        return self.store.organizations()[0].id

    def handle(self, request: Request) -> Answer:
        """Carry a request out, or let it fail as the faults say."""
        with self._lock, self.store.transaction():
            now = self._clock()
            self._settle(now)
            fault = self.faults.take(request.method, request.path, request.body)
            if fault is None or fault.commit:
                return self._carry_out(request, now, fault)
            if fault.commit_after is not None:
                self._late.append((now + fault.commit_after, request))
            answer = answers.with_fault(answers.empty(502), fault)
            if request.method == "HEAD":
                answer = answers.without_body(answer)
            self._record(request, now, answer, user=None, fault=fault.label, changed=None)
            return answer

    def settle(self) -> None:
        """Let the late writes that are due happen now; `handle` does this first of all."""
        with self._lock, self.store.transaction():
            self._settle(self._clock())

    def _settle(self, now: float) -> None:
        if not self._late:
            return
        due = [item for item in self._late if item[0] <= now]
        self._late = [item for item in self._late if item[0] > now]
        for moment, request in sorted(due, key=lambda item: item[0]):
            self._carry_out(request, moment, Fault(label="late commit"), seen=False)

    def _carry_out(
        self, request: Request, now: float, fault: Fault | None, *, seen: bool = True
    ) -> Answer:
        context = Context(
            request=request,
            store=self.store,
            dials=self.dials,
            lag=self._lag,
            now=now,
            randomness=self._randomness,
        )
        answer = _answer(context)
        if self.dials.cookies:
            cookies = (("set-cookie", cookie) for cookie in self.dials.cookies)
            answer = answers.with_headers(answer, *cookies)
        if fault is not None and seen:
            answer = answers.with_fault(answer, fault)
        if request.method == "HEAD":
            answer = answers.without_body(answer)
        self._record(
            request,
            now,
            answer if seen else None,
            user=context.user.id if context.user else None,
            organization=context.user.organization if context.user else None,
            fault=fault.label if fault else None,
            changed=context.changed,
        )
        return answer

    def _record(
        self,
        request: Request,
        now: float,
        answer: Answer | None,
        *,
        user: str | None,
        fault: str | None,
        changed: str | None,
        organization: str | None = None,
    ) -> None:
        told = answer is not None and (answer.fault is None or answer.fault.answers)
        entry = LogEntry(
            time=now,
            method=request.method,
            path=request.path,
            query=request.query,
            status=answer.status if answer is not None and told else 0,
            body=request.body.decode("utf-8", "replace"),
            organization=organization,
            user=user,
            fault=fault,
            changed=changed,
        )
        seq = self.store.record(entry)
        if self._listener is not None:
            self._listener(replace(entry, seq=seq))


def _answer(context: Context) -> Answer:
    """Find the route and carry the request out."""
    path, query = context.request.path, context.request.query
    found = _ROUTE.fullmatch(path)
    if found is None:
        if _ROUTE.fullmatch(f"{path}/"):
            return answers.moved(f"{path}/{'?' if query else ''}{query}")
        return answers.html(404, "Not Found")
    route = found.groupdict()
    allowed = _allowed(route, context.dials)
    try:
        answer = _dispatch(context, route, allowed)
    except RefusedError as refusal:
        answer = refusal.answer
    return answers.with_headers(answer, ("allow", ", ".join(allowed)), ("vary", "Accept, Cookie"))


def _allowed(route: dict[str, str | None], dials: Dials) -> list[str]:
    methods = ["GET"]
    if route["webhook"]:
        methods += ["PUT"] * dials.put_allowed + ["PATCH"] * dials.patch_allowed + ["DELETE"]
    elif route["webhooks"]:
        methods += ["POST"]
    return [*methods, "HEAD", "OPTIONS"]


def _dispatch(context: Context, route: dict[str, str | None], allowed: list[str]) -> Answer:
    method = context.request.method
    if not _accepts_json(context.request.headers.get("accept", "*/*")):
        raise refuse(406, "Could not satisfy the request Accept header.")
    if route["schema"]:
        _check_method(method, allowed)
        if dict(parse_qsl(context.request.query)).get("format", "json") != "json":
            raise refuse(404, "Not found.")
        return published.schema(context.dials)
    _authenticate(context)
    _check_role(context, method, on_webhooks=bool(route["webhooks"]))
    _check_method(method, allowed)
    if method == "OPTIONS":
        return answers.json_value(
            {"name": "", "description": "", "renders": ["application/json"], "parses": []}
        )
    if route["organizations"]:
        return accounts.list_organizations(context)
    if route["current"]:
        return accounts.current_user(context)
    if membership := route["membership"]:
        return accounts.retrieve_membership(context, unquote(membership))
    if method not in _SAFE and accounts.in_maintenance(context):
        text = "Changes are disabled during maintenance."
        raise refuse(context.dials.maintenance_status, text)
    if not (webhook := route["webhook"]):
        return webhooks.create(context) if method == "POST" else webhooks.list_webhooks(context)
    match method:
        case "PUT" | "PATCH":
            return webhooks.update(context, unquote(webhook), partial=method == "PATCH")
        case "DELETE":
            return webhooks.destroy(context, unquote(webhook))
        case _:
            return webhooks.retrieve(context, unquote(webhook))


def _accepts_json(accept: str) -> bool:
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return bool(kinds & {"", "*/*", "application/*", "application/json"})


def _authenticate(context: Context) -> None:
    dials = context.dials
    scheme, _, key = context.request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() not in ("api-key", "bearer") or not key:
        raise refuse(dials.bad_key_status, "Authentication credentials were not provided.")
    context.user = context.store.user_of_key(key)
    if context.user is None and dials.any_key:
        context.user = context.store.user_of_key(None)
    if context.user is None:
        raise refuse(dials.bad_key_status, "Incorrect authentication credentials.")


def _check_role(context: Context, method: str, *, on_webhooks: bool) -> None:
    if not on_webhooks:
        return
    needed = context.dials.read_role if method in _SAFE else context.dials.write_role
    if ROLES.index(context.role.upper()) < ROLES.index(needed.upper()):
        raise refuse(403, "You do not have permission to perform this action.")


def _check_method(method: str, allowed: list[str]) -> None:
    if method not in allowed:
        raise refuse(405, f'Method "{method}" not allowed.')
