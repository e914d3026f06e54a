"""Validate files and other documents against JSON Schemas.

The root of a configuration file is validated as written, each webhook with the file's `defaults`.
The data may have any shape; `defaults` that are not a mapping are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from jsonschema_rs import (
    Draft7Validator,
    RegexOptions,
    ValidationError as ValidationError,
    validator_for,
)

from reconciler.kinds import KINDS
from reconciler.source.document import effective, usable_defaults

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
        return self.definition is not None and _validator(self.definition).is_valid(self.data)


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
            complete = effective(webhook, defaults) if defaults else webhook
            name = complete.get("type")
            yield Part(COMPLETE.get(name) if isinstance(name, str) else None, complete, index)


def schema_text(name: str) -> str:
    """Return the text of `schemas/<name>`; raises FileNotFoundError if there is no such file."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def schema(name: str = "webhooks.schema.json") -> dict[str, Any]:
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
def _validator(definition: str) -> Draft7Validator:
    """Return the validator for a definition, which takes time linear in the length of a text."""
    return Draft7Validator(definition_schema(definition), pattern_options=RegexOptions())


# JSON documents


class NotJsonError(ValueError):
    """A text is not JSON. The message continues a sentence about its file."""


def read_json(raw: bytes) -> Any:
    """Parse JSON strictly. Raises NotJsonError."""
    try:
        # With equal keys or NaN, two readers could see different documents.
        tree = json.loads(
            raw.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
        json.dumps(tree, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except NotJsonError:
        raise
    except (ValueError, RecursionError):
        raise NotJsonError("is not JSON") from None
    return tree


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise NotJsonError(f"has the key `{key}` twice in an object")
        members[key] = value
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise NotJsonError(f"is not JSON: `{name}` is not a JSON number")


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
