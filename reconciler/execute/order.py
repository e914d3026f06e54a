"""Which changes wait for which: a name is freed before it is taken, copies go before updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.planning.changes import Change, Create, Delete, Reason, Update


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


def copies(changes: Sequence[Change]) -> list[int]:
    """Return the places of the deletes of duplicates, which go before everything else."""
    return [
        index
        for index, change in enumerate(changes)
        if isinstance(change, Delete) and change.reason is Reason.DUPLICATE
    ]


def freeing(changes: Sequence[Change]) -> Mapping[int, list[int]]:
    """Map the place of a change to those of the changes that it must wait for.

    A name must be freed by a rename before it is taken. A webhook is updated only when its further
    copies are gone: interrupted in between, they would differ, and no run could tell which counts.
    """
    leaving: dict[str, list[int]] = {}
    for index, change in enumerate(changes):
        if isinstance(change, Update) and renames(change):
            leaving.setdefault(change.before.name, []).append(index)
    twins: dict[str, list[int]] = {}
    for index in copies(changes):
        change = changes[index]
        if isinstance(change, Delete) and change.keeps is not None:
            twins.setdefault(change.keeps, []).append(index)
    waits: dict[int, list[int]] = {}
    for index, change in enumerate(changes):
        if isinstance(change, Update):
            waits[index] = [
                *twins.get(change.before.id, ()),
                *(leaving.get(change.name, ()) if renames(change) else ()),
            ]
        elif isinstance(change, Create):
            waits[index] = leaving.get(change.name, [])
    return {index: others for index, others in waits.items() if others}
