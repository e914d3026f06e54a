"""Check policies: JSON Schemas that users write for the rendered configuration.

Policies are checked after the built-in schema, by jsonschema-rs with regular expressions that take
linear time. The message is the `title` or `description` next to the violated keyword. A `$ref` to
another document is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from reconciler.errors import ConfigurationError
from reconciler.findings import Finding, Place, error
from reconciler.source.excerpt import placed
from reconciler.source.files import NotReadableError
from reconciler.source.load import Loaded
from reconciler.source.rendered import configurations, source_path
from reconciler.source.schema import ValidationError, own_validator

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"


def judge(loaded: Loaded, policies: Iterable[str], read: Callable[[str], bytes]) -> list[Finding]:
    """Return the policy violations of valid files; `read` returns a policy by its path.

    Raises ConfigurationError for a policy that cannot be used.
    """
    desired = loaded.desired
    assert desired is not None
    found: list[Finding] = []
    for name in policies:
        schema = _schema(name, read)
        for file, data in configurations(desired).items():
            for rejected in _rejections(name, schema, data):
                path = source_path(loaded, file, tuple(rejected.instance_path))
                message = _message(schema, list(rejected.schema_path))
                hint = f"the policy {name} asks for it"
                found.append(error("policy", message, hint, Place(file, path)))
    return placed({**loaded.parents, **loaded.documents}, found)


def _schema(name: str, read: Callable[[str], bytes]) -> Any:
    try:
        return json.loads(read(name))
    except FileNotFoundError:
        raise ConfigurationError(f"there is no policy {name}", hint="check the path") from None
    except NotReadableError as refusal:
        message = f"cannot read the policy {name}: it {refusal}"
        raise ConfigurationError(message, hint=refusal.hint) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"the policy {name} is not JSON", hint=_HINT) from None


def _rejections(name: str, schema: Any, data: Any) -> Iterator[ValidationError]:
    try:
        yield from own_validator(schema).iter_errors(data)
    except ValidationError as cause:
        where = ".".join(map(str, cause.instance_path))
        at = f" at {where}" if where else ": not a JSON Schema, or a `$ref` to another document"
        raise ConfigurationError(f"the policy {name} cannot be used{at}", hint=_HINT) from None


def _message(schema: Any, path: list[str | int]) -> str:
    """Return the title or description next to a keyword, or the nearest one around it."""
    found, holder = "", schema
    for step in path:
        if isinstance(holder, dict):
            found = holder.get("title") or holder.get("description") or found
        holder = holder[step]
    return found or f"the policy's `{path[-1]}` is not met"
