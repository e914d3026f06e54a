"""Checks of CloudTruth: connection, key, organization, methods, schema, secrets, clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote as percent_encoded

from reconciler.api import wire
from reconciler.api.client import ORGANIZATIONS, SCHEMA, WEBHOOKS, Client
from reconciler.api.pace import moment
from reconciler.api.paging import PAGE_SIZE
from reconciler.api.transport import LARGE
from reconciler.checks import Check, fail, ok, unknown, warn
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    OrganizationError,
    PermissionDeniedError,
    ProtocolError,
    ReconcilerError,
    UnreachableError,
)
from reconciler.kinds import KINDS, Field
from reconciler.model import EVENT_TYPES, LiveValue, LiveWebhook, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Clock
from reconciler.render.quote import quote
from reconciler.render.words import plural, some

_SKEW: Final = 60.0
"""The maximum difference between the clocks, in seconds."""
_CHECK_URL: Final = "check the server URL, and that a firewall allows requests"
_OTHER_SERVER: Final = "check the server URL; a proxy may block methods"
_RUN_AGAIN: Final = "run again; if it persists, contact CloudTruth support"

_FIELDS: Final = frozenset(
    ["id", "name", "organization", "event_types", "type", "configuration", "last_run", "last_error"]
)
"""The fields of a webhook that this version knows."""


def check_server(
    api: Client, clock: Clock, *, keyed: bool, guards: tuple[str, ...] = ()
) -> tuple[Check, ...]:
    """Run all checks; an earlier failure skips those that depend on it.

    `guards` are names and ids of the organization to expect. If not `keyed`, the client has no key.
    """
    started = clock.monotonic()
    date, description = None, None
    try:
        asked = {"format": "json"}
        reply = api.transport.request("GET", SCHEMA, params=asked, expect=200, cap=LARGE)
    except ReconcilerError as problem:
        if not isinstance(problem, ApiError) or problem.status is None:
            return (failure(api, "http", problem),)
        checks = [ok("http", f"the server responds (HTTP {problem.status})")]
    else:
        took = (clock.monotonic() - started) * 1000
        checks = [ok("http", f"the server responds, in {took:.0f} ms")]
        date, description = reply.headers.get("date"), reply.data
    checks += _compare_schema(description)
    if keyed:
        checks += _with_key(api, guards)
    if date is not None and (theirs := moment(date)) is not None:
        checks.append(_skew((clock.now() - theirs).total_seconds()))
    return tuple(checks)


def _with_key(api: Client, guards: tuple[str, ...]) -> list[Check]:
    try:
        api.transport.request("GET", ORGANIZATIONS, expect=200)
    except ReconcilerError as problem:
        # A refusal of the API shows that the key is valid.
        if not isinstance(problem, PermissionDeniedError) or problem.detail is None:
            return [failure(api, "key", problem)]
    return [ok("key", "accepted"), *_organization(api, guards), *_listing(api)]


def _organization(api: Client, guards: tuple[str, ...]) -> list[Check]:
    try:
        found = api.organization()
    except ReconcilerError as problem:
        return [failure(api, "organization", problem)]
    aside = f"{quote(found.name)}, id {quote(found.id)}"
    belongs = ok("organization", "found, as expected" if guards else "found", aside=aside)
    if others := [each for each in guards if each not in (found.id, found.name)]:
        belongs = fail(
            "organization",
            "the key belongs to another organization",
            aside=f"{aside}; expected: {', '.join(quote(each) for each in others)}",
            fix="use a key of that organization, or correct `organization`",
        )
    role = (found.role or "").upper()
    allowed = ok("role", role)
    if not role:
        allowed = unknown("role", "the server does not report the key's role")
    elif role not in ("OWNER", "ADMIN"):
        allowed = warn(
            "role",
            f"{quote(role)} can only read webhooks: apply will probably fail",
            fix="apply with the key of a service account with role ADMIN; plan works with this one",
        )
    open_ = ok("maintenance", "none")
    if found.maintenance:
        open_ = fail(
            "maintenance",
            "the organization is in maintenance: nothing can be changed",
            fix="wait until CloudTruth has finished; plan still works",
        )
    return [belongs, allowed, open_]


def _listing(api: Client) -> list[Check]:
    params: dict[str, str | int] = {"ordering": "name", "page": 1, "page_size": PAGE_SIZE}
    try:
        reply = api.transport.request("GET", WEBHOOKS, params=params, expect=200, cap=LARGE)
        results = reply.data.get("results") if isinstance(reply.data, dict) else None
        if not isinstance(results, list):
            raise ProtocolError("the webhooks response has no list")
        rows = tuple(wire.live_webhook(each) for each in results)
    except ReconcilerError as problem:
        return [failure(api, "webhooks", problem)]
    checks = [_pages(reply.data.get("count"), len(rows)), _methods("list", reply.headers, "POST")]
    if rows:
        path = f"{WEBHOOKS}{percent_encoded(rows[0].id, safe='')}/"
        try:
            headers = api.transport.request("GET", path, expect=200).headers
            checks.append(_methods("webhook", headers, "DELETE"))
        except ReconcilerError as problem:
            checks.append(failure(api, "methods", problem))
    return [*checks, *read_back(rows)]


def _pages(count: object, rows: int) -> Check:
    asked = f"{PAGE_SIZE} rows requested"
    if not isinstance(count, int) or isinstance(count, bool):
        return unknown("pages", f"{asked}, {rows} returned; the server reports no count")
    return ok("pages", f"{asked}, {rows} returned, {plural(count, 'webhook')} in all")


def _methods(what: str, headers: Mapping[str, str], needed: str) -> Check:
    offered = {each.strip().upper() for each in headers.get("allow", "").split(",")} - {""}
    if not offered:
        return unknown("methods", f"{what}: no Allow header")
    shown = ", ".join(each for each in ("GET", "POST", "PATCH", "PUT", "DELETE") if each in offered)
    if needed not in offered:
        return fail("methods", f"{what}: {shown}; no {needed}", fix=_OTHER_SERVER)
    if what == "webhook" and "PATCH" not in offered:
        if "PUT" not in offered:
            return fail("methods", f"{what}: {shown}; updates are impossible", fix=_OTHER_SERVER)
        return warn(
            "methods",
            f"{what}: {shown}; no PATCH",
            fix="no fix needed: updates send the complete webhook and need all of its secrets",
        )
    return ok("methods", f"{what}: {shown}")


def failure(api: Client, name: str, problem: ReconcilerError) -> Check:
    """Return the check of a failed request; host and the server's text are in the aside."""
    aside = None
    if isinstance(problem, ApiError) and 300 <= (problem.status or 0) < 400:
        message, aside = f"the server redirects (HTTP {problem.status})", problem.message
    elif isinstance(problem, ApiError):
        message = problem.message.replace(api.transport.origin.address, "the server")
        if problem.status is not None and "HTTP" not in message:
            message += f" (HTTP {problem.status})"
        if problem.detail is not None:
            aside = f"server: {quote(problem.detail)}"
    elif isinstance(problem, OrganizationError):
        message = problem.message
    else:
        message, aside = "the connection cannot be made as configured", quote(problem.message)
    fix = problem.hint or (_CHECK_URL if isinstance(problem, UnreachableError) else _RUN_AGAIN)
    if isinstance(problem, AuthenticationError):
        fix = "create a new key in CloudTruth, or check which key is used; " + fix
    return fail(name, message, fix=fix, aside=aside)


def read_back(webhooks: Iterable[LiveWebhook]) -> tuple[Check, ...]:
    """Return a check for each secret field of each type: the form in which the server shows it.

    No value is revealed. `plan` cannot compare values that are not completely visible
    (docs/secrets.md).
    """
    seen: dict[tuple[str, str], Counter[str]] = {}
    for webhook in webhooks:
        kind = KINDS.get(webhook.type)
        for field in kind.fields if kind is not None else ():
            form = _form(webhook, field) if field.secret else None
            if form is not None:
                seen.setdefault((webhook.type, field.name), Counter())[form] += 1
    if not seen:
        return (unknown("read-back", "no live webhook has secrets"),)
    checks = []
    for (kind_name, name), forms in sorted(seen.items()):
        ranked = sorted(forms.items(), key=lambda each: (-each[1], each[0]))
        counted = ", ".join(f"{form} ({plural(count, 'webhook')})" for form, count in ranked)
        complete = forms.keys() <= {"complete", COMPLETE}
        hidden = "" if complete else "; a change made elsewhere cannot be detected"
        checks.append(ok("read-back", f"{kind_name} {name}: {counted}{hidden}"))
    return tuple(checks)


def _form(webhook: LiveWebhook, field: Field) -> str | None:
    """Return how a webhook shows a secret field, None if an optional field is missing."""
    shown = webhook.configuration
    if isinstance(shown, Unknown):
        return "not shown, like the rest of the configuration"
    found = form(shown, field.name)
    if found == "omitted":
        expected = field.required or (field.partner is not None and field.partner in shown)
        return found if expected else None
    value = shown.get(field.name)
    if found != COMPLETE or not isinstance(value, Secret):
        return found
    return "complete" if field.shape is not None and value.matches(field.shape) else found


COMPLETE: Final = "possibly complete"


def form(shown: Mapping[str, LiveValue], name: str) -> str:
    """Return how a server shows a field; text that may be the value is `COMPLETE`."""
    value = shown.get(name)
    if value is None:
        return "null" if name in shown else "omitted"
    if not isinstance(value, Secret | str):
        return "not text"
    if plausible(value):
        return COMPLETE
    blank = value.matches(_BLANK) if isinstance(value, Secret) else not value.strip()
    return "empty" if blank else "masked or encrypted"


_BLANK: Final = re.compile(r"\s*")


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


def _compare_schema(description: Any) -> list[Check]:
    """Compare the server's OpenAPI description with the types and events of this version."""
    if description is None:
        return [unknown("schema", "the server publishes no description of its API")]
    schemas = _inner(description, "components", "schemas")
    fields = _inner(schemas, "WebHooks", "properties")
    if not isinstance(fields, Mapping):
        return [unknown("schema", "the server's description has no webhooks")]
    events, types = (_values(fields.get(name), schemas, set()) for name in ("event_types", "type"))
    return [
        _known("event types", events, EVENT_TYPES),
        _known("webhook types", types, KINDS),
        _known("fields", (each for each in fields if isinstance(each, str)), _FIELDS),
    ]


def _known(what: str, theirs: Iterable[str], ours: Iterable[str]) -> Check:
    found, known = set(theirs), set(ours)
    new, missing = sorted(found - known), sorted(known - found)
    if not found:
        return unknown("schema", f"the server's description names no {what}")
    if not new and not missing:
        return ok("schema", f"{what}: all {len(known)} known, no others")
    lists = (("new", list(map(quote, new))), ("missing", list(map(quote, missing))))
    lines = [f"{title}: {some(names, 10)}" for title, names in lists if names]
    fix = (
        "look for a newer version of webhooks; webhooks with a new type or event are kept"
        if new
        else "do not declare them; the server would reject them"
    )
    return warn("schema", f"{what}: {'; '.join(lines)}", fix=fix)


def _values(node: Any, schemas: Any, seen: set[str]) -> Iterator[str]:
    """Yield the values of enumerations in a part of a schema, following each reference once."""
    if isinstance(node, list):
        for each in node:
            yield from _values(each, schemas, seen)
    elif isinstance(node, Mapping):
        values, name = node.get("enum"), node.get("$ref")
        if isinstance(values, list):
            yield from (each for each in values if isinstance(each, str))
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield from _values(_inner(schemas, name.rpartition("/")[2]), schemas, seen)
        yield from _values(list(node.values()), schemas, seen)


def _inner(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
