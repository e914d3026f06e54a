"""Find where values of a rendered configuration are written, and which values they override."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from reconciler.findings import Place, Position
from reconciler.model import DataPath
from reconciler.planning.document import Tree
from reconciler.planning.plan import Plan, Update
from reconciler.source.load import Loaded
from reconciler.source.position import locate
from reconciler.source.schema import default_path
from reconciler.source.yaml import UNITED


class Origin(NamedTuple):
    """The positions that form a value, and those of the values that it overrides, the latest first.

    Only lists that are united have several positions; a built-in default has none.
    """

    written: tuple[Position, ...] = ()
    overridden: tuple[Position, ...] = ()

    def __str__(self) -> str:
        if not self.written:
            return "default"
        text = " and ".join(map(str, self.written))
        if self.overridden:
            text += f", overrides {', '.join(map(str, self.overridden))}"
        return text


def origins(loaded: Loaded, file: str, data: Mapping[str, Any]) -> dict[DataPath, Origin]:
    """Return the origin of each value in the rendered data of a file, by its path."""
    places = {path: list(_places(loaded, file, path)) for path in _paths(data, ())}
    positions = _positions(loaded, {place for listed in places.values() for place in listed})
    result: dict[DataPath, Origin] = {}
    for path, listed in places.items():
        written = tuple(positions[place] for place in listed)
        if path[-1] in UNITED:
            # `sources` starts with the latest file, the list with the items of the lowest one.
            result[path] = Origin(tuple(reversed(written)))
        elif path[-1] == "name":
            result[path] = Origin(written[:1])  # other entries have the same name
        else:
            result[path] = Origin(written[:1], written[1:])
    return result


def origin_tree(origins_by_path: Mapping[DataPath, Origin]) -> list[Tree]:
    """Return origins as plain data, for JSON."""
    return [
        {
            "path": list(path),
            "written": _position_trees(origin.written),
            "overrides": _position_trees(origin.overridden),
        }
        for path, origin in origins_by_path.items()
    ]


def _position_trees(positions: tuple[Position, ...]) -> list[Tree]:
    return [{"file": position.file, "line": position.line} for position in positions]


def _paths(value: Any, path: DataPath) -> Iterator[DataPath]:
    """Yield the paths of values; a list and a reference are one value, except `webhooks`."""
    if path == ("webhooks",):
        for index, webhook in enumerate(value):
            yield from _paths(webhook, (*path, index))
    # A mapping inside of `configuration` is a reference.
    elif isinstance(value, dict) and (len(path) < 4 or path[-2] != "configuration"):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    else:
        yield path


def _places(loaded: Loaded, file: str, path: DataPath) -> Iterator[Place]:
    """Yield where a value is written, then what it overrides in layers and in `defaults`."""
    document = loaded.documents[file]
    # `prune` and `scope` are always rendered; perhaps no file writes them.
    if path[0] != "webhooks" and path[0] not in document.data:
        return
    written = loaded.place(file, path).path
    yield from document.sources(written)
    if written[0] == "webhooks":
        default = default_path(document.data, int(written[1]), tuple(written[2:]))
        if default is not None:
            yield from document.sources(default)


def _positions(loaded: Loaded, places: set[Place]) -> dict[Place, Position]:
    """Return the positions of places; each file is parsed again once."""
    documents = {**loaded.parents, **loaded.documents}
    ordered = sorted(places, key=lambda place: place.file)
    return {place: locate(documents[place.file].text, place.file, place.path) for place in ordered}


def with_positions(plan: Plan, loaded: Loaded) -> Plan:
    """Return a plan in which each update has the position of what changed.

    If all fields that an update sends are written in other files than the webhook, the position of
    the webhook does not explain the update.
    """
    # Without overlays, all values are in the file that the webhook's position shows.
    if not loaded.parents:
        return plan
    places = {
        number: _place_of_change(operation, loaded)
        for number, operation in enumerate(plan.operations)
        if isinstance(operation, Update)
    }
    positions = _positions(loaded, {place for place in places.values() if place is not None})
    operations = list(plan.operations)
    for number, place in places.items():
        operation = operations[number]
        if place is not None and isinstance(operation, Update):
            position = Position(place.file, positions[place].line)
            after = replace(operation.after, position=position)
            operations[number] = replace(operation, after=after)
    return plan._replace(operations=tuple(operations))


def _place_of_change(update: Update, loaded: Loaded) -> Place | None:
    """Return the place of the first field that an update sends, if its webhook is elsewhere."""
    webhook = update.after
    document = loaded.documents[webhook.file]
    paths: list[DataPath] = [("webhooks", webhook.index, *change.path) for change in update.fields]
    places = [document.written_at(loaded.place(webhook.file, path).path) for path in paths]
    here = webhook.position.file if webhook.position is not None else None
    return None if any(place.file == here for place in places) else places[0]
