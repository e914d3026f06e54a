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
from urllib.parse import unquote

from reconciler.errors import RunConfigurationError, StalePlanError
from reconciler.findings import error, sort_key
from reconciler.source.files import NotReadableError
from reconciler.source.load import Loaded
from reconciler.source.position import add_positions
from reconciler.source.rendered import configurations
from reconciler.source.schema import ValidationError, user_schema_validator

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"
_MAX_BYTES: Final = 1024 * 1024
_MAX_LEVELS: Final = 100
"""The maximum depth of a policy, and the maximum number of references that lead to each other.

jsonschema-rs follows both recursively: without a limit the process would crash.
"""

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


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
        if len(raw) > _MAX_BYTES:
            raise NotReadableError(f"is larger than {_MAX_BYTES >> 20} MiB")
        schema = json.loads(raw)
        json.dumps(schema, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except NotReadableError as refusal:
        message = f"cannot read the policy {name}: it {refusal}"
        hint = "check the path; it is relative to the working directory"
        raise RunConfigurationError(message, hint=hint) from None
    except (ValueError, RecursionError):
        raise RunConfigurationError(f"the policy {name} is not JSON", hint=_HINT) from None
    if not isinstance(schema, dict | bool):
        message = f"the policy {name} is not a usable JSON Schema: it must be an object"
        raise RunConfigurationError(message, hint=_HINT)
    if _depth(schema) > _MAX_LEVELS or _has_long_chain(schema):
        message = f"the policy {name} has more than {_MAX_LEVELS} levels, or levels of references"
        raise RunConfigurationError(message, hint="simplify it, or split it into several policies")
    return schema, f"sha256:{sha256(raw).hexdigest()}"


def _depth(schema: Any) -> int:
    """Return the number of levels of a policy."""
    levels, level = 0, [schema]
    while level:
        levels += 1
        level = [child for part in level for child in _children(part)]
    return levels


def _children(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list) else ()


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Yield the mappings in a part of a policy."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        waiting.extend(_children(part))
        if isinstance(part, dict):
            yield part


def _references(part: Any) -> set[str]:
    """Return the references in a part of a policy."""
    values = (each[key] for each in _parts(part) for key in _REFERENCES if key in each)
    return {unquote(value) for value in values if isinstance(value, str)}


def _has_long_chain(schema: Any) -> bool:
    """Return whether more than `_MAX_LEVELS` references may lead from one to the next."""
    # Inside a part with its own `$id`, a pointer has another meaning.
    is_plain = sum("$id" in part or "id" in part for part in _parts(schema)) <= 1
    everything = _references(schema)
    left: dict[str, set[str]] = {}
    for reference in everything:
        target = _target(schema, reference) if is_plain else None
        left[reference] = everything if target is None else _references(target)
    # Remove those that lead to none of the others, level by level.
    for _ in range(_MAX_LEVELS):
        ends = [each for each, others in left.items() if not any(map(left.__contains__, others))]
        for reference in ends:
            del left[reference]
        if not ends:  # the others are in a cycle, or lead to one
            return len(left) > _MAX_LEVELS
    return bool(left)


def _target(schema: Any, reference: str) -> Any:
    """Return the part that a pointer such as `#/$defs/NAME` refers to.

    None for other references, which may refer to any part.
    """
    part = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, dict) and name in part:
            part = part[name]
        elif isinstance(part, list) and name in map(str, range(len(part))):
            part = part[int(name)]
        else:
            return None
    return None if part is schema else part


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
