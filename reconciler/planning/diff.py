"""Field changes between two plain trees, through DeepDiff.

Only pairs that are known to differ come here: comparing with `==` first is a hundred times
cheaper. The trees hold text, flags and sets of event names; secrets are taken out before, since
DeepDiff looks into any object it meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model import Path
from reconciler.planning.changes import SetChange, ValueChange

Tree = Mapping[str, Any]


def field_changes(before: Tree, after: Tree) -> tuple[ValueChange | SetChange, ...]:
    """Return what turns `before` into `after`, in the order of the paths.

    Keys that only `before` has are no change: a live field that nobody declares stays.
    """
    from deepdiff import DeepDiff  # costs many times the start of the program

    found = DeepDiff(before, after, view="tree")
    values: dict[Path, ValueChange] = {}
    sets: dict[Path, tuple[list[str], list[str]]] = {}
    for category, entries in found.items():
        for entry in entries:
            path: Path = tuple(entry.path(output_format="list"))
            if category in ("values_changed", "type_changes"):
                values[path] = ValueChange(path=path, before=entry.t1, after=entry.t2)
            elif category == "dictionary_item_added":
                values[path] = ValueChange(path=path, before=None, after=entry.t2)
            elif category == "set_item_added":
                sets.setdefault(path[:1], ([], []))[0].append(entry.t2)
            elif category == "set_item_removed":
                sets.setdefault(path[:1], ([], []))[1].append(entry.t1)
            elif category != "dictionary_item_removed":
                raise AssertionError(f"no field change for {category}")
    changes: list[ValueChange | SetChange] = list(values.values())
    for path, (added, removed) in sets.items():
        changes.append(
            SetChange(
                path=path,
                added=tuple(sorted(added)),
                removed=tuple(sorted(removed)),
                unchanged=len(after[str(path[0])]) - len(added),
            )
        )
    return tuple(sorted(changes, key=lambda change: _rank(change.path)))


def _rank(path: Path) -> tuple[int, Path]:
    first = {"name": 0, "type": 1, "event_types": 2}
    return (first.get(str(path[0]), 3), path)
