"""Field changes between two plain trees, through DeepDiff.

Only pairs that are known to differ come here: comparing with `==` first is a hundred times
cheaper. The trees hold text, flags and sets of event names; secrets are taken out before, since
DeepDiff looks into any object it meets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.model import Path
from reconciler.planning.changes import SetChange, ValueChange

Tree = Mapping[str, Any]

_FIRST: Final = ("name", "type", "event_types")


def field_changes(before: Tree, after: Tree) -> tuple[ValueChange | SetChange, ...]:
    """Return what turns `before` into `after`, in the order of the paths.

    Every key of `before` is one of `after` too.
    """
    from deepdiff import DeepDiff  # costs many times the start of the program

    # A threshold would report trees with few keys in common as one change of the whole.
    found = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
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
            else:
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
    first = path[0]
    return (_FIRST.index(first) if first in _FIRST else len(_FIRST), path)
