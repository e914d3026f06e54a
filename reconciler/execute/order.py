"""Which changes wait for which: a name is freed before it is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.planning.changes import Change, Create, Delete, Update


def renames(change: Change) -> bool:
    """Say whether a change gives a live webhook another name."""
    return isinstance(change, Update) and change.before.name != change.after.name


def groups(changes: Sequence[Change]) -> list[list[int]]:
    """Return the places of the updates: those of one group in turn, groups side by side.

    Renames that share a name, as the links of a chain do, are one group, in the plan's order.
    """
    parent: dict[int, int] = {}
    first: dict[str, int] = {}

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for index, change in enumerate(changes):
        if not isinstance(change, Update):
            continue
        parent[index] = index
        if renames(change):
            for name in (change.before.name, change.after.name):
                parent[root(index)] = root(first.setdefault(name, index))
    found: dict[int, list[int]] = {}
    for index in parent:
        found.setdefault(root(index), []).append(index)
    return list(found.values())


def freeing(changes: Sequence[Change]) -> Mapping[int, list[int]]:
    """Map the place of a change to those of the renames that must first free its name."""
    leaving: dict[str, list[int]] = {}
    for index, change in enumerate(changes):
        if isinstance(change, Update) and renames(change):
            leaving.setdefault(change.before.name, []).append(index)
    return {
        index: leaving[change.name]
        for index, change in enumerate(changes)
        if change.name in leaving
        and not isinstance(change, Delete)
        and (isinstance(change, Create) or renames(change))
    }
