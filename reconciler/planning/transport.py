"""Notes about destinations that are not reached over an encrypted and verified connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.findings import Finding, note
from reconciler.model import Desired, Secret, SecretRef, declared_secret

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
