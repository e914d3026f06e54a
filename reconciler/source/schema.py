"""Validate files against the JSON Schema, with `defaults` applied.

The root of a file is validated as written, each webhook with the file's `defaults`. The data may
have any shape; `defaults` that are not a mapping are ignored.

- `type` and `event_types` are inherited if the webhook does not set them.
- `configuration` is merged field by field; the webhook's values override those of the defaults. A
  field's value is replaced completely: `{env: ...}` and `{file: ...}` never merge into one
  reference with both.
- If `defaults` set a type, only webhooks of that type inherit their configuration
  (docs/adr/0003-defaults-configuration-follows-its-type.md).
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
from reconciler.model import DataPath

_WEBHOOKS: Final = "webhooks.schema.json"
_ROOT: Final = ""
"""The definition of a complete document."""

_PACKAGE = Path(__file__).resolve().parent.parent
# A checkout has the schemas beside the package, an installed version inside.
_IN_WHEEL = _PACKAGE / "_schemas"
_FOLDER = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent / "schemas"
COMPLETE: Final = {name: f"{name}Webhook" for name in KINDS}
"""The definition of a webhook by its type."""


class Part(NamedTuple):
    """The data for one definition: the file without its webhooks, or one webhook.

    A webhook without a type that this version knows has no definition.
    """

    definition: str | None
    data: Any
    item: int | None = None

    def __repr__(self) -> str:
        return f"Part({self.definition!r}, {self.item!r})"  # the data may have secrets

    def is_valid(self) -> bool:
        """Return whether the definition accepts the data."""
        return self.definition is not None and validator(self.definition).is_valid(self.data)


def schema_text(name: str) -> str:
    """Return the text of `schemas/<name>`; raises FileNotFoundError if there is no such file."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def schema(name: str = _WEBHOOKS) -> dict[str, Any]:
    """Return the parsed JSON Schema `name`."""
    loaded: dict[str, Any] = json.loads(schema_text(name))
    return loaded


def definition_schema(definition: str) -> dict[str, Any]:
    """Return the schema of a part of a configuration file."""
    content = schema()
    if definition == _ROOT:
        return content
    return {"$ref": f"#/$defs/{definition}", "$defs": content["$defs"]}


@cache
def validator(definition: str = _ROOT) -> Draft7Validator:
    """Return the validator for a definition, which takes time linear in the length of a text."""
    return Draft7Validator(definition_schema(definition), pattern_options=RegexOptions())


@cache
def document_validator(name: str) -> Draft7Validator:
    """Return the validator for documents of the schema `name`."""
    return Draft7Validator(schema(name), pattern_options=RegexOptions())


def user_schema_validator(schema: Any) -> Any:
    """Return the validator for a user's schema, which must not refer to other documents.

    Raises ValidationError if it is not a valid JSON Schema.
    """
    return validator_for(
        schema,
        pattern_options=RegexOptions(),
        # A policy must not read files or the network.
        retriever=_refuse,
        # By default, `format` is only a comment: a policy would pass what its author forbids.
        validate_formats=True,
        ignore_unknown_formats=False,
    )


def _refuse(uri: str) -> NoReturn:
    raise ValueError(uri)


def parts(data: dict[str, Any]) -> Iterator[Part]:
    """Yield the parts of a file: the root first, then each webhook with its defaults."""
    webhooks = data.get("webhooks")
    if not isinstance(webhooks, list):
        yield Part(_ROOT, data)
        return
    # The webhooks are validated one by one, after `defaults` are applied.
    yield Part(_ROOT, {**data, "webhooks": []})
    defaults = usable_defaults(data)
    for index, webhook in enumerate(webhooks):
        if not isinstance(webhook, dict):
            yield Part(None, webhook, index)
        elif webhook.get("state") == "absent":
            yield Part("absent", webhook, index)
        else:
            effective = _effective(webhook, defaults) if defaults else webhook
            name = effective.get("type")
            yield Part(COMPLETE.get(name) if isinstance(name, str) else None, effective, index)


# Defaults

INHERITED: Final = ("type", "event_types", "configuration")


def usable_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """Return the `defaults` that webhooks of a file can inherit; {} if they are not a mapping."""
    defaults = data.get("defaults")
    if not isinstance(defaults, dict):
        return {}
    return {key: defaults[key] for key in INHERITED if key in defaults}


def _effective(webhook: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a declared webhook merged with the usable `defaults`."""
    merged = {**defaults, **webhook}
    inherited, written = defaults.get("configuration"), webhook.get("configuration", {})
    inherits = isinstance(inherited, dict) and defaults.get("type") in (None, merged.get("type"))
    if inherited and inherits and isinstance(written, dict):
        merged["configuration"] = {**inherited, **written}
    elif "configuration" not in webhook:
        # Ignore an empty value or one of another type.
        merged.pop("configuration", None)
    return merged


def origin(data: dict[str, Any], index: int, path: DataPath) -> DataPath:
    """Return the path, from the root of a file, of the value at `path` of a webhook.

    A missing value belongs to the webhook itself, not to the defaults.
    """
    webhook = data["webhooks"][index]
    if not isinstance(webhook, dict) or holds(webhook, path):
        return ("webhooks", index, *path)
    is_inherited = holds(_effective(webhook, usable_defaults(data)), path)
    return ("defaults", *path) if is_inherited else ("webhooks", index, *path)


def default_path(data: dict[str, Any], index: int, path: DataPath) -> DataPath | None:
    """Return the path in `defaults` of a value that a webhook overrides, None without one."""
    defaults = usable_defaults(data)
    kind = data["webhooks"][index].get("type", defaults.get("type"))
    if path[0] == "configuration" and defaults.get("type") not in (None, kind):
        return None
    return ("defaults", *path) if holds(defaults, path) else None


def holds(data: Any, path: DataPath) -> bool:
    """Return whether data has a value at `path`."""
    try:
        for step in path:
            data = data[step]
    except (LookupError, TypeError):
        return False
    return True
