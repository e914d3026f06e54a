"""Loaded configuration files, from a text or from declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.findings import Position
from reconciler.model import Absent, Desired, SecretRef, Webhook
from reconciler.planning.document import reference_tree
from reconciler.source.files import NotReadableError, SourceFile, Sources, parent_name
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_files
from reconciler.source.yaml import Document


def load_text(text: str | bytes, *, rules: Rules | None = None) -> Loaded:
    """Load one file with that text."""
    return load_texts({"webhooks.yaml": text}, rules=rules)


def load_texts(texts: Mapping[str, str | bytes], *given: str, rules: Rules | None = None) -> Loaded:
    """Load the `given` files, by default all, of a repository in memory."""
    read = {
        name: SourceFile(file=name, raw=text.encode() if isinstance(text, str) else text)
        for name, text in texts.items()
    }

    def read_parent(file: str, path: str) -> SourceFile:
        name = parent_name(file, path)
        if name not in read:
            raise NotReadableError("does not exist", "check the path")
        return read[name]

    files = tuple(read[name] for name in given or read)
    return load_files(Sources(files=files, read_parent=read_parent), rules=rules)


def loaded(desired: Desired) -> Loaded:
    """Return the result of loading files with these declarations; the first has the policy."""
    policy = desired.policy
    root: dict[str, Any] = {
        "organization": desired.organization,
        "ignore": [each.glob for each in policy.ignore],
        "protect": [each.glob for each in policy.protect],
        "limits": None if policy.max_deletes is None else {"max_deletes": policy.max_deletes},
    }
    documents: dict[str, Document] = {}
    for scope in policy.scopes:
        declared: list[Webhook | Absent] = [
            each
            for each in (*desired.webhooks, *desired.absent)
            if (each.position.file if each.position else policy.scopes[0].file) == scope.file
        ]
        declared.sort(key=lambda each: each.position.line if each.position else 1)
        start = Position(file=scope.file, line=1)
        documents[scope.file] = Document(
            file=scope.file,
            text="",
            data={
                **{key: value for key, value in root.items() if value},
                "scope": list(scope.globs),
                "prune": scope.prune,
                "webhooks": [_entry(each) for each in declared],
            },
            items={"webhooks": [each.position or start for each in declared]},
        )
        root = {}
    return Loaded(desired=desired, documents=documents)


def _entry(entry: Webhook | Absent) -> dict[str, Any]:
    if isinstance(entry, Absent):
        fields: dict[str, Any] = {"name": entry.name, "id": entry.id, "state": "absent"}
    else:
        fields = {
            "name": entry.name,
            "id": entry.id,
            "type": entry.type,
            "event_types": sorted(entry.event_types),
            "configuration": {
                name: reference_tree(value) if isinstance(value, SecretRef) else value
                for name, value in entry.configuration.items()
            },
            "previously": list(entry.previously),
            "adopt": entry.adopt,
        }
    return {key: value for key, value in fields.items() if value or key == "name"}
