"""Check one file beyond its structure: names, events, secrets.

These checks use the data as written and accept data of any shape, so that a file with structural
errors gets these findings in the same run. Values in `defaults` are checked once, not for each
webhook that inherits them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from reconciler.findings import Finding, Place, error, note, warning
from reconciler.kinds import FIELDS, Field
from reconciler.kinds.events import EVENT_TYPES, EVENTS, GLOBS, expand
from reconciler.model import DataPath, Scheme, SecretRef
from reconciler.planning.names import INVISIBLE, MAX_NORMALIZED_LENGTH
from reconciler.source import secrets
from reconciler.source.allowed import VARIABLE, reference_in, refusal
from reconciler.source.schema import written_webhooks
from reconciler.source.text import REFERENCE, code_points, did_you_mean, masked, quoted


class Rules(NamedTuple):
    """The rules for secrets from the command line.

    `allow_secrets` has the patterns of `--allow-secret`; () allows everything that is not
    forbidden. `api_keys` refer to the CloudTruth API keys of the run, which webhooks must not
    contain.
    """

    allow_secrets: tuple[str, ...] = ()
    allow_literal_secrets: bool = False
    api_keys: frozenset[SecretRef] = frozenset()


# Embeddings, overrides and isolates make the displayed order differ from the stored one.
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MAX_EVENT_GLOB: Final = 128  # characters, as in the schema
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_ANY_FIELD: Final = {
    # A field of several types is checked in the webhooks that inherit it.
    name: field._replace(secret_pattern=None, example="NAME")
    for fields in FIELDS.values()
    for name, field in fields.items()
}


def lint(file: str, data: dict[str, Any], rules: Rules) -> Iterator[Finding]:
    """Yield the findings for each webhook of a file, and for its `defaults`."""
    defaults = data.get("defaults")
    default_type: object = None
    if isinstance(defaults, dict):
        default_type = defaults.get("type")
        yield from _settings(file, ("defaults",), defaults, default_type, rules)
    for index, webhook in written_webhooks(data):
        path: DataPath = ("webhooks", index)
        # An absent entry must be able to name any live webhook.
        name = webhook.get("name")
        if isinstance(name, str) and webhook.get("state") != "absent":
            for found in _name_findings(name):
                yield found._replace(place=Place(file, (*path, "name")))
        yield from _settings(file, path, webhook, webhook.get("type", default_type), rules)


def _name_findings(name: str) -> Iterator[Finding]:
    """Yield the findings for the name of one webhook.

    A name is shown to reviewers, matched by globs and compared with the stored name. A name that
    can deceive a reader is an error; one that a server may store differently is a warning.
    """
    if secrets.holds_token(name):
        yield _slack_token("`name`")
    elif secrets.PLACEHOLDER.fullmatch(name):
        message = _placeholder_message("name")
        yield warning("unreplaced-placeholder", message, "write the actual value")
    if name.isascii() and name.isprintable() and name != "" and name == name.strip():
        return  # fast path for most names
    if not name.strip():
        yield error("empty-name", "the name is empty", "set a name")
        return
    bad = {
        char for char in name if char in _BIDI_CONTROLS or unicodedata.category(char) in _REFUSED
    }
    if bad:
        yield error(
            "unsafe-name",
            f"the name contains invisible characters: {code_points(bad)}",
            "remove control, line separator, surrogate and text direction characters",
        )
        return
    if name != name.strip():
        yield warning(
            "spaces-around-name",
            "the name begins or ends with a space, which a server may strip",
            "remove the space",
        )
    invisible = {char for char in name if unicodedata.category(char) == "Cf" or char in INVISIBLE}
    if invisible:
        yield warning(
            "invisible-characters",
            f"the name contains invisible characters: {code_points(invisible)}",
            "remove them, unless an emoji needs them",
        )
    if not unicodedata.is_normalized("NFC", name[:MAX_NORMALIZED_LENGTH]):
        yield warning(
            "name-not-normalized",
            "the name is not in Unicode's composed form (NFC); a server may change it",
            "write accented letters as one character",
        )


def _settings(
    file: str, path: DataPath, data: dict[str, Any], type: object, rules: Rules
) -> Iterator[Finding]:
    """Yield findings for the events and the configuration of a webhook or of defaults."""
    events, configuration = data.get("event_types"), data.get("configuration")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        if event not in EVENT_TYPES and isinstance(event, str) and (found := _event(event)):
            yield found._replace(place=Place(file, (*path, "event_types", index)))
    fields = FIELDS.get(str(type), _ANY_FIELD)
    for name, value in configuration.items() if isinstance(configuration, dict) else ():
        found = _value(name, value, fields, file, rules)
        if found is not None:
            yield found._replace(place=Place(file, (*path, "configuration", name)))


def _value(
    name: str, value: object, fields: Mapping[str, Field], file: str, rules: Rules
) -> Finding | None:
    """Return the finding for the value of a configuration field, if any."""
    field = fields.get(name)
    if isinstance(value, dict) and name in _ANY_FIELD:
        ref = reference_in(value, file)
        if ref is None:
            return None
        if field is None or not field.secret:
            return error(
                "reference-not-allowed",
                f"`{name}` is not a secret: write the value as text, not as a reference",
                "references are for secrets; all users see other fields",
            )
        return _refusal(ref, rules)
    if not isinstance(value, str):
        return None
    if secrets.holds_token(value) and not rules.allow_literal_secrets:
        return _slack_token(f"`{name}`" if name in _ANY_FIELD else "an unknown key")
    if field is not None and field.secret:
        return _literal(field, value, rules)
    if name in _ANY_FIELD and secrets.is_placeholder(value):
        return error("unreplaced-placeholder", _placeholder_message(name), "write the actual value")
    return None


@lru_cache(maxsize=256)  # most webhooks share their references
def _refusal(ref: SecretRef, rules: Rules) -> Finding | None:
    if ref.scheme is Scheme.ENV and VARIABLE.fullmatch(ref.name) is None:
        return None  # the schema reports it
    if secrets.holds_token(ref.name):
        return _slack_token("this reference")
    if ref not in rules.api_keys:
        return refusal(ref, rules.allow_secrets)
    shown = masked(ref.name)
    message = f"{shown} is the `api_key` of an organization, which is never sent to a webhook"
    return error("forbidden-secret", message, "use this webhook's own secret")


def _literal(field: Field, value: str, rules: Rules) -> Finding | None:
    """Return the finding for a literal value in a secret field, if any."""
    secret, name = secrets.wrap(value), field.name
    problem = secrets.flaw(secret)
    if problem is not None:
        message = f"the value of `{name}` {problem}"
        return error("unusable-secret", message, f"use {REFERENCE}")
    variable = "NAME" if field.is_url else field.example
    example = f"write `{name}: {{env: {variable}}}`, with the name of your variable"
    in_address = field.is_url and ("<" in value or secrets.is_placeholder(value))
    if in_address or secrets.PLACEHOLDER.fullmatch(value):
        return error(
            "unreplaced-placeholder", _placeholder_message(name), f"for a secret {example}"
        )
    if not field.is_url and not secrets.fits(field, secret):
        return error("malformed-secret", f"`{name}` is not {field.noun}", example)
    if secrets.is_padded(value) and not field.is_url:  # the schema rejects a URL with spaces
        return note(
            "trimmed-secret",
            f"`{name}` has surrounding whitespace or a byte order mark, which is not sent",
            "remove the whitespace",
        )
    reason = secrets.url_credential(value) if field.is_url else None
    if rules.allow_literal_secrets or (field.is_url and reason is None):
        return None
    what = f"`{name}` is a secret" if reason is None else f"the URL {reason}"
    hint = f"keep it in a variable or a file: {REFERENCE}"
    return warning("literal-secret", f"{what}: keep it out of the file", hint)


def _placeholder_message(name: str) -> str:
    return f"`{name}` contains a placeholder, which is not expanded"


def _slack_token(holder: str) -> Finding:
    return error(
        "slack-token-in-file",
        f"{holder} contains what looks like a Slack token",
        "refer to it instead: `{env: SLACK_BOT_TOKEN}`; if the file was ever committed, revoke the "
        "token and use a new one",
    )


def _event(event: str) -> Finding | None:
    """Return the finding for an event glob without a match; the schema checks other entries."""
    is_glob = len(event) <= _MAX_EVENT_GLOB and any(char in event for char in "*?[")
    if not is_glob or expand(event):
        return None
    hint = did_you_mean(event[:80], (*GLOBS, *EVENT_TYPES)) or EVENTS
    return error("unknown-event", f"{quoted('the glob', event)} matches no event", hint)
