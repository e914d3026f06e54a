"""The checks of `webhooks doctor` that use the network, and a probe: a test with one webhook.

The checks are read-only, except the probe. `detail` and `fix` of a check contain no key, secret,
host or live name, so that the JSON can be pasted into a bug report; details for the screen only are
in `private`.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.api.client import Client
from reconciler.api.connections import CA_VARIABLES
from reconciler.api.origin import PROXY_VARIABLES, Origin, proxy_for
from reconciler.deliveries import check_parameter
from reconciler.deliveries.proof import Observation, Proof, Verdict
from reconciler.errors import ApiError, OrganizationError, ProtocolError, ReconcilerError
from reconciler.findings import plural, shorten
from reconciler.kinds import EVENT_TYPES, FIELDS, KINDS, generic, slack
from reconciler.model import LiveValue, LiveWebhook, Organization, Secret, Unknown
from reconciler.planning.names import missed_organization
from reconciler.planning.readback import hides_destination, is_unset, plausible
from reconciler.ports import Clock, Draft
from reconciler.render.quote import quote
from reconciler.report import Check, Section, Status, fail, ok, unknown, warn

_SHOWN: Final = "shown"
_ADDRESS: Final = re.compile(r"\w+://\S+")
_WEBHOOK: Final = frozenset(
    ["id", "name", "organization", "event_types", "type", "configuration", "last_run", "last_error"]
)
"""The fields of a webhook that this version knows."""
_REPORT: Final = "paste this output into an issue"


def check_network(origin: Origin, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check which proxy and which certificates the connection to `origin` uses."""
    if origin.scheme != "https":
        yield ok("proxy", "plain http to this machine: no proxy, no certificates")
        return
    yield _proxy(origin.host, environ)
    yield from _certificates(environ)


def _proxy(host: str, environ: Mapping[str, str]) -> Check:
    proxy = proxy_for(host, environ)
    if proxy is not None:
        detail = f"requests go through the proxy in {proxy.variable}"
        return ok("proxy", detail, private=proxy.address)
    if any(environ.get(name) for name in PROXY_VARIABLES):
        return ok("proxy", "NO_PROXY excludes this server: direct connection")
    return ok("proxy", "none: direct connection")


def _certificates(environ: Mapping[str, str]) -> Iterator[Check]:
    named = next((name for name in CA_VARIABLES if environ.get(name)), None)
    if named is not None:
        path = quote(Path(environ[named]).as_posix())
        yield ok("ca", f"uses the certificates in {named}", private=path)
        return
    yield ok("ca", "uses the system's certificates")
    for name in filter(environ.get, ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")):
        fix = f"set {CA_VARIABLES[0]} to the same file"
        yield warn("ca", f"{name} is set, but webhooks does not read it", fix=fix)


def check_server(
    api: Client, *, has_key: bool, declared: str | None, selected: Sequence[str]
) -> Iterator[Check]:
    """Run all checks; an earlier failure skips those that depend on it.

    `has_key` is false if the client has no key; `declared` and `selected` are as for
    `missed_organization`.
    """
    try:
        description = api.schema()
    except ReconcilerError as problem:
        if not isinstance(problem, ApiError) or problem.status is None:
            yield failure(api, "http", problem)
            return
        # Any response shows that the server can be reached; some do not publish their schema.
        yield ok("http", f"the server responds (HTTP {problem.status})")
        missing = "the server publishes no description of its API"
        if problem.status >= 500:
            missing = f"not checked: HTTP {problem.status}"
        yield unknown("schema", missing)
    else:
        yield ok("http", "the server responds")
        yield from _compare_schema(description)
    if has_key:
        yield from _run_checks(api, "key", _with_key(api, declared, selected))


def _run_checks(
    api: Client, name: str, checks: Iterator[Check], *, fix: str | None = None
) -> Generator[Check, None, ReconcilerError | None]:
    """Yield the checks. If one raises, yield a failed check `name`, and return the error."""
    try:
        yield from checks
    except ReconcilerError as problem:
        yield failure(api, name, problem, fix=fix)
        return problem
    return None


def failure(
    api: Client | None, name: str, problem: ReconcilerError, *, fix: str | None = None
) -> Check:
    """Return the check of a request that failed, or that could not be sent.

    Hosts and the server's text are in `private`. `api` is None for a key that cannot be used.
    """
    fix = fix or problem.hint or "run again; if it persists, contact CloudTruth support"
    if api is None or not isinstance(problem, ApiError | OrganizationError):
        detail = "the connection cannot be made as configured"
        return fail(name, detail, fix=fix, private=quote(problem.message))
    # The host of a customer's own server is private, too.
    message = problem.message
    for address in (api.origin, api.transport.origin.address):
        message = message.replace(address, "the server")
    private = ", ".join(map(quote, _ADDRESS.findall(message))) or None
    if isinstance(problem, ApiError) and problem.detail is not None:
        private = f"server: {quote(problem.detail)}"
    return fail(name, _ADDRESS.sub("[address]", message), fix=fix, private=private)


def _compare_schema(description: Any) -> Iterator[Check]:
    """Compare the server's OpenAPI description with the types and events of this version."""
    schemas = _inner(description, "components", "schemas")
    for what, described, ours in (
        ("event types", _inner(schemas, "EventTypesEnum", "enum"), set(EVENT_TYPES)),
        ("webhook types", _inner(schemas, "WebHooksTypeEnum", "enum"), set(KINDS)),
        ("fields", _inner(schemas, "WebHooks", "properties"), _WEBHOOK),
    ):
        # The description is not trusted: an enum should be a list, properties a mapping.
        theirs = set(map(str, described)) if isinstance(described, list | dict) else set()
        differences = []
        for title, names in (("new", theirs - ours), ("missing", ours - theirs)):
            if names:
                differences.append(f"{title}: {shorten([*map(quote, sorted(names))], 10)}")
        if not theirs:
            yield unknown("schema", f"the server's API description does not list {what}")
        elif not differences:
            yield ok("schema", f"{what}: all known to this version")
        else:
            fix = "upgrade webhooks if a newer version is available; "
            fix += f"do not declare {what} that are missing"
            yield warn("schema", f"{what}: {'; '.join(differences)}", fix=fix)


def _inner(value: Any, *keys: str) -> Any:
    # Each level may be missing, or of any type.
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _with_key(api: Client, declared: str | None, selected: Sequence[str]) -> Iterator[Check]:
    organization = api.organization()
    yield ok("key", "accepted")
    yield _organization(organization, declared, selected)
    yield _role(organization)
    if organization.maintenance:
        yield fail(
            "maintenance",
            "the organization is in maintenance: nothing can be changed",
            fix="wait until CloudTruth has finished; plan still works",
        )
    yield from _run_checks(api, "webhooks", _read_back(api))


def _organization(
    organization: Organization, declared: str | None, selected: Sequence[str]
) -> Check:
    # The output is pasted into bug reports, where a customer's name does not belong.
    private = f"{quote(organization.name)}, id {quote(organization.id)}"
    expected = missed_organization(organization, declared, selected)
    if expected is None:
        return ok("organization", "found", private=private)
    return fail(
        "organization",
        "the key belongs to another organization",
        private=f"{private}; expected: {quote(expected)}",
        fix="use a key of that organization, or correct `organization`",
    )


def _role(organization: Organization) -> Check:
    role = (organization.role or "").upper()
    if not role:
        return unknown("role", "the server does not report the key's role")
    if organization.has_writing_role:
        return ok("role", role)
    # A role that this version does not know may be able to write, too.
    return warn(
        "role",
        f"{quote(role)} can only read webhooks: apply will probably fail",
        fix="apply with the key of a service account with role ADMIN; plan works with this one",
    )


def _read_back(api: Client) -> Iterator[Check]:
    """Yield a check for each field of each type that can be hidden: the form in which it is shown.

    No value is revealed. `plan` cannot compare values that are not completely visible
    (docs/secrets.md).
    """
    seen: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for webhook in api.list():
        for name, form in _forms(webhook):
            seen[webhook.type, name].add(form)
    if not seen:
        yield unknown("read-back", "no live webhook has secrets")
    for (type_, name), forms in sorted(seen.items()):
        field = FIELDS[type_][name]
        limit = ""
        if forms != {_SHOWN}:
            limit = "; a change made elsewhere cannot be detected"
        elif field.secret and field.secret_pattern is None:
            limit = ", possibly encrypted; a plan shows if it is not as declared"
        yield ok("read-back", f"{type_} {name}: {', '.join(sorted(forms))}{limit}")


def _forms(webhook: LiveWebhook) -> Iterator[tuple[str, str]]:
    """Yield each field of a webhook that can be hidden, with the form in which it is shown."""
    shown = webhook.configuration
    for field in FIELDS.get(webhook.type, {}).values():
        if not (field.secret or field.may_be_hidden):
            continue
        if isinstance(shown, Unknown):
            yield field.name, "not shown, like the rest of the configuration"
        # An optional field that is missing may be hidden or not set: its partner decides.
        elif field.name in shown or field.required or field.partner in shown:
            yield field.name, _form(shown, field.name)


def _form(shown: Mapping[str, LiveValue], name: str) -> str:
    """Return how a server shows a field."""
    value = shown.get(name)
    if value is None:
        if name in shown:
            return "null"
        return "omitted"
    if is_unset(value):
        return "empty"
    if not plausible(value):
        return "masked or encrypted"
    return _SHOWN


# The probe


class _Destination(NamedTuple):
    """Where a probe's webhook delivers to: its type, and the field with this value."""

    type: str
    field: str
    value: str | Secret


_NAME: Final = "doctor probe (safe to delete)"
_RENAMED: Final = f"{_NAME} renamed"
_SLACK_NAME: Final = "doctor probe for Slack (safe to delete)"
# `.example` is reserved (RFC 2606): no name in it resolves.
_NOWHERE: Final = _Destination(generic.KIND.type, "url", Secret("https://webhooks-probe.example/"))
_NO_CHANNEL: Final = _Destination(slack.KIND.type, "channel", "#webhooks-doctor-probe")
_PROBES: Final = {_NAME: _NOWHERE, _RENAMED: _NOWHERE, _SLACK_NAME: _NO_CHANNEL}
"""The destination of each probe's webhook, by name."""
_EVENTS: Final = frozenset({"template_deleted"})
_Sent: TypeAlias = Mapping[str, str | bool | Secret]
_SETTLED: Final = 2.0
"""Seconds until a listing shows a create whose response was lost."""


def probe(api: Client, clock: Clock, organization: Organization) -> Section:
    """Test the server: create one webhook, read it, change it and delete it.

    The checks show undocumented behavior: how fields and secrets read back, whether a configuration
    is replaced or merged, whether a listing shows a write immediately. They contain no name, host
    or secret. The webhook has a fixed name and sends to a domain that never resolves. No other
    webhook is written, except that the one of an earlier probe that was killed is deleted.
    """
    return Section(name="Probe", checks=tuple(_probe_checks(api, clock, organization)))


def _probe_checks(api: Client, clock: Clock, organization: Organization) -> Iterator[Check]:
    problem = yield from _run_checks(api, "probe", _trial(api, organization))
    if problem is None:
        problem = yield from _run_checks(api, "slack", _slack_trial(api, organization))
    if problem is not None:
        # Its create may have had no response, and the webhook may not be listed yet.
        clock.sleep(_SETTLED)
    names = ", ".join(map(repr, _PROBES))
    manually = f"delete the webhooks with these names, or run the probe again: {names}"
    yield from _run_checks(api, "clean-up", _clean_up(api), fix=manually)


def _clean_up(api: Client) -> Iterator[Check]:
    # Also those of an earlier probe that was killed.
    left = [webhook for webhook in api.list() if _is_ours(webhook)]
    for webhook in left:
        api.delete(webhook.id)
    if left:
        yield ok("clean-up", f"deleted {plural(len(left), 'probe webhook')}")


def _is_ours(webhook: LiveWebhook) -> bool:
    if webhook.name not in _PROBES:
        return False
    # A user's webhook may have the name of the probe, so its destination decides, if it is shown.
    expected = _PROBES[webhook.name]
    is_same = hides_destination(webhook) or webhook.value(expected.field) == expected.value
    return webhook.type == expected.type and is_same


def _trial(api: Client, organization: Organization) -> Iterator[Check]:
    yield from _clean_up(api)
    password = Secret(secrets.token_urlsafe(24))
    sent: _Sent = {"url": _NOWHERE.value, "username": "probe", "password": password}
    draft = Draft(name=_NAME, type=_NOWHERE.type, event_types=_EVENTS, configuration=sent)
    id_ = api.create(draft, organization.id).id
    yield ok("create", "accepted")
    yield _expect("listing", "shows a new webhook immediately", _is_listed(api, id_))
    created = _read(api, id_)
    same = (created.name, created.event_types) == (draft.name, draft.event_types)
    yield _expect("fields", "name and event types read back as sent", same)
    yield from _sent_and_shown(sent, created.configuration)

    renamed = draft._replace(name=_RENAMED)
    api.update(id_, renamed, frozenset({"name"}))
    same = _read(api, id_) == replace(created, name=_RENAMED)
    yield _expect("update", "changes the name and keeps everything else", same)
    # Without username and password: if they stay, the server merges.
    smaller = renamed._replace(configuration={"url": _NOWHERE.value})
    api.update(id_, smaller, frozenset({"configuration"}))
    yield _replaced(_read(api, id_).configuration)

    deleted = api.delete(id_) and api.get(id_) is None
    yield _expect("delete", "accepted; the webhook no longer exists", deleted)
    yield _expect("listing", "hides a deleted webhook immediately", not _is_listed(api, id_))


def _is_listed(api: Client, id: str) -> bool:
    return any(webhook.id == id for webhook in api.list())


def _slack_trial(api: Client, organization: Organization) -> Iterator[Check]:
    """Create and delete a webhook with a token that no app has: no message can be posted."""
    digits = "".join(secrets.choice("0123456789") for _ in range(12))
    token = Secret(f"xoxb-{digits}-webhooks-doctor-probe")
    sent: _Sent = {"token": token, "channel": _NO_CHANNEL.value, "username": "probe"}
    draft = Draft(name=_SLACK_NAME, type=_NO_CHANNEL.type, event_types=_EVENTS, configuration=sent)
    id_ = api.create(draft, organization.id).id
    shown = _read(api, id_).configuration
    # At once, not after the checks: no user should see a webhook with a false token.
    api.delete(id_)
    yield from _sent_and_shown(sent, shown, prefix="slack ")


def _expect(name: str, expected: str, met: bool) -> Check:
    if met:
        return ok(name, expected)
    return warn(name, f"expected, but not the case: {expected}", fix=_REPORT)


def _sent_and_shown(
    sent: _Sent, shown: Mapping[str, LiveValue] | Unknown, *, prefix: str = ""
) -> Iterator[Check]:
    """Yield a check for each field of the configuration that was sent."""
    if isinstance(shown, Unknown):
        yield unknown("read-back", f"{prefix}configuration: not shown")
        return
    for name, value in sent.items():
        form = _form(shown, name)
        if shown.get(name) == value:
            form = "shown as sent"
        elif form == _SHOWN:
            form = "shown, and differs from what was sent"
        detail = f"{prefix}{name}: {form}"
        if name == "username" and shown.get(name) != value:  # not a secret
            yield warn("read-back", detail, fix=_REPORT)
        else:
            yield ok("read-back", detail)
    added = sorted(shown.keys() - sent.keys())
    if added:
        yield ok("defaults", f"the server adds {prefix}{', '.join(added)}")


def _replaced(shown: Mapping[str, LiveValue] | Unknown) -> Check:
    if isinstance(shown, Unknown):
        return unknown("configuration", "not shown, so it is unknown if an update replaces it")
    if "username" in shown:
        return warn(
            "configuration",
            "updates merge: removed fields are kept",
            fix="remove credentials in two steps: delete the webhook, then declare it again",
        )
    return ok("configuration", "updates replace: removed fields are deleted")


def _read(api: Client, id: str) -> LiveWebhook:
    webhook = api.get(id)
    if webhook is None:
        raise ProtocolError("a new webhook cannot be read by id", hint=_REPORT)
    return webhook


# The proof


def learned(proof: Proof) -> Section:
    """Return what a proof shows about the server: when `last_run` moves, if `last_error` clears."""
    observations = [*proof.observations.values()]
    moved = [seen.seconds for seen in observations if seen.seconds is not None]
    caused = check_parameter(proof)
    # The same check as that of `webhooks check`, but with no name outside `private`.
    checks = [caused]
    if caused.status is Status.FAIL:  # its texts may have names
        fix = "`webhooks check --deliver PROJECT` shows the details"
        checks = [fail("parameter", "not all events were caused", private=caused.fix, fix=fix)]
    if moved:
        span = f"{min(moved):.0f} to {max(moved):.0f} s after the last event"
        checks.append(ok("last-run", f"moves {span} ({plural(len(moved), 'webhook')})"))
    unmoved = len(observations) - len(moved)
    if unmoved:
        fix = f"{_REPORT}; `webhooks check --deliver PROJECT` names them"
        checks.append(warn("last-run", f"does not move: {plural(unmoved, 'webhook')}", fix=fix))
    checks.append(_last_error(observations))
    return Section(name="Deliveries", checks=tuple(checks))


def _last_error(observations: Sequence[Observation]) -> Check:
    delivered = [seen for seen in observations if seen.verdict is Verdict.DELIVERED]
    errors = [seen.after.last_error for seen in delivered if seen.before.last_error and seen.after]
    if not errors:
        detail = "no webhook with an earlier error delivered, so it is unknown if an error clears"
        return unknown("last-error", detail)
    stays = "is removed by"
    if any(errors):
        stays = "stays after"
    return ok("last-error", f"{stays} a successful delivery")
