"""A test of the server: create one webhook, read it, change it and delete it.

It shows undocumented behaviour: how fields and secrets read back, whether a configuration is
replaced or merged, whether a listing shows a write immediately. The webhook has a fixed name and
sends to a domain that never resolves. No other webhook is written. A probe deletes the webhook of
an earlier one that was killed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.checks import Check, Section, fail, ok, unknown, warn
from reconciler.doctor.service import Server, failure
from reconciler.errors import ReconcilerError
from reconciler.kinds import generic
from reconciler.model import LiveWebhook, Organization, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Draft, WebhookAPI
from reconciler.render.words import plural

NAME: Final = "doctor probe (safe to delete)"
RENAMED: Final = f"{NAME} renamed"
URL: Final = "https://webhooks-probe.example/"
"""`.example` is reserved (RFC 2606): no name in it resolves."""
_EVENT: Final = "template_deleted"
_SETTLED: Final = 2.0
"""Seconds until a listing shows a create whose response was lost."""
_MANUALLY: Final = f"delete the webhook {NAME!r}, or run the probe again"


def probe(server: Server, api: WebhookAPI, organization: Organization) -> Section:
    """Run the test and return the checks. They contain no name, host or secret.

    `api` is a client of `server`.
    """
    checks: list[Check] = []
    try:
        checks += _clean_up(api)
        checks += _trial(api, organization)
    except ReconcilerError as problem:
        checks.append(failure(server, "probe", problem))
        server.clock.sleep(_SETTLED)
    try:
        checks += _clean_up(api)
    except ReconcilerError as problem:
        checks.append(fail("clean-up", failure(server, "", problem).detail, fix=_MANUALLY))
    return Section(name="Probe", checks=tuple(checks))


def _is_ours(webhook: LiveWebhook) -> bool:
    shown = webhook.configuration
    url = None if isinstance(shown, Unknown) else shown.get("url")
    elsewhere = plausible(url) and url != Secret(URL)
    return webhook.name in (NAME, RENAMED) and webhook.type == generic.KIND.type and not elsewhere


def _clean_up(api: WebhookAPI) -> Iterator[Check]:
    left = [each for each in api.list() if _is_ours(each)]
    for each in left:
        api.delete(each.id)
    if left:
        yield ok("clean-up", f"deleted {plural(len(left), 'webhook')} of an earlier probe")


def _trial(api: WebhookAPI, organization: Organization) -> Iterator[Check]:
    password = Secret(secrets.token_urlsafe(24))
    draft = Draft(
        name=NAME,
        type=generic.KIND.type,
        event_types=(_EVENT,),
        configuration={"url": Secret(URL), "username": "probe", "password": password},
    )
    created = api.create(draft, organization.id)
    yield ok("create", "accepted")
    yield _current("a new webhook", created.id, api)
    found = api.get(created.id)
    if found is None:
        yield fail("read", "a new webhook cannot be read by id", fix=_report("2"))
        return
    yield from _stored(found, draft, password)

    renamed = replace(draft, name=RENAMED)
    api.update(created.id, renamed, frozenset({"name"}))
    after = api.get(created.id)
    if after is None or after.name != RENAMED:
        yield fail("update", "a changed name does not read back", fix=_report("2"))
        return
    kept = (after.event_types, after.configuration) == (found.event_types, found.configuration)
    if kept:
        yield ok("update", "changes the name and keeps everything else")
    else:
        yield warn("update", "of only the name changes other fields", fix=_report())

    smaller = replace(renamed, configuration={"url": Secret(URL)})
    api.update(created.id, smaller, frozenset({"configuration"}))
    after = api.get(created.id)
    yield _replaced(after)

    if not api.delete(created.id):
        yield warn("delete", "the webhook was already deleted", fix=_report("3"))
    elif api.get(created.id) is not None:
        yield fail("delete", "a deleted webhook can still be read by id", fix=_report("2"))
    else:
        yield ok("delete", "accepted; the webhook no longer exists")
    if any(each.id == created.id for each in api.list()):
        yield warn("listing", "shows a deleted webhook", fix=_report("2"))


def _current(what: str, id: str, api: WebhookAPI) -> Check:
    if any(each.id == id for each in api.list()):
        return ok("listing", f"shows {what} at once")
    return warn("listing", f"does not show {what} at once", fix=_report("2"))


def _stored(found: LiveWebhook, draft: Draft, password: Secret) -> Iterator[Check]:
    """Yield a check for each field that was read back."""
    same = found.name == draft.name and found.event_types == frozenset(draft.event_types)
    if same:
        yield ok("fields", "name and event types read back as sent")
    else:
        yield warn("fields", "name or event types do not read back as sent", fix=_report())
    shown = found.configuration
    if isinstance(shown, Unknown):
        yield unknown("read-back", "the configuration is not shown")
        return
    sent = {"url": Secret(URL), "username": "probe", "password": password}
    forms = {}
    for name, value in sent.items():
        live = shown.get(name)
        if name not in shown:
            forms[name] = "omitted"
        elif live is None:
            forms[name] = "null"
        elif live == value:
            forms[name] = "plain"
        elif isinstance(live, Secret) and not plausible(live):
            forms[name] = "mask"
        else:
            forms[name] = "changed"
        yield ok("read-back", f"{name}: {_FORMS[forms[name]]}")
    added = sorted(shown.keys() - sent.keys())
    if added:
        yield ok("defaults", f"the server adds {', '.join(added)}")
    if forms["username"] != "plain":
        yield warn("read-back", "a field that is not secret is not shown", fix=_report())
    if forms["password"] in _EMULATED:
        yield ok(
            "emulator", f"`webhooks emulator --read-back {forms['password']}` reads back the same"
        )
    else:
        yield unknown("emulator", "the emulator has no matching --read-back setting")


_FORMS: Final = {
    "plain": "shown as sent",
    "mask": "masked, empty or encrypted",
    "null": "null",
    "omitted": "omitted",
    "changed": "shown, and differs from what was sent",
}
_EMULATED: Final = ("plain", "mask", "null", "omitted")


def _replaced(after: LiveWebhook | None) -> Check:
    shown = None if after is None else after.configuration
    if shown is None or isinstance(shown, Unknown):
        return unknown("configuration", "not shown, so it is unknown if an update replaces it")
    if "username" in shown:
        return warn(
            "configuration",
            "an update merges it: a removed field stays",
            fix="remove credentials in two steps: delete the webhook, then declare it again",
        )
    return ok("configuration", "an update replaces it: a removed field is gone")


def _report(number: str | None = None) -> str:
    which = "" if number is None else f" (assumption {number} in docs/guarantees.md)"
    return f"paste this output into an issue{which}"
