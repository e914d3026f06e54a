"""What to say of each kind of value that does not fit: message, place, and what to do.

No value of a field that may be secret is quoted; of other fields only types, states and events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.kinds.events import MAX_EVENT_GLOB
from reconciler.model import EVENT_TYPES, Path
from reconciler.source.excerpt import harmless
from reconciler.source.violation import Violation
from reconciler.source.wording import EVENTS, NO_WEBHOOKS, REFERENCE, near, ticked


def wrong_type(value: object, expected: str, path: Path) -> Violation:
    """Object to a value of another form than `expected`, a JSON Schema type."""
    name = _called(path)
    if value is None:
        hint = "give it one, or delete the key"
        if path == ("webhooks",):
            hint = NO_WEBHOOKS
        elif path and isinstance(path[-1], int):
            hint = "give it one, or delete the line"
        return Violation(path=path, rule="null-value", message=f"{name} has no value", hint=hint)
    if expected == "string" and isinstance(value, (bool, int, float)):
        kind = "true or false" if isinstance(value, bool) else "a number"
        return Violation(
            path=path,
            rule="not-text",
            message=f"{name} must be text, and YAML reads this as {kind}",
            hint="put it in quotes",
        )
    form = _form(value)
    if expected == "integer" and form == "a number":
        form = "a fraction"
    return Violation(
        path=path,
        rule="wrong-type",
        message=f"{name} must be {_EXPECTED[expected]}, not {form}",
        hint=_cure(expected, form, path),
    )


_EXPECTED: Final = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
}


def _cure(expected: str, form: str, path: Path) -> str:
    match expected, form, path:
        case "array", "a mapping", ("webhooks",):
            return "begin each webhook with `- name: ...`"
        case "array", _, _:
            return "write a list, even of one item: `[item]`"
        case "boolean", _, _:
            return "write `true` or `false`, without quotes"
        case "integer", "text", _:
            return "write the number without quotes"
        case "integer", _, _:
            return "write a number such as `5`"
        case "object", _, ("webhooks", int()):
            return "write the webhook's fields, beginning with `- name: ...`"
        case "object", _, _:
            return "write `key: value`, on indented lines below"
        case _:
            return "write one text; in quotes it may hold any character"


def _form(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _called(path: Path) -> str:
    """Return what to call the value at `path`."""
    match path:
        case ():
            return "the file"
        case ("webhooks", int()):
            return "a webhook"
        case (*_, str(key)):
            return f"`{key}`"
        case (*_, str(key), int()):
            return f"an item of `{key}`"
        case _:
            return "this"


def duplicates(items: Any, path: Path) -> Iterator[Violation]:
    """Object to each item that stands in its list already."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        known = len(seen)
        seen.add(json.dumps(item, sort_keys=True))
        if len(seen) == known:
            yield Violation(
                path=(*path, index),
                rule="duplicate-item",
                message=f"this stands twice in {_called(path)}",
                hint="delete one of the two",
            )


def not_the_one(value: object, path: Path) -> Violation:
    """Object to a type, state or version that is none."""
    match path[-1:]:
        case ("type",):
            meant = near(value, KINDS) if isinstance(value, str) else None
            return Violation(
                path=path,
                rule="unknown-type",
                message=f"unknown type `{harmless(str(value))}`",
                hint=f"did you mean `{meant}`?" if meant else f"the types are {ticked(KINDS)}",
            )
        case ("state",):
            return Violation(
                path=path,
                rule="unknown-state",
                message=f"unknown state `{harmless(str(value))}`",
                hint="write `state: absent` to have the webhook deleted; else leave it out",
            )
        case _:
            return Violation(
                path=path,
                rule="unsupported-version",
                message="this version of the file's format is not known",
                hint="write `version: 1`; a newer version needs a newer program",
            )


def bad_event(value: object, path: Path) -> Violation:
    """Object to an event that CloudTruth cannot send."""
    if not isinstance(value, str):
        return wrong_type(value, "string", path)
    if not value:
        return Violation(path=path, rule="empty-text", message="an event is empty", hint=EVENTS)
    if len(value) > MAX_EVENT_GLOB:
        return unfit("maxLength", MAX_EVENT_GLOB, path)
    meant = near(value, EVENT_TYPES)
    return Violation(
        path=path,
        rule="unknown-event",
        message=f"unknown event `{harmless(value)}`",
        hint=f"did you mean `{meant}`?" if meant else EVENTS,
    )


def bad_reference(*, both: bool, path: Path) -> Violation:
    """Object to a mapping that refers to no secret, or to two."""
    message = "takes `env` or `file`, not both" if both else "takes text or a reference to a secret"
    return Violation(
        path=path,
        rule="bad-reference",
        message=f"{_called(path)} {message}",
        hint=f"write {REFERENCE}",
    )


def unfit(keyword: str, limit: object, path: Path) -> Violation:
    """Explain a value that has the right type and is not fit all the same."""
    name = _called(path)
    match keyword, path[-1:]:
        case "minLength", _:
            return Violation(
                path=path,
                rule="empty-text",
                message=f"{name} is empty",
                hint="write a text, or delete the key",
            )
        case "maxLength", _:
            return Violation(
                path=path,
                rule="text-too-long",
                message=f"{name} is longer than {limit} characters",
                hint="shorten it",
            )
        case "minItems", _:
            return Violation(
                path=path,
                rule="empty-list",
                message=f"{name} needs an item",
                hint='name events, or write `["*"]` for all',
            )
        case "pattern", ("env",):
            return Violation(
                path=path,
                rule="bad-variable-name",
                message="this cannot be the name of a variable",
                hint="write the name of the variable that holds the secret, not the secret",
            )
        case "pattern", _:
            return Violation(
                path=path,
                rule="bad-url",
                message=f"{name} is no absolute http or https URL",
                hint="start it with `https://` or `http://`, and leave spaces out",
            )
        case _:
            return Violation(
                path=path,
                rule="out-of-range",
                message=f"{name} must be at least {limit}",
                hint=f"write a whole number, {limit} or more",
            )
