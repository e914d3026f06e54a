"""Checks of the connection and of CloudTruth: key, organization, methods, secrets, clock."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote as percent_encoded

from reconciler.api import wire
from reconciler.api.client import ORGANIZATIONS, SCHEMA, WEBHOOKS, Client
from reconciler.api.connections import CA_VARIABLES, PROXY_VARIABLES, proxy_for
from reconciler.api.origin import Origin
from reconciler.api.pace import parse_http_date
from reconciler.api.paging import PAGE_SIZE
from reconciler.api.transport import MAX_LISTING_BYTES
from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.errors import (
    ApiError,
    OrganizationError,
    PermissionDeniedError,
    ReconcilerError,
)
from reconciler.kinds import FIELDS, KINDS
from reconciler.kinds.events import EVENT_TYPES
from reconciler.model import LiveValue, LiveWebhook, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Clock
from reconciler.render.quote import quote
from reconciler.render.words import plural, shorten

COMPLETE: Final = "possibly complete"
"""The form of a secret that may be shown in full."""
_URL: Final = re.compile(r"\w+://\S+")
_SKEW: Final = 60.0
"""The maximum difference between the clocks, in seconds."""
_CA_NOT_READ: Final = ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")
_WEBHOOK: Final = frozenset(
    ["id", "name", "organization", "event_types", "type", "configuration", "last_run", "last_error"]
)
"""The fields of a webhook that this version knows."""


def check_network(origin: Origin, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check which proxy and which certificates the connection to `origin` uses."""
    if origin.scheme != "https":
        yield ok("proxy", "plain http to this machine: no proxy, no certificates")
        return
    proxy = proxy_for(origin.host, environ)
    if proxy is not None:
        yield ok(
            "proxy",
            f"requests go through the proxy in {proxy.variable}",
            private=proxy.address,
        )
    elif any(environ.get(name) for name in PROXY_VARIABLES):
        yield ok("proxy", "NO_PROXY excludes this server: direct connection")
    else:
        yield ok("proxy", "none: direct connection")
    named = next((name for name in CA_VARIABLES if environ.get(name)), None)
    if named is not None:
        path = quote(Path(environ[named]).as_posix())
        yield ok("ca", f"uses the certificates in {named}", private=path)
        return
    yield ok("ca", "uses the system's certificates")
    for name in filter(environ.get, _CA_NOT_READ):
        fix = f"set {CA_VARIABLES[0]} to the same file"
        yield warn("ca", f"{name} is set, but webhooks does not read it", fix=fix)


def check_server(
    api: Client, clock: Clock, *, has_key: bool, expected: tuple[str, ...] = ()
) -> Iterator[Check]:
    """Run all checks; an earlier failure skips those that depend on it.

    `expected` are names and ids of the expected organization. `has_key` is false if the client has
    no key.
    """
    started = clock.monotonic()
    try:
        query = {"format": "json"}
        reply = api.transport.request(
            "GET", SCHEMA, params=query, expect=200, cap=MAX_LISTING_BYTES
        )
    except ReconcilerError as problem:
        if not isinstance(problem, ApiError) or problem.status is None:
            yield _failure(api, "http", problem)
            return
        yield ok("http", f"the server responds (HTTP {problem.status})")
        yield unknown("schema", "the server publishes no description of its API")
    else:
        took = (clock.monotonic() - started) * 1000
        yield ok("http", f"the server responds, in {took:.0f} ms")
        if (theirs := parse_http_date(reply.headers.get("date", ""))) is not None:
            yield _skew((clock.now() - theirs).total_seconds())
        yield from _compare_schema(reply.data)
    if has_key:
        yield from run_checks(api, "key", _with_key(api, expected))


def run_checks(
    api: Client, name: str, checks: Iterator[Check], *, fix: str | None = None
) -> Iterator[Check]:
    """Yield the checks. If one raises, yield a failed check `name` and stop."""
    try:
        yield from checks
    except ReconcilerError as problem:
        yield _failure(api, name, problem, fix=fix)


def _failure(api: Client, name: str, problem: ReconcilerError, *, fix: str | None = None) -> Check:
    """Return the check of a failed request; hosts and the server's text are in `private`."""
    fix = fix or problem.hint or "run again; if it persists, contact CloudTruth support"
    if not isinstance(problem, ApiError | OrganizationError):
        detail = "the connection cannot be made as configured"
        return fail(name, detail, fix=fix, private=quote(problem.message))
    message = problem.message
    for own in (api.origin, api.transport.origin.address):
        message = message.replace(own, "the server")
    private = ", ".join(map(quote, _URL.findall(message))) or None
    if isinstance(problem, ApiError) and problem.detail is not None:
        private = f"server: {quote(problem.detail)}"
    return fail(name, _URL.sub("[address]", message), fix=fix, private=private)


def _skew(seconds: float) -> Check:
    """Check the clock; `seconds` is how far this machine's is ahead of the server's."""
    if abs(seconds) <= _SKEW:
        return ok("clock", "this machine and the server agree")
    direction = "ahead of" if seconds > 0 else "behind"
    return warn(
        "clock",
        f"this machine is {abs(seconds):.0f} s {direction} the server",
        fix="set this machine's clock: certificates and keys are checked against it",
    )


def _compare_schema(description: Any) -> Iterator[Check]:
    """Compare the server's OpenAPI description with the types and events of this version."""
    schemas = _inner(description, "components", "schemas")
    fields = _inner(schemas, "WebHooks", "properties")
    if not isinstance(fields, dict):
        yield unknown("schema", "the server's API description does not define webhooks")
        return
    events, types = (_values(fields.get(name), schemas) for name in ("event_types", "type"))
    for what, theirs, ours in (
        ("event types", events, set(EVENT_TYPES)),
        ("webhook types", types, set(KINDS)),
        ("fields", set(fields), _WEBHOOK),
    ):
        new, missing = sorted(theirs - ours), sorted(ours - theirs)
        lists = (("new", list(map(quote, new))), ("missing", list(map(quote, missing))))
        shown = "; ".join(f"{title}: {shorten(names, 10)}" for title, names in lists if names)
        if not theirs:
            yield unknown("schema", f"the server's API description does not list {what}")
        elif not shown:
            yield ok("schema", f"{what}: the {len(ours)} that this version knows")
        else:
            fix = "upgrade webhooks if a newer version is available; "
            fix += f"do not declare {what} that are missing"
            yield warn("schema", f"{what}: {shown}", fix=fix)


def _values(node: Any, schemas: Any) -> set[str]:
    """Return the values of enumerations in a part of a schema, following each reference once."""
    left, seen, found = [node], set(), set()
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += node
        elif isinstance(node, dict):
            left += node.values()
            if isinstance(values := node.get("enum"), list):
                found |= {each for each in values if isinstance(each, str)}
            name = str(node.get("$ref")).rpartition("/")[2]
            if name not in seen:
                seen.add(name)
                left.append(_inner(schemas, name))
    return found


def _inner(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _with_key(api: Client, expected: tuple[str, ...]) -> Iterator[Check]:
    try:
        api.transport.request("GET", ORGANIZATIONS, expect=200)
    except PermissionDeniedError as problem:
        if problem.detail is None:  # a rejection by the API shows that the key is valid
            raise
    yield ok("key", "accepted")
    yield from run_checks(api, "organization", _organization(api, expected))
    yield from run_checks(api, "webhooks", _listing(api))


def _organization(api: Client, expected: tuple[str, ...]) -> Iterator[Check]:
    found = api.organization()
    private = f"{quote(found.name)}, id {quote(found.id)}"
    if others := [each for each in expected if each not in (found.id, found.name)]:
        yield fail(
            "organization",
            "the key belongs to another organization",
            private=f"{private}; expected: {', '.join(map(quote, others))}",
            fix="use a key of that organization, or correct `organization`",
        )
    else:
        yield ok(
            "organization",
            "found, as expected" if expected else "found",
            private=private,
        )
    role = (found.role or "").upper()
    if not role:
        yield unknown("role", "the server does not report the key's role")
    elif role in ("OWNER", "ADMIN"):
        yield ok("role", role)
    else:
        yield warn(
            "role",
            f"{quote(role)} can only read webhooks: apply will probably fail",
            fix="apply with the key of a service account with role ADMIN; plan works with this one",
        )
    if found.maintenance:
        yield fail(
            "maintenance",
            "the organization is in maintenance: nothing can be changed",
            fix="wait until CloudTruth has finished; plan still works",
        )
    else:
        yield ok("maintenance", "none")


def _listing(api: Client) -> Iterator[Check]:
    reply = api.transport.request(
        "GET",
        WEBHOOKS,
        params={"ordering": "name", "page": 1, "page_size": PAGE_SIZE},
        expect=200,
        accept=lambda page: isinstance(_inner(page, "results"), list),
        cap=MAX_LISTING_BYTES,
    )
    rows = tuple(wire.live_webhook(each) for each in reply.data["results"])
    count, pages = reply.data.get("count"), f"{PAGE_SIZE} rows requested, {len(rows)} returned"
    if type(count) is int:
        yield ok("pages", f"{pages}, {plural(count, 'webhook')} in total")
    else:
        yield unknown("pages", f"{pages}; the server reports no count")
    yield from _read_back(rows)
    yield _methods("list", reply.headers, "POST")
    if rows:
        path = f"{WEBHOOKS}{percent_encoded(rows[0].id, safe='')}/"
        headers = api.transport.request("GET", path, expect=200).headers
        yield _methods("webhook", headers, "PATCH or PUT", "DELETE")


def _methods(what: str, headers: Mapping[str, str], *needed: str) -> Check:
    offered = {each.strip().upper() for each in headers.get("allow", "").split(",")} - {""}
    shown = f"{what}: {', '.join(each for each in _METHODS if each in offered)}"
    if not offered:
        return unknown("methods", f"{what}: no Allow header")
    if missing := [each for each in needed if offered.isdisjoint(each.split(" or "))]:
        fix = "check the server URL; a proxy may block methods"
        return fail("methods", f"{shown}; no {', '.join(missing)}", fix=fix)
    if what == "webhook" and "PATCH" not in offered:
        fix = "no fix needed: updates send the complete webhook and need all of its secrets"
        return warn("methods", f"{shown}; no PATCH", fix=fix)
    return ok("methods", shown)


def _read_back(webhooks: Iterable[LiveWebhook]) -> Iterator[Check]:
    """Yield a check for each secret field of each type: the form in which the server shows it.

    No value is revealed. `plan` cannot compare values that are not completely visible
    (docs/secrets.md).
    """
    seen: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for webhook in webhooks:
        shown = webhook.configuration
        for field in FIELDS.get(webhook.type, {}).values():
            if not field.secret:
                continue
            forms = seen[webhook.type, field.name]
            if isinstance(shown, Unknown):
                forms["not shown, like the rest of the configuration"] += 1
            elif field.name in shown or field.required or field.partner in shown:
                forms[form(shown, field.name, field.secret_pattern)] += 1
    found = sorted((field, forms) for field, forms in seen.items() if forms)
    if not found:
        yield unknown("read-back", "no live webhook has secrets")
    for (type_, name), forms in found:
        counted = ", ".join(
            f"{each} ({plural(count, 'webhook')})" for each, count in forms.most_common()
        )
        complete = forms.keys() <= {"complete", COMPLETE}
        hidden = "" if complete else "; a change made elsewhere cannot be detected"
        yield ok("read-back", f"{type_} {name}: {counted}{hidden}")


def form(shown: Mapping[str, LiveValue], name: str, shape: re.Pattern[str] | None = None) -> str:
    """Return how a server shows a field; `shape` is the pattern of a complete value."""
    value = shown.get(name)
    if value is None:
        return "null" if name in shown else "omitted"
    if value in ("", Secret("")):
        return "empty"
    if not plausible(value):
        return "masked or encrypted"
    is_complete = shape is not None and isinstance(value, Secret) and value.matches(shape)
    return "complete" if is_complete else COMPLETE
