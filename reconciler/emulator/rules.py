"""What the server accepts as a webhook, and what it makes of it.

For: turning the JSON of a POST, PUT or PATCH into the fields to store.
Promises: pure; reports every wrong field at once, in the framework's words, as a mapping of field
to errors; drops fields that are the server's own.
Refuses: by raising `InvalidError`. Whether a name is taken is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator.dials import (
    ConfigurationPatch,
    Dials,
    EventOrder,
    Hash,
    UnknownKeys,
)

REQUIRED = "This field is required."
_NULL = "This field may not be null."
_BLANK = "This field may not be blank."
_URL = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

Errors = dict[str, Any]


class InvalidError(Exception):
    """Input that is not accepted; `errors` is the body to show for it."""

    def __init__(self, errors: Any, *, bad_choice: bool = False) -> None:
        """Carry the errors; `bad_choice` marks an unknown event or type among them."""
        super().__init__("invalid input")
        self.errors = errors
        self.bad_choice = bad_choice


def validate(
    data: Any,
    *,
    dials: Dials,
    stored: Mapping[str, Any] | None,
    partial: bool,
    sees_organization: Callable[[str], bool],
) -> dict[str, Any]:
    """Return the fields to write.

    `stored` is the webhook to change, None for a new one; `partial` says that fields may be left
    out; `sees_organization` tells whether the caller belongs to the organization of an id.
    """
    if not isinstance(data, dict):
        kind = type(data).__name__
        text = f"Invalid data. Expected a dictionary, but got {kind}."
        raise InvalidError({"non_field_errors": [text]})
    errors: Errors = {}
    out: dict[str, Any] = {}
    bad_choice = False

    for field, read in _FIELDS.items():
        if field in data:
            value, problem = read(data[field], dials)
            if problem is None:
                out[field] = value
            else:
                errors[field] = problem
                bad_choice |= "is not a valid choice" in str(problem)
        elif not partial and _required(field, dials):
            errors[field] = [REQUIRED]

    if "organization" in out and not sees_organization(out["organization"]):
        text = f'Invalid pk "{out["organization"]}" - object does not exist.'
        errors["organization"] = [text]
    if "type" not in errors and "configuration" not in errors:
        if problem := _configure(out, data, dials, stored=stored, partial=partial):
            errors["configuration"] = problem
        retyped = stored is not None and out.get("type") not in (None, stored["type"])
        if retyped and not dials.type_change:
            errors["type"] = ["The type of an existing webhook cannot be changed."]
    if errors:
        raise InvalidError(errors, bad_choice=bad_choice)
    return out


def _required(field: str, dials: Dials) -> bool:
    match field:
        case "configuration":
            return dials.configuration_required
        case "organization":
            return dials.organization_required
        case _:
            return True


def _name(value: Any, dials: Dials) -> tuple[Any, Any]:
    text, problem = _text(value, trim=dials.trim_names)
    if problem is None and dials.lower_names:
        text = text.lower()
    if problem is None and dials.composed_names:
        text = unicodedata.normalize("NFC", text)
    if problem is None and dials.name_max is not None and len(text) > dials.name_max:
        problem = f"Ensure this field has no more than {dials.name_max} characters."
    return text, [problem] if problem else None


def _organization(value: Any, dials: Dials) -> tuple[Any, Any]:
    if value is None:
        return None, [_NULL]
    if not isinstance(value, str):
        kind = type(value).__name__
        return None, [f"Incorrect type. Expected pk value, received {kind}."]
    return value, None


def _events(value: Any, dials: Dials) -> tuple[Any, Any]:
    if value is None:
        return None, [_NULL]
    if not isinstance(value, list):
        kind = type(value).__name__
        return None, [f'Expected a list of items but got type "{kind}".']
    if not value and not dials.empty_events:
        return None, ["This list may not be empty."]
    wrong = {str(i): [_choice(e)] for i, e in enumerate(value) if e not in dials.events}
    if wrong:
        return None, wrong
    events = list(dict.fromkeys(value)) if dials.event_dedupe else list(value)
    match dials.event_order:
        case EventOrder.SORT:
            events.sort()
        case EventOrder.REVERSE:
            events.reverse()
        case EventOrder.KEEP:
            pass
    return events, None


def _type(value: Any, dials: Dials) -> tuple[Any, Any]:
    if value is None:
        return None, [_NULL]
    return (value, None) if value in dials.types else (None, [_choice(value)])


def _configuration(value: Any, dials: Dials) -> tuple[Any, Any]:
    if value is None:
        return None, [_NULL]
    if not isinstance(value, dict) or not _storable(value):
        return None, ["Value must be valid JSON."]
    return _trimmed(value) if dials.trim_configuration else value, None


_FIELDS: Mapping[str, Callable[[Any, Dials], tuple[Any, Any]]] = {
    "name": _name,
    "organization": _organization,
    "event_types": _events,
    "type": _type,
    "configuration": _configuration,
}


def _configure(
    out: dict[str, Any],
    data: Mapping[str, Any],
    dials: Dials,
    *,
    stored: Mapping[str, Any] | None,
    partial: bool,
) -> Errors:
    """Check `configuration` against the type it will have, and put its final form into `out`."""
    kind = out.get("type") or (stored["type"] if stored else None)
    if kind is None or (stored is not None and not {"type", "configuration"} & out.keys()):
        return {}
    if "configuration" not in out and not partial and not dials.configuration_required:
        if stored is None:
            out["configuration"] = {}
        return {}
    value = dict(
        out["configuration"] if "configuration" in out else (stored or {})["configuration"]
    )
    if partial and stored is not None and dials.configuration_patch is ConfigurationPatch.MERGE:
        value = {**stored["configuration"], **value}
    errors = check_configuration(kind, value)
    known = _KEYS.get(kind)
    if known is not None:
        unknown = [key for key in value if key not in known]
        if dials.unknown_keys is UnknownKeys.REJECT:
            errors.update({key: ["Unknown key."] for key in unknown})
        elif dials.unknown_keys is UnknownKeys.DROP:
            value = {key: item for key, item in value.items() if key in known}
    if not errors:
        if kind == "slack":
            value["channel"] = _channel(value["channel"], dials)
        if "configuration" in data or value != (stored or {}).get("configuration"):
            out["configuration"] = value
    return errors


def check_configuration(kind: str, value: Mapping[str, Any]) -> Errors:
    """Return what is wrong with a configuration of that type, by key."""
    errors: Errors = {}
    match kind:
        case "slack":
            for key in ("token", "channel", "username"):
                if problem := _filled(value, key):
                    errors[key] = [problem]
        case "generic":
            if problem := _filled(value, "url"):
                errors["url"] = [problem]
            elif not _URL.fullmatch(value["url"].strip()):
                errors["url"] = ["Enter a valid URL."]
            if not isinstance(value.get("verify", True), bool):
                errors["verify"] = ["Must be a valid boolean."]
            for key, other in (("username", "password"), ("password", "username")):
                if value.get(key) is not None and not isinstance(value[key], str):
                    errors[key] = ["Not a valid string."]
                elif value.get(other) and not value.get(key):
                    errors[key] = [f"This field is required together with {other}."]
            if value.get("token") is not None and not isinstance(value["token"], str):
                errors["token"] = ["Not a valid string."]
    return errors


_KEYS = {
    "slack": ("token", "channel", "username"),
    "generic": ("url", "verify", "username", "password", "token"),
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "slack": {},
    "generic": {"verify": True, "username": None, "password": None, "token": None},
}
"""The keys that a server may add on a read, by type."""


def _filled(value: Mapping[str, Any], key: str) -> str | None:
    if key not in value:
        return REQUIRED
    return _text(value[key], trim=False)[1] or (
        None if isinstance(value[key], str) else "Not a valid string."
    )


def _text(value: Any, *, trim: bool) -> tuple[Any, str | None]:
    if value is None:
        return None, _NULL
    # The framework takes numbers for texts, but neither booleans nor containers.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, "Not a valid string."
    text = str(value).strip() if trim else str(value)
    if not text.strip():
        return None, _BLANK
    if (bad := _UNSTORABLE.search(text)) is None:
        return text, None
    if bad[0] == "\0":
        return None, "Null characters are not allowed."
    return None, f"Surrogate characters are not allowed: U+{ord(bad[0]):X}."


def _choice(value: Any) -> str:
    return f'"{value}" is not a valid choice.'


def _channel(channel: str, dials: Dials) -> str:
    if dials.lower_channels:
        channel = channel.lower()
    match dials.channel_hash:
        case Hash.STRIP:
            return channel.removeprefix("#") or channel
        case Hash.ADD:
            return channel if channel.startswith("#") else f"#{channel}"
        case Hash.KEEP:
            return channel


def _trimmed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _trimmed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    return value.strip() if isinstance(value, str) else value


def _storable(value: Any) -> bool:
    """Tell whether a database could keep it: no NUL and no lone surrogate in any text."""
    if isinstance(value, dict):
        return all(_storable(key) and _storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_storable(item) for item in value)
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    return True
