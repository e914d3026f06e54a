"""Remarks on a plan that a person would make looking over one's shoulder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Hashable, Iterator, Mapping

from reconciler.findings import Finding, Severity
from reconciler.kinds import KINDS
from reconciler.model import UNKNOWN, Webhook
from reconciler.planning.changes import Change, Create, Delete, Reason


def rename_hints(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Point out a delete and a create that look like one rename.

    Only where exactly one of each have type, events and visible configuration in common.
    """
    going: dict[Hashable, list[Delete]] = {}
    for change in changes:
        if isinstance(change, Delete) and change.reason is Reason.NOT_DECLARED:
            before = change.before
            shown = {
                name: value for name, value in before.configuration.items() if value is not UNKNOWN
            }
            key = _likeness(before.type, before.event_types, shown)
            going.setdefault(key, []).append(change)
    coming: dict[Hashable, list[Create]] = {}
    for change in changes:
        if isinstance(change, Create):
            after = change.after
            key = _likeness(after.type, after.event_types, after.configuration)
            coming.setdefault(key, []).append(change)
    for key, creates in coming.items():
        deletes = going.get(key, [])
        if len(creates) == len(deletes) == 1:
            old, new = deletes[0].name, creates[0]
            yield Finding(
                rule="looks-like-rename",
                severity=Severity.NOTE,
                message=f"deleting {old!r} and creating {new.name!r} looks like a rename",
                position=new.after.position,
                hint=f"to rename in place, add to {new.name!r}: previously: [{_yaml(old)}]",
            )


def mistaken(webhook: Webhook, name: str) -> Finding:
    """Return a warning that a live secret is shown and cannot be what is declared."""
    field = KINDS[webhook.type].field(name)
    noun = field.noun if field is not None else "the value"
    return Finding(
        rule="live-secret-mistaken",
        severity=Severity.WARNING,
        message=f"the live {name} of {webhook.name!r} is not {noun}, so deliveries fail",
        position=webhook.position,
        hint=f"resend the secret: `webhooks apply --resend-secret {shlex.quote(webhook.name)}`",
    )


def _likeness(kind: str, events: frozenset[str], configuration: Mapping[str, object]) -> Hashable:
    plain: list[tuple[str, object]] = []
    for field in KINDS[kind].fields:
        value = configuration.get(field.name)
        if not field.secret and value is not None and value != field.default:
            plain.append((field.name, field.normal(value) if isinstance(value, str) else value))
    return (kind, events, tuple(plain))


def _yaml(name: str) -> str:
    """Write a name so that YAML reads it back as text, whatever it is."""
    return json.dumps(name, ensure_ascii=False)
