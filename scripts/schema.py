#!/usr/bin/env python3
"""Write definitions of webhook types and references, and the version of documents, in the schemas.

`python scripts/schema.py` writes, `python scripts/schema.py --check` exits 1 if a file would
change. Other parts are written by hand and kept; unused definitions are removed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from reconciler.kinds import KINDS, Field, Kind
from reconciler.planning.tree import FORMAT_VERSION
from reconciler.source.schemes import SCHEMES, Scheme

FOLDER: Final = Path(__file__).parents[1] / "schemas"
WIDTH: Final = 100
_VERSION: Final = r'("format_version": \{[^}]*"const": )"\w+"'
_WORDS: Final = ("title", "description", "markdownDescription")
Schema = dict[str, Any]

_COMMON: Final = {
    "id": "id",
    "previously": "previously",
    "adopt": "adopt",
    "state": "present",
}
"""Keys of a webhook of any type, after those that differ by type, each with its definition."""

_MARKS: Final = {"add": {"$ref": "#/$defs/add"}, "exclude": {"$ref": "#/$defs/included"}}
"""Keys of a webhook in a file with `extends`."""


def texts() -> dict[Path, str]:
    """Return the complete text of each file."""
    configuration, plan = FOLDER / "webhooks.schema.json", FOLDER / "plan.schema.json"
    complete = _configuration(json.loads(configuration.read_text("utf-8")))
    planned = _plan(json.loads(plan.read_text("utf-8")))
    written = {path: path.read_text("utf-8") for path in FOLDER.glob("*.schema.json")}
    written[configuration] = f"{format_json(complete)}\n"
    written[plan] = f"{json.dumps(planned, indent=2)}\n"
    version = rf'\g<1>"{FORMAT_VERSION}"'
    return {path: re.sub(_VERSION, version, text) for path, text in written.items()}


def _plan(schema: Schema) -> Schema:
    """Return the schema of plans with every form of a reference; the last one is that of a literal.

    The form of a literal is written by hand.
    """
    forms = schema["$defs"]["reference"]["anyOf"]
    literal = forms[-1]
    schema["$defs"]["reference"]["anyOf"] = [
        *(_planned_reference(scheme, literal) for scheme in SCHEMES.values()),
        literal,
    ]
    return schema


def _planned_reference(scheme: Scheme, literal: Schema) -> Schema:
    name = {"description": scheme.plan_description, "type": "string"}
    version = literal["properties"]["version"]
    return {
        "type": "object",
        "properties": {scheme.key: name, "version": version},
        "required": [scheme.key],
        "additionalProperties": False,
    }


def _configuration(schema: Schema) -> Schema:
    """Return the schema of configuration files with every type and every form of a reference."""
    definitions = schema["$defs"]
    schema["properties"]["api_key"]["anyOf"] = [*_secret_forms(), {"type": "null"}]
    definitions |= {f"{key}Secret": _reference(scheme) for key, scheme in SCHEMES.items()}
    definitions["webhook"]["anyOf"] = [
        *(_ref(f"authored{_camel(kind)}") for kind in KINDS.values()),
        _ref("absent"),
        _ref("excluded"),
    ]
    definitions["webhook"]["defaultSnippets"] = [_webhook_snippet(each) for each in KINDS.values()]
    definitions["defaults"]["anyOf"] = [
        *(_ref(f"{kind.type}Defaults") for kind in KINDS.values()),
        _ref("untypedDefaults"),
    ]
    untyped, shared = _fields_of_any_type()
    definitions["untypedDefaults"]["properties"]["configuration"]["properties"] = untyped
    for kind in KINDS.values():
        definitions |= _kind_definitions(kind)
    definitions |= shared
    definitions |= {
        name: _removable(part, definitions)
        for name, part in definitions.items()
        if name.startswith("authored") or name.endswith("Defaults")
    }
    used = set(_references(schema)) | {f"{name}Webhook" for name in KINDS}
    schema["$defs"] = {name: part for name, part in definitions.items() if name in used}
    return schema


def _secret_forms() -> list[Schema]:
    return [_ref(f"{key}Secret") for key in SCHEMES]


def _reference(scheme: Scheme) -> Schema:
    """Return the definition of a reference, such as `{env: NAME}`."""
    summary = f"{scheme.description}, read when the plan is applied"
    limits = {"pattern": scheme.pattern} if scheme.pattern else {"minLength": 1}
    name = {"title": scheme.name_title, "description": scheme.name_description, "type": "string"}
    return {
        "title": scheme.title,
        "description": f"{summary}.",
        "markdownDescription": f"{summary}: `{{{scheme.key}: {scheme.example}}}`.",
        "type": "object",
        "additionalProperties": False,
        "required": [scheme.key],
        "properties": {
            scheme.key: {**name, **limits, "examples": [scheme.example]},
            "version": _ref("secretVersion"),
        },
    }


def _kind_definitions(kind: Kind) -> dict[str, Schema]:
    """Return the definitions of one type."""
    camel, name = _camel(kind), kind.type
    required = [each.name for each in kind.fields if each.required]
    fields = {each.name: _ref(_definition(kind, each)) for each in kind.fields}
    example = f"{kind.description}\n\n```yaml\n{_yaml_example(kind)}```"
    partners = [each for each in kind.fields if each.partner is not None]
    needs = f"Requires {_listed(required)}{'; ' if partners else '.'}"
    if partners:
        needs += f"{_listed([each.name for each in partners])} require each other."
    complete = _object(f"{kind.title} configuration, complete", needs, fields, required)
    if partners:
        complete["allOf"] = [
            _pair(field, [name for name in fields if name in (field.name, field.partner)])
            for field in partners
        ]
    return {
        f"authored{camel}": _object(
            f"{kind.title} webhook",
            example,
            {**_webhook(kind, f"authored{camel}Configuration"), **_MARKS},
            ["name"],
        ),
        f"{name}Webhook": _object(
            f"{kind.title} webhook, complete",
            f"A webhook of type `{name}` after `defaults` are merged into it.",
            _webhook(kind, f"{name}Configuration"),
            ["name", "type", "event_types", "configuration"],
        ),
        f"authored{camel}Configuration": _object(
            f"{kind.title} configuration",
            f"The fields of type `{name}`. Fields in `defaults` may be omitted.",
            fields,
        ),
        f"{name}Configuration": complete,
        f"{name}Defaults": _object(
            f"{kind.title} defaults",
            f"Webhooks are of type `{name}` unless they have another `type`.",
            _typed(kind, f"authored{camel}Configuration"),
            ["type"],
        ),
        f"{name}Type": {
            **_words(kind.title, kind.description),
            "type": "string",
            "const": name,
            "default": name,
        },
        **{_definition(kind, each): _field(each) for each in kind.fields},
    }


def _webhook(kind: Kind, configuration: str) -> Schema:
    others = {key: _ref(definition) for key, definition in _COMMON.items()}
    return {"name": _ref("name"), **_typed(kind, configuration), **others}


def _typed(kind: Kind, configuration: str) -> Schema:
    return {
        "type": _ref(f"{kind.type}Type"),
        "event_types": _ref("eventTypes"),
        "configuration": _ref(configuration),
    }


def _removable(part: Schema, definitions: Schema) -> Schema:
    """Accept `null` for each key, which in a file with `extends` removes it."""
    properties = {}
    for key, each in part["properties"].items():
        name = each.get("$ref", "").rpartition("/")[2]
        if name and key not in ("name", "type", "state", "previously", *_MARKS):
            words = {word: definitions[name][word] for word in _WORDS if word in definitions[name]}
            each = {**words, "anyOf": [each, {"type": "null"}]}
        elif "properties" in each:
            each = _removable(each, definitions)
        properties[key] = each
    return {**part, "properties": properties}


def _object(
    title: str, description: str, properties: Schema, required: list[str] | None = None
) -> Schema:
    return {
        **_words(title, description),
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }


def _words(title: str, description: str) -> Schema:
    """Return an editor's description: Markdown if there is any, and the same in plain text."""
    plain = description.partition("\n")[0].replace("`", "").replace("**", "")
    rich = {} if plain == description else {"markdownDescription": description}
    return {"title": title, "description": plain, **rich}


def _field(field: Field) -> Schema:
    """Return the definition of a field."""
    title = field.title or field.name.replace("_", " ").capitalize()
    return {**_words(title, field.description), **_constraints(field), **_offered(field)}


def _constraints(field: Field) -> Schema:
    """Return the constraints of a value."""
    if field.is_boolean:
        return {"type": "boolean"}
    if not field.secret:
        pattern = {"pattern": field.schema_pattern} if field.schema_pattern else {}
        longest = {} if field.max_length is None else {"maxLength": field.max_length}
        return {"type": "string", "minLength": 1, **longest, **pattern}
    literal = _ref("literalUrl" if field.is_url else "literalSecret")
    if field.is_url and field.schema_pattern:
        literal = {"allOf": [literal, {"type": "string", "pattern": field.schema_pattern}]}
    return {
        "if": {"type": "string"},
        "then": literal,
        "else": {"anyOf": _secret_forms()},
    }


def _offered(field: Field) -> Schema:
    """Return the values for completion in editors."""
    if field.is_boolean:
        return {} if field.default is None else {"default": field.default}
    if not field.secret:
        return {"examples": [field.example]} if field.example else {}
    variable = _variable(field)
    path = f"secrets/{variable.lower().replace('_', '-')}"
    return {
        "defaultSnippets": [
            {
                "label": f"{{{scheme.key}: {scheme.placeholder}}}",
                "description": f"{scheme.description}.",
                "body": {scheme.key: f"${{1:{path if scheme.is_path else variable}}}"},
            }
            for scheme in SCHEMES.values()
        ]
    }


def _fields_of_any_type() -> tuple[Schema, dict[str, Schema]]:
    """Return the fields of all types, and the definitions that several types share."""
    owners: dict[str, list[tuple[Kind, Field]]] = {}
    for kind in KINDS.values():
        for field in kind.fields:
            owners.setdefault(field.name, []).append((kind, field))
    fields, shared = {}, {}
    for name, owned in owners.items():
        kind, field = owned[0]
        if len(owned) == 1:
            fields[name] = _ref(_definition(kind, field))
            continue
        constraints = _constraints(field)
        if any(_constraints(other) != constraints for _, other in owned):
            # The webhooks that inherit the value decide which of the types it has to fit.
            constraints = {"anyOf": [_ref(_definition(kind, field)) for kind, field in owned]}
        title = name.replace("_", " ").capitalize()
        description = " ".join(f"{kind.title}: {field.description}" for kind, field in owned)
        common = f"any{_capitals(name)}"
        fields[name] = _ref(common)
        shared[common] = {**_words(title, description), **constraints, **_offered(owned[-1][1])}
    return fields, shared


def _pair(field: Field, names: list[str]) -> Schema:
    """Return the condition that a field requires its partner; `names` are those of both."""
    return {
        "if": {"properties": {field.name: True}, "required": [field.name]},
        "then": {"properties": dict.fromkeys(names, True), "required": [field.partner]},
    }


def _webhook_snippet(kind: Kind) -> Schema:
    """Return a skeleton with every field that a webhook of a type needs."""
    configuration: Schema = {}
    for number, field in enumerate((each for each in kind.fields if each.required), start=3):
        if field.secret and not field.is_url:
            configuration[field.name] = {"env": f"${{{number}:{_variable(field)}}}"}
        else:
            configuration[field.name] = f"${{{number}:{_yaml_text(field.example)}}}"
    return {
        "label": f"{kind.title} webhook, complete",
        "description": f"{kind.description} Includes all required fields.",
        "body": {
            "name": f"${{1:{kind.example}}}",
            "type": kind.type,
            "event_types": ["${2:value_updated}"],
            "configuration": configuration,
        },
    }


def _yaml_example(kind: Kind) -> str:
    lines = [
        f"- name: {_yaml_text(kind.example)}",
        f"  type: {kind.type}",
        "  event_types: [value_created, value_updated]",
        "  configuration:",
    ]
    for field in kind.fields:
        if field.required and field.secret and not field.is_url:
            lines.append(f"    {field.name}: {{env: {_variable(field)}}}")
        elif field.required:
            lines.append(f"    {field.name}: {_yaml_text(field.example)}")
    return "".join(f"{line}\n" for line in lines)


def _yaml_text(example: str) -> str:
    return example if example[:1].isalnum() else json.dumps(example)


def _variable(field: Field) -> str:
    if field.example and not field.is_url:
        return field.example
    return f"WEBHOOK_{field.name.upper()}"


def _definition(kind: Kind, field: Field) -> str:
    return f"{kind.type}{_capitals(field.name)}"


def _camel(kind: Kind) -> str:
    return kind.type[:1].upper() + kind.type[1:]


def _capitals(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _listed(names: list[str]) -> str:
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _references(part: Any) -> Iterator[str]:
    """Yield the names of all definitions that a part of the schema refers to."""
    if isinstance(part, dict):
        if isinstance(target := part.get("$ref"), str):
            yield target.rpartition("/")[2]
        for each in part.values():
            yield from _references(each)
    elif isinstance(part, list):
        for each in part:
            yield from _references(each)


def format_json(value: Any, indent: str = "", used: int = 0) -> str:
    """Return formatted JSON. A list or object with no nested ones goes on one line if it fits.

    `used` is the number of characters before the value on its line.
    """
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = value.values() if isinstance(value, dict) else value
    if not any(isinstance(each, dict | list) and each for each in inner):
        line = json.dumps(value, ensure_ascii=False)
        if used + len(line) < WIDTH:
            return line
    deeper = f"{indent}  "
    if isinstance(value, dict):
        items = []
        for key, each in value.items():
            head = f"{deeper}{json.dumps(key, ensure_ascii=False)}: "
            items.append(f"{head}{format_json(each, deeper, len(head))}")
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    items = [f"{deeper}{format_json(each, deeper, len(deeper))}" for each in value]
    return "[\n" + ",\n".join(items) + f"\n{indent}]"


if __name__ == "__main__":
    for path, text in texts().items():
        if sys.argv[1:] != ["--check"]:
            path.write_text(text, encoding="utf-8")
        elif path.read_text("utf-8") != text:
            sys.exit(f"schemas/{path.name} is not up to date: run `python scripts/schema.py`")
