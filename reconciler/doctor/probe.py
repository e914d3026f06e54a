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
from reconciler.doctor.service import COMPLETE, collected, form
from reconciler.errors import ProtocolError
from reconciler.kinds import generic
from reconciler.model import LiveValue, LiveWebhook, Organization, Secret, Unknown
from reconciler.planning.readback import plausible
from reconciler.ports import Clock, Draft
from reconciler.render.words import plural

NAME: Final = "doctor probe (safe to delete)"
URL: Final = "https://webhooks-probe.example/"
"""`.example` is reserved (RFC 2606): no name in it resolves."""
_RENAMED: Final = f"{NAME} renamed"
_EVENT: Final = "template_deleted"
_SETTLED: Final = 2.0
"""Seconds until a listing shows a create whose response was lost."""
_REPORT: Final = "paste this output into an issue"
_ASSUMPTION: Final = f"{_REPORT} (assumption {{}} in docs/guarantees.md)"
_AS_SENT: Final = "shown as sent"
_EMULATED: Final = {
    _AS_SENT: "plain", "masked or encrypted": "mask", "null": "null", "omitted": "omitted",
}  # fmt: skip
"""The option of the emulator for each form of a secret."""


def probe(api: Client, clock: Clock, organization: Organization) -> Section:
    """Run the test and return the checks. They contain no name, host or secret."""
    checks = [*collected(api, "probe", _trial(api, organization))]
    if checks[-1].name == "probe":
        clock.sleep(_SETTLED)
    manually = f"delete the webhook {NAME!r}, or run the probe again"
    checks += collected(api, "clean-up", _clean_up(api), fix=manually)
    return Section(name="Probe", checks=tuple(checks))


def _clean_up(api: Client) -> Iterator[Check]:
    left = [each for each in api.list() if _is_ours(each)]
    for each in left:
        api.delete(each.id)
    if left:
        yield ok("clean-up", f"deleted {plural(len(left), 'webhook')} from an earlier probe")


def _is_ours(webhook: LiveWebhook) -> bool:
    shown = webhook.configuration
    url = None if isinstance(shown, Unknown) else shown.get("url")
    elsewhere = plausible(url) and url != Secret(URL)
    return webhook.name in (NAME, _RENAMED) and webhook.type == generic.KIND.type and not elsewhere


def _trial(api: Client, organization: Organization) -> Iterator[Check]:
    yield from _clean_up(api)
    sent: dict[str, str | bool | Secret] = {
        "url": Secret(URL),
        "username": "probe",
        "password": Secret(secrets.token_urlsafe(24)),
    }
    draft = Draft(name=NAME, type=generic.KIND.type, event_types=(_EVENT,), configuration=sent)
    own_id = api.create(draft, organization.id).id
    yield ok("create", "accepted")
    if any(each.id == own_id for each in api.list()):
        yield ok("listing", "shows a new webhook immediately")
    else:
        detail = "does not show a new webhook immediately"
        yield warn("listing", detail, fix=_ASSUMPTION.format(2))
    found = _read(api, own_id)
    if (found.name, found.event_types) == (draft.name, frozenset(draft.event_types)):
        yield ok("fields", "name and event types read back as sent")
    else:
        yield warn("fields", "name or event types do not read back as sent", fix=_REPORT)
    if isinstance(found.configuration, Unknown):
        yield unknown("read-back", "the configuration is not shown")
    else:
        yield from _read_back(found.configuration, sent)

    renamed = replace(draft, name=_RENAMED)
    api.update(own_id, renamed, frozenset({"name"}))
    after = _read(api, own_id)
    if after == replace(found, name=_RENAMED):
        yield ok("update", "changes the name and keeps everything else")
    else:
        yield warn("update", "the name and no other field should have changed", fix=_REPORT)
    smaller = replace(renamed, configuration={"url": Secret(URL)})
    api.update(own_id, smaller, frozenset({"configuration"}))
    yield _replaced(_read(api, own_id).configuration)

    if not api.delete(own_id):
        yield warn("delete", "the webhook was already deleted", fix=_ASSUMPTION.format(3))
    elif api.get(own_id) is not None:
        detail = "a deleted webhook can still be read by id"
        yield fail("delete", detail, fix=_ASSUMPTION.format(2))
    else:
        yield ok("delete", "accepted; the webhook no longer exists")
    if any(each.id == own_id for each in api.list()):
        yield warn("listing", "shows a deleted webhook", fix=_ASSUMPTION.format(2))


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
        yield warn("read-back", "a field that is not secret is not shown", fix=_REPORT)
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
        raise ProtocolError("a new webhook cannot be read by id", hint=_ASSUMPTION.format(2))
    return found
