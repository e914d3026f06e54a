"""A configuration as the reconciler understands it: globs expanded, defaults merged.

The plan is made from the same `Desired`, so this is its input made visible. Secrets appear as
their references. Reading the text again gives the same `Desired`, unless a file holds literal
secrets: these appear as `{literal: WEBHOOK/FIELD}`, which no file may hold.
"""

from __future__ import annotations

from typing import Any

from reconciler.model import EVENT_TYPES, Absent, Desired, FileScope, SecretRef, Webhook
from reconciler.planning.document import reference_tree
from reconciler.source.export import block


def configurations(desired: Desired) -> dict[str, dict[str, Any]]:
    """Return what each file declares as plain data that a file could hold, by file."""
    return {each.file: _configuration(desired, each) for each in desired.policy.scopes}


def _configuration(desired: Desired, scope: FileScope) -> dict[str, Any]:
    policy = desired.policy
    data: dict[str, Any] = (
        {} if desired.organization is None else {"organization": desired.organization}
    )
    data |= {"prune": scope.prune, "scope": list(scope.globs)}
    for key, patterns in (("ignore", policy.ignore), ("protect", policy.protect)):
        own = [each.glob for each in patterns if each.file == scope.file]
        data |= {key: own} if own else {}
    if policy.max_deletes is not None:
        data["limits"] = {"max_deletes": policy.max_deletes}
    everything: list[Webhook | Absent] = [*desired.webhooks, *desired.absent]
    entries = [each for each in everything if each.file == scope.file]
    data["webhooks"] = [_entry(each) for each in sorted(entries, key=lambda each: each.index)]
    return data


def _entry(entry: Webhook | Absent) -> dict[str, Any]:
    data: dict[str, Any] = {"name": entry.name}
    if entry.id is not None:
        data["id"] = entry.id
    if isinstance(entry, Absent):
        return {**data, "state": "absent"}
    if entry.previously:
        data["previously"] = list(entry.previously)
    if entry.adopt:
        data["adopt"] = True
    return {
        **data,
        "type": entry.type,
        "event_types": [each for each in EVENT_TYPES if each in entry.event_types],
        "configuration": {
            field: reference_tree(value) if isinstance(value, SecretRef) else value
            for field, value in entry.configuration.items()
        },
    }


def yaml_text(data: dict[str, Any]) -> str:
    """Return the data of a file as YAML."""
    return "\n".join(block(data)) + "\n"
