"""From a file that the schema accepts to what it declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.findings import Position
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import expand
from reconciler.model import Absent, Scheme, Secret, SecretRef, Value, Webhook
from reconciler.source.allowed import file_name
from reconciler.source.document import Document
from reconciler.source.literals import url_credential
from reconciler.source.schema import Part
from reconciler.source.secrets import wrap


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


def build(document: Document, parts: Iterable[Part]) -> Declaration:
    """Return what a file declares, of which the schema accepts all `parts`."""
    builder = _Builder(document)
    for part in parts:
        builder.add(part)
    root = document.data
    return Declaration(
        file=document.file,
        webhooks=tuple(builder.webhooks),
        absent=tuple(builder.absent),
        literals=builder.literals,
        scope=tuple(root.get("scope", ("*",))),
        prune=root.get("prune", True),
        ignore=tuple(root.get("ignore", ())),
        protect=tuple(root.get("protect", ())),
        max_deletes=root.get("limits", {}).get("max_deletes"),
    )


class _Builder:
    """Builds the webhooks of one file. Keeps references and events, which most of them share."""

    def __init__(self, document: Document) -> None:
        self.webhooks: list[Webhook] = []
        self.absent: list[Absent] = []
        self.literals: dict[SecretRef, Secret] = {}
        self._document = document
        self._events: dict[tuple[str, ...], frozenset[str]] = {}
        self._variables: dict[str, SecretRef] = {}
        self._fields = {
            kind.type: {each.name: each for each in kind.fields} for kind in KINDS.values()
        }

    def add(self, part: Part) -> None:
        """Build a webhook; the root of a file is none."""
        if part.item is None:
            return
        data, index = part.data, part.item
        position = Position(file=self._document.file, line=self._document.lines[index])
        name, pin = data["name"], data.get("id")
        if data.get("state") == "absent":
            self.absent.append(Absent(name=name, id=pin, position=position, index=index))
            return
        fields = self._fields[data["type"]]
        key = name if pin is None else pin
        self.webhooks.append(
            Webhook(
                name=name,
                type=data["type"],
                event_types=self._expanded(tuple(data["event_types"])),
                configuration={
                    field: self._value(fields[field], value, key)
                    for field, value in data["configuration"].items()
                },
                id=pin,
                previously=tuple(data.get("previously", ())),
                adopt=data.get("adopt", False),
                position=position,
                index=index,
            )
        )

    def _expanded(self, patterns: tuple[str, ...]) -> frozenset[str]:
        events = self._events.get(patterns)
        if events is None:
            events = frozenset().union(*map(expand, patterns))
            self._events[patterns] = events
        return events

    def _value(self, field: Field, data: Any, key: str) -> Value:
        if isinstance(data, dict):
            return self._reference(data)
        if not field.secret or (field.address and url_credential(data) is None):
            value: Value = data
            return value
        ref = SecretRef(scheme=Scheme.LITERAL, name=f"{key}/{field.name}")
        self.literals[ref] = wrap(data)
        return ref

    def _reference(self, data: dict[str, Any]) -> SecretRef:
        version = data.get("version")
        if "file" in data:
            path = file_name(data["file"], self._document.file)
            return SecretRef(scheme=Scheme.FILE, name=path, version=version)
        name = data["env"]
        if version is not None:
            return SecretRef(scheme=Scheme.ENV, name=name, version=version)
        ref = self._variables.get(name)
        if ref is None:
            ref = self._variables[name] = SecretRef(scheme=Scheme.ENV, name=name)
        return ref
