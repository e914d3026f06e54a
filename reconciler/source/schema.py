"""The JSON Schema of the files, and the engine that judges by it.

The root of a file is judged as its author wrote it, each webhook completed by the file's defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from jsonschema_rs import Draft7Validator, RegexOptions
from jsonschema_rs import ValidationError as ValidationError

from reconciler.kinds import KINDS
from reconciler.source.defaults import effective, usable_defaults

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


def parts(data: dict[str, Any]) -> Iterator[Part]:
    """Yield the parts of a file: the root first, then each webhook with what it inherits."""
    webhooks = data.get("webhooks")
    if not isinstance(webhooks, list):
        yield Part(ROOT, data)
        return
    yield Part(ROOT, {**data, "webhooks": []})
    defaults = usable_defaults(data)
    for index, webhook in enumerate(webhooks):
        if not isinstance(webhook, dict):
            yield Part(UNTYPED, webhook, index)
        elif webhook.get("state") == "absent":
            yield Part("absent", webhook, index)
        else:
            whole = effective(webhook, defaults) if defaults else webhook
            name = whole.get("type")
            definition = _COMPLETE.get(name, UNTYPED) if isinstance(name, str) else UNTYPED
            yield Part(definition, whole, index)


def accepts(part: Part) -> bool:
    """Return whether a part of a file is valid."""
    return part.definition != UNTYPED and validator(part.definition).is_valid(part.data)
