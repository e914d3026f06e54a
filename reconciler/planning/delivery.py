"""The delivery health of a live webhook, from the two fields that CloudTruth reports.

`last_error` is the last error that occurred: a later success does not clear it. Only the two times
together show whether the webhook delivers now. Both are the server's, so no local clock is needed.

The module also notes destinations that are not reached over an encrypted and verified connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.findings import Finding, note
from reconciler.model import (
    DeliveryError,
    Desired,
    LiveWebhook,
    Secret,
    SecretRef,
    declared_secret,
)


class DeliveryState(StrEnum):
    """Whether a live webhook delivers."""

    FAILING = "failing"  # the last run failed
    FAILED_EARLIER = "failed earlier"  # a later run succeeded
    NEVER_RUN = "never run"
    DELIVERING = "delivering"
    UNKNOWN = "unknown"  # a time is needed that is missing or cannot be read


class Delivery(NamedTuple):
    """The deliveries of a live webhook, as the server reports them (untrusted text)."""

    id: str
    name: str
    state: DeliveryState
    last_run: str | None
    last_error: DeliveryError | None


_SAME_RUN: Final = timedelta(seconds=1)
"""The server may record the error of a run shortly before the run itself."""


def delivery(webhook: LiveWebhook) -> Delivery:
    """Return the deliveries of a live webhook."""
    return Delivery(
        id=webhook.id,
        name=webhook.name,
        state=delivery_state(webhook.last_run, webhook.last_error),
        last_run=webhook.last_run,
        last_error=webhook.last_error,
    )


def delivery_state(last_run: str | None, last_error: DeliveryError | None) -> DeliveryState:
    """Return the state that the two fields of a live webhook prove."""
    if last_error is None:
        if last_run is None:
            return DeliveryState.NEVER_RUN
        return DeliveryState.DELIVERING
    if last_run is None:
        return DeliveryState.FAILING
    try:
        age = _time(last_run) - _time(last_error.timestamp or "")
    except (ValueError, TypeError):  # TypeError: only one of them has a time zone
        return DeliveryState.UNKNOWN
    return DeliveryState.FAILED_EARLIER if age > _SAME_RUN else DeliveryState.FAILING


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())  # RFC 3339 allows `t` and `z`


_PRIVATE_ENDS: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def transport_notes(
    configuration: Mapping[str, object], secrets: Mapping[SecretRef, Secret]
) -> Iterator[Finding]:
    """Yield the notes about a configuration; a URL that is not available here has none."""
    url = configuration.get("url")
    secret = declared_secret(url, secrets) if isinstance(url, (str, SecretRef)) else None
    origin = None if secret is None else secret.origin()
    scheme, _, host = (origin or "").partition("://")
    if scheme == "http" and not {"password", "token"}.isdisjoint(configuration):
        message = "the credentials are sent over http, without encryption"
        yield note("insecure-url", message, "use an https URL")
    elif scheme == "http" and not _is_private(host):
        message = "messages are sent over http, without encryption"
        yield note("insecure-url", message, "use an https URL")
    if configuration.get("verify") is False:
        message = "the certificate of the receiver is not verified"
        hint = "remove `verify: false`, and use a certificate of a public authority"
        yield note("tls-not-verified", message, hint)


def new_transport_notes(
    desired: Desired, previous: Desired, secrets: Mapping[SecretRef, Secret]
) -> Iterator[Finding]:
    """Yield the notes that the previous configuration of a webhook does not have."""
    before = {
        (webhook.name, finding.rule)
        for webhook in previous.webhooks
        for finding in transport_notes(webhook.configuration, secrets)
    }
    for webhook in desired.webhooks:
        for finding in transport_notes(webhook.configuration, secrets):
            if (webhook.name, finding.rule) not in before:
                message = f"{webhook.name!r}: {finding.message}"
                yield finding._replace(message=message, position=webhook.position)


def _is_private(host: str) -> bool:
    """Return whether only a private network has this host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDS)
