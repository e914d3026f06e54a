"""The JSON Schema of the files, and the engine that judges by it.

The root of a file is judged as its author wrote it, each webhook completed by the file's
`defaults`. These work on data of any shape: what is no mapping gives and takes nothing.

- `type` and `event_types` are taken where the webhook has none of its own.
- `configuration` is merged field by field, the webhook's own winning. A field's value is taken
  whole: a reference `{env: ...}` and a reference `{file: ...}` never mix into one with both.
- Where `defaults` name a type, their configuration is meant for webhooks of that type and no
  other gets it (docs/adr/0003-defaults-configuration-follows-its-type.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from jsonschema_rs import Draft7Validator, RegexOptions, validator_for
from jsonschema_rs import ValidationError as ValidationError

from reconciler.kinds import KINDS
from reconciler.model import Path as DataPath

_WEBHOOKS: Final = "webhooks.schema.json"
PLAN: Final = "plan.schema.json"

ROOT: Final = ""
"""The definition of a whole document."""

UNTYPED: Final = "webhook"
"""The definition of a webhook that names no type of this version."""

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")  # in a wheel, in a checkout
_COMPLETE: Final = {name: f"{name}Webhook" for name in KINDS}


class Part(NamedTuple):
    """What is judged by one definition: the file without its webhooks, or one of them."""

    definition: str
    data: Any
    item: int | None = None


def schema_text(name: str) -> str:
    """Return the text of `schemas/<name>`; raises FileNotFoundError if there is no such file."""
    for folder in _FOLDERS:
        path = folder / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(name)


@cache
def schema(name: str = _WEBHOOKS) -> dict[str, Any]:
    """Return a schema."""
    loaded: dict[str, Any] = json.loads(schema_text(name))
    return loaded


@cache
def validator(definition: str, name: str = _WEBHOOKS) -> Draft7Validator:
    """Return what judges data by a definition, in time linear in the length of a text."""
    content = schema(name)
    if definition != ROOT:
        content = {"$ref": f"#/$defs/{definition}", "$defs": content["$defs"]}
    return Draft7Validator(content, pattern_options=RegexOptions())


def own_validator(schema: Any) -> Any:
    """Return what judges by a schema of the user's own, which refers to no other document.

    Raises ValidationError if it is no JSON Schema.
    """
    return validator_for(schema, pattern_options=RegexOptions(), retriever=_refuse)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(uri)


def parts(data: dict[str, Any]) -> Iterator[Part]:
    """Yield the parts of a file: the root first, then each webhook with what it inherits."""
    webhooks = data.get("webhooks")
    if not isinstance(webhooks, list):
        yield Part(ROOT, data)
        return
    yield Part(ROOT, {**data, "webhooks": []})
    defaults = _usable_defaults(data)
    for index, webhook in enumerate(webhooks):
        if not isinstance(webhook, dict):
            yield Part(UNTYPED, webhook, index)
        elif webhook.get("state") == "absent":
            yield Part("absent", webhook, index)
        else:
            whole = _effective(webhook, defaults) if defaults else webhook
            name = whole.get("type")
            definition = _COMPLETE.get(name, UNTYPED) if isinstance(name, str) else UNTYPED
            yield Part(definition, whole, index)


def accepts(part: Part) -> bool:
    """Return whether a part of a file is valid."""
    return part.definition != UNTYPED and validator(part.definition).is_valid(part.data)


# Defaults

INHERITED: Final = ("type", "event_types", "configuration")


def written_webhooks(data: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the items of a file's `webhooks` that are mappings, each with its index."""
    webhooks = data.get("webhooks")
    items = enumerate(webhooks if isinstance(webhooks, list) else ())
    return [(index, each) for index, each in items if isinstance(each, dict)]


def _usable_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a file's `defaults` can give to a webhook; {} if they are no mapping."""
    defaults = data.get("defaults")
    if not isinstance(defaults, dict):
        return {}
    return {key: defaults[key] for key in INHERITED if key in defaults}


def _effective(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
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


def origin(data: dict[str, Any], index: int, path: DataPath) -> DataPath:
    """Return where, from the root of a file, the value at `path` of a webhook comes from.

    What is written nowhere belongs to the webhook itself.
    """
    webhooks = data.get("webhooks")
    webhook = webhooks[index] if isinstance(webhooks, list) and 0 <= index < len(webhooks) else None
    defaults = _usable_defaults(data)
    if isinstance(webhook, dict) and defaults and not _holds(webhook, path):
        if path[:1] == ("configuration",):
            defaults = {"configuration": _inherited_configuration(webhook, defaults)}
        if _holds(defaults, path):
            return ("defaults", *path)
    return ("webhooks", index, *path)


def _holds(data: Any, path: DataPath) -> bool:
    try:
        for step in path:
            data = data[step]
    except (LookupError, TypeError):
        return False
    return True
