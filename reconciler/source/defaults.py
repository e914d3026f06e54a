"""What `defaults` mean: which part of them a webhook of the same file gets.

Works on plain data of any shape and never fails: what is no mapping gives and takes nothing.

- `type` and `event_types` are taken where the webhook has none of its own.
- `configuration` is merged field by field, the webhook's own winning. A field's value is taken
  whole: a reference `{env: ...}` and a reference `{file: ...}` never mix into one with both.
- Where `defaults` name a type, their configuration is meant for webhooks of that type and no
  other gets it (docs/adr/0003-defaults-configuration-follows-its-type.md).
"""

from __future__ import annotations

from typing import Any, Final

from reconciler.model import Path

INHERITED: Final = ("type", "event_types", "configuration")


def written_webhooks(data: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the items of a file's `webhooks` that are mappings, each with its index."""
    webhooks = data.get("webhooks")
    items = enumerate(webhooks if isinstance(webhooks, list) else ())
    return [(index, each) for index, each in items if isinstance(each, dict)]


def usable_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a file's `defaults` can give to a webhook; {} if they are no mapping."""
    defaults = data.get("defaults")
    if not isinstance(defaults, dict):
        return {}
    return {key: defaults[key] for key in INHERITED if key in defaults}


def effective(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a declared webhook completed by the usable `defaults`."""
    merged = {**defaults, **webhook}
    inherited = _inherited_configuration(webhook, defaults)
    own = webhook.get("configuration", {})
    if inherited and isinstance(own, dict):
        merged["configuration"] = {**inherited, **own}
    elif "configuration" not in webhook:
        # An empty one, or one of another type: as if the defaults said nothing about it.
        merged.pop("configuration", None)
    return merged


def _inherited_configuration(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration that `defaults` give to this webhook, before its own is added."""
    configuration = defaults.get("configuration")
    if not isinstance(configuration, dict):
        return {}
    meant_for = defaults.get("type")
    if meant_for is not None and webhook.get("type", meant_for) != meant_for:
        return {}
    return configuration


def origin(data: dict[str, Any], index: int, path: Path) -> Path:
    """Return where, from the root of a file, the value at `path` of a webhook comes from.

    What is written nowhere belongs to the webhook itself.
    """
    webhooks = data.get("webhooks")
    webhook = webhooks[index] if isinstance(webhooks, list) and 0 <= index < len(webhooks) else None
    defaults = usable_defaults(data)
    if isinstance(webhook, dict) and defaults and not _holds(webhook, path):
        if path[:1] == ("configuration",):
            defaults = {"configuration": _inherited_configuration(webhook, defaults)}
        if _holds(defaults, path):
            return ("defaults", *path)
    return ("webhooks", index, *path)


def _holds(data: Any, path: Path) -> bool:
    for step in path:
        match data:
            case dict() if step in data:
                data = data[step]
            case list() if isinstance(step, int) and 0 <= step < len(data):
                data = data[step]
            case _:
                return False
    return True
