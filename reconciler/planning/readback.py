"""Read live values: which prove equality with the declared ones, and which may be shown.

CloudTruth does not publish how it shows values that it stores encrypted: plain, masked, encrypted,
or not at all. These are all secrets and the channel of Slack. A secret is *readable* only with
evidence, a channel if it can be one; everything else is neither equal nor different. So a masked
token never looks like a change. A secret that is shown, but not known to be the real value, is
reported if it does not equal the declared one. The scheme, host and port that a masked URL shows
are compared.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.kinds import FIELDS, KINDS, Field
from reconciler.model import (
    UNKNOWN,
    LiveValue,
    LiveWebhook,
    Secret,
    SecretValues,
    Unknown,
    Value,
    Webhook,
    declared_secret,
)
from reconciler.planning.plan import Snapshot

_ENCRYPTED: Final = re.compile(
    r"(?i:enc|encrypted|cipher|ciphertext|vault|kms|aes|gpg|pgp)[:\[({].*"
    r"|\$[A-Za-z0-9_]+[;$].*"  # $ANSIBLE_VAULT;1.1, $2b$12$...
    r"|gAAAA[A-Za-z0-9_=-]{40,}"  # a Fernet token
    r"|AQICA[A-Za-z0-9+/=]{40,}"  # a KMS blob
    r"|-----BEGIN .*",
    re.DOTALL,
)
_MASKED: Final = re.compile(
    r".*(?:[*\u2022\u25cf\u2219\u00b7]{3}|[xX]{8}|\u2026).*"  # stars, bullets, x's, an ellipsis
    r"|\[?(?i:redacted|masked|hidden|encrypted)\]?"
    rf"|{_ENCRYPTED.pattern}",
    re.DOTALL,
)
_WITH_PORT: Final = re.compile(r"[^/]*//[^/?#]*:[0-9]+(?:[/?#].*)?", re.DOTALL)
_EMPTY: Final = re.compile(r"\s*")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f-]{32,}")
"""Ciphertext that looks like the name of a channel."""
_SIGNED: Final = r"[#@][^*\u2022\u25cf\u2219\u00b7]+"
"""Text that a user wrote as a channel, valid or not."""
_URLS: Final = {field.name for kind in KINDS.values() for field in kind.fields if field.is_url}
_STORED_BY_MISTAKE: Final = re.compile(
    r"[A-Za-z]+(?:[_ .-]+[A-Za-z0-9]+)*"  # a variable's name, changeme, xoxb-your-token
    r"|(?:env|file):.*|[$<{%'\"\s\ufeff].*|.*\s",  # a reference, quotes, spaces around a value
    re.DOTALL,
)


class Evidence(NamedTuple):
    """What is known about the secrets of one listing.

    `values` are the declared ones that are available. `readable` lists the fields, as (type,
    field), for which a declared value compares equal. `shown` lists the secret fields for which any
    live webhook shows a value, in any form. If a webhook does not show such a field, the field is
    not set.
    """

    values: SecretValues = MappingProxyType({})
    readable: frozenset[tuple[str, str]] = frozenset()
    shown: frozenset[str] = frozenset()

    def would_show(self, field: Field) -> bool:
        """Return whether a secret, if it is set, is shown in any form.

        A server that shows one credential, even as a mask, shows all. A URL proves nothing: only
        passwords and tokens are documented as encrypted, and are left out next to a plain URL.
        """
        return field.name in self.shown or not (field.is_url or self.shown <= _URLS)

    def reads(self, kind: str, field: Field, live: LiveValue) -> bool:
        """Return whether a live secret is the real value."""
        visibility = _visibility(field, live)
        if visibility is _Visibility.HIDDEN:
            return False
        return visibility is _Visibility.COMPLETE or (kind, field.name) in self.readable


class Reading(Enum):
    """The result of comparing a live field with its declared value."""

    SAME = "same"
    DIFFERENT = "different"
    ABSENT = "absent"  # not set
    UNKNOWN = "unknown"  # the server does not show it
    NOT_EQUAL = "not-equal"  # shown, but another value or encrypted: there is no evidence which
    MALFORMED = "malformed"  # a secret that is visible, but not a valid value; it is not sent
    UNAVAILABLE = "unavailable"  # shown, but the declared value is not available


class _Visibility(Enum):
    """What a server shows of a secret."""

    COMPLETE = "complete"  # a value that matches the pattern of its field
    TEXT = "text"  # of a field without a pattern: the real value, or encrypted in an unknown form
    MALFORMED = "malformed"  # text that a user stored instead of the secret by mistake
    UNCLEAR = "unclear"  # other text that does not match the pattern, probably encrypted
    HIDDEN = "hidden"  # not set, masked or encrypted


def _visibility(field: Field, live: LiveValue) -> _Visibility:
    if not isinstance(live, Secret) or not plausible(live):
        return _Visibility.HIDDEN
    if field.secret_pattern is None:
        return _Visibility.TEXT
    if live.matches(field.secret_pattern):
        return _Visibility.COMPLETE
    if live.matches(_STORED_BY_MISTAKE):
        return _Visibility.MALFORMED
    return _Visibility.UNCLEAR


def plausible(value: LiveValue) -> bool:
    """Return whether a value may be real: not missing, empty, masked or encrypted."""
    if isinstance(value, Secret):
        return not value.matches(_EMPTY) and not value.matches(_MASKED)
    if isinstance(value, str):
        return bool(value.strip()) and _MASKED.fullmatch(value) is None
    return isinstance(value, (bool, int, float))


def plain_value(field: Field, live: LiveValue) -> str | bool | Unknown:
    """Return the live value of a field that is not secret, for comparison and display.

    UNKNOWN if the server hides it. A value of another type is UNKNOWN, too, but differs from every
    declared value (`is_hidden` tells the two apart).
    """
    expected = bool if field.is_boolean else str
    if isinstance(live, expected):
        return UNKNOWN if is_hidden(field, live) else live
    if isinstance(live, int | float) and not isinstance(live, bool) and not field.is_boolean:
        return str(live)
    return UNKNOWN


def is_hidden(field: Field, live: LiveValue) -> bool:
    """Return whether the server hides a value, so that sending another one replaces it unseen.

    Reviews cover the result, so it depends on this live value only: neither on the values of
    declared secrets nor on other webhooks, which an apply changes.
    """
    if field.secret:
        return _visibility(field, live) in (_Visibility.UNCLEAR, _Visibility.HIDDEN)
    if isinstance(live, Unknown):
        return True
    if not field.may_be_hidden:
        return False
    if isinstance(live, bool | list | dict) or not plausible(live):
        return True
    text = field.normalize(str(live))
    if _HEXADECIMAL.fullmatch(text):
        return True
    # `#Audit Log!` is no channel, but visible: ciphertext has no `#`, and a mask is not plausible.
    return re.match(field.schema_pattern, text) is None and re.fullmatch(_SIGNED, str(live)) is None


def hides_destination(webhook: LiveWebhook) -> bool:
    """Return whether the server hides where a webhook delivers to, or its type is not known."""
    kind = KINDS.get(webhook.type)
    return kind is None or is_hidden(kind.destination, webhook.value(kind.destination_field))


def is_malformed(field: Field, live: LiveValue) -> bool:
    """Return whether `live` is visible text that a user stored instead of the secret by mistake."""
    return _visibility(field, live) is _Visibility.MALFORMED


def secrets_alike(field: Field, first: LiveWebhook, other: LiveWebhook) -> Reading:
    """Compare the same secret field of two live webhooks that look the same otherwise.

    ABSENT if neither has text (it is empty, missing or UNKNOWN) and may be without, SAME if both
    have the same text, which may be the real value. UNKNOWN for other equal texts, such as masks,
    and for two encrypted values. DIFFERENT otherwise, so also if only one has text, or only one is
    masked: callers then take neither for a duplicate of the other, which an apply could delete.
    """
    a, b = nonempty(first.value(field.name)), nonempty(other.value(field.name))
    if a is None and b is None:
        # One that must be set is hidden.
        is_set = field.required or (field.partner is not None and first.value(field.partner))
        return Reading.UNKNOWN if is_set else Reading.ABSENT
    if a is None or b is None:
        return Reading.DIFFERENT
    if a != b:
        encrypted = is_encrypted(a) and is_encrypted(b)
        return Reading.UNKNOWN if encrypted else Reading.DIFFERENT
    if _visibility(field, a) in (_Visibility.COMPLETE, _Visibility.TEXT):
        return Reading.SAME
    return Reading.UNKNOWN  # different values may have the same mask


def is_encrypted(value: Secret) -> bool:
    """Return whether a value is encrypted, so that another value may be the same secret."""
    return value.matches(_ENCRYPTED)


def is_unset(value: LiveValue) -> bool:
    """Return whether a field is empty or missing, which is the same: servers show both."""
    if isinstance(value, Secret):
        return value == Secret("")
    return value in (None, "")


def unseen_secrets(
    live: LiveWebhook, declared: Container[str], evidence: Evidence
) -> Iterator[Field]:
    """Yield the secrets that are not declared, and may be set although the server shows none."""
    for field in KINDS[live.type].fields:
        # A password is removed with its username, which is shown.
        if not field.secret or field.partner is not None or field.name in declared:
            continue
        value = live.value(field.name)
        if value is UNKNOWN or (is_unset(value) and not evidence.would_show(field)):
            yield field


def nonempty(value: LiveValue) -> Secret | None:
    """Return a secret with text, in any form. Unlike for `is_unset`, spaces are no value."""
    return value if isinstance(value, Secret) and not value.matches(_EMPTY) else None


def secret_reading(
    kind: str,
    field: Field,
    declared: Value,
    live: LiveValue,
    evidence: Evidence,
) -> Reading:
    """Compare one secret field.

    `live` is None when the server shows the rest of the configuration without this field, UNKNOWN
    when it shows no configuration at all.
    """
    if not isinstance(live, Secret):
        # A server that shows this field of other webhooks would show it here, too.
        proven = live is None and field.name in evidence.shown
        return Reading.ABSENT if proven else Reading.UNKNOWN
    wanted = declared_secret(declared, evidence.values)
    if wanted == live:
        return Reading.SAME
    if wanted is None:
        return _without_value(kind, field, live, evidence)
    if field.is_url and _shows_other_host(live, wanted):
        return Reading.DIFFERENT
    if evidence.reads(kind, field, live):
        return Reading.DIFFERENT
    if _visibility(field, live) is _Visibility.TEXT:
        return Reading.NOT_EQUAL
    return Reading.UNKNOWN


def _without_value(kind: str, field: Field, live: Secret, evidence: Evidence) -> Reading:
    """Return whether a secret that is not available here could be compared where it is."""
    visibility = _visibility(field, live)
    can_compare = visibility is _Visibility.TEXT or evidence.reads(kind, field, live)
    if visibility is _Visibility.HIDDEN and field.is_url:
        # Of a masked URL, the host.
        can_compare = _shown_origin(live) is not None
    return Reading.UNAVAILABLE if can_compare else Reading.UNKNOWN


def _shows_other_host(live: Secret, wanted: Secret) -> bool:
    """Return whether a URL, even with a mask, shows another scheme, host or port."""
    shown, declared = _shown_origin(live), wanted.origin()
    if shown is None or declared is None:
        return False
    if shown == declared:
        # The mask of a path may begin right after the host.
        return live.matches(_WITH_PORT) and "port" in live.differing_parts(wanted)
    return True


def _shown_origin(live: Secret) -> str | None:
    """Return the scheme and host that a URL, even with a mask, shows; None if it shows none."""
    origin = live.origin()
    # A mask may have the form of a host, as in `https://xxxxxxxx/`.
    if origin is None or not plausible(origin.partition("://")[2]):
        return None
    return origin


def gather_evidence(
    pairs: Iterable[tuple[Webhook, LiveWebhook]],
    live: Iterable[LiveWebhook],
    secrets: SecretValues,
) -> Evidence:
    """Return the evidence of a listing; `pairs` are declared webhooks with their live ones."""
    readable: set[tuple[str, str]] = set()
    for webhook, live_webhook in pairs:
        if live_webhook.type != webhook.type:
            continue
        for name in KINDS[webhook.type].secret_fields & webhook.configuration.keys():
            # Usually the first webhook has evidence for all of them.
            if (webhook.type, name) not in readable:
                wanted = declared_secret(webhook.configuration[name], secrets)
                if wanted is not None and wanted == live_webhook.value(name):
                    readable.add((webhook.type, name))
    return Evidence(values=secrets, readable=frozenset(readable), shown=_shown_secrets(live))


def _shown_secrets(live: Iterable[LiveWebhook]) -> frozenset[str]:
    """Return the secret fields for which any live webhook shows a value, in any form."""
    names: set[str] = set()
    for webhook in live:
        if webhook.type not in KINDS:
            continue
        for name in KINDS[webhook.type].secret_fields - names:
            if nonempty(webhook.value(name)) is not None:
                names.add(name)
    return frozenset(names)


def declared_destination(webhook: Webhook, secrets: SecretValues = MappingProxyType({})) -> str:
    """Return the destination of a webhook: `slack #channel`, or its type with a scheme and host.

    It is the reference of a URL whose value is not available.
    """
    address = KINDS[webhook.type].destination
    value = webhook.configuration[address.name]
    secret = declared_secret(value, secrets)
    text = str(value)
    if not address.secret:
        text = address.display(text)
    elif secret is not None:
        text = secret.shown_url()
    return f"{webhook.type} {text}"


def live_destination(webhook: LiveWebhook) -> str:
    """Return the destination of a live webhook in the same form, only its type if it is hidden."""
    kind = KINDS.get(webhook.type)
    if kind is None:
        return webhook.type
    value = webhook.value(kind.destination_field)
    if isinstance(value, Secret):
        return f"{kind.type} {value.shown_url()}"  # a masked URL may show its host
    if is_hidden(kind.destination, value):
        return kind.type
    return f"{kind.type} {kind.destination.display(str(value))}"


def snapshot(webhook: LiveWebhook | Webhook, declared: Webhook | None = None) -> Snapshot:
    """Return the snapshot of a live webhook, or of a declared one that is not live.

    It contains a URL only if `declared` has the same plain URL.
    """
    last_run = last_error = None
    if isinstance(webhook, LiveWebhook):
        where = live_destination(webhook)
        last_run, last_error = webhook.last_run, webhook.last_error
    else:
        where = declared_destination(webhook)
    return Snapshot(
        id=webhook.id or "",
        name=webhook.name,
        type=webhook.type,
        event_types=webhook.event_types,
        configuration=_shown_fields(webhook, declared),
        destination=where,
        last_run=last_run,
        last_error=last_error,
    )


def _shown_fields(
    webhook: LiveWebhook | Webhook, declared: Webhook | None
) -> Mapping[str, str | bool | Unknown]:
    """Return the fields of a snapshot: the plain ones that the server shows."""
    shown: dict[str, str | bool | Unknown] = {}
    if isinstance(webhook, Webhook) or isinstance(webhook.configuration, Unknown):
        return shown
    for name, kind_field in FIELDS.get(webhook.type, {}).items():
        value = webhook.configuration.get(name)
        if not kind_field.secret:
            # A server may omit a field to hide it.
            if name in webhook.configuration or kind_field.may_be_hidden:
                shown[name] = plain_value(kind_field, value)
        elif declared is not None:
            wanted = declared.configuration.get(name)
            # The file shows this URL to everyone, so a snapshot may, too.
            if isinstance(wanted, str) and value == Secret(wanted):
                shown[name] = wanted
    return shown
