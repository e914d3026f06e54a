"""A plan as plain data, for JSON output and saved plans.

It contains no secret; references have the form that files use. The format is published as
schemas/plan.schema.json. Only the review is read back. A checksum over the rest detects damage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any, Final

from reconciler import __version__
from reconciler.errors import ApiError, ReconcilerError, StalePlanError
from reconciler.findings import Finding, Related, sort_key, without_commands
from reconciler.model import SecretRef, Unknown, Webhook
from reconciler.planning.plan import (
    FieldRemoved,
    FieldResent,
    Operation,
    Plan,
    SecretChange,
    SecretUse,
    SetChange,
    Snapshot,
    ValueChange,
    digest_of,
    live_id,
)
from reconciler.planning.resend import resends
from reconciler.planning.run import OrganizationResult, RunPlan

FORMAT_VERSION: Final = "3"

Tree = dict[str, Any]


def head(kind: str) -> Tree:
    """Return the first keys of every document but that of `render`, which has its own version.

    Our documents are recognized by this text, so order and spacing of the keys matter.
    """
    return {"format_version": FORMAT_VERSION, "kind": kind, "tool_version": __version__}


def run_tree(run: RunPlan, extra: Sequence[Tree]) -> Tree:
    """Return the document of the plans of a run, without its checksum.

    `extra` has more keys for each organization.
    """
    organizations: list[Tree] = []
    for result, more in zip(run.organizations, extra, strict=True):
        tree = failed_tree(result) if result.value is None else _plan_tree(result.value)
        organizations.append({"files": list(result.files), **tree, **more})
    return {
        **head("plan"),
        "digest": run.digest,
        "totals": plain(run.totals),
        "organizations": organizations,
    }


def failed_tree(result: OrganizationResult[Any]) -> Tree:
    """Return an organization that failed, with its error."""
    tree: Tree = {"organization": {"id": None, "name": result.name}}
    if result.problem is not None:
        tree["error"] = error_tree(result.problem)
    return tree


def error_tree(error: ReconcilerError) -> Tree:
    """Return an error."""
    tree: Tree = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
        # In the order of the files, whichever check found them first.
        "findings": [plain(finding) for finding in sorted(error.findings, key=sort_key)],
    }
    if isinstance(error, ApiError):
        tree["request"] = {
            "method": error.method,
            "path": error.path,
            "status": error.status,
            "detail": error.detail,
            "fields": [{"path": list(path), "message": message} for path, message in error.fields],
        }
    if isinstance(error, StalePlanError):
        tree["differences"] = list(error.differences)
    return tree


def _plan_tree(plan: Plan) -> Tree:
    """Return the plan of one organization."""
    return {
        "origin": plan.origin,
        "organization": plain(plan.organization),
        "digest": plan.digest,
        "counts": {
            "create": len(plan.creates),
            "update": len(plan.updates),
            "delete": len(plan.deletes),
            "unchanged": len(plan.matched),
            "kept": len(plan.kept),
            "unmanaged": len(plan.unmanaged),
            "ignored": plan.counts.ignored,
            "files": plan.counts.files,
            "in_scope": plan.counts.in_scope,
            "live": plan.counts.live,
        },
        "blocked": plain(plan.blocked),
        "operations": [
            {
                **operation_summary(operation),
                **plain(operation),
                "digests": [reviewed.digest for reviewed in plan.digests[index]],
            }
            for index, operation in enumerate(plan.operations)
        ],
        "resends": plain(resends(plan.operations)),
        "kept": [{"name": kept.name, **plain(kept)} for kept in plan.kept],
        # Only webhooks of a declared name are kept together, so an unmanaged entry has exactly one.
        "unmanaged": [
            {"webhook": plain(kept.webhooks[0]), "reason": str(kept.reason)}
            for kept in plan.unmanaged
        ],
        "matched": [
            {"id": id_, "webhook": plain(webhook)} for id_, webhook in plan.matched.items()
        ],
        "unreadable": [{"webhook": name, "field": field} for name, field in plan.unreadable],
        "not_compared": plain(plan.not_compared),
        "not_equal": plain(plan.not_equal),
        "secrets": plain(plan.secrets),
        "failing": [
            {
                "id": webhook.id,
                "name": webhook.name,
                "state": str(webhook.delivery),
                "last_run": webhook.last_run,
                "last_error": plain(webhook.last_error),
            }
            for webhook in plan.failing
        ],
        "notes": plain(plan.notes),
        "relaxed": plain(plan.relaxed),
    }


def checksum(tree: Mapping[str, Any]) -> str:
    """Return the checksum of a document, over everything but its `checksum`.

    It detects damage and accidental edits. It is not a signature: anyone can compute it.
    """
    content = {key: value for key, value in tree.items() if key != "checksum"}
    return f"sha256:{digest_of(content)}"


def write_json(tree: Mapping[str, Any]) -> str:
    """Return a document as JSON in ASCII, harmless to terminals and CI logs."""
    return without_commands(json.dumps(tree, indent=2)) + "\n"


_OMITTED: Final[Mapping[type, Set[str]]] = {
    Finding: {"place"},
    Related: {"place"},
    Webhook: {"index", "file", "adopt"},  # `position` has the file
    Snapshot: {"last_error"},
    SecretChange: {"moved"},
    SecretUse: {"is_resolved", "live_id"},
}
"""Fields that a document omits, besides `not_shown` of each change."""

_TAGS: Final[Mapping[type, str]] = {
    ValueChange: "value",
    SetChange: "set",
    SecretChange: "secret",
    FieldResent: "resent",
    FieldRemoved: "removed",
}


def plain(value: Any) -> Any:
    """Return a value as plain data: its fields in their order, sets sorted, references as in files.

    Raises TypeError for values that a document must not contain, especially secrets.
    """
    match value:
        case None | bool() | int():
            return value
        case str():
            return str(value)  # the plain text of an enumeration's member
        case Unknown():
            return {"unknown": True}
        case SecretRef():
            return value.tree()
        # Sorted, so that equal plans are equal documents.
        case Mapping():
            return {key: plain(item) for key, item in sorted(value.items())}
        case frozenset():
            return sorted(value)
        case tuple() if not hasattr(value, "_fields"):
            return [plain(item) for item in value]
    return _plain_fields(value)


def _plain_fields(value: Any) -> Tree:
    """Return the fields of a dataclass or a named tuple, without those that are omitted."""
    kind = type(value)
    names = getattr(kind, "_fields", None)
    if is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
    # A secret has no fields on purpose, so that no document can contain it.
    if not names:
        raise TypeError(f"cannot convert {kind.__name__} to plain data")
    shown: Tree = {}
    if kind in _TAGS:
        shown["change"] = _TAGS[kind]
    omitted = _OMITTED.get(kind, frozenset())
    for name in names:
        if name not in omitted and name != "not_shown":
            shown[name] = plain(getattr(value, name))
    if isinstance(value, Webhook) and value.adopt:
        shown["adopt"] = True
    if isinstance(value, SecretChange):
        shown["differs"] = " and ".join(value.differs)
    return shown


def operation_summary(operation: Operation) -> Tree:
    """Return what identifies an operation: the action, the webhook and the reason."""
    return {
        "action": operation.action,
        "name": operation.name,
        "id": live_id(operation),
        "reason": str(operation.reason),
        "attribution": plain(operation.attribution),
    }
