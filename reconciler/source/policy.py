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

from reconciler.errors import RunConfigurationError, StalePlanError
from reconciler.findings import Finding, Place, Position, error, sort_key
from reconciler.model import Absent, DataPath, Desired, Organization, Webhook
from reconciler.source.document import holds
from reconciler.source.files import NotReadableError, limited
from reconciler.source.load import Loaded, configurations, shared_settings
from reconciler.source.position import add_positions
from reconciler.source.schema import ValidationError, user_schema_validator
from reconciler.source.text import did_you_mean

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"
_MAX_BYTES: Final = 1024 * 1024
_MAX_LEVELS: Final = 100
"""The maximum depth of a policy, and the maximum number of different references.

jsonschema-rs follows levels, and references that lead to each other, recursively: without limits
the process would crash.
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

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef", "$id", "id")
"""Keywords that refer to a part of a policy, or change what references inside of it mean."""


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
            raise StalePlanError(
                f"the policy {name} has changed since the plan was saved",
                hint="save a new plan with `webhooks plan --out FILE` and have it reviewed",
            )
        for rejected in _rejections(name, schema, data):
            place = _position(loaded, tuple(rejected.instance_path))
            findings.append(
                error("policy", _message(schema, rejected), f"required by policy {name}", place)
            )
    findings = add_positions(loaded.files, findings)
    return loaded._replace(
        desired=None if findings else loaded.desired,
        findings=tuple(sorted((*loaded.findings, *findings), key=sort_key)),
        policies=digests,
    )


def _policy(name: str, read: Callable[[str], bytes]) -> tuple[Any, str]:
    """Return a policy and its SHA-256."""
    try:
        # Before it is parsed, which takes many times the memory of the text.
        raw = limited(read(name), _MAX_BYTES)
        schema = json.loads(raw)
        json.dumps(schema, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except NotReadableError as refusal:
        raise RunConfigurationError(
            f"cannot read the policy {name}: it {refusal}",
            hint="check the path; it is relative to the working directory",
        ) from None
    except (ValueError, RecursionError):
        raise _unusable(name, "is not JSON") from None
    if not isinstance(schema, dict | bool):
        raise _unusable(name, "is not a usable JSON Schema: it must be an object")
    if _is_too_large(schema):
        problem = f"has more than {_MAX_LEVELS} levels or different references"
        raise _unusable(name, problem, "simplify it, or split it into several policies")
    for keyword in _unknown_keywords(schema):
        raise _unusable(
            name,
            f"has the unknown keyword `{keyword}`",
            did_you_mean(keyword, _KEYWORDS) or "name an annotation `x-...`",
        )
    return schema, f"sha256:{sha256(raw).hexdigest()}"


def _unusable(name: str, problem: str, hint: str = _HINT) -> RunConfigurationError:
    return RunConfigurationError(f"the policy {name} {problem}", hint=hint)


def _unknown_keywords(schema: Any) -> Iterator[str]:
    """Yield the keywords that JSON Schema does not have.

    A validator ignores them, so a misspelled one would permit everything.
    """
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict):
            continue
        for keyword, value in part.items():
            if keyword not in _KEYWORDS and not keyword.startswith("x-"):
                yield keyword
            # The values of other keywords, such as `const` and `examples`, are data.
            if keyword in _MAPS and isinstance(value, dict):
                waiting.extend(value.values())
            elif keyword in _SCHEMAS:
                waiting.extend(value if isinstance(value, list) else [value])


def _is_too_large(schema: Any) -> bool:
    """Return whether a policy has too many levels or references."""
    # Level by level, because a recursive function would itself exceed the stack.
    references: set[str] = set()
    level = [schema]
    for _ in range(_MAX_LEVELS):
        children: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                named = (part.get(keyword) for keyword in _REFERENCES)
                references.update(name for name in named if isinstance(name, str))
                children.extend(part.values())
            elif isinstance(part, list):
                children.extend(part)
        level = children
    return bool(level) or len(references) > _MAX_LEVELS


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
            # A rendered event may come from a glob, so it has the place of the list.
            inside = rest[:1] if rest[:1] == ["event_types"] else rest
            return Place(entry.file, ("webhooks", entry.index, *inside))
        case ("protect" | "ignore" as key, int(number), *_):
            return getattr(policy, key)[number].position  # type: ignore[no-any-return]
        case ("files", int(number), *rest):
            return Place(policy.scopes[number].file, tuple(rest))
    # Files that share a setting have the same value, so the first one stands for all.
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
        problem = (
            "is not a usable JSON Schema: `$ref`s must be local, as in `#/$defs/NAME`, and "
            "patterns must not use look-around or backreferences"
        )
        raise _unusable(name, problem, f"correct `{where}`" if where else _HINT) from None


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
    parts = [title] if title else []
    missing = getattr(rejected.kind, "property", None)
    if isinstance(missing, str):
        parts.append(f"`{missing}` is missing")
    # A schema that accepts nothing has no keyword.
    return ": ".join(parts) or f"the policy's `{path[-1] if path else 'false'}` is not met"
