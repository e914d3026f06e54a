"""A plan as a plain tree: what JSON output shows and what a saved plan holds.

It holds no secret: references appear as the objects that files use for them. Published as
schemas/plan.schema.json. What is read back is the review that it stands for. A checksum over all
the rest detects damage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, assert_never

from reconciler.findings import Finding, Position
from reconciler.model import Organization, Scheme, SecretRef, Unknown, Value, Webhook
from reconciler.planning.plan import (
    Change,
    Create,
    Delete,
    FieldChange,
    Kept,
    KeyLost,
    OperationDigest,
    Plan,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
)
from reconciler.planning.resend import Resend, resends
from reconciler.planning.review import Review

FORMAT_VERSION: Final = "1"

Tree = dict[str, Any]

# The logs of CI runners execute it wherever it stands; in JSON it stands inside text only.
_COMMAND: Final = re.compile(r"(##\w*)\[")


def plan_tree(plan: Plan, version: str) -> Tree:
    """Return the document of `plan`; `version` is that of the program that makes it."""
    operations = plan.operations or ((),) * len(plan.changes)
    tree: Tree = {
        "format_version": FORMAT_VERSION,
        "kind": "plan",
        "tool_version": version,
        "origin": plan.origin,
        "organization": _organization(plan.organization),
        "digest": plan.digest,
        "counts": {
            "create": len(plan.creates),
            "update": len(plan.updates),
            "delete": len(plan.deletes),
            "unchanged": len(plan.matched),
            "kept": len(plan.kept),
            "unmanaged": len(plan.unmanaged),
            "ignored": plan.ignored,
            "files": plan.files,
            "in_scope": plan.in_scope,
            "live": plan.live,
        },
        "blocked": [finding_tree(each) for each in plan.blocked],
        "changes": [
            {**_change(change), "operations": [each.digest for each in found]}
            for change, found in zip(plan.changes, operations, strict=True)
        ],
        "resends": [resend_tree(each) for each in resends(plan.changes)],
        "kept": [
            {**kept_summary(each), "webhooks": [_snapshot(found) for found in each.webhooks]}
            for each in plan.kept
        ],
        "unmanaged": [
            {"reason": str(each.reason), "webhook": _snapshot(each.webhook)}
            for each in plan.unmanaged
        ],
        "matched": [{"id": each.id, "webhook": _webhook(each.webhook)} for each in plan.matched],
        "unreadable": [{"webhook": name, "field": field} for name, field in plan.uncertain],
        "secrets": [
            {
                "reference": reference_tree(each.reference),
                "webhook": each.webhook,
                "field": each.field,
                "destination": each.destination,
            }
            for each in plan.secrets
        ],
        "notes": [finding_tree(each) for each in plan.notes],
        "relaxed": [finding_tree(each) for each in plan.relaxed],
    }
    tree["checksum"] = checksum(tree)
    return tree


def checksum(tree: Mapping[str, Any]) -> str:
    """Return the checksum of a document, over everything but its `checksum`.

    It finds damage and careless edits. It is no signature: who edits on purpose can compute it.
    """
    content = {key: value for key, value in tree.items() if key != "checksum"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + sha256(text.encode()).hexdigest()


def write_json(tree: Mapping[str, Any]) -> str:
    """Return a document as JSON in ASCII, harmless to terminals and CI logs."""
    text = json.dumps(tree, indent=2)
    return _COMMAND.sub(r"\1\\u005b", text) + "\n"


def reference_tree(reference: SecretRef) -> Tree:
    """Return a reference as files write it; a literal is named, never shown."""
    tree: Tree = {str(reference.scheme): reference.name}
    return tree if reference.version is None else {**tree, "version": reference.version}


def resend_tree(resend: Resend) -> Tree:
    """Return what a review sends again."""
    return {
        "webhook": resend.webhook,
        "field": resend.field,
        "value": None if resend.value is None else _value(resend.value),
        "cause": str(resend.cause),
    }


def read_resend(tree: Mapping[str, Any]) -> Resend:
    """Return the resend that `resend_tree` wrote."""
    value = tree["value"]
    return Resend(
        webhook=tree["webhook"],
        field=tree["field"],
        value=_read_reference(value) if isinstance(value, dict) else value,
        cause=SecretCause(tree["cause"]),
    )


def read_review(tree: Mapping[str, Any]) -> Review:
    """Return the review that a plan document stands for; it has passed its schema."""
    return Review(
        origin=tree["origin"],
        organization=tree["organization"]["id"],
        operations=frozenset(
            OperationDigest(digest=digest, name=each["name"], id=each["id"])
            for each in tree["changes"]
            for digest in each["operations"]
        ),
        resends=tuple(map(read_resend, tree["resends"])),
    )


def _read_reference(tree: Mapping[str, Any]) -> SecretRef:
    (scheme,) = (each for each in Scheme if each in tree)
    return SecretRef(scheme=scheme, name=tree[scheme], version=tree.get("version"))


def position_tree(position: Position | None) -> Tree | None:
    """Return a place in a file."""
    if position is None:
        return None
    return {
        "file": position.file,
        "line": position.line,
        "column": position.column,
        "width": position.width,
    }


def finding_tree(finding: Finding) -> Tree:
    """Return a finding with all it has to say."""
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "message": finding.message,
        "position": position_tree(finding.position),
        "hint": finding.hint,
        "excerpt": finding.excerpt,
        "related": [
            {"message": each.message, "position": position_tree(each.position)}
            for each in finding.related
        ],
    }


def change_summary(change: Change) -> Tree:
    """Return what identifies a change: what is done to which webhook, and why."""
    match change:
        case Create():
            action, id_ = "create", None
        case Update(before=before):
            action, id_ = "update", before.id
        case Delete(before=before):
            action, id_ = "delete", before.id
        case _:
            assert_never(change)
    attribution = None if change.attribution is None else str(change.attribution)
    return {
        "action": action,
        "name": change.name,
        "id": id_,
        "reason": str(change.reason),
        "attribution": attribution,
    }


def kept_summary(kept: Kept) -> Tree:
    """Return which webhooks are kept and why, without what is live."""
    return {
        "name": kept.name,
        "reason": str(kept.reason),
        "detail": kept.detail,
        "position": position_tree(kept.position),
        "unapplied": kept.unapplied,
    }


def _change(change: Change) -> Tree:
    summary = change_summary(change)
    match change:
        case Create(after=after):
            return {**summary, "after": _webhook(after)}
        case Update(before=before, after=after, fields=fields):
            return {
                **summary,
                "before": _snapshot(before),
                "after": _webhook(after),
                "fields": [_field(each) for each in fields],
            }
        case Delete(before=before):
            return {
                **summary,
                "before": _snapshot(before),
                "position": position_tree(change.position),
                "keeps": change.keeps,
                "hidden": change.hidden,
            }
        case _:
            assert_never(change)


def _field(field: FieldChange) -> Tree:
    path = list(field.path)
    match field:
        case ValueChange(before=before, after=after):
            return {"change": "value", "path": path, "before": _plain(before), "after": after}
        case SetChange():
            return {
                "change": "set",
                "path": path,
                "added": list(field.added),
                "removed": list(field.removed),
                "unchanged": field.unchanged,
            }
        case SecretChange(after=after):
            return {
                "change": "secret",
                "path": path,
                "after": _value(after),
                "cause": str(field.cause),
                "before": field.before,
                "destination": field.destination,
            }
        case KeyLost():
            return {"change": "lost", "path": path}
        case _:
            assert_never(field)


def _webhook(webhook: Webhook) -> Tree:
    tree: Tree = {
        "name": webhook.name,
        "type": webhook.type,
        "event_types": sorted(webhook.event_types),
        "configuration": {
            name: _value(value) for name, value in sorted(webhook.configuration.items())
        },
        "id": webhook.id,
        "previously": list(webhook.previously),
        "position": position_tree(webhook.position),
    }
    return {**tree, "adopt": True} if webhook.adopt else tree


def _snapshot(found: Snapshot) -> Tree:
    return {
        "id": found.id,
        "name": found.name,
        "type": found.type,
        "event_types": sorted(found.event_types),
        "configuration": {
            name: _plain(value) for name, value in sorted(found.configuration.items())
        },
        "destination": found.destination,
        "last_run": found.last_run,
    }


def _organization(organization: Organization) -> Tree:
    return {
        "id": organization.id,
        "name": organization.name,
        "role": organization.role,
        "maintenance": organization.maintenance,
    }


def _value(value: Value) -> str | bool | Tree:
    return reference_tree(value) if isinstance(value, SecretRef) else value


def _plain(value: str | bool | Unknown | None) -> str | bool | Tree | None:
    return {"unknown": True} if isinstance(value, Unknown) else value
