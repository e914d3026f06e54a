"""Check policies: JSON Schemas that users write for the configuration of an organization.

A policy judges one document for each organization, with the webhooks of all its files: what one
file may not declare, a second one may not, either. Policies are checked after the built-in schema,
by jsonschema-rs with regular expressions that take linear time. The message is the `title` or
`description` next to the violated keyword. Unknown keywords, which the standard ignores, and a
`$ref` to another document are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from reconciler.errors import RunConfigurationError, StalePlanError
from reconciler.findings import Finding, Place, Position, error, sort_key
from reconciler.model import Absent, DataPath, Desired, Organization, Webhook
from reconciler.source.files import NotReadableError
from reconciler.source.load import Loaded
from reconciler.source.position import add_positions
from reconciler.source.rendered import configurations, shared_settings
from reconciler.source.schema import ValidationError, holds, user_schema_validator
from reconciler.source.text import did_you_mean

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"
_MAX_BYTES: Final = 1024 * 1024
_MAX_LEVELS: Final = 100
"""The maximum depth of a policy, and the maximum number of references that lead to each other.

jsonschema-rs follows both recursively: without a limit the process would crash.
"""

_MAPS: Final = frozenset(
    ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")
)
"""Keywords with a schema for each key."""

# fmt: off
_SCHEMAS: Final = frozenset((
    "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "contentSchema",
    "else", "if", "items", "not", "oneOf", "prefixItems", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
))
"""Keywords with a schema, or a list of schemas."""

_KEYWORDS: Final = _MAPS | _SCHEMAS | {
    "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor",
    "$recursiveRef", "$ref", "$schema", "$vocabulary", "const", "contentEncoding",
    "contentMediaType", "default", "dependentRequired", "deprecated", "description", "enum",
    "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "id", "maxContains", "maxItems",
    "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength",
    "minProperties", "minimum", "multipleOf", "pattern", "readOnly", "required", "title", "type",
    "uniqueItems", "writeOnly",
}
"""The keywords of all versions of JSON Schema."""
# fmt: on

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


def check_policies(
    loaded: Loaded,
    policies: Iterable[str],
    read: Callable[[str], bytes],
    saved: Mapping[str, str],
    organization: Organization | None = None,
) -> Loaded:
    """Check valid files against policies, and return them with the violations as findings.

    `read` returns a policy by its path. `saved` are those that a saved plan conforms to, with their
    SHA-256. `organization` is the one that the key belongs to, if it is known. Raises
    StalePlanError if a policy has changed, RunConfigurationError for an invalid one.
    """
    assert loaded.desired is not None
    data = _organization_document(loaded.desired, organization)
    findings: list[Finding] = []
    digests: dict[str, str] = {}
    # The policies of a saved plan count, also if this command names none.
    for name in dict.fromkeys((*saved, *policies)):
        schema, digests[name] = _policy(name, read)
        if saved.get(name, digests[name]) != digests[name]:
            hint = "save a new plan with `webhooks plan --out FILE` and have it reviewed"
            message = f"the policy {name} has changed since the plan was saved"
            raise StalePlanError(message, hint=hint)
        for rejected in _rejections(name, schema, data):
            place = _position(loaded, tuple(rejected.instance_path))
            message = _message(schema, rejected)
            findings.append(error("policy", message, f"required by policy {name}", place))
    findings = add_positions({**loaded.parents, **loaded.documents}, findings)
    return loaded._replace(
        desired=None if findings else loaded.desired,
        findings=tuple(sorted((*loaded.findings, *findings), key=sort_key)),
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
    for path, keyword in _unknown_keywords(schema):
        hint = did_you_mean(keyword, _KEYWORDS) or "name an annotation `x-...`"
        where = f" in `{'.'.join(path)}`" if path else ""
        message = f"the policy {name} has the unknown keyword `{keyword}`{where}"
        raise RunConfigurationError(message, hint=hint)
    return schema, f"sha256:{sha256(raw).hexdigest()}"


def _unknown_keywords(schema: Any) -> Iterator[tuple[list[str], str]]:
    """Yield the keywords that JSON Schema does not have, each with the path of their schema.

    A validator ignores them, so a misspelled one would permit everything.
    """
    waiting: list[tuple[list[str], Any]] = [([], schema)]
    while waiting:
        path, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        for keyword, value in part.items():
            waiting.extend(_inner_schemas([*path, keyword], value))
            if keyword not in _KEYWORDS and not keyword.startswith("x-"):
                yield path, keyword


def _inner_schemas(path: list[str], value: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield the schemas in the value of the keyword at a path, each with its path.

    The values of other keywords, such as `const` and `examples`, are data.
    """
    keyword = path[-1]
    if keyword in _MAPS and isinstance(value, dict):
        yield from (([*path, key], child) for key, child in value.items())
    elif keyword in _SCHEMAS:
        yield from ((path, child) for child in (value if isinstance(value, list) else [value]))


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
    values = [inner.get(key) for inner in _parts(part) for key in _REFERENCES]
    return {unquote(value) for value in values if isinstance(value, str)}


def _has_long_chain(schema: Any) -> bool:
    """Return whether more than `_MAX_LEVELS` references may lead from one to the next."""
    # Inside a part with its own `$id`, a pointer has another meaning.
    is_plain = sum("$id" in part or "id" in part for part in _parts(schema)) <= 1
    every = _references(schema)
    left: dict[str, set[str]] = {}
    for reference in every:
        target = _target(schema, reference) if is_plain else None
        left[reference] = every if target is None else _references(target)
    # Remove those that lead to none of the others, level by level.
    for _ in range(_MAX_LEVELS):
        ends = [reference for reference, others in left.items() if left.keys().isdisjoint(others)]
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
        # In this order, so that `~01` is `~1` and no slash (RFC 6901).
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, dict) and name in part:
            part = part[name]
        elif isinstance(part, list) and name in map(str, range(len(part))):
            part = part[int(name)]
        else:
            return None
    # `#` is the whole policy, with every reference.
    return None if part is schema else part


def _organization_document(desired: Desired, organization: Organization | None) -> dict[str, Any]:
    """Return the configuration of an organization, from all its files, as policies judge it.

    The name and id are those of the organization that the key belongs to. Before the key is used,
    there is only the name or id as written, if any.
    """
    data: dict[str, Any] = {}
    if organization is not None:
        data = {"organization": organization.name, "organization_id": organization.id}
    elif desired.organization is not None:
        data = {"organization": desired.organization}
    data["files"] = [
        {"file": scope.file, "scope": list(scope.globs), "prune": scope.prune}
        for scope in desired.policy.scopes
    ]
    data |= shared_settings(desired)
    files = configurations(desired).values()
    data["webhooks"] = [webhook for file in files for webhook in file["webhooks"]]
    return data


def _position(loaded: Loaded, path: DataPath) -> Place | Position | None:
    """Return where a value of an organization's document is written."""
    assert loaded.desired is not None
    policy = loaded.desired.policy
    match path:
        case ("webhooks", int(number), *rest):
            entries: list[Webhook | Absent] = [*loaded.desired.webhooks, *loaded.desired.absent]
            # The number counts the webhooks as `configurations` orders them.
            order = [scope.file for scope in policy.scopes]
            entries.sort(key=lambda entry: (order.index(entry.file), entry.index))
            entry = entries[number]
            return loaded.place(entry.file, ("webhooks", entry.index, *rest))
        case ("protect", int(number), *_):
            return policy.protect[number].position
        case ("ignore", int(number), *_):
            return policy.ignore[number].position
        case ("files", int(number), *rest):
            return Place(policy.scopes[number].file, tuple(rest))
    for file, document in loaded.documents.items():
        if holds(document.data, path):
            return Place(file, path)
    return Place(policy.scopes[0].file, path)


def _rejections(name: str, schema: Any, data: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Yield the violations of a policy."""
    try:
        yield from user_schema_validator(schema).iter_errors(data)
    except ValidationError as cause:
        where = ".".join(map(str, cause.instance_path))
        raise RunConfigurationError(
            f"the policy {name} is not a usable JSON Schema: `$ref`s must be local, as in "
            "`#/$defs/NAME`, and patterns must not use look-around or backreferences",
            hint=f"correct `{where}`" if where else _HINT,
        ) from None


def _message(schema: Any, rejected: ValidationError) -> str:
    """Return the title or description next to a keyword, or the nearest one around it.

    A missing key is named.
    """
    path = list(rejected.schema_path)
    title, holder = "", schema
    for step in path:
        if isinstance(holder, dict):
            title = holder.get("title") or holder.get("description") or title
        holder = holder[step]
    missing = getattr(rejected.kind, "property", None)
    if isinstance(missing, str):
        return f"{title}: `{missing}` is missing" if title else f"`{missing}` is missing"
    keyword = path[-1] if path else "false"  # the schema that accepts nothing
    return title or f"the policy's `{keyword}` is not met"
