"""A test of the server: create one webhook, read it, change it and delete it.

It shows undocumented behavior: how fields and secrets read back, whether a configuration is
replaced or merged, whether a listing shows a write immediately. The webhook has a fixed name and
sends to a domain that never resolves. No other webhook is written. A probe deletes the webhook of
an earlier one that was killed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.api.client import Client
from reconciler.checks import Check, Section, fail, ok, unknown, warn
from reconciler.doctor.service import COMPLETE, failure, form
from reconciler.errors import ReconcilerError
from reconciler.kinds import generic
from reconciler.model import LiveValue, LiveWebhook, Organization, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Clock, Draft
from reconciler.render.words import plural

NAME: Final = "doctor probe (safe to delete)"
RENAMED: Final = f"{NAME} renamed"
URL: Final = "https://webhooks-probe.example/"
"""`.example` is reserved (RFC 2606): no name in it resolves."""
_EVENT: Final = "template_deleted"
_SETTLED: Final = 2.0
"""Seconds until a listing shows a create whose response was lost."""
_MANUALLY: Final = f"delete the webhook {NAME!r}, or run the probe again"


def probe(api: Client, clock: Clock, organization: Organization) -> Section:
    """Run the test and return the checks. They contain no name, host or secret."""
    checks: list[Check] = []
    try:
        checks += _clean_up(api)
        checks += _trial(api, organization)
    except ReconcilerError as problem:
        checks.append(failure(api, "probe", problem))
        clock.sleep(_SETTLED)
    try:
        checks += _clean_up(api)
    except ReconcilerError as problem:
        checks.append(fail("clean-up", failure(api, "", problem).detail, fix=_MANUALLY))
    return Section(name="Probe", checks=tuple(checks))


def _is_ours(webhook: LiveWebhook) -> bool:
    shown = webhook.configuration
    url = None if isinstance(shown, Unknown) else shown.get("url")
    elsewhere = plausible(url) and url != Secret(URL)
    return webhook.name in (NAME, RENAMED) and webhook.type == generic.KIND.type and not elsewhere


def _clean_up(api: Client) -> Iterator[Check]:
    left = [each for each in api.list() if _is_ours(each)]
    for each in left:
        api.delete(each.id)
    if left:
        yield ok("clean-up", f"deleted {plural(len(left), 'webhook')} from an earlier probe")


def _trial(api: Client, organization: Organization) -> Iterator[Check]:
    sent: dict[str, str | bool | Secret] = {
        "url": Secret(URL),
        "username": "probe",
        "password": Secret(secrets.token_urlsafe(24)),
    }
    draft = Draft(name=NAME, type=generic.KIND.type, event_types=(_EVENT,), configuration=sent)
    created = api.create(draft, organization.id)
    yield ok("create", "accepted")
    yield _expect(
        "listing",
        any(each.id == created.id for each in api.list()),
        "shows a new webhook immediately",
        "does not show a new webhook immediately",
        assumption=2,
    )
    found = api.get(created.id)
    if found is None:
        yield fail("read", "a new webhook cannot be read by id", fix=_report(2))
        return
    yield _expect(
        "fields",
        (found.name, found.event_types) == (draft.name, frozenset(draft.event_types)),
        "name and event types read back as sent",
        "name or event types do not read back as sent",
    )
    if isinstance(found.configuration, Unknown):
        yield unknown("read-back", "the configuration is not shown")
    else:
        yield from _read_back(found.configuration, sent)

    renamed = replace(draft, name=RENAMED)
    api.update(created.id, renamed, frozenset({"name"}))
    after = api.get(created.id)
    if after is None or after.name != RENAMED:
        yield fail("update", "a changed name does not read back", fix=_report(2))
        return
    yield _expect(
        "update",
        (after.event_types, after.configuration) == (found.event_types, found.configuration),
        "changes the name and keeps everything else",
        "also changes fields that were not sent",
    )
    smaller = replace(renamed, configuration={"url": Secret(URL)})
    api.update(created.id, smaller, frozenset({"configuration"}))
    yield _replaced(api.get(created.id))

    if not api.delete(created.id):
        yield warn("delete", "the webhook was already deleted", fix=_report(3))
    elif api.get(created.id) is not None:
        yield fail("delete", "a deleted webhook can still be read by id", fix=_report(2))
    else:
        yield ok("delete", "accepted; the webhook no longer exists")
    if any(each.id == created.id for each in api.list()):
        yield warn("listing", "shows a deleted webhook", fix=_report(2))


def _read_back(
    shown: Mapping[str, LiveValue], sent: Mapping[str, str | bool | Secret]
) -> Iterator[Check]:
    """Yield a check for each field of the configuration that was sent."""
    forms = {
        name: _AS_SENT if shown.get(name) == value else form(shown, name)
        for name, value in sent.items()
    }
    for name, words in forms.items():
        words = "shown, and differs from what was sent" if words == COMPLETE else words
        yield ok("read-back", f"{name}: {words}")
    if added := sorted(shown.keys() - sent.keys()):
        yield ok("defaults", f"the server adds {', '.join(added)}")
    if forms["username"] != _AS_SENT:
        yield warn("read-back", "a field that is not secret is not shown", fix=_report())
    option = _EMULATED.get(forms["password"])
    if option is None:
        yield unknown("emulator", "the emulator has no matching --read-back setting")
    else:
        yield ok("emulator", f"`webhooks emulator --read-back {option}` reads back the same")


_AS_SENT: Final = "shown as sent"
_EMULATED: Final = {
    _AS_SENT: "plain", "masked or encrypted": "mask", "null": "null", "omitted": "omitted",
}  # fmt: skip
"""The option of the emulator for each form of a secret."""


def _replaced(after: LiveWebhook | None) -> Check:
    shown = None if after is None else after.configuration
    if shown is None or isinstance(shown, Unknown):
        return unknown("configuration", "not shown, so it is unknown if an update replaces it")
    if "username" in shown:
        return warn(
            "configuration",
            "updates merge: removed fields are kept",
            fix="remove credentials in two steps: delete the webhook, then declare it again",
        )
    return ok("configuration", "updates replace: removed fields are deleted")


def _expect(
    name: str, holds: bool, detail: str, otherwise: str, *, assumption: int | None = None
) -> Check:
    return ok(name, detail) if holds else warn(name, otherwise, fix=_report(assumption))


def _report(assumption: int | None = None) -> str:
    which = f" (assumption {assumption} in docs/guarantees.md)" if assumption else ""
    return f"paste this output into an issue{which}"
