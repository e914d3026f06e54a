"""A test of the server: create one webhook, read it, change it and delete it.

It shows undocumented behavior: how fields and secrets read back, whether a configuration is
replaced or merged, whether a listing shows a write immediately. The webhook has a fixed name and
sends to a domain that never resolves. No other webhook is written. A probe also deletes the webhook
left by an earlier probe that was killed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.api.client import Client
from reconciler.checks import Check, Section, ok, unknown, warn
from reconciler.doctor.service import COMPLETE, form, run_checks
from reconciler.errors import ProtocolError
from reconciler.kinds import generic
from reconciler.model import LiveValue, LiveWebhook, Organization, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Clock, Draft
from reconciler.render.words import plural

NAME: Final = "doctor probe (safe to delete)"
_URL: Final = "https://webhooks-probe.example/"
"""`.example` is reserved (RFC 2606): no name in it resolves."""
_RENAMED: Final = f"{NAME} renamed"
_EVENT: Final = "template_deleted"
_SETTLED: Final = 2.0
"""Seconds until a listing shows a create whose response was lost."""
_REPORT: Final = "paste this output into an issue"
_AS_SENT: Final = "shown as sent"
_EMULATED: Final = {
    _AS_SENT: "plain", "masked or encrypted": "mask", "null": "null", "omitted": "omitted",
}  # fmt: skip
"""The option of the emulator for each form of a secret."""


def probe(api: Client, clock: Clock, organization: Organization) -> Section:
    """Run the test and return the checks. They contain no name, host or secret."""
    checks = [*run_checks(api, "probe", _trial(api, organization))]
    if checks[-1].name == "probe":
        clock.sleep(_SETTLED)
    manually = f"delete the webhook {NAME!r}, or run the probe again"
    checks += run_checks(api, "clean-up", _clean_up(api), fix=manually)
    return Section(name="Probe", checks=tuple(checks))


def _clean_up(api: Client) -> Iterator[Check]:
    left = [each for each in api.list() if _is_ours(each)]
    for each in left:
        api.delete(each.id)
    if left:
        yield ok("clean-up", f"deleted {plural(len(left), 'probe webhook')}")


def _is_ours(webhook: LiveWebhook) -> bool:
    shown = webhook.configuration
    url = None if isinstance(shown, Unknown) else shown.get("url")
    elsewhere = plausible(url) and url != Secret(_URL)
    return webhook.name in (NAME, _RENAMED) and webhook.type == generic.KIND.type and not elsewhere


def _trial(api: Client, organization: Organization) -> Iterator[Check]:
    yield from _clean_up(api)
    sent: dict[str, str | bool | Secret] = {
        "url": Secret(_URL),
        "username": "probe",
        "password": Secret(secrets.token_urlsafe(24)),
    }
    draft = Draft(name=NAME, type=generic.KIND.type, event_types=(_EVENT,), configuration=sent)
    own_id = api.create(draft, organization.id).id
    yield ok("create", "accepted")
    listed = any(each.id == own_id for each in api.list())
    yield _expect("listing", "shows a new webhook immediately", listed)
    found = _read(api, own_id)
    same = (found.name, found.event_types) == (draft.name, frozenset(draft.event_types))
    yield _expect("fields", "name and event types read back as sent", same)
    if isinstance(found.configuration, Unknown):
        yield unknown("read-back", "the configuration is not shown")
    else:
        yield from _read_back(found.configuration, sent)

    renamed = draft._replace(name=_RENAMED)
    api.update(own_id, renamed, frozenset({"name"}))
    same = _read(api, own_id) == replace(found, name=_RENAMED)
    yield _expect("update", "changes the name and keeps everything else", same)
    smaller = renamed._replace(configuration={"url": Secret(_URL)})
    api.update(own_id, smaller, frozenset({"configuration"}))
    yield _replaced(_read(api, own_id).configuration)

    deleted = api.delete(own_id) and api.get(own_id) is None
    yield _expect("delete", "accepted; the webhook no longer exists", deleted)
    listed = any(each.id == own_id for each in api.list())
    yield _expect("listing", "hides a deleted webhook immediately", not listed)


def _expect(name: str, expected: str, met: bool) -> Check:
    if met:
        return ok(name, expected)
    return warn(name, f"expected, but not the case: {expected}", fix=_REPORT)


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
        strange = name == "username" and words != _AS_SENT  # not a secret
        detail = f"{name}: {words}"
        yield warn("read-back", detail, fix=_REPORT) if strange else ok("read-back", detail)
    if added := sorted(shown.keys() - sent.keys()):
        yield ok("defaults", f"the server adds {', '.join(added)}")
    option = _EMULATED.get(forms["password"])
    if option is None:
        yield unknown("emulator", "the emulator has no matching --read-back setting")
    else:
        yield ok("emulator", f"`webhooks emulator --read-back {option}` reads back the same")


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
    found = api.get(id)
    if found is None:
        raise ProtocolError("a new webhook cannot be read by id", hint=_REPORT)
    return found
