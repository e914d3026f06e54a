"""Checks of one file that go beyond its structure: names, events, secrets.

They look at what was written, not at what was understood, and take any plain data: a file with
structural errors gets these remarks too, in the same run. What `defaults` say is looked at once,
in `defaults`, however many webhooks inherit it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.findings import Finding, Place, error, note, warning
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import MAX_EVENT_GLOB, expand
from reconciler.model import EVENT_TYPES, Path, Scheme, SecretRef
from reconciler.source.allowed import file_name, refusal
from reconciler.source.literals import PLACEHOLDER, holds_token, is_padded, masked, url_credential
from reconciler.source.names import is_plain, remarks
from reconciler.source.secrets import fits, flaw, wrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the command line says about secrets.

    `allow_secrets` are the patterns of `--allow-secret`; () allows all that is not forbidden.
    """

    allow_secrets: tuple[str, ...] = ()
    allow_literal_secrets: bool = False


_SCHEMES: Final = ("env", "file")
_GLOBS: Final = tuple(
    dict.fromkeys(
        glob
        for subject, _, verb in (event.rpartition("_") for event in EVENT_TYPES)
        for glob in (f"{subject}_*", f"*_{verb}")
    )
)
_SECRET_FIELDS: Final = {
    kind.type: {each.name: each for each in kind.fields if each.secret} for kind in KINDS.values()
}
_ANY_SECRET_FIELD: Final = {
    # A field that several types have is judged with the webhooks that inherit it.
    name: replace(field, shape=None)
    for fields in _SECRET_FIELDS.values()
    for name, field in fields.items()
}


def lint(file: str, data: dict[str, Any], rules: Rules) -> list[Finding]:
    """Return what is wrong with each webhook of a file, and with its `defaults`."""
    checker = _Checker(file, rules)
    defaults = data.get("defaults")
    default_type: object = None
    if isinstance(defaults, dict):
        default_type = defaults.get("type")
        checker.settings(defaults, ("defaults",), default_type)
    webhooks = data.get("webhooks")
    for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else ()):
        if isinstance(webhook, dict):
            path: Path = ("webhooks", index)
            # An absent entry names what is live, whatever it is called.
            name = webhook.get("name")
            if isinstance(name, str) and webhook.get("state") != "absent":
                checker.name(name, (*path, "name"))
            checker.settings(webhook, path, webhook.get("type", default_type))
    return checker.problems


class _Checker:
    """Collects problems; remembers what it judged, as most webhooks of a file are alike."""

    __slots__ = ("_file", "_references", "_rules", "_sound_events", "problems")

    def __init__(self, file: str, rules: Rules) -> None:
        self.problems: list[Finding] = []
        self._file = file
        self._rules = rules
        self._sound_events = set(EVENT_TYPES)
        self._references: dict[tuple[str, str], Finding | None] = {}

    def name(self, name: str, path: Path) -> None:
        """Judge a name that is to be."""
        if not is_plain(name):
            for remark in remarks(name):
                self._add(remark, path)
        if holds_token(name):
            self._add(_slack_token("name"), path)
        elif PLACEHOLDER.fullmatch(name):
            self._add(_placeholder("name", warning), path)

    def settings(self, data: dict[str, Any], path: Path, type: object) -> None:
        """Judge the events and the configuration of a webhook or of defaults."""
        events = data.get("event_types")
        if isinstance(events, list):
            for index, event in enumerate(events):
                if isinstance(event, str) and event not in self._sound_events:
                    remark = _event(event)
                    if remark is None:
                        self._sound_events.add(event)
                    else:
                        self._add(remark, (*path, "event_types", index))
        configuration = data.get("configuration")
        if not isinstance(configuration, dict):
            return
        secret_fields = _ANY_SECRET_FIELD
        if isinstance(type, str):
            secret_fields = _SECRET_FIELDS.get(type, _ANY_SECRET_FIELD)
        for field, value in configuration.items():
            remark = None
            if isinstance(value, dict):
                if field in secret_fields:
                    remark = self._reference(value)
                else:
                    remark = _misplaced(field, value, secret_fields)
            elif isinstance(value, str):
                if field in secret_fields:
                    remark = self._literal(secret_fields[field], value)
                elif holds_token(value) and not self._rules.allow_literal_secrets:
                    remark = _slack_token(field)
                elif PLACEHOLDER.fullmatch(value):
                    remark = _placeholder(field, error)
            if remark is not None:
                self._add(remark, (*path, "configuration", field))

    def _add(self, remark: Finding, path: Path) -> None:
        self.problems.append(replace(remark, place=Place(self._file, path)))

    def _reference(self, value: dict[str, Any]) -> Finding | None:
        for scheme in _SCHEMES:
            name = value.get(scheme)
            if isinstance(name, str):
                key = (scheme, name)
                if key not in self._references:
                    self._references[key] = self._refusal(scheme, name)
                remark = self._references[key]
                if remark is not None:
                    return remark
        return None

    def _refusal(self, scheme: str, name: str) -> Finding | None:
        whole = file_name(name, self._file) if scheme == Scheme.FILE else name
        ref = SecretRef(scheme=Scheme(scheme), name=whole)
        return refusal(ref, self._rules.allow_secrets)

    def _literal(self, field: Field, value: str) -> Finding | None:
        secret, name = wrap(value), field.name
        problem = flaw(secret)
        if problem is not None:
            return error(
                "unusable-secret",
                f"the value of `{name}` {problem}",
                f"refer to it: {_reference_forms()}",
            )
        if holds_token(value) and not self._rules.allow_literal_secrets:
            return _slack_token(name)
        if PLACEHOLDER.fullmatch(value) or (field.address and "<" in value):
            return _placeholder(name, error)
        if not field.address and not fits(field, secret):
            return error(
                "unfit-secret", f"`{name}` is not {field.noun}", f"write {_reference_to(name)}"
            )
        if is_padded(value):
            return note(
                "trimmed-secret",
                f"`{name}` has blanks, line ends or a byte order mark around it: they are not sent",
                "write the bare value",
            )
        if self._rules.allow_literal_secrets:
            return None
        if not field.address:
            return warning(
                "literal-secret",
                f"`{name}` is a secret, and it is written into the file",
                f"keep it in a variable or a file: {_reference_forms()}",
            )
        reason = url_credential(value)
        if reason is None:
            return None
        return warning(
            "literal-secret",
            f"the URL {reason}: it is a secret, and it is written into the file",
            f"keep the whole URL in a variable or a file: `{name}: {{env: NAME}}`",
        )


def _reference_to(name: str) -> str:
    variable = "SLACK_BOT_TOKEN" if name == "token" else "NAME"
    return f"`{name}: {{env: {variable}}}`, with the name of your variable"


def _placeholder(name: str, severity: Callable[[str, str, str], Finding]) -> Finding:
    if name in _ANY_SECRET_FIELD:
        hint = f"for a secret write {_reference_to(name)}"
    else:
        hint = "write the text itself"
    return severity(
        "unreplaced-placeholder", f"`{name}` is a placeholder, and a file replaces none", hint
    )


def _reference_forms() -> str:
    from reconciler.source.explain import REFERENCE  # a good file needs none of its words

    return REFERENCE


def _slack_token(field: str) -> Finding:
    return error(
        "slack-token-in-file",
        f"`{field}` holds what looks like a Slack token",
        "revoke the token, as version control never forgets it, and refer to the new one: "
        "`{env: SLACK_BOT_TOKEN}`",
    )


def _misplaced(field: str, value: dict[str, Any], secret_fields: Iterable[str]) -> Finding | None:
    if value.keys().isdisjoint(_SCHEMES):
        return None
    from reconciler.source.explain import ticked

    return error(
        "reference-not-allowed",
        f"`{field}` is no secret: it takes its value as text, not as a reference",
        f"only {ticked(sorted(secret_fields))} may be references; everybody can see `{field}`",
    )


def _event(event: str) -> Finding | None:
    """Judge a glob: what is none must be one of the schema's names."""
    if len(event) > MAX_EVENT_GLOB:
        return None  # the schema objects
    if not any(char in event for char in "*?[") or expand(event):
        return None
    from difflib import get_close_matches

    from reconciler.source.explain import EVENTS

    near = get_close_matches(event[:80].lower(), (*_GLOBS, *EVENT_TYPES), n=1)
    return error(
        "unknown-event",
        f"`{masked(event)}` matches no event",
        f"did you mean `{near[0]}`?" if near else EVENTS,
    )
