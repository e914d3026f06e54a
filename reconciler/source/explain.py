"""Turn violations of the schema into findings with our messages.

jsonschema-rs judges files, the library jsonschema explains what is wrong in a rejected part
(docs/adr/0013-jsonschema-explains.md). Its messages quote values, including secrets, and often
explain the wrong branch of a union. So only keyword, path and limit of an error are used, values
are read from the file. `_EXPLAINERS` has the messages for each keyword. Of a union, the branch with
the fewest violations is explained, of a reference that of its key.

Values are quoted only if they are words of the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from jsonschema import Draft7Validator, ValidationError, validators

from reconciler.findings import Finding, Place, did_you_mean, error, near, quoted
from reconciler.kinds import EVENT_TYPES, EVENTS, FIELDS, KINDS
from reconciler.model import DataPath
from reconciler.source.document import INHERITED, Document, listed, mapping
from reconciler.source.position import is_known
from reconciler.source.schema import COMPLETE, Part, definition_schema, schema
from reconciler.source.schemes import REFERENCE, SCHEMES

_NO_WEBHOOKS: Final = "to declare that there are no webhooks, write `webhooks: []`"


class _Rejection(NamedTuple):
    """A violated keyword: `limit` is its value in `schema`, `value` the rejected data at `path`."""

    keyword: str
    path: DataPath
    value: Any
    limit: Any
    schema: Mapping[str, Any]


def explain(document: Document, rejected: Iterable[Part]) -> list[Finding]:
    """Return the errors in the rejected parts of a file: one finding for each position."""
    findings: dict[Place, Finding] = {}
    for part in rejected:
        for finding in _findings_of(part):
            assert finding.place is not None
            place = finding.place._replace(file=document.file)
            # All webhooks inherit an error in `defaults`, but it is shown once, and there.
            if part.item is not None:
                path = ("webhooks", part.item, *place.path)
                place = place._replace(path=next(document.in_data(path)))
            findings.setdefault(place, finding._replace(place=place))
    return list(findings.values())


def _findings_of(part: Part) -> list[Finding]:
    definition = part.definition
    # A misspelled type is one error: the other keys are judged by the type that they fit.
    if definition is None:
        definition = _best(COMPLETE.values(), part.data)
    findings = _violations(definition, part.data) or [_UNEXPLAINED]
    # A file without any key of a configuration is probably another one, and that is one error.
    if part.item is None and _KEYS_OF_A_FILE.isdisjoint(part.data):
        missing = [finding for finding in findings if finding.rule == "missing-field"]
        return missing or findings
    return findings


_UNEXPLAINED: Final = error(
    "bad-value", "this is not valid", "compare it with docs/file.md", Place("", ())
)
"""The error about a part that only one of the libraries rejects, or a value without a message.

Tests find neither, but without an error its webhooks would be applied.
"""


def _pattern(
    validator: Any, pattern: str, value: Any, holder: Mapping[str, Any]
) -> Iterator[ValidationError]:
    # Every pattern is complete; in Python, `$` also matches before a line break at the end.
    if isinstance(value, str) and re.fullmatch(pattern, value) is None:
        yield ValidationError("")


def _unique_items(
    validator: Any, is_required: bool, items: Any, holder: Mapping[str, Any]
) -> Iterator[ValidationError]:
    # The library compares each pair of mappings, which takes minutes for a hostile file.
    seen: set[str] = set()
    for index, item in enumerate(listed(items)):
        # An item may be a list or a mapping, which no set can contain.
        written = json.dumps(item, sort_keys=True)
        if written in seen:
            yield ValidationError("", path=[index])
        seen.add(written)


_Explainer: Final[Any] = validators.extend(  # type: ignore[no-untyped-call]
    Draft7Validator, {"pattern": _pattern, "uniqueItems": _unique_items}
)


@cache
def _explainer(definition: str) -> Any:
    return _Explainer(definition_schema(definition))


def _violations(definition: str, data: Any, at: DataPath = ()) -> list[Finding]:
    """Return findings for violations of a definition, the most important first, without a file."""
    rejections = [
        _Rejection(
            keyword=str(violation.validator),
            path=(*at, *violation.absolute_path),
            value=violation.instance,
            limit=violation.validator_value,
            schema=violation.schema,
        )
        for violation in _explainer(definition).iter_errors(data)
    ]
    is_excluded = isinstance(data, dict) and "exclude" in data
    if is_excluded or any(rejection.path == ("state",) for rejection in rejections):
        # Such an entry needs only a name; another state is probably a misspelled `absent`.
        rejections = [rejection for rejection in rejections if rejection.keyword != "required"]
    # If the type of a value is wrong, its other errors follow from that.
    rejections.sort(key=lambda rejection: rejection.keyword != "type")
    findings: list[Finding] = []
    for rejection in rejections:
        findings += _EXPLAINERS[rejection.keyword](rejection)
    return findings


def _named(path: DataPath) -> str:
    """Return the name of the value at `path` for messages; an unknown key may be a secret."""
    match path:
        case (*_, str(key)):
            return f"`{key}`" if is_known(key) else "this key"
        case (*_, str(key), int()):
            return f"an item of `{key}`"
        case _:
            return "a webhook"


# Keys


def _unknown_keys(rejected: _Rejection) -> Iterator[Finding]:
    path, known = rejected.path, list(rejected.schema["properties"])
    if path == ("defaults",):
        known = list(INHERITED)
    elif "adopt" in known:  # those of a webhook that is not absent
        known.extend(("add", "exclude"))  # valid in an overlay
    for key in _unknown(rejected):
        message = f"unknown key `{key}`" if is_known(key) else "unknown key"
        yield error(
            "unknown-key", message, _better_key(key, known, path), Place("", (*path, key), key=True)
        )


def _unknown(rejected: _Rejection) -> list[str]:
    """Return the keys of a mapping that its schema does not define."""
    known = rejected.schema.get("properties", {})
    unknown = [key for key in rejected.value if key not in known]
    if _is_file(known):
        return [key for key in unknown if not key.startswith("x-")]
    return unknown


def _is_file(keys: Collection[str]) -> bool:
    """Return whether keys of the schema are those of a file, not of something in it."""
    return "webhooks" in keys


def _ticked(words: Iterable[str]) -> str:
    """Return words of the file format as a list for a message."""
    *most, last = [f"`{word}`" for word in words]
    return f"{', '.join(most)} and {last}" if most else last


def _better_key(key: str, known: Sequence[str], path: DataPath) -> str:
    """Return the hint for an unknown key."""
    # An entry with `state: absent` is the right place, but may not have these.
    is_absent_entry = key in INHERITED and not path and not _is_file(known)
    # A key of the schema is probably in the wrong place, whatever it resembles here.
    if key in _PLACES and not is_absent_entry:
        return _PLACES[key]
    if _before_colon(key) in known:
        return f"add a space after the colon: `{_before_colon(key)}: ...`"
    return did_you_mean(key, known) or f"known keys: {_ticked(known)}"


def _places() -> Iterator[tuple[str, str]]:
    """Yield keys of the schema with a hint where they belong."""
    for holder, part in schema()["properties"].items():
        yield holder, f"`{holder}` is a key of the file: move it to the top level"
        for key in part.get("properties", ()):
            yield key, f"`{key}` belongs under `{holder}`"
    for key in ("name", *INHERITED):
        yield key, f"`{key}` belongs to an item of `webhooks`"
    for key in set[str]().union(*FIELDS.values()):
        types = [type_ for type_, fields in FIELDS.items() if key in fields]
        yield key, f"`{key}` belongs under `configuration` of {_ticked(types)} webhooks"
    for key in ("add", "exclude"):
        yield key, f"only an item of `webhooks` can have `{key}`, in a file with `extends`"
    yield "version", "the version of a secret belongs in its reference: `{env: NAME, version: 2}`"


_PLACES: Final = dict(_places())

_KEYS_OF_A_FILE: Final = _PLACES.keys() - {"name", "version"}
"""The keys that show that a file is a configuration; other programs' files have the others."""


def _before_colon(key: str) -> str:
    """Return the key that was probably meant by `key:value` without a space.

    YAML reads that as one key.
    """
    return key.partition(":")[0]


def _missing(rejected: _Rejection) -> Iterator[Finding]:
    path, properties = rejected.path, rejected.schema["properties"]
    # A misspelled key is already reported as unknown.
    meant = {near(_before_colon(key), properties) for key in _unknown(rejected)}
    for name in rejected.limit:
        if name in rejected.value or name in meant:
            continue
        message = f"`{name}` is missing"
        if properties[name] is True:  # required because its partner is set
            message = f"{_ticked(properties)} go together: {message}"
        hint = f"add `{name}: ...`"
        if path == () and name == "webhooks":
            hint = f"{_NO_WEBHOOKS}; move other files out of this directory"
        elif name in INHERITED or path[-1:] == ("configuration",):
            hint = "set it here, or under `defaults` for all webhooks"
        yield error("missing-field", message, hint, Place("", (*path, name), key=True))


# Values


def _wrong_type(rejected: _Rejection) -> Iterator[Finding]:
    value, path, expected = rejected.value, rejected.path, rejected.limit
    if not isinstance(expected, str):
        expected = expected[0]
    name, place = _named(path), Place("", path)
    if value is None:
        hint = "set a value, or delete the entry; put text that starts with `#` in quotes"
        if path == ("webhooks",):
            hint = _NO_WEBHOOKS
        yield error("null-value", f"{name} has no value", hint, place)
        return
    # Not by `isinstance`, because a bool is an int.
    form = next(noun for cls, noun, _ in _TYPES.values() if cls is type(value))
    if expected == "string" and not isinstance(value, (dict, list)):
        message = f"{name} must be text, but YAML reads this as {form}"
        yield error("not-text", message, "put it in quotes", place)
        return
    _, noun, hint = _TYPES[expected]
    yield error("wrong-type", f"{name} must be {noun}, not {form}", hint, place)


_TYPES: Final = {
    "string": (str, "text", "write one string; use quotes for special characters"),
    "object": (dict, "a mapping", "write `key: value`, on indented lines below"),
    "array": (list, "a list", "start each item with `- `, or write `[item]`"),
    "boolean": (bool, "true or false", "write `true` or `false`, without quotes"),
    "integer": (int, "a whole number", "write a whole number, without quotes"),
    "number": (float, "a decimal number", ""),
}
"""The Python type, the noun and the hint for each type of JSON Schema."""


def _fixed_message(rejected: _Rejection) -> Iterator[Finding]:
    """Yield the finding for a keyword, or for a key, that has one message."""
    name = rejected.path[-1]
    keys = (rejected.keyword, (name, rejected.limit), rejected.limit, name)
    template = next((_MESSAGES[key] for key in keys if key in _MESSAGES), _UNEXPLAINED)
    values = {"name": _named(rejected.path), "limit": rejected.limit}
    message, hint = template.message.format(**values), (template.hint or "").format(**values)
    yield template._replace(message=message, hint=hint, place=Place("", rejected.path))


_MESSAGES: Final[Mapping[Any, Finding]] = {
    # keywords
    "maxLength": error("text-too-long", "{name} is longer than {limit} characters", "shorten it"),
    "minItems": error("empty-list", "{name} is an empty list", 'write `["*"]` for all events'),
    "minLength": error("empty-text", "{name} is empty", "write some text, or delete the key"),
    "uniqueItems": error("duplicate-item", "{name} is listed twice", "delete one of the two"),
    "minimum": error("out-of-range", "{name} must be at least {limit}", "use a larger number"),
    # patterns
    schema()["$defs"]["literalUrl"]["pattern"]: error(
        "bad-url",
        "{name} is not an absolute http or https URL",
        "start it with `https://` or `http://` in lower case, without spaces",
    ),
    **{
        (field.name, field.schema_pattern): error(
            field.rule, f"{{name}} is not {field.noun}", field.hint
        )
        for kind in KINDS.values()
        for field in kind.fields
        if field.schema_pattern
    },
    **{
        scheme.pattern: scheme.bad_name
        for scheme in SCHEMES.values()
        if scheme.bad_name is not None
    },
    # keys with another pattern, or with one value
    "environment": error(
        "bad-value",
        "{name} is not the name of a GitHub environment",
        "use up to 100 letters, digits, `.`, `_` and `-`, with a letter or digit first",
    ),
    "type": error("unknown-type", "unknown type", f"the types are {_ticked(KINDS)}"),
    "state": error("unknown-state", "unknown state", "write `absent` to delete the webhook"),
    "version": error(
        "unsupported-version",
        "unknown version of the file format",
        "write `version: {limit}`; for a newer version, upgrade webhooks",
    ),
}
"""The error for a value that violates a keyword or a pattern, or for the value of a key."""


# Unions


def _union(rejected: _Rejection) -> Iterator[Finding]:
    """Yield the findings for the branch of a union that matches best."""
    value, path = rejected.value, rejected.path
    names = [branch["$ref"].rpartition("/")[2] for branch in rejected.limit if "$ref" in branch]
    if not names and isinstance(value, str):
        hint = did_you_mean(value[:80], EVENT_TYPES) or EVENTS
        yield error("unknown-event", quoted("unknown event", value), hint, Place("", path))
    elif not names:
        yield from _wrong_type(rejected._replace(limit="string"))
    elif names[0].removesuffix("Secret") in SCHEMES:
        yield from _bad_reference(rejected)
    else:
        yield from _violations(_best(names, value, path), value, path)


def _bad_reference(rejected: _Rejection) -> Iterator[Finding]:
    value, path = rejected.value, rejected.path
    meant = {near(_before_colon(key), SCHEMES) for key in mapping(value)}
    schemes = [key for key in meant if key is not None]
    if value is None:
        yield from _wrong_type(rejected._replace(limit="object"))
    elif len(schemes) == 1:
        for finding in _violations(f"{schemes[0]}Secret", value, path):
            # If the key is missing, a similar one has just been reported as unknown.
            if finding.rule != "missing-field":
                yield finding
    else:
        message, hint = f"{_named(path)} is not a reference to a secret", f"write {REFERENCE}"
        yield error("bad-reference", message, hint, Place("", path))


def _best(names: Iterable[str], value: Any, at: DataPath = ()) -> str:
    """Return the definition that a value, its type corrected, violates least."""
    if isinstance(value, dict):
        kind = near(str(value.get("type", "")), KINDS)
        if kind is not None:
            value = {**value, "type": kind}

    def violations(name: str) -> tuple[bool, int, int]:
        findings = _violations(name, value, at)
        places = [finding.place.path for finding in findings if finding.place is not None]
        unknown = sum(finding.rule == "unknown-key" for finding in findings)
        return (*at, "type") in places, unknown, len(findings)

    return min(names, key=violations)


_EXPLAINERS: Final[Mapping[str, Callable[[_Rejection], Iterator[Finding]]]] = {
    "additionalProperties": _unknown_keys,
    "anyOf": _union,
    "const": _fixed_message,
    **dict.fromkeys(("maxLength", "minItems", "minLength", "minimum"), _fixed_message),
    **dict.fromkeys(("pattern", "uniqueItems"), _fixed_message),
    "required": _missing,
    "type": _wrong_type,
}
"""The functions that yield the findings for each keyword of the schema."""
