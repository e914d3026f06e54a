"""Render the effective configuration: globs expanded, defaults merged.

The planner uses the same `Desired`, so this shows its input. Secrets appear as references. Parsing
the text again gives the same `Desired`, unless a file contains literal secrets: these appear as
`{literal: WEBHOOK/FIELD}`, which is not allowed in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.model import EVENT_TYPES, Absent, Desired, FileScope, Path, SecretRef, Webhook
from reconciler.planning.document import reference_tree
from reconciler.source.export import block, scalar
from reconciler.source.load import Loaded
from reconciler.source.position import locate
from reconciler.source.schema import origin


def configurations(desired: Desired) -> dict[str, dict[str, Any]]:
    """Return the configuration of each file as plain data in the file format, by file."""
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
    data["webhooks"] = list(map(_entry, _entries(desired, scope.file)))
    return data


def _entries(desired: Desired, file: str) -> list[Webhook | Absent]:
    """Return what a file declares, in its order."""
    everything: list[Webhook | Absent] = [*desired.webhooks, *desired.absent]
    return sorted((each for each in everything if each.file == file), key=lambda each: each.index)


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


def yaml_text(data: dict[str, Any], comment: Callable[[Path], str] = lambda path: "") -> str:
    """Return the data of a file as YAML; `comment` follows the value at a path."""
    return "\n".join(block(data, comment)) + "\n"


def source_path(loaded: Loaded, file: str, path: Path) -> Path:
    """Return where in its file's data a value of the rendered configuration comes from.

    As near as it can be: of an event, whose glob is expanded, the list of globs.
    """
    assert loaded.desired is not None
    match path:
        case ("webhooks", int(index), *rest):
            rest = rest[:1] if rest[:1] == ["event_types"] else rest
            entry = _entries(loaded.desired, file)[index]
            return origin(loaded.documents[file].data, entry.index, tuple(rest))
    return path


def origins(loaded: Loaded, file: str) -> Callable[[Path], str]:
    """Return what gives the comment behind a rendered value: file and line, or `default`."""
    document = loaded.documents[file]

    def comment(path: Path) -> str:
        at = document.written_at(source_path(loaded, file, path))
        if path[0] != "webhooks" and path[0] not in document.data:
            return "  # default"
        text = loaded.parents.get(at.file, document).text
        return f"  # {scalar(at.file)}:{locate(text, at.file, at.path).line}"

    return comment
