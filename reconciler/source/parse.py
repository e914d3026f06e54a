"""Plain data to declared values, strictly: a file is understood as a whole, or doubted.

The parser asks only "is this certainly what the schema accepts?" and never says why not: a doubt
is the schema's to judge and to explain, so that a file without mistakes never pays for loading
the judge. Both accept the same files. Nothing that a file holds makes the parser raise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from reconciler.findings import Position
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import MAX_EVENT_GLOB, expand
from reconciler.model import EVENT_TYPES, Absent, Scheme, Secret, SecretRef, Value, Webhook
from reconciler.planning.globs import MAX_GLOB
from reconciler.source import strict
from reconciler.source.allowed import file_name
from reconciler.source.document import Document
from reconciler.source.literals import url_credential
from reconciler.source.merge import INHERITED, effective, usable_defaults
from reconciler.source.secrets import wrap
from reconciler.values import dataclass

_ROOT: Final = frozenset(
    {
        "$schema", "version", "organization", "prune", "scope", "ignore", "protect", "limits",
        "defaults", "webhooks",
    }
)  # fmt: skip
_DEFAULTS: Final = frozenset(INHERITED)
_PRESENT: Final = frozenset(
    {
        "name", "type", "event_types", "configuration", "organization", "previously", "state", "id",
        "adopt",
    }
)  # fmt: skip
_ABSENT: Final = frozenset({"name", "id", "state", "organization"})
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EVENTS: Final = frozenset(EVENT_TYPES)
_EVENT_GLOB: Final = re.compile(r"[a-z_!\]-]*[?*\[][a-z_?*!\[\]-]*")
_URL: Final = re.compile(r"https?://[^\s/?#]\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one file declares. `scope`, `ignore` and `protect` are globs as written."""

    file: str
    webhooks: tuple[Webhook, ...]
    absent: tuple[Absent, ...]
    literals: Mapping[SecretRef, Secret]
    scope: tuple[str, ...]
    prune: bool
    ignore: tuple[str, ...]
    protect: tuple[str, ...]
    max_deletes: int | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """The schema must judge the file; `webhooks` are the items that may be at fault."""

    webhooks: tuple[int, ...] = ()


def parse(document: Document) -> Declaration | Doubt:
    """Return what a file declares, or a doubt."""
    parser = _Parser(document)
    try:
        declaration = parser.file()
    except strict.DoubtError:
        return Doubt(tuple(parser.doubted))
    return Doubt(tuple(parser.doubted)) if parser.doubted else declaration


class _Parser:
    """Reads one document. Remembers references and events, which repeat from item to item."""

    __slots__ = (
        "_defaults",
        "_document",
        "_events",
        "_kinds",
        "_literals",
        "_variables",
        "doubted",
    )

    def __init__(self, document: Document) -> None:
        self.doubted: list[int] = []
        self._document = document
        self._defaults: dict[str, Any] = {}
        self._events: dict[tuple[str, ...], frozenset[str]] = {}
        self._variables: dict[str, SecretRef] = {}
        self._literals: dict[SecretRef, Secret] = {}
        self._kinds = {
            kind.type: (
                {each.name: each for each in kind.fields},
                frozenset(each.name for each in kind.fields if each.required),
                tuple(
                    (each.name, each.partner) for each in kind.fields if each.partner is not None
                ),
            )
            for kind in KINDS.values()
        }

    def file(self) -> Declaration:
        root = self._document.data
        self._defaults = usable_defaults(root)
        webhooks: list[Webhook] = []
        absent: list[Absent] = []
        lines = self._document.lines
        for index, data in enumerate(strict.items(root.get("webhooks"))):
            try:
                position = Position(file=self._document.file, line=lines[index])
                if type(data) is not dict:
                    raise strict.DoubtError
                if data.get("state") == "absent":
                    absent.append(_absent(data, position, index))
                else:
                    webhooks.append(self._webhook(data, position, index))
            except strict.DoubtError:
                self.doubted.append(index)
        for key in root:
            if key not in _ROOT and not key.startswith("x-"):
                raise strict.DoubtError
        if "version" in root and strict.whole(root["version"]) != 1:
            raise strict.DoubtError
        if "$schema" in root:
            strict.any_text(root["$schema"])
        if "organization" in root:
            strict.text(root["organization"])
        if "defaults" in root:
            self._check_defaults(root["defaults"])
        limits = strict.mapping(root.get("limits", {}), frozenset({"max_deletes"}))
        return Declaration(
            file=self._document.file,
            webhooks=tuple(webhooks),
            absent=tuple(absent),
            literals=self._literals,
            scope=strict.texts(root.get("scope", ["*"]), MAX_GLOB),
            prune=strict.flag(root.get("prune", True)),
            ignore=strict.texts(root.get("ignore", []), MAX_GLOB),
            protect=strict.texts(root.get("protect", []), MAX_GLOB),
            max_deletes=strict.count(limits["max_deletes"]) if "max_deletes" in limits else None,
        )

    def _check_defaults(self, data: object) -> None:
        defaults = strict.mapping(data, _DEFAULTS)
        if "type" in defaults and strict.any_text(defaults["type"]) not in self._kinds:
            raise strict.DoubtError
        if "event_types" in defaults:
            self._event_types(defaults["event_types"])
        if "configuration" in defaults:
            literals = self._literals
            self._literals = {}
            types = [defaults["type"]] if "type" in defaults else list(self._kinds)
            fields = {name: each for known in types for name, each in self._kinds[known][0].items()}
            configuration = strict.mapping(defaults["configuration"], frozenset(fields))
            for name, value in configuration.items():
                self._value(fields[name], value, f"/{name}")
            # Only looked at: a literal gets its reference from each webhook that inherits it.
            self._literals = literals

    def _webhook(self, data: dict[str, Any], position: Position, index: int) -> Webhook:
        if not data.keys() <= _PRESENT:
            raise strict.DoubtError
        whole = effective(data, self._defaults) if self._defaults else data
        type_ = whole.get("type")
        configuration = whole.get("configuration")
        if type(type_) is not str or type(configuration) is not dict or type_ not in self._kinds:
            raise strict.DoubtError
        name = strict.text(whole.get("name"))
        pin = strict.text(whole["id"]) if "id" in whole else None
        if "state" in whole and whole["state"] != "present":
            raise strict.DoubtError
        if "organization" in whole:
            strict.text(whole["organization"])
        fields, required, partners = self._kinds[type_]
        if not required <= configuration.keys():
            raise strict.DoubtError
        for one, partner in partners:
            if one in configuration and partner not in configuration:
                raise strict.DoubtError
        key = name if pin is None else pin
        values: dict[str, Value] = {}
        for field_name, value in configuration.items():
            field = fields.get(field_name)
            if field is None:
                raise strict.DoubtError
            values[field_name] = self._value(field, value, key)
        return Webhook(
            name=name,
            type=type_,
            event_types=self._event_types(whole.get("event_types")),
            configuration=values,
            id=pin,
            previously=strict.texts(whole["previously"]) if "previously" in whole else (),
            adopt=strict.flag(whole["adopt"]) if "adopt" in whole else False,
            position=position,
            index=index,
        )

    def _event_types(self, data: object) -> frozenset[str]:
        if type(data) is not list or not data:
            raise strict.DoubtError
        for event in data:
            if type(event) is not str:
                raise strict.DoubtError
        patterns = tuple(data)
        events = self._events.get(patterns)
        if events is None:
            if len(set(patterns)) != len(patterns):
                raise strict.DoubtError
            for event in patterns:
                if event not in _EVENTS and (
                    len(event) > MAX_EVENT_GLOB or _EVENT_GLOB.fullmatch(event) is None
                ):
                    raise strict.DoubtError
            events = frozenset().union(*map(expand, patterns))
            self._events[patterns] = events
        return events

    def _value(self, field: Field, data: object, key: str) -> Value:
        if not field.secret:
            return strict.flag(data) if field.flag else strict.text(data)
        if type(data) is dict:
            return self._reference(data)
        text = strict.text(data)
        if field.address:
            if _URL.fullmatch(text) is None:
                raise strict.DoubtError
            if url_credential(text) is None:
                return text
        ref = SecretRef(scheme=Scheme.LITERAL, name=f"{key}/{field.name}")
        self._literals[ref] = wrap(text)
        return ref

    def _reference(self, data: dict[str, Any]) -> SecretRef:
        name = data.get("env")
        if len(data) == 1 and type(name) is str and name in self._variables:
            return self._variables[name]
        version = strict.positive(data["version"]) if "version" in data else None
        if len(data) != (1 if version is None else 2):
            raise strict.DoubtError
        if "env" not in data:
            path = file_name(strict.text(data.get("file")), self._document.file)
            return SecretRef(scheme=Scheme.FILE, name=path, version=version)
        name = strict.any_text(name)
        if _VARIABLE.fullmatch(name) is None:
            raise strict.DoubtError
        ref = SecretRef(scheme=Scheme.ENV, name=name, version=version)
        if version is None:
            self._variables[name] = ref
        return ref


def _absent(data: dict[str, Any], position: Position, index: int) -> Absent:
    if not data.keys() <= _ABSENT:
        raise strict.DoubtError
    if "organization" in data:
        strict.text(data["organization"])
    return Absent(
        name=strict.text(data.get("name")),
        id=strict.text(data["id"]) if "id" in data else None,
        position=position,
        index=index,
    )
