"""Check policies: JSON Schemas that users write for the configuration of an organization.

A policy judges one document for each organization, with the webhooks of all its files: what one
file may not declare, a second one may not, either. Policies are checked after the built-in schema,
by jsonschema-rs with regular expressions that take linear time. The message is the `title` or
`description` next to the violated keyword. Unknown keywords, which the standard ignores, and a
`$ref` to another document, or to a place that is not checked for such keywords, are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from reconciler.errors import RunConfigurationError, StalePlanError
from reconciler.findings import Finding, Place, Position, did_you_mean, error, sort_key
from reconciler.model import Absent, DataPath, Desired, Organization, Webhook
from reconciler.source.document import holds
from reconciler.source.files import NotReadableError, limited
from reconciler.source.load import Loaded, configurations, shared_settings
from reconciler.source.position import add_positions
from reconciler.source.schema import (
    NotJsonError,
    ValidationError,
    read_json,
    user_schema_validator,
)

_HINT: Final = "write a JSON Schema (see docs/organizations.md)"
_SIMPLIFY: Final = "simplify it, or split it into several policies"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The version of JSON Schema with the keywords below: others ignore some of them."""
_MAX_LEVELS: Final = 100
"""The maximum depth of a policy, and the maximum number of different references.

jsonschema-rs follows levels, and references that lead to each other, recursively: without limits
the process would crash.
"""

_MAPS: Final = frozenset(
    ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
)
"""Keywords with a schema for each key."""

# fmt: off
_SCHEMAS: Final = frozenset((
    "additionalProperties", "allOf", "anyOf", "contains", "else", "if", "items", "not", "oneOf",
    "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
))
"""Keywords with a schema, or a list of schemas."""

_KEYWORDS: Final = _MAPS | _SCHEMAS | {
    "$comment", "$ref", "const", "default", "dependentRequired", "deprecated", "description",
    "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "maxContains",
    "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength",
    "minProperties", "minimum", "multipleOf", "pattern", "readOnly", "required", "title", "type",
    "uniqueItems", "writeOnly",
}
"""The keywords that a validator for this version does not ignore, and those for people."""
# fmt: on

_Parts: TypeAlias = Mapping[tuple[str, ...], Any]
"""The schemas in a policy by their path, that of the policy itself is empty."""


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
        parts, digests[name] = _policy(name, read)
        if saved.get(name, digests[name]) != digests[name]:
            raise StalePlanError(
                f"the policy {name} has changed since the plan was saved",
                hint="save a new plan with `webhooks plan --out FILE` and have it reviewed",
            )
        for rejected in _rejections(name, parts[()], data):
            place = _position(loaded, tuple(rejected.instance_path))
            findings.append(
                error("policy", _message(parts, rejected), f"required by policy {name}", place)
            )
    if findings:
        findings = [*loaded.findings, *add_positions(loaded.files, findings)]
        loaded = loaded._replace(desired=None, findings=tuple(sorted(findings, key=sort_key)))
    return loaded._replace(policies=digests)


def _policy(name: str, read: Callable[[str], bytes]) -> tuple[_Parts, str]:
    """Return the schemas in a policy, and its SHA-256."""
    try:
        # Before it is parsed, which takes many times the memory of the text.
        raw = limited(read(name), 1024 * 1024)
        schema = read_json(raw)
    except NotReadableError as refusal:
        raise RunConfigurationError(
            f"cannot read the policy {name}: it {refusal}",
            hint="check the path; it is relative to the working directory, and WEBHOOKS_POLICY has "
            "several on separate lines",
        ) from None
    except NotJsonError as problem:
        raise _unusable(name, str(problem)) from None
    if not isinstance(schema, dict | bool):
        raise _unusable(name, "is not a usable JSON Schema: it must be an object")
    if _has_too_many_levels(schema):
        raise _unusable(name, f"has more than {_MAX_LEVELS} levels", _SIMPLIFY)
    parts = _parts(schema)
    _check_parts(name, parts)
    return parts, f"sha256:{sha256(raw).hexdigest()}"


def _unusable(name: str, problem: str, hint: str = _HINT) -> RunConfigurationError:
    return RunConfigurationError(f"the policy {name} {problem}", hint=hint)


def _has_too_many_levels(schema: Any) -> bool:
    # Level by level, because a recursive function would itself exceed the stack.
    level = [schema]
    for _ in range(_MAX_LEVELS):
        children: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                children.extend(part.values())
            elif isinstance(part, list):
                children.extend(part)
        level = children
    return bool(level)


def _parts(schema: Any) -> _Parts:
    """Return the schemas in a policy.

    The values of other keywords, such as `const`, `examples` and `x-...`, are data.
    """
    parts: dict[tuple[str, ...], Any] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), schema)]
    while waiting:
        path, part = waiting.pop()
        parts[path] = part
        if not isinstance(part, dict):
            continue
        for keyword, value in part.items():
            below = (*path, keyword)
            if keyword in _MAPS and isinstance(value, dict):
                waiting.extend(((*below, key), inner) for key, inner in value.items())
            elif keyword in _SCHEMAS and isinstance(value, list):
                waiting.extend(((*below, str(index)), inner) for index, inner in enumerate(value))
            elif keyword in _SCHEMAS:
                waiting.append((below, value))
    return parts


def _check_parts(name: str, parts: _Parts) -> None:
    """Refuse what a validator ignores, because it would permit everything, and other documents."""
    references: set[str] = set()
    for path, part in parts.items():
        if not isinstance(part, dict):
            continue
        known = _KEYWORDS if path else _KEYWORDS | {"$id", "$schema"}
        for keyword in part:
            if keyword not in known and not keyword.startswith("x-"):
                hint = "use keywords of JSON Schema 2020-12, or name an annotation `x-...`"
                hint = did_you_mean(keyword, known) or hint
                raise _unusable(name, f"has the unknown keyword `{keyword}`", hint)
        reference = part.get("$ref")
        if not isinstance(reference, str):
            continue
        if _target(reference) not in parts:
            raise _unusable(
                name,
                f"has a `$ref` to `{reference}`, where it has no schema",
                "refer to a schema in the policy, as in `#/$defs/NAME`",
            )
        references.add(reference)
    if len(references) > _MAX_LEVELS:
        raise _unusable(name, f"has more than {_MAX_LEVELS} different references", _SIMPLIFY)
    root = parts[()]
    if isinstance(root, dict) and root.get("$schema", _DRAFT) != _DRAFT:
        raise _unusable(
            name, "has another version of JSON Schema", f'write `"$schema": "{_DRAFT}"`'
        )


def _target(reference: str) -> tuple[str, ...] | None:
    """Return the path in a reference, None if it is not in the same document."""
    start, *steps = unquote(reference).split("/")
    if start != "#":
        return None
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


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
    data["webhooks"] = []
    for file in configurations(desired).values():
        data["webhooks"] += file["webhooks"]
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
        # The library tells its own callers how to ignore unknown formats.
        problem = cause.message.removesuffix(
            ". Adjust configuration to ignore unrecognized formats"
        )
        if getattr(cause.kind, "format", None) == "regex":
            problem += ", or has look-around or backreferences"
        hint = f"correct `{where}`" if where else _HINT
        raise _unusable(name, f"is not a usable JSON Schema: {problem}", hint) from None


def _message(parts: _Parts, rejected: ValidationError) -> str:
    """Return the title or description next to a keyword, or the nearest one around it.

    A missing key is named.
    """
    path = tuple(map(str, rejected.schema_path))
    title = ""
    for length in range(len(path) + 1):
        # Between schemas are maps, whose keys are names.
        part = parts.get(path[:length])
        if isinstance(part, dict):
            title = part.get("title") or part.get("description") or title
    texts = [title] if title else []
    missing = getattr(rejected.kind, "property", None)
    if isinstance(missing, str):
        texts.append(f"`{missing}` is missing")
    keyword = path[-1] if parts.get(path) is not False else "false"
    return ": ".join(texts) or f"the policy's `{keyword}` is not met"
