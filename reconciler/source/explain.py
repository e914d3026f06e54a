"""Turn errors of the schema engine into findings with our messages.

The engine's messages quote values, including secrets, and often explain the wrong branch of a
union. So only the keyword, path and branches of an error are used; limits are read from the schema,
values from the file. `_EXPLAINERS` has the messages for each keyword. Of a union, the branch with
the fewest violations is explained, of a reference that of its key.

Values are quoted only if they are words of the schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from reconciler.findings import Finding, Place, error
from reconciler.kinds import KINDS
from reconciler.kinds.events import EVENT_TYPES, EVENTS
from reconciler.model import DataPath
from reconciler.source.position import is_known
from reconciler.source.schema import COMPLETE, INHERITED, Part, origin, schema, validator
from reconciler.source.schemes import REFERENCE, SCHEMES
from reconciler.source.text import did_you_mean, near, quoted
from reconciler.source.yaml import Document

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
    found: dict[Place, Finding] = {}
    for part in rejected:
        definition = part.definition
        if definition is None:
            definition = _best(COMPLETE.values(), part.data)
        for each in _violations(definition, part.data):
            assert each.place is not None
            place = each.place._replace(file=document.file)
            if part.item is not None:
                place = place._replace(path=origin(document.data, part.item, place.path))
            found.setdefault(place, each._replace(place=place))
    return list(found.values())


def _violations(definition: str, data: Any, at: DataPath = ()) -> Iterator[Finding]:
    """Yield findings for violations of a definition, the most important first, without a file."""
    found = []
    for each in validator(definition).iter_errors(data):
        holder: Any = schema()
        *holders, keyword = each.schema_path
        for name in holders:
            holder = holder[name]
        path = (*at, *each.instance_path)
        found.append(_Rejection(str(keyword), path, each.instance, holder[keyword], holder))
    is_excluded = isinstance(data, dict) and "exclude" in data
    if is_excluded or ("state",) in (each.path for each in found):
        # Such an entry needs only a name; another state is probably a misspelled `absent`.
        found = [each for each in found if each.keyword != "required"]
    # If the type of a value is wrong, its other errors follow from that.
    for rejected in sorted(found, key=lambda each: each.keyword != "type"):
        yield from _EXPLAINERS[rejected.keyword](rejected)


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
    elif "adopt" in known:
        known.extend(("add", "exclude"))  # valid in an overlay
    for key in _unknown(rejected):
        message = f"unknown key `{key}`" if is_known(key) else "unknown key"
        hint = _better_key(key, known, path)
        yield error("unknown-key", message, hint, Place("", (*path, key), key=True))


def _unknown(rejected: _Rejection) -> list[str]:
    """Return the keys of a mapping that its schema does not define."""
    known = rejected.schema.get("properties", {})
    return [
        key
        for key in rejected.value
        if key not in known and not (key.startswith("x-") and "webhooks" in known)
    ]


def _ticked(listed: Iterable[str]) -> str:
    """Return words of the file format as a list for a message."""
    *most, last = [f"`{word}`" for word in listed]
    return f"{', '.join(most)} and {last}" if most else last


def _better_key(key: str, known: Sequence[str], path: DataPath) -> str:
    if key in ("add", "exclude") and key in known:
        return f"only a file with `extends` can have `{key}`"
    if _before_colon(key) in known:
        return f"add a space after the colon: `{_before_colon(key)}: ...`"
    if key == "version":
        return "the version of a secret belongs in its reference: `{env: NAME, version: 2}`"
    if path in ((), ("defaults",)) and "webhooks" not in known and key in schema()["properties"]:
        return f"`{key}` is a key of the file: move it to the top level"
    if hint := did_you_mean(key, known):
        return hint
    owners = [kind.type for kind in KINDS.values() if kind.field(key) is not None]
    if owners and path[-1:] == ("configuration",):
        return f"`{key}` belongs to webhooks of type {_ticked(owners)}"
    if owners and "configuration" in known:
        return f"`{key}` belongs under `configuration`"
    if key in ("name", *INHERITED) and "webhooks" in known:
        return f"`{key}` belongs to an item of `webhooks`"
    if key == "max_deletes" and "limits" in known:
        return f"`{key}` belongs under `limits`"
    return f"known keys: {_ticked(known)}"


def _before_colon(key: str) -> str:
    """Return the key that was probably meant by a `key:value` without a space, which YAML reads
    as one key.
    """
    return key.partition(":")[0]


def _missing(rejected: _Rejection) -> Iterator[Finding]:
    path, properties = rejected.path, rejected.schema["properties"]
    unknown = _unknown(rejected)
    meant = {near(_before_colon(key), properties) for key in unknown}
    for name in rejected.limit:
        if name in rejected.value or name in meant:
            continue  # a misspelled key is already reported as unknown
        message, hint = f"`{name}` is missing", f"add `{name}: ...`"
        if properties[name] is True:  # required because its partner is set
            paired = (each for kind in KINDS.values() for each in kind.fields if each.partner)
            both = (each.name for each in paired if name in (each.name, each.partner))
            message = f"{_ticked(both)} go together: {message}"
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
    name, at = _named(path), Place("", path)
    if value is None:
        hint = "set a value, or delete the entry; put text that starts with `#` in quotes"
        if path == ("webhooks",):
            hint = _NO_WEBHOOKS
        yield error("null-value", f"{name} has no value", hint, at)
        return
    form = next(noun for cls, noun, _ in _TYPES.values() if cls is type(value))
    if expected == "string" and not isinstance(value, (dict, list)):
        message = f"{name} must be text, but YAML reads this as {form}"
        yield error("not-text", message, "put it in quotes", at)
        return
    _, noun, hint = _TYPES[expected]
    yield error("wrong-type", f"{name} must be {noun}, not {form}", hint, at)


_TYPES: Final = {
    "string": (str, "text", "write one string; use quotes for special characters"),
    "object": (dict, "a mapping", "write `key: value`, on indented lines below"),
    "array": (list, "a list", "start each item with `- `, or write `[item]`"),
    "boolean": (bool, "true or false", "write `true` or `false`, without quotes"),
    "integer": (int, "a whole number", "write a whole number, without quotes"),
    "number": (float, "a decimal number", ""),
}
"""The Python type, the noun and the hint for each type of JSON Schema."""


def _duplicates(rejected: _Rejection) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in enumerate(rejected.value):
        written = json.dumps(item, sort_keys=True)
        if written in seen:
            message, at = f"duplicate item in {_named(rejected.path)}", (*rejected.path, index)
            yield error("duplicate-item", message, "delete one of the two", Place("", at))
        seen.add(written)


def _fixed_message(rejected: _Rejection) -> Iterator[Finding]:
    """Yield the finding for a keyword, or for a key, that has one message."""
    keyword, path, limit = rejected.keyword, rejected.path, rejected.limit
    found = _MESSAGES.get(keyword) or _MESSAGES.get(path[-1], _MESSAGES["url"])
    message, hint = (
        each.format(name=_named(path), limit=limit) for each in (found.message, found.hint or "")
    )
    yield found._replace(message=message, hint=hint, place=Place("", path))


_MESSAGES: Final[Mapping[str | int, Finding]] = {
    # keywords
    "maxLength": error("text-too-long", "{name} is longer than {limit} characters", "shorten it"),
    "minItems": error("empty-list", "{name} is an empty list", 'write `["*"]` for all events'),
    "minLength": error("empty-text", "{name} is empty", "write some text, or delete the key"),
    "minimum": error("out-of-range", "{name} must be at least {limit}", "use a larger number"),
    # keys with a pattern or one value
    **{key: scheme.bad_name for key, scheme in SCHEMES.items() if scheme.bad_name is not None},
    "channel": error(
        "bad-channel",
        "{name} is not the name or id of a Slack channel",
        "use up to 80 lower-case letters, digits, `-` and `_`, as in "
        '`"#deploys"`, or an id like C0123456789',
    ),
    "url": error(
        "bad-url",
        "{name} is not an absolute http or https URL",
        "start it with `https://` or `http://`, without spaces",
    ),
    "type": error("unknown-type", "unknown type", f"the types are {_ticked(KINDS)}"),
    "state": error("unknown-state", "unknown state", "write `absent` to delete the webhook"),
    "version": error(
        "unsupported-version",
        "unknown version of the file format",
        "write `version: {limit}`; for a newer version, upgrade webhooks",
    ),
}
"""The error for a value that violates a keyword, or for the value of a key."""


# Unions


def _union(rejected: _Rejection) -> Iterator[Finding]:
    """Yield the findings for the branch of a union that matches best."""
    value, path = rejected.value, rejected.path
    names = [each["$ref"].rpartition("/")[2] for each in rejected.limit if "$ref" in each]
    if not names and isinstance(value, str):
        hint = did_you_mean(value[:80], EVENT_TYPES) or EVENTS
        yield error("unknown-event", quoted("unknown event", value), hint, Place("", path))
    elif not names:
        yield from _wrong_type(rejected._replace(limit="string"))
    elif names[0] in _SECRETS.values():
        yield from _bad_secret(rejected)
    else:
        yield from _violations(_best(names, value, path), value, path)


_SECRETS: Final = {key: f"{key}Secret" for key in SCHEMES}
"""The definition of a reference by its key."""


def _bad_secret(rejected: _Rejection) -> Iterator[Finding]:
    value, path = rejected.value, rejected.path
    keys = value if isinstance(value, dict) else ()
    schemes = {near(_before_colon(key), SCHEMES) for key in keys}
    known = [scheme for scheme in schemes if scheme is not None]
    if value is None:
        yield from _wrong_type(rejected._replace(limit="object"))
    elif len(known) == 1:
        branch = _violations(_SECRETS[known[0]], value, path)
        # If the key is missing, a similar one has just been reported as unknown.
        yield from (each for each in branch if each.rule != "missing-field")
    else:
        message, hint = f"{_named(path)} is not a reference to a secret", f"write {REFERENCE}"
        yield error("bad-reference", message, hint, Place("", path))


def _best(names: Iterable[str], value: Any, at: DataPath = ()) -> str:
    """Return the definition that a value, its type corrected, violates least."""
    if isinstance(value, dict) and (known := near(str(value.get("type", "")), KINDS)):
        value = {**value, "type": known}

    def violations(name: str) -> tuple[bool, int, int]:
        found = list(_violations(name, value, at))
        other_type = any(each.place and each.place.path == (*at, "type") for each in found)
        unknown = sum(each.rule == "unknown-key" for each in found)
        return other_type, unknown, len(found)

    return min(names, key=violations)


_EXPLAINERS: Final[Mapping[str, Callable[[_Rejection], Iterator[Finding]]]] = {
    "additionalProperties": _unknown_keys,
    "anyOf": _union,
    "const": _fixed_message,
    **dict.fromkeys(("maxLength", "minItems", "minLength", "minimum", "pattern"), _fixed_message),
    "required": _missing,
    "type": _wrong_type,
    "uniqueItems": _duplicates,
}
"""The functions that yield the findings for each keyword of the schema."""
