"""From a file that the schema accepts to what it declares."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from reconciler.findings import Position
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import expand
from reconciler.model import (
    Absent,
    Desired,
    FileScope,
    Pattern,
    Policy,
    Scheme,
    Secret,
    SecretRef,
    Value,
    Webhook,
)
from reconciler.source.allowed import file_name, url_credential
from reconciler.source.schema import Part
from reconciler.source.secrets import wrap
from reconciler.source.yaml import Document

_FIELDS = {kind.type: {each.name: each for each in kind.fields} for kind in KINDS.values()}


def build(document: Document, parts: Iterable[Part]) -> Desired:
    """Return what a file declares, its organization apart; the schema accepts all its `parts`."""
    webhooks: list[Webhook] = []
    absent: list[Absent] = []
    literals: dict[SecretRef, Secret] = {}
    for part in parts:
        if part.item is None:  # the root
            continue
        data, index = part.data, part.item
        position = Position(file=document.file, line=document.items["webhooks"][index].line)
        name, pin = data["name"], data.get("id")
        if data.get("state") == "absent":
            absent.append(Absent(name=name, id=pin, position=position, index=index))
            continue
        fields = _FIELDS[data["type"]]
        key = name if pin is None else pin
        webhooks.append(
            Webhook(
                name=name,
                type=data["type"],
                event_types=_events(tuple(data["event_types"])),
                configuration={
                    field: _value(fields[field], value, key, document.file, literals)
                    for field, value in data["configuration"].items()
                },
                id=pin,
                previously=tuple(data.get("previously", ())),
                adopt=data.get("adopt", False),
                position=position,
                index=index,
            )
        )
    root = document.data
    scope = tuple(root.get("scope", ("*",)))
    return Desired(
        webhooks=tuple(webhooks),
        absent=tuple(absent),
        policy=Policy(
            scopes=(FileScope(file=document.file, globs=scope, prune=root.get("prune", True)),),
            ignore=_patterns(document, "ignore"),
            protect=_patterns(document, "protect"),
            max_deletes=root.get("limits", {}).get("max_deletes"),
        ),
        literals=literals,
    )


@lru_cache(maxsize=256)  # most webhooks share theirs
def _events(globs: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*map(expand, globs))


def _value(
    field: Field, data: Any, key: str, file: str, literals: dict[SecretRef, Secret]
) -> Value:
    if isinstance(data, dict):
        if "file" in data:
            scheme, name = Scheme.FILE, file_name(data["file"], file)
        else:
            scheme, name = Scheme.ENV, data["env"]
        return SecretRef(scheme=scheme, name=name, version=data.get("version"))
    if not field.secret or (field.address and url_credential(data) is None):
        value: Value = data
        return value
    ref = SecretRef(scheme=Scheme.LITERAL, name=f"{key}/{field.name}")
    literals[ref] = wrap(data)
    return ref


def _patterns(document: Document, key: str) -> tuple[Pattern, ...]:
    globs, positions = document.data.get(key, ()), document.items.get(key, ())
    return tuple(
        Pattern(glob=glob, position=position)
        for glob, position in zip(globs, positions, strict=True)
    )
