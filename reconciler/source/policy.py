"""Check policies: JSON Schemas that users write for the rendered configuration.

Policies are checked after the built-in schema, by jsonschema-rs with regular expressions that take
linear time. The message is the `title` or `description` next to the violated keyword. A `$ref` to
another document is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from reconciler.errors import RunConfigurationError, StalePlanError
from reconciler.findings import error, sort_key
from reconciler.source.files import NotReadableError
from reconciler.source.load import Loaded
from reconciler.source.position import add_positions
from reconciler.source.rendered import configurations
from reconciler.source.schema import ValidationError, user_schema_validator

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"


def check_policies(
    loaded: Loaded,
    policies: Iterable[str],
    read: Callable[[str], bytes],
    saved: Mapping[str, str],
) -> Loaded:
    """Check valid files against policies, and return them with the violations as findings.

    `read` returns a policy by its path. `saved` are those that a saved plan conforms to, with their
    SHA-256. Raises StalePlanError if one of them has changed, RunConfigurationError for an invalid
    policy.
    """
    assert loaded.desired is not None
    data = configurations(loaded.desired)
    found, digests = [], {}
    for name in dict.fromkeys((*saved, *policies)):
        schema, digests[name] = _policy(name, read)
        if saved.get(name, digests[name]) != digests[name]:
            hint = "save a new plan with `webhooks plan --out FILE` and have it reviewed"
            message = f"the policy {name} has changed since the plan was saved"
            raise StalePlanError(message, hint=hint)
        for file, rejected in _rejections(name, schema, data):
            place = loaded.place(file, tuple(rejected.instance_path))
            message = _message(schema, list(rejected.schema_path))
            found.append(error("policy", message, f"required by policy {name}", place))
    found = add_positions({**loaded.parents, **loaded.documents}, found)
    return loaded._replace(
        desired=None if found else loaded.desired,
        findings=tuple(sorted((*loaded.findings, *found), key=sort_key)),
        policies=digests,
    )


def _policy(name: str, read: Callable[[str], bytes]) -> tuple[Any, str]:
    """Return a policy and its SHA-256."""
    try:
        raw = read(name)
        return json.loads(raw), f"sha256:{sha256(raw).hexdigest()}"
    except NotReadableError as refusal:
        message = f"cannot read the policy {name}: it {refusal}"
        hint = "check the path; it is relative to the working directory"
        raise RunConfigurationError(message, hint=hint) from None
    except (ValueError, RecursionError):
        raise RunConfigurationError(f"the policy {name} is not JSON", hint=_HINT) from None


def _rejections(
    name: str, schema: Any, data: Mapping[str, Any]
) -> Iterator[tuple[str, ValidationError]]:
    """Yield the files whose configurations violate a policy, with the violations."""
    try:
        validator = user_schema_validator(schema)
        for file, content in data.items():
            yield from ((file, rejected) for rejected in validator.iter_errors(content))
    except ValidationError as cause:
        where = ".".join(map(str, cause.instance_path))
        raise RunConfigurationError(
            f"the policy {name} is not a usable JSON Schema: `$ref`s must be local, as in "
            "`#/$defs/NAME`, and patterns must not use look-around or backreferences",
            hint=f"correct `{where}`" if where else _HINT,
        ) from None


def _message(schema: Any, path: list[str | int]) -> str:
    """Return the title or description next to a keyword, or the nearest one around it."""
    found, holder = "", schema
    for step in path:
        if isinstance(holder, dict):
            found = holder.get("title") or holder.get("description") or found
        holder = holder[step]
    keyword = path[-1] if path else "false"  # the schema that accepts nothing
    return found or f"the policy's `{keyword}` is not met"
