"""What `defaults` mean: which part of them a webhook of the same file gets.

Works on plain data of any shape and never fails: what is no mapping gives and takes nothing.

- `type` and `event_types` are taken where the webhook has none of its own.
- `configuration` is merged field by field, the webhook's own winning. A field's value is taken
  whole: a reference `{env: ...}` and a reference `{file: ...}` never mix into one with both.
- Where `defaults` name a type, their configuration is meant for webhooks of that type and no
  other gets it (docs/adr/0003-defaults-configuration-follows-its-type.md).
"""

from __future__ import annotations

from typing import Any


def effective(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a declared webhook completed by `defaults`."""
    merged = {**defaults, **webhook}
    inherited = inherited_configuration(webhook, defaults)
    own = webhook.get("configuration", {})
    if inherited and isinstance(own, dict):
        merged["configuration"] = {**inherited, **own}
    elif "configuration" not in webhook:
        # An empty one, or one of another type: as if the defaults said nothing about it.
        merged.pop("configuration", None)
    return merged


def inherited_configuration(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration that `defaults` give to this webhook, before its own is added."""
    configuration = defaults.get("configuration")
    if not isinstance(configuration, dict):
        return {}
    meant_for = defaults.get("type")
    if meant_for is not None and webhook.get("type", meant_for) != meant_for:
        return {}
    return configuration
